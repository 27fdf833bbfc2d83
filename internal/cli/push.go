package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/push"
)

func newPush() *cobra.Command {
	var o push.Options
	var once bool
	cmd := &cobra.Command{
		Use:   "push RUN URL",
		Short: "Copy a run to a server that accepts runs, also while it is being written",
		Long: `Copies a run to a server started with logitscope view DIR --accept. What is there already is not sent again, so that a push that was cut off is
gone on with by the same command; a run that is being written is followed to its end. What the server acknowledges is verified there, and durable. The
token that the server wants is read from LOGITSCOPE_TOKEN.`,
		Example: `  logitscope push runs/mine https://scope.example.org
  ssh -N -L 8321:127.0.0.1:8321 host & logitscope push runs/mine http://127.0.0.1:8321`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.URL, o.Token, o.Follow = args[1], os.Getenv("LOGITSCOPE_TOKEN"), !once
			errOut := cmd.ErrOrStderr()
			o.Warn = func(text string) { fmt.Fprintf(errOut, "logitscope: %s\n", text) }
			if isTerminal(errOut) {
				var files, bytes int64
				o.Progress = func(_ string, n int64) {
					files++
					bytes += n
					fmt.Fprintf(errOut, "\r%d files, %.1f MB", files, float64(bytes)/1e6)
				}
				defer fmt.Fprint(errOut, "\r\x1b[K")
			}
			pushed, err := push.Push(cmd.Context(), args[0], o)
			if err != nil && pushed.Epochs > 0 {
				return fmt.Errorf("%w; %s of %s are at %s, and the same command sends the rest", err, plural(pushed.Epochs, "epoch"), args[0], args[1])
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s of %s are at %s: %s, %.1f MB sent\n", plural(pushed.Epochs, "epoch"), args[0], args[1], plural(pushed.Files, "file"), float64(pushed.Bytes)/1e6)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Name, "name", "", "name of the run at the server (default: its own)")
	flags.BoolVar(&once, "once", false, "send what is there, and do not follow a run that is being written")
	flags.DurationVar(&o.Patience, "patience", 10*time.Minute, "how long a server that does not answer is asked again")
	return cmd
}
