package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// Diagnosis is what a run's logits give away, the gravest first.
type Diagnosis struct {
	Run              string    `json:"run"`
	State            string    `json:"state"`
	Epochs           []int     `json:"epochs"`         // those it rests on
	Unread           int       `json:"missing_epochs"` // others of the run so far, whose logits are not recorded or cannot be read
	Findings         []Finding `json:"findings"`
	analysis.Lacking           // what could not be read
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
	Name  string          `json:"name"`
	Value analysis.Number `json:"value"`
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

// Kind is a finding that there may be.
type Kind struct {
	ID   string // of Finding
	Text string // what it says
}

// rule is one thing that is looked for, in one value: what it may find, what it needs, what that makes void, and how it is found. It reads
// the evidence and changes nothing: the order of rules is that of the table in which findings of one level are listed, and has no other
// meaning.
type rule struct {
	finds  []Kind // that its finding may be; several rules may share one
	needs  need
	voids  []string                                                          // ids of findings that mean nothing where this one is made
	gather func(context.Context, *analysis.Analyzer, *evidence) (any, error) // evidence that this rule alone has, kept as evidence.own; nil where the common is enough
	find   func(*evidence) *Finding
}

// need is what a rule asks of a run. A rule whose needs are not met is not asked.
type need int

const (
	validation    need = 1 << iota // labelled samples of validation, at a recorded epoch
	training                       // those of training
	trend                          // three epochs or more
	oneLabel                       // a head with one class a sample
	acrossColumns                  // a head with a logit for each class, where what all have in common means nothing
)

// Findings that more than one rule makes void.
var (
	ofNLL      = []string{"saturated", "learning_rate_high", "learning_rate_low", "underfitting", "overfitting", "worsened", "still_falling", "overconfidence", "underconfidence", "wrong_labels", "ship"}
	ofLearning = []string{"underfitting", "learning_rate_low", "still_falling"}
)

// rules is the table of what is looked for, on runs that have an epoch. What a rule makes void holds of all that those make void.
var rules = []rule{
	probabilitiesRule,
	logProbabilitiesRule,
	doubleSoftmaxRule,
	undefinedLogitsRule,
	logitsExplodeRule,
	logitsDriftRule,
	saturatedSoftmaxRule,
	leakageRule,
	validationSmallRule,
	imbalanceRule,
	learningRateHighRule,
	learningRateLowRule,
	underfittingRule,
	overfittingRule,
	stillFallingRule,
	miscalibratedRule,
	wrongLabelsRule,
	classCollapsedRule,
	confusedClassesRule,
	shipRule,
}

// ofHead reports whether the question has a meaning for a head.
func (n need) ofHead(head logit.Head) bool {
	return (n&oneLabel == 0 || !head.MultiLabel()) && (n&acrossColumns == 0 || head.AcrossColumns())
}

// asked reports whether a rule has a meaning for a run.
func (r *rule) asked(e *evidence) bool {
	return r.needs.ofHead(e.manifest.Head) && (r.needs&validation == 0 || e.validated) && (r.needs&training == 0 || e.trained) && (r.needs&trend == 0 || len(e.timeline) >= analysis.FewEpochs)
}

// Rule is what is told of a rule.
type Rule struct {
	Finds []Kind
	Needs []string // in words
	Voids []string // ids of findings that mean nothing where this one is made
}

// Rules lists what is looked for, in the order in which findings of one level are listed.
func Rules() []Rule {
	all := make([]Rule, len(rules))
	for i, r := range rules {
		all[i] = Rule{Finds: r.finds, Voids: r.voids}
		for _, n := range []struct {
			need
			text string
		}{{validation, "validation"}, {training, "training"}, {trend, fmt.Sprintf("%d epochs", analysis.FewEpochs)}, {oneLabel, "one class a sample"}, {acrossColumns, "a logit for each class"}} {
			if r.needs&n.need != 0 {
				all[i].Needs = append(all[i].Needs, n.text)
			}
		}
	}
	return all
}

// decide asks the rules, leaves out what others make void, and orders what is found by its level.
func decide(rules []rule, e *evidence) []Finding {
	found, void := []Finding{}, map[string]bool{}
	for i := range rules {
		r := &rules[i]
		if !r.asked(e) {
			continue
		}
		if f := r.find(e); f != nil {
			f.Evidence.fill()
			found = append(found, *f)
			for _, id := range r.voids {
				void[id] = true
			}
		}
	}
	found = slices.DeleteFunc(found, func(f Finding) bool { return void[f.ID] })
	slices.SortStableFunc(found, func(x, y Finding) int {
		return cmp.Compare(slices.Index(Levels, y.Level), slices.Index(Levels, x.Level))
	})
	return found
}

// diagnosed is a diagnosis and the epochs that the run had then. What was damaged may have been mended: only one without
// damage is kept.
type diagnosed struct {
	*Diagnosis
	epochs []int
	state  string
}

// keptKey is what a diagnosis is kept under.
type keptKey struct{}

// Of looks for everything it knows in the run. The answer is kept until the run has another epoch; it must not be
// changed.
func Of(ctx context.Context, a *analysis.Analyzer) (*Diagnosis, error) {
	epochs, state := a.Source().Epochs(), a.Source().State()
	if known, ok := a.Kept(keptKey{}).(*diagnosed); ok && known.state == state && slices.Equal(known.epochs, epochs) {
		return known.Diagnosis, nil
	}
	d, err := diagnosisOf(ctx, a)
	if err == nil && !d.Any() {
		a.Keep(keptKey{}, &diagnosed{d, epochs, state})
	}
	return d, err
}

func diagnosisOf(ctx context.Context, a *analysis.Analyzer) (*Diagnosis, error) {
	e, err := gather(ctx, a)
	if err != nil {
		return nil, err
	}
	d := &Diagnosis{Run: e.curves.Run, State: e.curves.State, Epochs: []int{}, Findings: []Finding{}, Lacking: e.curves.Lacking}
	for _, split := range []string{record.TrainSplit, record.ValSplit} {
		if followed := e.dynamics[split]; followed != nil {
			d.Add(followed.Lacking)
		}
	}
	for _, m := range e.timeline {
		d.Epochs = append(d.Epochs, m.Epoch)
	}
	if len(e.timeline) == 0 {
		d.Unread = len(e.curves.Unrecorded)
		return d, nil
	}
	all := e.curves.All()
	d.Unread = all[len(all)-1].Epoch - min(all[0].Epoch, 1) + 1 - len(d.Epochs)
	d.Findings = decide(rules, e)
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
func figure[T int | float64 | analysis.Number](name string, v T) Measure {
	return Measure{name, analysis.Number(v)}
}

// class names a class as a sentence can.
func (e *evidence) class(k int) string { return fmt.Sprintf("%q", e.curves.Classes[k]) }
