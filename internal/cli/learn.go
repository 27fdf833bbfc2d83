package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/web"
)

func newLearn() *cobra.Command {
	flags := webFlags{what: "Learn", path: "learn"}
	var out string
	var open bool
	cmd := &cobra.Command{
		Use:   "learn [STEP]",
		Short: "From a logit to an overfitted network, in ten steps to touch",
		Long: `Serves a page of ten steps, each an instrument: logit, binary, softmax, temperature, pick, log, nll, cross-entropy,
gradient, training. It needs no run. With -o it writes the page as a file instead, which any web server shows, or none.`,
		Example: `  logitscope learn
  logitscope learn softmax
  logitscope learn -o course && open course/index.html`,
		ValidArgs: learnSteps,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && !slices.Contains(learnSteps, args[0]) {
				return usagef("%q is no step: name one of %s", strings.Join(args, " "), strings.Join(learnSteps, ", "))
			}
			if cmd.Flags().Changed("output") {
				if len(args) > 0 {
					return usagef("-o writes all steps: leave %s away", args[0])
				}
				return writeLearn(cmd, out)
			}
			if len(args) > 0 {
				flags.path += "/" + args[0]
			}
			listener, err := flags.listen()
			if err != nil {
				return err
			}
			if open {
				openBrowser("http://" + flags.listening(listener) + "/" + flags.path)
			}
			// The page links to the user's runs, where there are some.
			return flags.serve(cmd, listener, "runs", nil)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "folder to write the page to, as index.html, instead of serving it")
	cmd.Flags().BoolVar(&open, "open", os.Getenv("DISPLAY") != "" || runtime.GOOS == "darwin" || runtime.GOOS == "windows",
		"open a browser (default: where there is a screen)")
	flags.add(cmd.Flags())
	return cmd
}

var learnSteps = []string{"logit", "binary", "softmax", "temperature", "pick", "log", "nll", "cross-entropy", "gradient", "training"}

// writeLearn writes the page into a folder, as a file that needs no server.
func writeLearn(cmd *cobra.Command, dir string) error {
	if dir == "" {
		return usagef("-o needs a folder")
	}
	page, err := fs.ReadFile(web.FS(), "offline/learn.html")
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this binary was built without the pages: run make build with Node 20")
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "index.html")
	if err := files.Write(path, func(w io.Writer) error { _, err := w.Write(page); return err }); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: open it in a browser, or put it on a web server\n", path)
	return nil
}

// openBrowser asks the system to open an address in a browser. An error is ignored, since the address is printed too.
func openBrowser(url string) {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	command := exec.Command(name, args...)
	if command.Start() == nil {
		go func() { _ = command.Wait() }()
	}
}
