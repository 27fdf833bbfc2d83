package analysis

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Compared is what a comparison of runs shows of one run. Best and Last are those of the split that judges the run: validation, or training where
// the run has no validation split.
type Compared struct {
	Run           string            `json:"run"`
	State         string            `json:"state"`
	Unit          string            `json:"unit,omitempty"` // what the number of an epoch counts, as in Curves
	Epochs        int               `json:"epochs"`         // the number of epochs that are known
	PlannedEpochs int               `json:"planned_epochs"`
	Split         string            `json:"split"` // the split that judges the run, which the figures are of
	Best          *ComparedEpoch    `json:"best"`  // the epoch with the lowest NLL; null where no epoch is recorded
	Last          *ComparedEpoch    `json:"last"`
	Differs       map[string]string `json:"differs"` // the run's values of the settings that are not the same in all runs, by name
	Lacking

	settings map[string]string // the whole configuration, by name
}

// ComparedEpoch is an epoch of a Compared run with its figures.
type ComparedEpoch struct {
	Epoch    int    `json:"epoch"`
	NLL      Number `json:"nll"`
	Accuracy Number `json:"accuracy"`
}

// Compared returns the run under a name, for Compare. A configuration that is not JSON is an error.
func (a *Analyzer) Compared(ctx context.Context, name string) (*Compared, error) {
	curves, err := a.Curves(ctx)
	if err != nil {
		return nil, err
	}
	m, epochs := a.source.Manifest(), curves.All()
	c := &Compared{
		Run: name, State: curves.State, Unit: curves.Unit, Epochs: len(epochs), PlannedEpochs: curves.PlannedEpochs, Split: m.Judge(),
		Differs: map[string]string{}, Lacking: curves.Lacking,
	}
	if c.settings, err = flatten(m.Config); err != nil {
		return nil, fmt.Errorf("%s: its configuration: %w", name, err)
	}
	for _, e := range epochs {
		s, ok := e.Splits[c.Split]
		if !ok {
			continue // a damaged file, or epoch 0
		}
		c.Last = &ComparedEpoch{e.Epoch, s.NLL, s.Accuracy}
		if c.Best == nil || s.NLL < c.Best.NLL || math.IsNaN(float64(c.Best.NLL)) {
			c.Best = c.Last
		}
	}
	return c, nil
}

// Compare sorts runs by their lowest NLL and gives each the settings in which they differ.
func Compare(runs []*Compared) {
	settings := make([]map[string]string, len(runs))
	for i, run := range runs {
		settings[i] = run.settings
	}
	for key := range differing(settings) {
		for _, run := range runs {
			if value, ok := run.settings[key]; ok {
				run.Differs[key] = value
			}
		}
	}
	slices.SortStableFunc(runs, func(a, b *Compared) int { return cmp.Compare(a.order(), b.order()) })
}

// order returns the number that runs are sorted by, which puts runs without an NLL last.
func (c *Compared) order() float64 {
	if c.Best == nil || math.IsNaN(float64(c.Best.NLL)) {
		return math.Inf(1)
	}
	return float64(c.Best.NLL)
}

// flatten turns a configuration, which is JSON, into settings by name. A setting inside another is named outer.inner.
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

// differing returns the names of the settings that are not the same in all runs, or that some runs lack.
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
