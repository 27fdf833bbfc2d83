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

// RaceFile is the file of a run that tells of the race its settings won: a Race.
const RaceFile = "race.json"

// Race is what was raced, what each reached and which was chosen.
type Race struct {
	Cycle    int       `json:"cycle"`  // epochs of the first, each of the others twice as long as the one before
	Figure   string    `json:"figure"` // that decides
	Chosen   int       `json:"chosen"` // index of an entrant
	Entrants []Entrant `json:"entrants"`
}

// Entrant is settings in a race.
type Entrant struct {
	Model       string    `json:"model"`
	Dropout     float64   `json:"dropout"`
	WeightDecay float64   `json:"weight_decay"`
	NLL         []float64 `json:"nll"`           // at the end of each cycle
	Out         string    `json:"out,omitempty"` // why it was trained no further
}

// defaults are those for the data: of the digits those that README tells of.
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

// hasVal reports whether validation can decide anything: with fewer labelled rows than two a difference has no error.
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

// race lets the validation rows choose among d's rivals, and returns d with the winner. Settings that give any of what is raced
// for, or how long to train, leave nothing to choose.
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
	if c.Budget == 0 { // else the clock decides, which must see what an epoch takes
		e.winner = &entrants[winner]
	}
	race := &Race{Cycle: d.cycle, Figure: record.ValSplit + ".nll", Chosen: winner}
	for _, e := range entrants {
		race.Entrants = append(race.Entrants, Entrant{e.Config.Model, e.Config.Dropout, e.Config.WeightDecay, e.NLL, e.Out})
	}
	return d, race, nil
}

// file is the race as a run keeps it.
func (r *Race) file() (record.File, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return record.File{Name: RaceFile, Data: append(text, '\n')}, err
}

// String lists the NLL of each cycle, and why there are no more.
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
