package planted

import "math"

// Fault is a run in which a finding must be made.
type Fault struct {
	Name    string // what is planted
	Finding string // the id of the finding it must lead to
	Plant   func(*Run)
}

// Faults are all faults, in the order of the findings.
var Faults = []Fault{
	{"probabilities recorded", "probabilities", func(r *Run) { r.Output = Softmax }},
	{"softmax applied twice", "double_softmax", func(r *Run) {
		r.Output, r.Scale = Softmax, func(t float64) float64 { return 3 * t }
	}},
	{"scale grows past calibration", "overfitting", func(r *Run) {
		r.Val = 1000
		r.Scale = func(t float64) float64 { return 1 - math.Exp(-10*t) + 1.5*t*t }
		r.Memory = func(t float64) float64 { return 20 * t }
	}},
	{"validation gets worse", "overfitting", func(r *Run) {
		r.Memory = func(t float64) float64 { return 10 * t }
		r.Forgetting = func(t float64) float64 { return 1.5 * max(t-0.3, 0) }
	}},
	{"classes hardly apart", "underfitting", func(r *Run) {
		r.Signal, r.Memory = 1, func(t float64) float64 { return 0.05 * t }
	}},
	{"steps too large: the loss swings", "learning_rate_high", func(r *Run) {
		r.Scale = func(t float64) float64 { return 0.6 + 0.55*math.Sin(80*t) }
	}},
	{"steps too large: the loss rises", "learning_rate_high", func(r *Run) {
		r.Scale = func(t float64) float64 { return 1 - 2*t }
	}},
	{"steps too small", "learning_rate_low", func(r *Run) {
		r.Scale, r.Memory = func(t float64) float64 { return 0.05 * t }, func(float64) float64 { return 0 }
	}},
	{"logits twice too large", "overconfidence", func(r *Run) {
		r.Scale = func(t float64) float64 { return 2 * (1 - math.Exp(-5*t)) }
	}},
	{"logits halved", "underconfidence", func(r *Run) {
		r.Scale = func(t float64) float64 { return 0.5 * (1 - math.Exp(-5*t)) }
	}},
	{"logits forty times too large", "saturated", func(r *Run) {
		r.Scale, r.Memory = func(t float64) float64 { return 40 * t }, func(t float64) float64 { return 400 * t }
	}},
	{"logits explode", "logits_explode", func(r *Run) { r.Scale = func(t float64) float64 { return math.Pow(10, 4*t) } }},
	{"all logits drift", "logits_drift", func(r *Run) { r.Offset = func(t float64) float64 { return -60 * t } }},
	{"labels wrong: 10 %", "wrong_labels", func(r *Run) { wrong(r, 0.1) }},
	{"labels wrong: 20 %, in validation too", "wrong_labels", func(r *Run) {
		wrong(r, 0.2)
		r.WrongToo, r.Train, r.Val = true, 2000, 2000
	}},
	{"a class is never predicted", "class_collapsed", func(r *Run) { r.Dead = 3 }},
	{"classes 30 : 1", "imbalance", func(r *Run) { r.Ratio = 30 }},
	{"two classes look alike", "confused_classes", func(r *Run) { r.Confused = 0.6 }},
	{"60 validation samples", "validation_small", func(r *Run) { r.Val, r.Signal = 60, 2.5 }},
	{"25 training samples in validation", "leakage", func(r *Run) { r.Leaked = 25 }},
	{"3 pictures in both splits", "leakage", func(r *Run) { r.Leaked, r.Previews = 3, true }},
	{"10 pictures in both splits, with noise", "leakage", func(r *Run) { r.Leaked, r.Previews, r.Changed = 10, true, Noise(3) }},
	{"10 pictures in both splits, moved by a pixel", "leakage", func(r *Run) { r.Leaked, r.Previews, r.Changed = 10, true, Moved }},
	{"10 pictures in both splits, mirrored", "leakage", func(r *Run) { r.Leaked, r.Previews, r.Changed = 10, true, Mirrored }},
}

// wrong plants wrong labels: the network is less sure for them, then learns them by heart at the cost of new samples.
func wrong(r *Run, share float64) {
	r.WrongLabels = share
	r.Scale = func(t float64) float64 { return 0.5 * (1 - math.Exp(-8*t)) }
	r.Memory = func(t float64) float64 { return 16 * max(t-0.25, 0) }
	r.Forgetting = func(t float64) float64 { return 1.2 * max(t-0.25, 0) }
}
