package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// RaceFile is the name of the file of a run that has the Race by which its settings were chosen, as JSON.
const RaceFile = "race.json"

// Race says which settings were raced against each other, how each did, and which was chosen.
type Race struct {
	Cycle    int       `json:"cycle"`  // the number of epochs of the first cycle; each further cycle is twice as long
	Figure   string    `json:"figure"` // the figure that decides
	Chosen   int       `json:"chosen"` // the index of the chosen entrant
	Entrants []Entrant `json:"entrants"`
}

// Entrant has the settings of one entrant of a race, and how it did.
type Entrant struct {
	Model       string    `json:"model"`
	Dropout     float64   `json:"dropout"`
	WeightDecay float64   `json:"weight_decay"`
	NLL         []float64 `json:"nll"`           // the figure at the end of each cycle that it was trained for
	Out         string    `json:"out,omitempty"` // why it was not trained further; "" where it was still in at the end
}

// defaults returns the defaults for the data. Those of the digits are fixed, because README describes their run.
func (c Config) defaults(data *dataset.Dataset, parts []labelledPart) defaults {
	if c.Data.Path == digits {
		return digitsDefaults
	}
	d := defaultsFor(data, len(parts[0].labels))
	if !hasVal(parts) {
		d.cycle, d.rivals = 0, nil
	}
	return d
}

// hasVal reports whether validation can decide anything: it needs two labelled rows, since the mean of fewer has no standard error.
func hasVal(parts []labelledPart) bool {
	for _, p := range parts {
		if p.Name != record.ValSplit {
			continue
		}
		labelled := 0
		for _, label := range p.labels {
			if label != loss.Ignored || p.soft != nil {
				labelled++
			}
		}
		return labelled > 1
	}
	return false
}

// race lets the validation rows choose among d's rivals, and returns d with the winner. It races nothing, and returns d and nil, where the
// configuration sets anything that is raced for or says how long to train.
func (e *Experiment) race(ctx context.Context, d defaults) (defaults, *Race, error) {
	c := e.Config
	if d.rivals == nil || c.Model != "" || c.Optimizer != "" || c.Epochs != 0 || c.Schedule.Schedule != "" ||
		c.Dropout != 0 || c.WeightDecay != 0 || c.Given["dropout"] || c.Given["weight_decay"] {
		return d, nil, nil
	}
	configs := make([]train.Config, len(d.rivals))
	for i, r := range d.rivals {
		one := c
		d.model, d.penalty = r.model, r.penalty
		one.fill(d)
		configs[i] = one.Config
	}
	began := time.Now()
	entrants, winner, err := train.Race(ctx, configs, e.Head, e.Splits, func() bool {
		return c.Budget > 0 && time.Since(began) > c.Budget/3
	})
	if settings := (*train.SettingsError)(nil); errors.As(err, &settings) {
		err = &ConfigError{err}
	}
	if err != nil {
		return d, nil, err
	}
	d.model, d.penalty, d.raced = d.rivals[winner].model, d.rivals[winner].penalty, true
	if d.model != d.rivals[0].model {
		d.reasons["model"] = "bins let it learn thresholds, and it won the race for the lowest validation NLL"
	}
	if c.Budget == 0 { // with a budget every epoch is trained, to see how long it takes
		e.winner = &entrants[winner]
	}
	race := &Race{Cycle: d.cycle, Figure: record.ValSplit + ".nll", Chosen: winner}
	for _, e := range entrants {
		race.Entrants = append(race.Entrants, Entrant{e.Config.Model, e.Config.Dropout, e.Config.WeightDecay, e.NLL, e.Out})
	}
	return d, race, nil
}

// file returns RaceFile.
func (r *Race) file() (record.File, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return record.File{Name: RaceFile, Data: append(text, '\n')}, err
}

// String returns the NLL of each cycle, and why there are no more, as text.
func (e Entrant) String() string {
	words := make([]string, len(e.NLL))
	for i, v := range e.NLL {
		words[i] = fmt.Sprintf("%.4f", v)
	}
	text := strings.Join(words, ", ")
	if e.Out != "" {
		text += " (" + e.Out + ")"
	}
	return strings.TrimSpace(text)
}
