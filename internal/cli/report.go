package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/files"
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
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := files.Check(path); err != nil {
				return err
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			var lacking analysis.Lacking
			err = files.Write(path, func(w io.Writer) (err error) {
				lacking, err = report.Write(cmd.Context(), w, run)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", path)
			return lackingError(lacking, args[0], "the report is of the rest")
		},
	}
	cmd.Flags().StringVarP(&path, "output", "o", path, "file to write")
	return cmd
}
