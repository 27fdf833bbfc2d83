package train

import (
	"math"
	"strconv"
)

// Schedule says how the learning rate changes. Over the warm-up it rises in equal steps, the first of them above 0, to the configured rate.
// Then, by the name of the schedule, it
//
//	constant  stays
//	cosine    falls to Min along half a cosine by the last step. Loshchilov and Hutter, "SGDR", 2017, equation 5
//	restarts  falls as with cosine over Cycle epochs, then again from the configured rate over twice as many, and so on: SGDR with
//	          T_mult 2. The rate does not depend on how many cycles follow, so that training may end with any of them
//	step      is multiplied by Factor every Every epochs
//	plateau   is multiplied by Factor when the figure of StopOn has not improved for more than RatePatience epochs
//
// These are PyTorch's LinearLR, CosineAnnealingLR, StepLR and ReduceLROnPlateau, counted in steps, the last two in epochs.
type Schedule struct {
	Schedule     string  `json:"schedule"`    // the name
	Warmup       float64 `json:"warmup"`      // the share of all steps, with restarts of those of the first cycle, [0, 1)
	Min          float64 `json:"lr_min"`      // the lowest rate of cosine, restarts and plateau
	Cycle        int     `json:"lr_cycle"`    // the number of epochs of the first cycle of restarts
	Factor       float64 `json:"lr_factor"`   // the factor of step and plateau, (0, 1)
	Every        int     `json:"lr_every"`    // the number of epochs between two changes of step
	RatePatience int     `json:"lr_patience"` // the number of epochs without improvement that plateau allows
}

// rate returns the learning rate of a step, counted from 0, where all is the number of steps in all and perEpoch in an epoch. base is the
// configured rate, and plateau the factor that plateaus have multiplied it by so far.
func (s Schedule) rate(base float64, step, all, perEpoch int, plateau float64) float64 {
	if s.Schedule == "restarts" {
		from, end := s.cycle(step/perEpoch, all/perEpoch)
		if from > 0 {
			s.Warmup = 0
		}
		s.Schedule, step, all = "cosine", step-from*perEpoch, (end-from)*perEpoch
	}
	warm := s.warmSteps(all)
	if step < warm {
		return base * float64(step+1) / float64(warm)
	}
	switch s.Schedule {
	case "cosine":
		progress := float64(step-warm) / float64(max(all-warm, 1))
		return s.Min + (base-s.Min)*(1+math.Cos(math.Pi*progress))/2
	case "step":
		return base * math.Pow(s.Factor, float64(step/perEpoch/s.Every))
	case "plateau":
		return max(base*plateau, s.Min)
	}
	return base
}

// warmSteps returns the number of steps of the warm-up.
func (s Schedule) warmSteps(all int) int { return int(math.Round(s.Warmup * float64(all))) }

// better reports whether a value of a figure is better than another: larger for those of risesWhenBetter, else smaller. Any number is better
// than NaN.
func better(figure string, value, than float64) bool {
	if math.IsNaN(value) {
		return false
	}
	if math.IsNaN(than) {
		return true
	}
	if risesWhenBetter(figure) {
		return value > than
	}
	return value < than
}

// monitor follows the figure that says which epoch is best. It is part of state.json.
type monitor struct {
	Figure string `json:"figure"` // the name of the figure
	Epoch  int    `json:"epoch"`  // the best epoch, 0 before the first
	Value  number `json:"value"`  // its figure
	Since  int    `json:"since"`  // the number of epochs since

	// The schedule plateau counts for itself, as PyTorch does: an improvement of less than 1e-4 of the value is none.
	Mark    number  `json:"mark"`    // the value that must be improved on
	Bad     int     `json:"bad"`     // the number of epochs without improvement
	Plateau float64 `json:"plateau"` // the factor that the learning rate is multiplied by
}

// number is a float64 that JSON holds as text, so that it may be NaN or infinite.
type number float64

// MarshalText implements encoding.TextMarshaler.
func (n number) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *number) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	*n = number(v)
	return err
}

// plateauThreshold is the share of the best value by which a figure must improve for the schedule plateau, as in ReduceLROnPlateau.
const plateauThreshold = 1e-4

// endEpoch takes an epoch's figure, and reports whether the epoch is the best so far.
func (m *monitor) endEpoch(epoch int, value float64, s Schedule) bool {
	first := m.Epoch == 0
	mark := float64(m.Mark) * (1 - plateauThreshold)
	if risesWhenBetter(m.Figure) {
		mark = float64(m.Mark) * (1 + plateauThreshold)
	}
	if first || better(m.Figure, value, mark) {
		m.Mark, m.Bad = number(value), 0
	} else if m.Bad++; s.Schedule == "plateau" && m.Bad > s.RatePatience {
		m.Plateau *= s.Factor
		m.Bad = 0
	}
	if first || better(m.Figure, value, float64(m.Value)) {
		m.Epoch, m.Value, m.Since = epoch, number(value), 0
		return true
	}
	m.Since++
	return false
}
