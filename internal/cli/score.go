package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/summary"
)

// scoreAnswer is what score prints as JSON.
type scoreAnswer struct {
	*analysis.Score
	analysis.Lacking
}

// MarshalJSON implements json.Marshaler. The keys of the score and those of what is lacking are in one object.
func (a scoreAnswer) MarshalJSON() ([]byte, error) {
	score, err := json.Marshal(a.Score)
	if err != nil {
		return nil, err
	}
	lacking, err := json.Marshal(a.Lacking)
	if err != nil || string(lacking) == "{}" {
		return score, err
	}
	return slices.Concat(score[:len(score)-1], []byte(","), lacking[1:]), nil
}

func newScore() *cobra.Command {
	var from source
	var temperature float64
	var o analysis.ScoreOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "score [RUN]",
		Short: "NLL, accuracy, calibration errors, ROC AUC and the rest, of a run or of arrays",
		Long: `Scores the logits of a run's split, or of two arrays (NumPy or safetensors). docs/metrics.md defines every figure; one that is not defined is
null in JSON, with the reason under "undefined".

Figures: ` + figureNames() + `.`,
		Example: `  logitscope score runs/demo --epoch best
  logitscope score --logits z.npy --labels y.npy --json
  logitscope score --logits out.npz:logits --labels out.npz:labels --bins 20 --bootstrap 1000`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !analysis.ValidTemperature(temperature):
				return usagef("--temperature %v: give a finite number above 0", temperature)
			case o.Bins < 1 || o.Bins > summary.MaxBins:
				return usagef("--bins %d: give 1 to %d", o.Bins, summary.MaxBins)
			case o.Bootstrap < 0 || o.Bootstrap > 100_000:
				return usagef("--bootstrap %d: give 0 to 100000", o.Bootstrap)
			}
			err := from.read(cmd.Context(), args, func(rows summary.Rows, name string) error {
				score, err := analysis.ScoreOf(cmd.Context(), summary.AtTemperature(rows, temperature), o)
				if err != nil {
					return err
				}
				score.Note = from.note
				if score.UndefinedRows > 0 {
					if err := from.checkFinite(cmd.Context(), rows); err != nil {
						return err
					}
				}
				if asJSON {
					return writeJSON(cmd, scoreAnswer{score, from.lacks})
				}
				return printScore(cmd, name, score)
			})
			return cmp.Or(err, from.lacking(args))
		},
	}
	flags := cmd.Flags()
	from.flags(flags, "last")
	flags.Float64Var(&temperature, "temperature", 1, "T that the logits are divided by")
	flags.IntVar(&o.Bins, "bins", 15, "bins of the calibration errors")
	flags.IntVar(&o.Bootstrap, "bootstrap", 0, "bootstrap samples for 95 % intervals; 0 for none")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of the bootstrap samples")
	flags.BoolVar(&asJSON, "json", false, "print the figures as JSON")
	return cmd
}

// figureNames lists the name of every figure, in lines as wide as those of the help.
func figureNames() string {
	var b strings.Builder
	width := 0
	for i, f := range analysis.Figures() {
		if i > 0 {
			b.WriteString(", ")
		}
		if width += len(f.Name) + 2; width > 110 {
			b.WriteString("\n")
			width = 0
		}
		b.WriteString(f.Name)
	}
	return strings.ReplaceAll(b.String(), ", \n", ",\n")
}

func printScore(cmd *cobra.Command, from string, s *analysis.Score) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s: %s of %d classes, T = %v\n\n", from, plural(s.N, "labelled row"), s.Classes, s.Temperature)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range s.Figures() {
		if f.Name == "top5" && s.Classes <= 5 {
			continue // it is 1, whatever the logits
		}
		value := "-"
		if text, err := f.Value.MarshalJSON(); err == nil && string(text) != "null" {
			value = fmt.Sprintf("%.6g", float64(f.Value))
		}
		fmt.Fprintf(table, "%s\t%s", f.Name, value)
		if interval, ok := s.Intervals[f.Name]; ok {
			fmt.Fprintf(table, "\t[%.6g, %.6g]", interval.Low, interval.High)
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if s.Note != "" {
		fmt.Fprintf(out, "\n%s\n", s.Note)
	}
	if s.UndefinedRows > 0 {
		fmt.Fprintf(out, "\n%s without a softmax (NaN or infinity) left out\n", plural(s.UndefinedRows, "labelled row"))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Undefined)) {
		fmt.Fprintf(out, "note: %s: %s\n", name, s.Undefined[name])
	}
	return nil
}
