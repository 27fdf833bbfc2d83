package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

func newCompare() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare RUN…",
		Short: "Runs side by side, the lowest validation NLL first, with the settings in which they differ",
		Example: `  logitscope compare runs/digits runs/digits-2
  logitscope compare runs/sweep/* --json | jq '.[0].run'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := compareRuns(args)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd, rows)
			}
			return printCompared(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return cmd
}

// compared is a run beside others. Where it has no validation split Best, Last and the epochs of them are those of training.
type compared struct {
	Run           string            `json:"run"`
	State         string            `json:"state"`
	Epochs        int               `json:"epochs"` // recorded
	PlannedEpochs int               `json:"planned_epochs"`
	Split         string            `json:"split"` // of the figures: val, else train
	Best          *comparedEpoch    `json:"best"`  // of the lowest NLL; null where no epoch is recorded
	Last          *comparedEpoch    `json:"last"`
	Differs       map[string]string `json:"differs"` // the settings that are not the same in all runs
}

type comparedEpoch struct {
	Epoch    int             `json:"epoch"`
	NLL      analysis.Number `json:"nll"`
	Accuracy analysis.Number `json:"accuracy"`
}

// compareRuns reads runs and sorts them by their lowest validation NLL.
func compareRuns(dirs []string) ([]compared, error) {
	rows, settings := make([]compared, len(dirs)), make([]map[string]string, len(dirs))
	for i, dir := range dirs {
		run, err := record.Open(dir)
		if err != nil {
			return nil, err
		}
		curves, err := analysis.New(run).Curves()
		config := run.Manifest().Config
		run.Close()
		if err != nil {
			return nil, err
		}
		if settings[i], err = flatten(config); err != nil {
			return nil, fmt.Errorf("%s: its configuration: %w", dir, err)
		}
		rows[i] = compareCurves(dir, curves)
	}
	for key := range differing(settings) {
		for i := range rows {
			if value, ok := settings[i][key]; ok {
				rows[i].Differs[key] = value
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b compared) int { return cmp.Compare(a.order(), b.order()) })
	return rows, nil
}

// order is what runs are sorted by; those without a number come last.
func (c compared) order() float64 {
	if c.Best == nil || math.IsNaN(float64(c.Best.NLL)) {
		return math.Inf(1)
	}
	return float64(c.Best.NLL)
}

func compareCurves(dir string, curves *analysis.Curves) compared {
	epochs := curves.All()
	c := compared{
		Run: dir, State: curves.State, Epochs: len(epochs), PlannedEpochs: curves.PlannedEpochs, Split: "train", Differs: map[string]string{},
	}
	for _, e := range epochs {
		if _, ok := e.Splits["val"]; ok {
			c.Split = "val"
		}
	}
	for _, e := range epochs {
		s, ok := e.Splits[c.Split]
		if !ok {
			continue // a damaged file, or epoch 0
		}
		c.Last = &comparedEpoch{e.Epoch, s.NLL, s.Accuracy}
		if c.Best == nil || s.NLL < c.Best.NLL || math.IsNaN(float64(c.Best.NLL)) {
			c.Best = c.Last
		}
	}
	return c
}

// flatten turns a configuration into settings by name, those inside others with a dot.
func flatten(config []byte) (map[string]string, error) {
	settings := map[string]string{}
	if len(config) == 0 {
		return settings, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	var walk func(prefix string, node any) error
	walk = func(prefix string, node any) error {
		if inner, ok := node.(map[string]any); ok {
			for key, value := range inner {
				if err := walk(strings.TrimPrefix(prefix+"."+key, "."), value); err != nil {
					return err
				}
			}
			return nil
		}
		raw, err := json.Marshal(node)
		settings[prefix] = strings.Trim(string(raw), `"`)
		return err
	}
	return settings, walk("", tree)
}

// differing returns the names of the settings that are not the same everywhere.
func differing(settings []map[string]string) map[string]bool {
	names := map[string]bool{}
	for _, s := range settings {
		for key, value := range s {
			if first, ok := settings[0][key]; !ok || first != value {
				names[key] = true
			}
		}
		for key := range settings[0] {
			if _, ok := s[key]; !ok {
				names[key] = true
			}
		}
	}
	return names
}

func printCompared(out io.Writer, rows []compared) error {
	columns := map[string]bool{}
	for _, r := range rows {
		for key := range r.Differs {
			columns[key] = true
		}
	}
	keys := slices.Sorted(maps.Keys(columns))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "run\tsplit\tbest NLL\tat\taccuracy\tlast NLL\taccuracy\tepochs\tstate\t%s\n", strings.Join(keys, "\t"))
	for _, r := range rows {
		best, last := "–\t–\t–", "–\t–"
		if r.Best != nil {
			best = fmt.Sprintf("%.4f\t%d\t%.4f", r.Best.NLL, r.Best.Epoch, r.Best.Accuracy)
			last = fmt.Sprintf("%.4f\t%.4f", r.Last.NLL, r.Last.Accuracy)
		}
		var values []string
		for _, key := range keys {
			values = append(values, cmp.Or(r.Differs[key], "–"))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\n", r.Run, r.Split, best, last, r.Epochs, r.PlannedEpochs, r.State, strings.Join(values, "\t"))
	}
	return table.Flush()
}
