package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

func newDiagnose() *cobra.Command {
	var asJSON bool
	failOn := "none"
	cmd := &cobra.Command{
		Use:   "diagnose RUN",
		Short: "What a run's logits give away: each finding with its evidence, what it means and what to try",
		Long: `Looks for overfitting and its onset, underfitting, over- and under-confidence, wrong labels, classes that are
never predicted, uneven or confused, logits that drift, explode or saturate the softmax, a learning rate that is too high
or too low, a validation set too small for what is read off it, samples that two splits share, probabilities recorded as
logits, a softmax applied twice; and names the epoch and the temperature to ship.`,
		Example: `  logitscope diagnose runs/demo
  logitscope diagnose runs/demo --json | jq '.findings[].id'
  logitscope diagnose runs/demo --fail-on warning    # exit code 1 where there is one, for scripts`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			level := diagnose.Level(failOn)
			if failOn != "none" && !slices.Contains(diagnose.Levels, level) {
				return usagef("--fail-on %q: use none, info, warning or error", failOn)
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			d, err := diagnose.Of(cmd.Context(), analysis.New(run))
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd, d)
			} else {
				printDiagnosis(cmd, d)
			}
			err = cmp.Or(err, lackingError(d.Lacking, args[0], "the rest is diagnosed"))
			if n := countFrom(d, level); err == nil && failOn != "none" && n > 0 {
				err = fmt.Errorf("%s of level %s or above in %s", plural(n, "finding"), level, args[0])
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.Flags().StringVar(&failOn, "fail-on", failOn, "exit with code 1 on findings of this level or above: none, info, warning or error")
	return cmd
}

// countFrom counts the findings of a level or above.
func countFrom(d *diagnose.Diagnosis, level diagnose.Level) (n int) {
	for _, f := range d.Findings {
		if f.Level.AtLeast(level) {
			n++
		}
	}
	return n
}

func printDiagnosis(cmd *cobra.Command, d *diagnose.Diagnosis) {
	const width = 96
	out, unit := cmd.OutOrStdout(), words.Unit(d.Unit)
	if len(d.Epochs) == 0 {
		what := unit.In("no epoch has labelled samples of training or validation that can be read")
		if d.Unread > 0 {
			what = fmt.Sprintf("%s without recorded logits, which findings need: train with --record all, every:N, last or best", plural(d.Unread, unit.String()))
		}
		fmt.Fprintf(out, "%s: %s\n", d.Run, what)
		return
	}
	for _, f := range d.Findings {
		fmt.Fprintf(out, "%-8s %s\n", f.Level, printable(f.Title))
		for _, part := range []struct{ name, text string }{
			{"", f.Evidence.Text}, {"meaning: ", f.Meaning}, {"try: ", f.Try}, {string(f.Confidence) + ": ", f.Rule},
		} {
			fmt.Fprint(out, wrapped(part.name+part.text, "         ", width))
		}
		fmt.Fprintln(out)
	}
	warnings := countFrom(d, diagnose.Warning)
	first, last := d.Epochs[0], d.Epochs[len(d.Epochs)-1]
	fmt.Fprintln(out, unit.Sprintf("%s: %s over epochs %d to %d, %d of them warnings or errors",
		d.Run, plural(len(d.Findings), "finding"), first, last, warnings))
	if d.Unread > 0 {
		fmt.Fprintf(out, "%s more without recorded logits: at most their NLL and accuracy are known\n", plural(d.Unread, unit.String()))
	}
}

// wrapped breaks text into lines of at most width characters, each behind indent.
func wrapped(text, indent string, width int) string {
	var b strings.Builder
	line := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case line == 0:
			b.WriteString(indent)
			line = len(indent)
		case line+1+n > width:
			b.WriteString("\n" + indent)
			line = len(indent)
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += n
	}
	if line > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}
