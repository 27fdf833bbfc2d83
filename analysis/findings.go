package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/record"
)

// Diagnosis is what a run's logits give away, the gravest first.
type Diagnosis struct {
	Run      string    `json:"run"`
	State    string    `json:"state"`
	Epochs   []int     `json:"epochs"`         // those it rests on
	Missing  int       `json:"missing_epochs"` // others of the run so far, whose logits are not recorded or cannot be read
	Findings []Finding `json:"findings"`
	Damaged  []string  `json:"damaged"` // what could not be read
}

// Finding is one thing that a run gives away. Its evidence is figures, from which rule decides.
type Finding struct {
	ID         string     `json:"id"` // stable, for programs
	Level      Level      `json:"level"`
	Title      string     `json:"title"`
	Evidence   Evidence   `json:"evidence"`
	Meaning    string     `json:"meaning"`
	Try        string     `json:"try"`
	Confidence Confidence `json:"confidence"`
	Rule       string     `json:"rule"` // what makes it a finding, and so sure
}

// Evidence is where a finding can be seen.
type Evidence struct {
	Text    string    `json:"text"`
	Figures []Measure `json:"figures"`
	Epochs  []int     `json:"epochs"`
	Split   string    `json:"split"`
	Samples []int64   `json:"samples"` // ids, the plainest first, at most maxEvidence
	Classes []int     `json:"classes"`
}

// Measure is a number with its name.
type Measure struct {
	Name  string `json:"name"`
	Value Number `json:"value"`
}

// Level is how much a finding matters.
type Level string

// Levels, rising.
const (
	Info    Level = "info"    // to know
	Warning Level = "warning" // the result is worse than it could be, or than it looks
	Error   Level = "error"   // the result is not what it seems to be
)

// Levels are all of them, rising.
var Levels = []Level{Info, Warning, Error}

// AtLeast reports whether l is as grave as other, or graver.
func (l Level) AtLeast(other Level) bool {
	return slices.Index(Levels, l) >= slices.Index(Levels, other)
}

// Confidence is how sure a finding is.
type Confidence string

// Confidences, falling.
const (
	Certain  Confidence = "certain"  // it follows from what is recorded
	Likely   Confidence = "likely"   // chance is ruled out, other causes are rare
	Possible Confidence = "possible" // chance is ruled out, other causes are not
)

const (
	maxEvidence = 10   // samples, classes or pairs that a finding names
	beyondDoubt = 3.29 // standard errors: by chance once in a thousand
)

// findings is the table of what is looked for. A function returns nil where there is nothing to say; it is not called on an
// empty timeline.
var findings = []func(*evidence) *Finding{
	probabilities, doubleSoftmax, // first: they set e.unlike, and what follows is then of no meaning
	undefinedLogits, logitsExplode, logitsDrift, saturatedSoftmax,
	leakage, validationSmall, imbalance,
	learningRateHigh, learningRateLow, underfitting, overfitting,
	miscalibrated, wrongLabels, classCollapsed, confusedClasses,
	ship,
}

// diagnosed is a diagnosis and the epochs that the run had then. What was damaged may have been mended: only one without
// damage is kept.
type diagnosed struct {
	*Diagnosis
	epochs []int
	state  string
}

// Diagnose looks for everything it knows in the run. The answer is kept until the run has another epoch; it must not be
// changed.
func (a *Analyzer) Diagnose() (*Diagnosis, error) {
	epochs, state := a.run.Epochs(), a.run.State()
	a.mu.Lock()
	known := a.found
	a.mu.Unlock()
	if known != nil && known.state == state && slices.Equal(known.epochs, epochs) {
		return known.Diagnosis, nil
	}
	d, err := a.diagnose()
	if err == nil && len(d.Damaged) == 0 {
		a.mu.Lock()
		a.found = &diagnosed{d, epochs, state}
		a.mu.Unlock()
	}
	return d, err
}

func (a *Analyzer) diagnose() (*Diagnosis, error) {
	if m := a.run.Manifest(); m.Head == record.HeadSigmoid {
		return nil, fmt.Errorf("run %s has several labels a sample (head %q): findings are known for the heads %q and %q alone",
			m.Name, m.Head, record.HeadSoftmax, record.HeadBinary)
	}
	e, err := a.gather()
	if err != nil {
		return nil, err
	}
	d := &Diagnosis{Run: e.curves.Run, State: e.curves.State, Epochs: []int{}, Findings: []Finding{}, Damaged: e.curves.Damaged}
	for _, m := range e.timeline {
		d.Epochs = append(d.Epochs, m.epoch)
	}
	if len(e.timeline) == 0 {
		d.Missing = len(e.curves.Unrecorded)
		return d, nil
	}
	all := e.curves.All()
	d.Missing = all[len(all)-1].Epoch - min(all[0].Epoch, 1) + 1 - len(d.Epochs)
	for _, find := range findings {
		if f := find(e); f != nil {
			f.Evidence.fill()
			d.Findings = append(d.Findings, *f)
		}
	}
	slices.SortStableFunc(d.Findings, func(x, y Finding) int {
		return cmp.Compare(slices.Index(Levels, y.Level), slices.Index(Levels, x.Level))
	})
	return d, nil
}

// fill makes no slice nil, so that JSON has no null, and none long.
func (v *Evidence) fill() {
	if v.Figures == nil {
		v.Figures = []Measure{}
	}
	if v.Epochs == nil {
		v.Epochs = []int{}
	}
	v.Samples = append([]int64{}, v.Samples[:min(len(v.Samples), maxEvidence)]...)
	v.Classes = append([]int{}, v.Classes[:min(len(v.Classes), maxEvidence)]...)
}

// figure is a Measure of any number.
func figure[T int | float64 | Number](name string, v T) Measure { return Measure{name, Number(v)} }

// class names a class as a sentence can.
func (e *evidence) class(k int) string { return fmt.Sprintf("%q", e.curves.Classes[k]) }

// splitWord is a split's name in a sentence.
func splitWord(split string) string {
	switch split {
	case "train":
		return "training"
	case "val":
		return "validation"
	}
	return split
}

// uniform is the NLL of a model that knows only how often the training labels name each class.
func (e *evidence) uniform() float64 {
	s := e.samples["train"]
	h := 0.0
	for _, n := range s.support {
		if p := float64(n) / float64(s.labelled); p > 0 {
			h -= p * math.Log(p)
		}
	}
	return h
}

// wilson is the 95 % interval of a proportion (E. B. Wilson, JASA 22, 1927).
func wilson(right, n int) (low, high float64) {
	const z = 1.959964
	if n == 0 {
		return 0, 1
	}
	p, m := float64(right)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return middle - half, middle + half
}

// right is how many of a split's rows have their label on top.
func (l seen) right() int { return int(math.Round(float64(l.Accuracy) * float64(l.defined()))) }

// defined is how many of a split's rows have a softmax.
func (l seen) defined() int { return l.N - l.Undefined }
