package loss

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/logit"
)

// catalog is the one list of the losses, the default of each head first. A loss is one value in one file: what is said of it, its
// settings, and what makes it.
var catalog = []definition{crossEntropy, binaryCrossEntropy, focal, kl, brier, hinge}

// definition is a loss with its constructor for each element type.
type definition struct {
	Info
	float32 func(Settings) Loss[float32]
	float64 func(Settings) Loss[float64]
}

// Info describes a loss to whoever chooses one.
type Info struct {
	Name     string       `json:"name"`
	Formula  string       `json:"formula"` // of a sample
	Mean     string       `json:"-"`       // of a batch; "" for the plain mean over the samples
	Use      string       `json:"use"`
	Pitfalls string       `json:"pitfalls"`
	Heads    []logit.Head `json:"heads"`    // that it fits
	Targets  TargetKind   `json:"targets"`  // that it takes
	Settings []Setting    `json:"settings"` // that it takes; in JSON their names
}

// TargetKind says what a loss takes for right.
type TargetKind string

// The kinds of targets.
const (
	ByLabels TargetKind = "labels" // Targets.Labels
	BySoft   TargetKind = "soft"   // Targets.Soft, a probability for each class
	ByBoth   TargetKind = "both"   // either
)

func (k TargetKind) takes(soft bool) bool { return k == ByBoth || (k == BySoft) == soft }

// String says it in words.
func (k TargetKind) String() string {
	return map[TargetKind]string{ByLabels: "labels", BySoft: "a probability for each class", ByBoth: "labels, or a probability for each class"}[k]
}

// Catalog lists every loss, the default first.
func Catalog() []Info {
	infos := make([]Info, len(catalog))
	for i := range catalog {
		infos[i] = catalog[i].Info
	}
	return infos
}

// ByName returns the loss of that name in Catalog with its settings, or says what is wrong: a name that is unknown, a setting
// out of range or of another loss.
func ByName[T Float](name string, s Settings) (Loss[T], error) {
	d, err := find(name)
	if err != nil {
		return nil, err
	}
	if err := d.check(s); err != nil {
		return nil, err
	}
	if construct, ok := any(d.float32).(func(Settings) Loss[T]); ok {
		return construct(s), nil
	}
	return any(d.float64).(func(Settings) Loss[T])(s), nil
}

// Default is the name of the loss that a head has where none is chosen: the first of Catalog that fits it.
func Default(head logit.Head) string {
	for i := range catalog {
		if slices.Contains(catalog[i].Heads, head) {
			return catalog[i].Name
		}
	}
	panic(fmt.Sprintf("loss: Default: no loss fits a head %q", string(head)))
}

// Fits says why the loss of that name cannot train a head on such targets, and what can; nil where it can.
func Fits(name string, head logit.Head, soft bool) error {
	d, err := find(name)
	if err != nil {
		return err
	}
	if slices.Contains(d.Heads, head) && d.Targets.takes(soft) {
		return nil
	}
	fit := named(func(i *Info) bool { return slices.Contains(i.Heads, head) && i.Targets.takes(soft) })
	switch {
	case fit == "":
		return fmt.Errorf("no loss fits a %s head with %s targets", head, map[bool]string{false: "labels", true: "soft"}[soft])
	case !slices.Contains(d.Heads, head):
		return fmt.Errorf("%s does not fit a %s head, only %s; use %s", name, head, Words(d.Heads, " and "), fit)
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
func Choose(t Task) (head logit.Head, name, reason string) {
	switch {
	case t.MultiLabel:
		return logit.HeadSigmoid, binaryCrossEntropy.Name, fmt.Sprintf("a sample may have any of the %d labels, so each is a yes-or-no question of its own", t.Classes)
	case t.Teacher:
		return logit.HeadSoftmax, kl.Name, "the targets are another model's probabilities"
	case t.Classes == 2:
		return logit.HeadBinary, binaryCrossEntropy.Name, "two classes need a single logit: that of the second against the first"
	default:
		return logit.HeadSoftmax, crossEntropy.Name, fmt.Sprintf("a sample has exactly one of %d classes", t.Classes)
	}
}

// Names lists the losses: "a, b or c".
func Names() string { return named(func(*Info) bool { return true }) }

func find(name string) (*definition, error) {
	for i := range catalog {
		if catalog[i].Name == name {
			return &catalog[i], nil
		}
	}
	if name == "" {
		return nil, errors.New("no loss is named")
	}
	return nil, fmt.Errorf("unknown loss %q: use %s", name, Names())
}

// named lists the losses that fit: "a, b or c".
func named(fits func(*Info) bool) string {
	var names []string
	for i := range catalog {
		if fits(&catalog[i].Info) {
			names = append(names, catalog[i].Name)
		}
	}
	return alternatives(names)
}

// alternatives joins names: "a, b or c".
func alternatives(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return strings.Join(names, "")
}

// Words joins heads, kinds or the like with a separator between them.
func Words[T ~string](words []T, separator string) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, separator)
}
