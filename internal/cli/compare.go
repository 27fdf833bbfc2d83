package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

func newCompare() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare RUN…",
		Short: "Runs side by side, the lowest validation NLL first, with the settings in which they differ",
		Example: `  logitscope compare runs/digits runs/digits-2
  logitscope compare runs/sweep/* --json | jq '.[0].run'`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := compareRuns(cmd.Context(), args)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd, rows)
			} else {
				err = printCompared(cmd.OutOrStdout(), rows)
			}
			for _, row := range rows {
				err = cmp.Or(err, lackingError(row.Lacking, row.Run, "the table is of the rest"))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return cmd
}

// compareRuns reads runs, one at a time, and sorts them by their lowest validation NLL.
func compareRuns(ctx context.Context, dirs []string) ([]*analysis.Compared, error) {
	rows := make([]*analysis.Compared, len(dirs))
	for i, dir := range dirs {
		run, err := record.Open(dir)
		if err != nil {
			return nil, err
		}
		rows[i], err = analysis.New(run).Compared(ctx, dir)
		run.Close()
		if err != nil {
			return nil, err
		}
	}
	analysis.Compare(rows)
	return rows, nil
}

func printCompared(out io.Writer, rows []*analysis.Compared) error {
	columns := map[string]bool{}
	for _, r := range rows {
		for key := range r.Differs {
			columns[key] = true
		}
	}
	keys := slices.Sorted(maps.Keys(columns))
	heads := make([]string, len(keys))
	for i, key := range keys {
		heads[i] = printable(key)
	}
	var unit words.Unit
	for i, r := range rows {
		if own := words.Unit(r.Unit); i == 0 {
			unit = own
		} else if own != unit {
			unit = "" // their numbers count different things
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "run\tsplit\tbest NLL\tat\taccuracy\tlast NLL\taccuracy\t%vs\tstate\t%s\n", unit, strings.Join(heads, "\t"))
	for _, r := range rows {
		best, last := "–\t–\t–", "–\t–"
		if r.Best != nil {
			best = fmt.Sprintf("%.4f\t%d\t%.4f", r.Best.NLL, r.Best.Epoch, r.Best.Accuracy)
			last = fmt.Sprintf("%.4f\t%.4f", r.Last.NLL, r.Last.Accuracy)
		}
		var values []string
		for _, key := range keys {
			values = append(values, cmp.Or(printable(r.Differs[key]), "–"))
		}
		epochs := strconv.Itoa(r.Epochs)
		if r.PlannedEpochs > 0 { // a training that was attached to may not have said how many there will be
			epochs += fmt.Sprintf("/%d", r.PlannedEpochs)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(r.Run), r.Split, best, last, epochs, r.State, strings.Join(values, "\t"))
	}
	return table.Flush()
}
