package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

func newExplain() *cobra.Command {
	var epoch int
	var split string
	var sample int64
	var temperature float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain RUN",
		Short: "One sample through every stage: z, z/T, softmax, log-softmax, NLL, gradient; its history and neighbours",
		Example: `  logitscope explain runs/demo --epoch 45 --split val --sample 12
  logitscope explain runs/demo --epoch 45 --split val --sample 12 --temperature 2 --json`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"epoch", "split", "sample"} {
				if !cmd.Flags().Changed(name) {
					return usagef("--%s is missing: say which sample with --epoch N --split NAME --sample ID", name)
				}
			}
			if !analysis.ValidTemperature(temperature) {
				return usagef("--temperature %v: give a finite number above 0", temperature)
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			e, err := analysis.New(run).Explain(cmd.Context(), epoch, split, sample, temperature)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd, e)
			} else {
				err = printExplanation(cmd, e)
			}
			return cmp.Or(err, lackingError(e.Lacking, args[0], "the history is that of the rest"))
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&epoch, "epoch", 0, "epoch, counted from 1")
	flags.StringVar(&split, "split", "", "split: train or val")
	flags.Int64Var(&sample, "sample", 0, "id of the sample")
	flags.Float64Var(&temperature, "temperature", 1, "T that the logits are divided by")
	flags.BoolVar(&asJSON, "json", false, "print the stages as JSON")
	return cmd
}

func printExplanation(cmd *cobra.Command, e *analysis.Explanation) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "sample %d of %s at %v %d, T = %v: label %s", e.ID, e.Split, words.Unit(e.Unit), e.Epoch, e.Temperature, className(e, e.Label))
	if e.CleanLabel != nil && *e.CleanLabel != e.Label {
		fmt.Fprintf(out, " (planted; it was %s)", className(e, *e.CleanLabel))
	}
	fmt.Fprintf(out, ", predicted %s\n\n", className(e, e.Argmax))
	if e.Text != "" {
		fmt.Fprintf(out, "text: %s\n\n", escaped(e.Text, "\n\t"))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "class\tz\tz/T\tsoftmax\tlog-softmax\tgradient\t")
	for j, class := range e.Classes {
		mark := ""
		if int32(j) == e.Label {
			mark += "*"
		}
		fmt.Fprintf(table, "%s%s\t%.4f\t%.4f\t%.6f\t%.4f\t%+.6f\t\n",
			mark, printable(class), e.Z[j], e.ZOverT[j], e.Softmax[j], e.LogSoftmax[j], e.Gradient[j])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nNLL = −log p of class %s (*) = %.4f; it has rank %d of %d\n", className(e, e.Label), e.NLL, e.Rank, len(e.Classes))
	fmt.Fprintf(out, "the gradient asks: %s\n", printable(e.Asks))
	printPast(out, e)
	if e.Note != "" {
		fmt.Fprintf(out, "note: %s\n", e.Note)
	}
	return nil
}

// printPast prints the classes that the sample was predicted as over the epochs, the figures of its training dynamics, and its neighbours.
func printPast(out io.Writer, e *analysis.Explanation) {
	var taken []string
	for i := 0; i < len(e.History); {
		from := e.History[i]
		for i++; i < len(e.History) && e.History[i].Argmax == from.Argmax; i++ {
		}
		span := fmt.Sprint(from.Epoch)
		if last := e.History[i-1].Epoch; last != from.Epoch {
			span += fmt.Sprintf("–%d", last)
		}
		taken = append(taken, span+": "+className(e, from.Argmax))
	}
	unit := words.Unit(e.Unit)
	fmt.Fprintf(out, "taken for, by %v: %s\n", unit, strings.Join(taken, ", "))
	if d := e.Dynamics; d != nil {
		learned := "not learned at the end"
		if d.Learned >= 0 {
			learned = unit.Sprintf("learned for good at epoch %d", d.Learned)
		}
		fmt.Fprintln(out, unit.Sprintf("p of %s over the epochs: mean %.3f, deviation %.3f; right at %.0f %% of them, forgotten %s, %s; AUM %.2f, EL2N %.3f to epoch %d",
			className(e, e.Label), d.Confidence, d.Variability, 100*d.Correctness, plural(d.Forgotten, "time"), learned, d.AUM, d.EL2N, e.Early))
	}
	var near []string
	for _, n := range e.Neighbours {
		near = append(near, fmt.Sprintf("%d (%s, %.2f)", n.ID, className(e, n.Label), n.Distance))
	}
	if near != nil {
		fmt.Fprintf(out, "nearest in logit space (label, distance): %s\n", strings.Join(near, ", "))
	}
}

// className returns the name of a class, or "none" for a negative number.
func className(e *analysis.Explanation, class int32) string {
	if class < 0 {
		return "none"
	}
	return printable(e.Classes[class])
}
