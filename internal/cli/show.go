package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

func newShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "A table of every epoch and split: NLL, accuracy and the true class's logit, p and log p",
		Example: `  logitscope show runs/demo
  logitscope show runs/demo --json | jq '.epochs[-1].splits.val.nll'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			curves, err := curvesOf(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd, curves)
			}
			return printCurves(cmd, curves)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return cmd
}

func curvesOf(dir string) (*analysis.CurvesResult, error) {
	run, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	return analysis.Curves(run)
}

func printCurves(cmd *cobra.Command, curves *analysis.CurvesResult) error {
	out := cmd.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "epoch\tsplit\tn\tNLL\taccuracy\tp true\tz true\tlog p true\t")
	_ = analysis.CurvesResult{}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, curves.Story.Sentence)
	return nil
}

// tellStory prints in one sentence what a run shows.
func tellStory(cmd *cobra.Command, dir string) error {
	curves, err := curvesOf(dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), curves.Story.Sentence)
	return nil
}

// writeJSON prints v for a program to read.
func writeJSON(cmd *cobra.Command, v any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
