package train

import (
	"math"
	"strconv"
)

// Schedule says how the learning rate moves. It rises in equal steps to the whole rate over the warm-up, the first of them
// above 0, and then
//
//	constant  stays
//	cosine    falls to Min along half a cosine by the last step. Loshchilov and Hutter, "SGDR", 2017, equation 5
//	restarts  falls as cosine does over Cycle epochs, again from the whole rate over twice as many, and so on: SGDR with its T_mult
//	          of 2. A cycle needs not know how many follow, so that training may end with any
//	step      is multiplied by Factor every Every epochs
//	plateau   is multiplied by Factor when the figure of StopOn has not improved for more than RatePatience epochs
//
// as PyTorch's LinearLR, CosineAnnealingLR, StepLR and ReduceLROnPlateau do, counted in steps (epochs for the last two).
type Schedule struct {
	Schedule     string  `json:"schedule"`
	Warmup       float64 `json:"warmup"`      // share of all steps, of the first cycle's with restarts, [0, 1)
	Min          float64 `json:"lr_min"`      // cosine, restarts and plateau
	Cycle        int     `json:"lr_cycle"`    // epochs of the first cycle; restarts
	Factor       float64 `json:"lr_factor"`   // step and plateau, (0, 1)
	Every        int     `json:"lr_every"`    // epochs; step
	RatePatience int     `json:"lr_patience"` // epochs; plateau
}

// rate is the learning rate of a step, which counts from 0, of all steps; plateau is what plateaus have multiplied it by.
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

func (s Schedule) warmSteps(all int) int { return int(math.Round(s.Warmup * float64(all))) }

// better reports whether a figure is better than another: larger for those that count what is right, else smaller. The
// first number is better than none.
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

// monitor follows the figure that says which epoch is best.
type monitor struct {
	Figure string `json:"figure"`
	Epoch  int    `json:"epoch"` // the best, 0 before the first
	Value  number `json:"value"` // of it
	Since  int    `json:"since"` // epochs since

	// The learning rate's own patience, as PyTorch counts it: an improvement of less than 1e-4 of the value is none.
	Mark    number  `json:"mark"`
	Bad     int     `json:"bad"`
	Plateau float64 `json:"plateau"` // what the learning rate is multiplied by
}

// number is a float64 that JSON takes whatever it is.
type number float64

func (n number) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

func (n *number) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	*n = number(v)
	return err
}

// plateauThreshold is ReduceLROnPlateau's: by so much of the best value a figure must improve to count.
const plateauThreshold = 1e-4

// see takes an epoch's figure and reports whether it is the best.
func (m *monitor) see(epoch int, value float64, s Schedule) bool {
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
