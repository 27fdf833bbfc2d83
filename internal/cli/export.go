package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/record"
)

func newExport() *cobra.Command {
	var path string
	var epochs []string
	var o convert.Options
	var formats strings.Builder
	for _, f := range convert.Formats() {
		fmt.Fprintf(&formats, "  %-12s %s\n", f.Name, f.Text)
	}
	cmd := &cobra.Command{
		Use:   "export RUN",
		Short: "The logits of a run as Parquet, npz, CSV, JSON lines, training dynamics or TensorBoard's events",
		Long:  "Writes what a run recorded for other programs, as the ending of --out says, or --format:\n\n" + formats.String(),
		Example: `  logitscope export runs/demo --out demo.parquet
  logitscope export runs/demo --out best.npz --epochs best --splits val
  logitscope export runs/demo --out dynamics --format cartography --splits train
  logitscope export runs/demo --out board --format tensorboard`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" {
				return usagef("say with --out where to write")
			}
			if _, err := convert.FormatOf(o.Format, path); err != nil {
				return usageError{err}
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			for _, name := range epochs {
				epoch, lacking, err := analysis.New(run).Epoch(cmd.Context(), name)
				if err != nil {
					return err
				}
				if lacking.Any() {
					return fmt.Errorf("%s: which epoch is %s cannot be told: name it by its number", lacking.Sentence(), name)
				}
				o.Epochs = append(o.Epochs, epoch)
			}
			if out := cmd.ErrOrStderr(); isTerminal(out) {
				o.Progress = func(done, total int) { fmt.Fprintf(out, "\r%d of %d parts", done, total) }
				defer fmt.Fprint(out, "\r\x1b[K")
			}
			if err := convert.Export(cmd.Context(), run, path, o); err != nil {
				return unmade(cmd.Context(), path, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", path)
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "out", "o", "", "file or folder to write")
	cmd.Flags().StringVar(&o.Format, "format", "", "format (default: by the ending of --out)")
	cmd.Flags().StringSliceVar(&epochs, "epochs", nil, "epochs to write: numbers, last or best (default: all)")
	cmd.Flags().StringSliceVar(&o.Splits, "splits", nil, "splits to write (default: all)")
	return cmd
}
