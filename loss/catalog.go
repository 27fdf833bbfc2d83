package loss

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Info describes a loss to whoever chooses one.
type Info struct {
	Name     string   `json:"name"`
	Formula  string   `json:"formula"` // of a sample
	Use      string   `json:"use"`
	Pitfalls string   `json:"pitfalls"`
	Heads    []string `json:"heads"`    // that it fits: softmax, binary, sigmoid
	Targets  string   `json:"targets"`  // labels, soft, or both
	Settings []string `json:"settings"` // of Settings, by their names in JSON
}

var catalog = []Info{
	{
		Name: "cross-entropy", Formula: "Σ_c w_c·q_c·(LSE(z) − z_c + λ·LSE(z)²), q the label's one-hot, smoothed by ε, or soft targets",
		Use:      "one class of several: the default. Class weights where rare classes matter; label smoothing ε = 0.1 where labels are noisy; λ = 1e-4 where logits drift",
		Pitfalls: "weights and smoothing bend the probabilities: they no longer match frequencies, so calibrate afterwards; never give it probabilities instead of logits",
		Heads:    []string{"softmax"}, Targets: "both", Settings: []string{"label_smoothing", "class_weights", "z_loss"},
	},
	{
		Name: "binary-cross-entropy", Formula: "w·y·log(1 + exp(−z)) + (1−y)·log(1 + exp(z)), the mean over a sample's logits",
		Use:      "yes or no by a single logit, or several independent yes-or-no questions (multi-label); positive weights where yes is rare",
		Pitfalls: "sigmoids of several logits do not sum to 1: for classes that exclude each other use cross-entropy; a positive weight w shifts the logit by log w",
		Heads:    []string{"binary", "sigmoid"}, Targets: "both", Settings: []string{"pos_weights"},
	},
	{
		Name: "focal", Formula: "−α_y·(1 − p_y)^γ·log p_y",
		Use:      "many easy samples drown few hard ones; γ = 2 is usual, class weights are α",
		Pitfalls: "it holds on to samples that are wrong, wrong labels above all; its probabilities are too timid, so calibrate afterwards",
		Heads:    []string{"softmax"}, Targets: "labels", Settings: []string{"gamma", "class_weights"},
	},
	{
		Name: "kl", Formula: "T²·Σ_c q_c·log(q_c/p_c), p = softmax(z/T), q a teacher's softmax at the same T",
		Use:      "distillation: learn another model's probabilities; T of 2 to 5 shows what the teacher thinks of the wrong classes",
		Pitfalls: "a teacher's errors are learnt with the rest; T must be that of the teacher's probabilities",
		Heads:    []string{"softmax"}, Targets: "soft", Settings: []string{"temperature"},
	},
	{
		Name: "brier", Formula: "Σ_c (p_c − y_c)²",
		Use:      "probabilities that count as such, with outliers and wrong labels: a sample costs at most 2",
		Pitfalls: "its gradient vanishes where the network is sure and wrong, so it starts slowly and may stay stuck",
		Heads:    []string{"softmax"}, Targets: "both",
	},
	{
		Name: "hinge", Formula: "max(0, 1 + max_{j≠y} z_j − z_y)",
		Use:      "only the decision counts: a linear support vector machine (Crammer and Singer)",
		Pitfalls: "its logits are no log-probabilities: softmax over them means little before calibration",
		Heads:    []string{"softmax"}, Targets: "labels",
	},
}

// Catalog lists every loss, the default first.
func Catalog() []Info { return slices.Clone(catalog) }

// Settings are those of all losses; each takes some of them.
type Settings struct {
	LabelSmoothing float64   `json:"label_smoothing,omitempty"`
	ClassWeights   []float64 `json:"class_weights,omitempty"` // [K]; Focal's α
	ZLoss          float64   `json:"z_loss,omitempty"`
	PosWeights     []float64 `json:"pos_weights,omitempty"` // [K]
	Gamma          float64   `json:"gamma,omitempty"`
	Temperature    float64   `json:"temperature,omitempty"`
}

// given names the settings that are set.
func (s Settings) given() (names []string) {
	for _, setting := range []struct {
		name string
		set  bool
	}{
		{"label_smoothing", s.LabelSmoothing != 0},
		{"class_weights", s.ClassWeights != nil},
		{"z_loss", s.ZLoss != 0},
		{"pos_weights", s.PosWeights != nil},
		{"gamma", s.Gamma != 0},
		{"temperature", s.Temperature != 0},
	} {
		if setting.set {
			names = append(names, setting.name)
		}
	}
	return names
}

func (s Settings) validate() error {
	nonNegative := func(v float64) bool { return v >= 0 && v <= 1e30 }
	switch {
	case !(s.LabelSmoothing >= 0 && s.LabelSmoothing < 1):
		return fmt.Errorf("label smoothing %v is not in [0, 1)", s.LabelSmoothing)
	case !nonNegative(s.ZLoss):
		return fmt.Errorf("z-loss %v: give 0 or more", s.ZLoss)
	case !nonNegative(s.Gamma):
		return fmt.Errorf("gamma %v: give 0 or more", s.Gamma)
	case !nonNegative(s.Temperature):
		return fmt.Errorf("temperature %v: give a number above 0", s.Temperature)
	}
	for _, weights := range [][]float64{s.ClassWeights, s.PosWeights} {
		for i, w := range weights {
			if !nonNegative(w) {
				return fmt.Errorf("weight %v of class %d: give 0 or more", w, i)
			}
		}
	}
	return nil
}

// ByName returns the loss of that name in Catalog with its settings, or says what is wrong: a name that is unknown, a setting
// out of range or of another loss.
func ByName[T Float](name string, s Settings) (Loss[T], error) {
	info, err := find(name)
	if err != nil {
		return nil, err
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	for _, setting := range s.given() {
		if !slices.Contains(info.Settings, setting) {
			return nil, fmt.Errorf("%s has no %s; it belongs to %s", name, strings.ReplaceAll(setting, "_", " "), named(func(i Info) bool {
				return slices.Contains(i.Settings, setting)
			}))
		}
	}
	switch name {
	case "binary-cross-entropy":
		return BinaryCrossEntropy[T]{PosWeights: s.PosWeights}, nil
	case "focal":
		return Focal[T]{Gamma: s.Gamma, Alpha: s.ClassWeights}, nil
	case "kl":
		return KL[T]{Temperature: s.Temperature}, nil
	case "brier":
		return Brier[T]{}, nil
	case "hinge":
		return Hinge[T]{}, nil
	default:
		return CrossEntropy[T]{LabelSmoothing: s.LabelSmoothing, ClassWeights: s.ClassWeights, ZLoss: s.ZLoss}, nil
	}
}

// Fits says why the loss of that name cannot train a head (softmax, binary or sigmoid) on such targets, and what can; nil
// where it can.
func Fits(name, head string, soft bool) error {
	info, err := find(name)
	if err != nil {
		return err
	}
	targets := "labels"
	if soft {
		targets = "soft"
	}
	takes := func(i Info) bool { return i.Targets == "both" || i.Targets == targets }
	if slices.Contains(info.Heads, head) && takes(info) {
		return nil
	}
	fit := named(func(i Info) bool { return slices.Contains(i.Heads, head) && takes(i) })
	switch {
	case fit == "":
		return fmt.Errorf("no loss fits a %s head with %s targets", head, targets)
	case !slices.Contains(info.Heads, head):
		return fmt.Errorf("%s does not fit a %s head, only %s; use %s", name, head, strings.Join(info.Heads, " and "), fit)
	case soft:
		return fmt.Errorf("%s needs one class a sample, and these targets are probabilities; use %s", name, fit)
	default:
		return fmt.Errorf("%s needs a teacher's probabilities, and these targets are labels; use %s", name, fit)
	}
}

// Task is what decides the head and the loss where nobody has.
type Task struct {
	Classes    int  // that a label may name
	MultiLabel bool // any number of classes a sample
	Teacher    bool // targets are another model's probabilities
}

// Choose returns the head and the loss for a task, with the reason in words.
func Choose(t Task) (head, name, reason string) {
	switch {
	case t.MultiLabel:
		return "sigmoid", "binary-cross-entropy", fmt.Sprintf("a sample may have any of the %d labels, so each is a yes-or-no question of its own", t.Classes)
	case t.Teacher:
		return "softmax", "kl", "the targets are another model's probabilities"
	case t.Classes == 2:
		return "binary", "binary-cross-entropy", "two classes need a single logit: that of the second against the first"
	default:
		return "softmax", "cross-entropy", fmt.Sprintf("a sample has exactly one of %d classes", t.Classes)
	}
}

func find(name string) (Info, error) {
	for _, info := range catalog {
		if info.Name == name {
			return info, nil
		}
	}
	if name == "" {
		return Info{}, errors.New("no loss is named")
	}
	return Info{}, fmt.Errorf("unknown loss %q: use %s", name, named(func(Info) bool { return true }))
}

// named lists the losses that fit: "a, b or c".
func named(fits func(Info) bool) string {
	var names []string
	for _, info := range catalog {
		if fits(info) {
			names = append(names, info.Name)
		}
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return strings.Join(names, "")
}
