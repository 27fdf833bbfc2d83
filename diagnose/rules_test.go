package diagnose

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// fits says which heads a need excludes. docs/findings.md, which comes from the rules, shows the needs of each finding.
var fits = map[need]map[logit.Head]bool{
	// A sample of a sigmoid head has a decision for each class, and no class for which it might be mistaken.
	oneLabel: {record.HeadSoftmax: true, record.HeadBinary: true},
	// A single logit has nothing that moves together with it, and two classes are not a pair among others.
	acrossColumns: {record.HeadSoftmax: true},
	validation:    {record.HeadSoftmax: true, record.HeadBinary: true, record.HeadSigmoid: true},
}

// askedOf returns the ids of the findings that a run of a head may have, by what its rule needs.
func askedOf(head logit.Head) (ids []string) {
	for _, r := range rules {
		for _, kind := range r.finds {
			if (r.needs&oneLabel == 0 || fits[oneLabel][head]) && (r.needs&acrossColumns == 0 || fits[acrossColumns][head]) {
				ids = append(ids, kind.ID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func TestRulesOfHeads(t *testing.T) {
	for n, heads := range fits {
		for _, head := range []logit.Head{record.HeadSoftmax, record.HeadBinary, record.HeadSigmoid} {
			if got := n.fitsHead(head); got != heads[head] {
				t.Errorf("need %b fits a head %s: %v, want %v", n, head, got, heads[head])
			}
		}
	}
	// These rules compare classes or columns: on another head they would be false alarms.
	for _, r := range []rule{confusedClassesRule, doubleSoftmaxRule, logitsDriftRule} {
		if r.needs&acrossColumns == 0 {
			t.Errorf("%v is asked of heads with one logit", r.finds)
		}
	}
	for _, r := range []rule{classCollapsedRule, imbalanceRule, validationSmallRule, wrongLabelsRule} {
		if r.needs&oneLabel == 0 {
			t.Errorf("%v is asked of heads with several labels a sample", r.finds)
		}
	}
	for _, r := range rules {
		for _, kind := range r.finds {
			if kind.ID == "" || kind.Text == "" {
				t.Errorf("%v has no id or no text", r.finds)
			}
		}
	}
}

// What a rule makes void is void whoever else is: so the rules that void need not be asked in an order.
func TestVoidIsTransitive(t *testing.T) {
	voids := map[string]map[string]bool{}
	for _, r := range rules {
		for _, kind := range r.finds {
			if voids[kind.ID] == nil {
				voids[kind.ID] = map[string]bool{}
			}
			for _, other := range r.voids {
				voids[kind.ID][other] = true
			}
		}
	}
	for a, of := range voids {
		for b := range of {
			if b == a {
				t.Errorf("%s makes itself void", a)
			}
			if voids[b] == nil {
				t.Errorf("%s makes %s void, which nothing finds", a, b)
			}
			for c := range voids[b] {
				if !of[c] {
					t.Errorf("%s makes %s void, which makes %s void, which it does not", a, b, c)
				}
			}
		}
	}
}

// evidenceOf gathers that of a planted run.
func evidenceOf(t *testing.T, r planted.Run, seed uint64) *evidence {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := r.Write(dir, seed); err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	e, err := gather(t.Context(), analysis.New(run))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Of each fault, whatever the order of the rules: the same findings; of each rule, whatever was asked before: the same; and what is
// only possible is no warning.
func TestOrderOfRules(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, fault := range planted.Faults {
		r := planted.Healthy()
		fault.Plant(&r)
		e := evidenceOf(t, r, 3)
		byID := func(found []Finding) map[string]Finding {
			all := map[string]Finding{}
			for _, f := range found {
				all[f.ID] = f
			}
			return all
		}
		want := byID(decide(rules, evidenceOf(t, r, 3)))
		for id, f := range want {
			if f.Confidence == Possible && f.Level != Info {
				t.Errorf("%s: %s is only possible, and of level %s", fault.Name, id, f.Level)
			}
		}
		// Backwards comes first and on evidence of its own: what a rule wrote into it would be there for the rules before it, unlike in want.
		order := slices.Clone(rules)
		slices.Reverse(order)
		for range 6 {
			if got := byID(decide(order, e)); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: in another order %v, want %v", fault.Name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
			rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		for _, r := range rules {
			if !r.applies(e) {
				continue
			}
			if f := r.find(e); f != nil && !slices.ContainsFunc(r.finds, func(k Kind) bool { return k.ID == f.ID }) {
				t.Errorf("%s: the rule of %v finds %s", fault.Name, r.finds, f.ID)
			}
		}
	}
}

// Faults are found whatever the head, where it is asked, and nothing is found that is not asked of it.
func TestFaultsOfHeads(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	for _, head := range []logit.Head{record.HeadBinary, record.HeadSigmoid} {
		for _, fault := range append([]planted.Fault{{Name: "healthy", Plant: func(*planted.Run) {}}}, planted.Faults...) {
			r := planted.Healthy()
			r.Train, r.Epochs = 600, 12
			if head == record.HeadBinary {
				r.Classes, r.Signal = 2, 3
			}
			r.Head = head
			fault.Plant(&r)
			r.Dead = min(r.Dead, r.Classes-1)
			switch {
			case fault.Finding == "probabilities" || fault.Finding == "double_softmax":
				continue // a softmax's output is none of these heads'
			case head == record.HeadBinary && fault.Finding == "leakage" && !r.Previews:
				continue // one logit at three epochs is too little to tell samples apart
			case head == record.HeadBinary && fault.Finding == "overfitting":
				r.Val = 3000 // two classes say less a sample than ten, and a rise that is scale alone shows in many
			case head == record.HeadSigmoid && fault.Finding == "overconfidence":
				r.Val = 5000 // decisions of a sample are not independent, and count as one
			}
			e := evidenceOf(t, r, 3)
			var ids []string
			for _, f := range decide(rules, e) {
				ids = append(ids, f.ID)
				if !slices.Contains(askedOf(head), f.ID) {
					t.Errorf("%s, %s: %s is found, which is not asked", head, fault.Name, f.ID)
				}
			}
			t.Log(head, fault.Name, fault.Finding, ids, fmt.Sprint(e.curves.Story.Kind))
			if fault.Finding != "" && slices.Contains(askedOf(head), fault.Finding) && !slices.Contains(ids, fault.Finding) {
				t.Errorf("%s, %s: %v, want %s", head, fault.Name, ids, fault.Finding)
			}
		}
	}
}
