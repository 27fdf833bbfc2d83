package loss

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/logit"
)

// catalog is the list of all losses. The default of a head is the first that fits it. A loss is one value in one file: its description,
// its settings and its constructors.
var catalog = []definition{crossEntropy, binaryCrossEntropy, focal, kl, brier, hinge}

// definition is a loss in the catalog, with its constructor for each element type.
type definition struct {
	Info
	float32 func(Settings) Loss[float32]
	float64 func(Settings) Loss[float64]
}

// Info describes a loss to someone who chooses one.
type Info struct {
	Name     string       `json:"name"`
	Formula  string       `json:"formula"`  // the loss of one sample
	Mean     string       `json:"-"`        // the loss of a batch; "" for the plain mean over the samples
	Use      string       `json:"use"`      // when to use it
	Pitfalls string       `json:"pitfalls"` // what to beware of
	Heads    []logit.Head `json:"heads"`    // the heads that it fits
	Targets  TargetKind   `json:"targets"`  // the targets that it takes
	Settings []Setting    `json:"settings"` // its settings; in JSON their names
}

// TargetKind says which targets a loss takes.
type TargetKind string

// The kinds of targets.
const (
	ByLabels TargetKind = "labels" // Targets.Labels
	BySoft   TargetKind = "soft"   // Targets.Soft, a probability for each class
	ByBoth   TargetKind = "both"   // either of them
)

// takes reports whether targets of the kind may be soft, or where soft is false, labels.
func (k TargetKind) takes(soft bool) bool { return k == ByBoth || (k == BySoft) == soft }

// String returns the kind in words.
func (k TargetKind) String() string {
	return map[TargetKind]string{ByLabels: "labels", BySoft: "a probability for each class", ByBoth: "labels, or a probability for each class"}[k]
}

// Catalog describes every loss. Of those that fit a head, the first is its default.
func Catalog() []Info {
	infos := make([]Info, len(catalog))
	for i := range catalog {
		infos[i] = catalog[i].Info
	}
	return infos
}

// ByName returns the loss of that name in Catalog with the given settings; a setting that is not given has its default. It returns an
// error where the name is unknown, or a setting is out of range or another loss's.
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

// Default returns the name of the loss that a head has where none is chosen: the first in Catalog that fits it. It panics for a head that
// is none of logit.Heads.
func Default(head logit.Head) string {
	for i := range catalog {
		if slices.Contains(catalog[i].Heads, head) {
			return catalog[i].Name
		}
	}
	panic(fmt.Sprintf("loss: Default: no loss fits a head %q", string(head)))
}

// Fits returns nil where the loss of that name can train a head on targets that are soft, or labels where soft is false. Otherwise the
// error says why it cannot, and which losses can.
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
		return fmt.Errorf("%s does not fit a %s head, only %s; use %s", name, head, Join(d.Heads, " and "), fit)
	case soft:
		return fmt.Errorf("%s needs one class a sample, and these targets are probabilities; use %s", name, fit)
	default:
		return fmt.Errorf("%s needs a teacher's probabilities, and these targets are labels; use %s", name, fit)
	}
}

// Task is what Choose chooses by.
type Task struct {
	Classes    int  // the number of classes
	MultiLabel bool // whether a sample may have any number of classes
	Teacher    bool // whether the targets are another model's probabilities
}

// Choose returns the head and the name of the loss for a task where nobody has chosen them, with the reason in words.
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

// Names returns the names of all losses as text: "a, b or c".
func Names() string { return named(func(*Info) bool { return true }) }

// find returns the loss of that name in the catalog, or an error that lists the names there are.
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

// named returns the names of the losses for which fits is true, as text: "a, b or c".
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

// Join joins the texts of words with a separator between them.
func Join[T ~string](words []T, separator string) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, separator)
}
