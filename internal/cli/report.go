package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/report"
)

func newReport() *cobra.Command {
	path := "report.html"
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "One HTML file of a run to send to a colleague: story, findings, figures, pictures, suspects, classes",
		Long:  "Writes one self-contained HTML file: no network, no script; light, dark and for print.",
		Example: `  logitscope report runs/demo
  logitscope report runs/demo -o demo.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			if err := writeReport(path, run); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", path)
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "output", "o", path, "file to write")
	return cmd
}

// writeReport puts the report in place once it is whole.
func writeReport(path string, run *record.Run) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".logitscope-*.html")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	err = report.Write(file, run)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
