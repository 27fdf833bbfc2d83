package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/record"
)

func newCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check RUN",
		Short: "Verify the checksums and the structure of a run",
		Long:  "Reads every file of a run and of its folds, verifies checksums and structure, and names what is damaged; exit code 1 if anything is.",
		Example: `  logitscope check runs/demo
  logitscope check runs/demo --json`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := record.Check(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd, report)
			} else {
				printReport(cmd, args[0], &report)
			}
			if err == nil && !report.OK() {
				files, gaps := len(report.Damaged), len(report.Missing)
				if f := report.Folds; f != nil {
					files, gaps = files+len(f.Damaged), gaps+len(f.Missing)
				}
				err = fmt.Errorf("%s is damaged (%s, %s); what is not named can still be read", args[0], plural(files, "file"), plural(gaps, "gap"))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func printReport(cmd *cobra.Command, dir string, report *record.Report) {
	out := cmd.OutOrStdout()
	for _, d := range report.Damaged {
		fmt.Fprintf(out, "damaged: %s\n", printable(d.Error()))
	}
	for _, gap := range report.Missing {
		fmt.Fprintf(out, "missing: %s\n", gap)
	}
	for _, note := range report.Notes {
		fmt.Fprintf(out, "note: %s\n", printable(note))
	}
	if len(report.Damaged) == 0 && len(report.Missing) == 0 {
		fmt.Fprintf(out, "%s: %s, %s, all as written; the run is %s\n",
			dir, plural(report.Epochs, "epoch"), plural(report.Files, "file"), report.State)
	}
	if report.Folds != nil {
		printReport(cmd, filepath.Join(dir, record.FoldsDir), report.Folds)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
