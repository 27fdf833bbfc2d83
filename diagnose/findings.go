// Package diagnose finds out what is wrong with a training run from its logits: overfitting, wrong labels, copies of training samples in
// validation, a double softmax and more. Each Finding comes with its evidence, what it means, and what to try. Of examines a run; Rules lists
// what it looks for.
package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// Diagnosis is the answer of Of: what was found in a run.
type Diagnosis struct {
	Run              string    `json:"run"`
	State            string    `json:"state"`
	Unit             string    `json:"unit,omitempty"` // what the number of an epoch counts, as in analysis.Curves
	Epochs           []int     `json:"epochs"`         // epochs that the findings rest on
	Unread           int       `json:"missing_epochs"` // epochs of the run so far whose logits are not recorded or cannot be read
	Findings         []Finding `json:"findings"`       // the gravest first
	analysis.Lacking           // what could not be read
}

// Finding is one problem, or one piece of advice, that a run gives reason for.
type Finding struct {
	ID         string     `json:"id"` // stable, for programs
	Level      Level      `json:"level"`
	Title      string     `json:"title"`
	Evidence   Evidence   `json:"evidence"`
	Meaning    string     `json:"meaning"`
	Try        string     `json:"try"`
	Confidence Confidence `json:"confidence"`
	Rule       string     `json:"rule"` // the condition that the figures meet, and why it is so sure
}

// Evidence says on what a finding rests, and where it can be looked at.
type Evidence struct {
	Text    string    `json:"text"`
	Figures []Measure `json:"figures"`
	Epochs  []int     `json:"epochs"`
	Split   string    `json:"split"`
	Samples []int64   `json:"samples"` // ids, the clearest case first, at most maxEvidence
	Classes []int     `json:"classes"`
}

// Measure is a number with its name.
type Measure struct {
	Name  string          `json:"name"`
	Value analysis.Number `json:"value"`
}

// Level is how much a finding matters.
type Level string

// Levels, in rising order.
const (
	Info    Level = "info"    // worth knowing
	Warning Level = "warning" // the result is worse than it could be, or than it looks
	Error   Level = "error"   // the result is not what it seems to be
)

// Levels lists all levels in rising order.
var Levels = []Level{Info, Warning, Error}

// AtLeast reports whether l is as grave as other, or graver.
func (l Level) AtLeast(other Level) bool {
	return slices.Index(Levels, l) >= slices.Index(Levels, other)
}

// Confidence is how sure a finding is.
type Confidence string

// Confidences, in falling order.
const (
	Certain  Confidence = "certain"  // it follows from what is recorded
	Likely   Confidence = "likely"   // chance is ruled out, other causes are rare
	Possible Confidence = "possible" // chance is ruled out, other causes are not
)

const (
	maxEvidence = 10   // samples, classes or pairs that a finding names
	beyondDoubt = 3.29 // standard errors that chance exceeds once in a thousand times
)

// Kind describes a finding that a rule can make.
type Kind struct {
	ID   string // the ID of the Finding
	Text string // what the finding says
}

// rule looks for one problem. One value holds everything about it: what it can find, what it needs of a run, which other findings mean nothing
// where it finds something, and how it decides. A rule reads the evidence and changes nothing, so that rules can be asked in any order. Their
// order in the table is only that in which findings of one level are listed.
type rule struct {
	finds []Kind   // the findings that it can make; several rules may share one
	needs need     // what the run must have for the rule to be asked
	voids []string // ids of other findings that mean nothing where this rule finds something

	// gather reads evidence that this rule alone needs; it is kept in evidence.gathered. It is nil where the common evidence is enough.
	gather func(context.Context, *analysis.Analyzer, *evidence) (any, error)
	find   func(*evidence) *Finding // decides; nil means that the problem was not found
}

// need is a set of requirements of a rule. A rule whose needs a run does not meet is not asked.
type need int

const (
	validation    need = 1 << iota // labelled validation samples at a recorded epoch
	training                       // labelled training samples at a recorded epoch
	trend                          // three epochs or more
	oneLabel                       // a head with one class a sample
	acrossColumns                  // a head with a logit for each class, to all of which a constant can be added without effect
)

// Ids of findings that more than one rule makes void: those that read something off NLL, and those that say that training learned too little.
var (
	readingNLL      = []string{"saturated", "learning_rate_high", "learning_rate_low", "underfitting", "overfitting", "worsened", "still_falling", "overconfidence", "underconfidence", "wrong_labels", "ship"}
	readingLearning = []string{"underfitting", "learning_rate_low", "still_falling"}
)

// rules is the table of all rules. They are asked of runs with at least one epoch. A finding that is void still makes its own voids void.
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

// fitsHead reports whether the question has a meaning for a head.
func (n need) fitsHead(head logit.Head) bool {
	return (n&oneLabel == 0 || !head.MultiLabel()) && (n&acrossColumns == 0 || head.AcrossColumns())
}

// applies reports whether a rule has a meaning for a run.
func (r *rule) applies(e *evidence) bool {
	return r.needs.fitsHead(e.manifest.Head) && (r.needs&validation == 0 || e.hasValidation) && (r.needs&training == 0 || e.hasTraining) && (r.needs&trend == 0 || len(e.timeline) >= analysis.FewEpochs)
}

// Rule describes a rule, for docs and help.
type Rule struct {
	Finds []Kind   // the findings that it can make
	Needs []string // what the run must have for the rule to be asked, in words
	Voids []string // ids of other findings that mean nothing where this rule finds something
}

// Rules describes all rules, in the order in which findings of one level are listed.
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

// decide asks the rules, removes the findings that others make void, and orders the rest by level.
func decide(rules []rule, e *evidence) []Finding {
	found, void := []Finding{}, map[string]bool{}
	for i := range rules {
		r := &rules[i]
		if !r.applies(e) {
			continue
		}
		if f := r.find(e); f != nil {
			f.Evidence.fill()
			f.speakOf(words.Unit(e.manifest.Unit), words.HeldOut(e.held))
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

// keptDiagnosis is a diagnosis with the epochs and the state that the run had. Only a diagnosis of a run without damaged files is kept,
// because a damaged file may be repaired later.
type keptDiagnosis struct {
	*Diagnosis
	epochs []int
	state  string
}

// diagnosisKey is the key under which the Analyzer keeps a diagnosis.
type diagnosisKey struct{}

// Of asks all rules of the run that a reads. The Analyzer keeps the answer until the run has another epoch; it must not be changed. Files that
// cannot be read are no error: the diagnosis says what it lacks.
func Of(ctx context.Context, a *analysis.Analyzer) (*Diagnosis, error) {
	epochs, state := a.Source().Epochs(), a.Source().State()
	if known, ok := a.Kept(diagnosisKey{}).(*keptDiagnosis); ok && known.state == state && slices.Equal(known.epochs, epochs) {
		return known.Diagnosis, nil
	}
	d, err := compute(ctx, a)
	if err == nil && !d.Any() {
		a.Keep(diagnosisKey{}, &keptDiagnosis{d, epochs, state})
	}
	return d, err
}

func compute(ctx context.Context, a *analysis.Analyzer) (*Diagnosis, error) {
	e, err := gather(ctx, a)
	if err != nil {
		return nil, err
	}
	d := &Diagnosis{Run: e.curves.Run, State: e.curves.State, Unit: e.curves.Unit, Epochs: []int{}, Findings: []Finding{}, Lacking: e.curves.Lacking}
	for _, split := range []string{record.TrainSplit, e.held} {
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

// speakOf has the sentences of a finding, which rules write of epochs and validation, speak of the run's unit, and of the split that is held out.
func (f *Finding) speakOf(unit words.Unit, held words.HeldOut) {
	texts := []*string{&f.Title, &f.Evidence.Text, &f.Meaning, &f.Try, &f.Rule}
	for i := range f.Evidence.Figures {
		texts = append(texts, &f.Evidence.Figures[i].Name)
	}
	for _, text := range texts {
		*text = unit.In(held.In(*text))
	}
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

// measure is a Measure of any number.
func measure[T int | float64 | analysis.Number](name string, v T) Measure {
	return Measure{name, analysis.Number(v)}
}

// class names a class as a sentence can.
func (e *evidence) class(k int) string { return fmt.Sprintf("%q", e.curves.Classes[k]) }
