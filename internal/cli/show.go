package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

func newShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "A table of every epoch and split: NLL, accuracy and the true class's logit, p and log p",
		Long: `Prints a table of every epoch and split, and what it tells. NLL is taken apart:
NLL = scale + ranking. T* is the temperature at which it is lowest; ranking is the NLL that is left at T*, scale what T* removes:
over-confidence, or too little of it. → 0 and → ∞ stand where no finite T* is best: where every sample has its label on top, and where
logits tell nothing of the labels.`,
		Example: `  logitscope show runs/demo
  logitscope show runs/demo --json | jq '.epochs[-1].splits.val.nll'`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			curves, err := curvesOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd, curves)
			} else {
				err = printCurves(cmd, curves)
			}
			return cmp.Or(err, lackingError(curves.Lacking, args[0], "the rest is shown"))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return cmd
}

func curvesOf(ctx context.Context, dir string) (*analysis.Curves, error) {
	run, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	return analysis.New(run).Curves(ctx)
}

func printCurves(cmd *cobra.Command, curves *analysis.Curves) error {
	out := cmd.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, words.Unit(curves.Unit).String()+"\tsplit\tn\tNLL\taccuracy\tp true\tz true\tlog p true\tscale\tranking\tT*\t")
	var during []string
	for _, e := range curves.All() {
		for _, split := range splitsOf(e) {
			s := e.Splits[split]
			parts := "\t\t\t"
			if p := s.Parts; p != nil {
				parts = fmt.Sprintf("%.4f\t%.4f\t%s\t", p.Scale, p.Ranking, best(p))
			}
			n := strconv.Itoa(s.N)
			if s.Of > 0 {
				n = fmt.Sprintf("%d of %d", s.N, s.Of)
			}
			if s.Measured == record.MeasuredDuring && !slices.Contains(during, split) {
				during = append(during, split)
			}
			fmt.Fprintf(table, "%d\t%s\t%s\t%.4f\t%.4f\t%s%s\n", e.Epoch, split, n, s.NLL, s.Accuracy, ofLogits(s), parts)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, curves.Story.Sentence)
	if curves.Unfinished != "" {
		fmt.Fprintln(out, curves.Unfinished)
	}
	for _, split := range during {
		fmt.Fprintf(out, "The figures of %s were seen while its samples were trained on, dropout and all: they may well be worse than those of new samples.\n", split)
	}
	if curves.Rise != nil {
		fmt.Fprintln(out, curves.Rise.Sentence)
	}
	return nil
}

// best returns T* as text, or the limit that it goes to.
func best(p *analysis.Decomposition) string {
	switch p.Verdict {
	case calibrate.Converged:
		return fmt.Sprintf("%.3f", p.Temperature)
	case calibrate.Separable:
		return "→ 0"
	case calibrate.AtBound:
		return "→ ∞"
	}
	return "none"
}

// ofLogits returns the cells of the figures that need logits, which are empty for an epoch without logits.
func ofLogits(s analysis.SplitScores) string {
	if math.IsNaN(float64(s.PTrue)) && s.Undefined == 0 {
		return "\t\t\t"
	}
	return fmt.Sprintf("%.4f\t%.3f\t%.4f\t", s.PTrue, s.ZTrue, s.LogPTrue)
}

// splitsOf returns the names of an epoch's splits, train first.
func splitsOf(e analysis.EpochScores) []string {
	names := slices.Sorted(maps.Keys(e.Splits))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(order(a), order(b)) })
	return names
}

// order is the rank of a split in tables: train, val, then the others.
func order(split string) int {
	if i := slices.Index([]string{record.TrainSplit, record.ValSplit}, split); i >= 0 {
		return i
	}
	return 2
}

// lackingError returns the error of a command that gave its answer although parts of the run could not be read; nil where nothing is lacking.
func lackingError(l analysis.Lacking, dir, rest string) error {
	if !l.Any() {
		return nil
	}
	return fmt.Errorf("%s; %s; see logitscope check %s", l.Sentence(), rest, dir)
}

// tellStory prints in one sentence what a run shows.
func tellStory(cmd *cobra.Command, dir string) error {
	curves, err := curvesOf(cmd.Context(), dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), curves.Story.Sentence)
	return lackingError(curves.Lacking, dir, "the rest tells this")
}

// writeJSON prints v for a program to read.
func writeJSON(cmd *cobra.Command, v any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
