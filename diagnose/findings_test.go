package diagnose_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/record"
)

var (
	seeds = flag.Int("seeds", 1, "seeds for each planted fault")
	plant = flag.String("plant", "", "directory for a run of 2 GB, to measure on")
	table = flag.String("table", "", "file for the table of findings and false alarms")
)

// diagnosePlanted plants a run and returns what is found in it.
func diagnosePlanted(t *testing.T, r planted.Run, seed uint64) *diagnose.Diagnosis {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := r.Write(dir, seed); err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := compute(t, run)
	if err := errors.Join(run.Close(), os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
	return d
}

func compute(t *testing.T, run *record.Run) *diagnose.Diagnosis {
	t.Helper()
	d, err := diagnose.Of(t.Context(), analysis.New(run))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// finding returns that of an id, nil if there is none.
func finding(d *diagnose.Diagnosis, id string) *diagnose.Finding {
	for i := range d.Findings {
		if d.Findings[i].ID == id {
			return &d.Findings[i]
		}
	}
	return nil
}

// alarms are the ids of what is found, but for the advice, and for what is so: that a small validation set is small.
func alarms(d *diagnose.Diagnosis, small bool) (ids []string) {
	for _, f := range d.Findings {
		if f.ID != "ship" && !(small && f.ID == "validation_small") {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// Every planted fault is found, whatever the seed, and a healthy run raises no alarm. -args -seeds 20 -table FILE writes how
// often; a finding's false alarms are those in healthy runs.
func TestFindings(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	healthy := map[string]func(*planted.Run){
		"as it is":          func(*planted.Run) {},
		"3 classes":         func(r *planted.Run) { r.Classes = 3 },
		"100 classes, hard": func(r *planted.Run) { r.Classes, r.Signal, r.Train, r.Val = 100, 3.2, 3000, 1500 },
		"5 epochs":          func(r *planted.Run) { r.Epochs, r.Scale = 5, func(t float64) float64 { return 1 - math.Exp(-8*t) } },
		"classes 5 : 1":     func(r *planted.Run) { r.Ratio = 5 },
		"random previews":   func(r *planted.Run) { r.Previews = true },
		"a plateau that wobbles": func(r *planted.Run) {
			r.Signal, r.Epochs, r.Scale = 2, 60, func(t float64) float64 { return 1 - math.Exp(-300*t) + 0.25*math.Sin(200*(1-t)) }
		},
		"30 validation samples":  func(r *planted.Run) { r.Val = 30 },
		"100 validation samples": func(r *planted.Run) { r.Val = 100 },
		"300 validation samples": func(r *planted.Run) { r.Val = 300 },
		"30, weights wander":     func(r *planted.Run) { r.Val, r.Wander = 30, 0.1 },
		"300, weights wander":    func(r *planted.Run) { r.Val, r.Wander = 300, 0.05 },
		"some learned by heart":  func(r *planted.Run) { r.Memory = func(t float64) float64 { return 2 * t } },
	}
	falseAlarms, runs := map[string]int{}, 0
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(healthy)) {
		alarmed := 0
		for seed := range uint64(*seeds) {
			r := planted.Healthy()
			healthy[name](&r)
			d := diagnosePlanted(t, r, seed)
			runs++
			small := r.Val <= 100
			for _, id := range alarms(d, small) {
				falseAlarms[id]++
				t.Logf("healthy, %s, seed %d: %s: %s", name, seed, id, finding(d, id).Evidence.Text)
			}
			if len(alarms(d, small)) > 0 {
				alarmed++
			}
			if finding(d, "ship") == nil && r.Val > 30 {
				t.Errorf("healthy, %s, seed %d: no epoch to ship", name, seed)
			}
		}
		lines = append(lines, fmt.Sprintf("| healthy: %s | none | | %d of %d |", name, alarmed, *seeds))
		// At a hundred tries one may be chance; at two none should be.
		if float64(alarmed) > 0.05*float64(*seeds) {
			t.Errorf("healthy, %s: alarms in %d of %d runs", name, alarmed, *seeds)
		}
	}
	for _, fault := range planted.Faults {
		found := 0
		for seed := range uint64(*seeds) {
			r := planted.Healthy()
			fault.Plant(&r)
			if d := diagnosePlanted(t, r, seed); finding(d, fault.Finding) != nil {
				found++
			} else {
				t.Logf("%s, seed %d: found %v", fault.Name, seed, alarms(d, false))
			}
		}
		if float64(found) < 0.95*float64(*seeds) {
			t.Errorf("%s: %s found in %d of %d runs", fault.Name, fault.Finding, found, *seeds)
		}
		lines = append(lines, fmt.Sprintf("| %s | `%s` | %d of %d | %d of %d |", fault.Name, fault.Finding, found, *seeds, falseAlarms[fault.Finding], runs))
	}
	if *table != "" {
		text := "| planted | finding | found | false alarms in healthy runs |\n|---|---|---|---|\n" + strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(*table, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Evidence names what it rests on: the planted onset, samples, classes and temperature.
func TestFindingsEvidence(t *testing.T) {
	run := func(plant func(*planted.Run)) *diagnose.Diagnosis {
		r := planted.Healthy()
		plant(&r)
		return diagnosePlanted(t, r, 7)
	}
	value := func(f *diagnose.Finding, name string) float64 {
		for _, v := range f.Evidence.Figures {
			if v.Name == name {
				return float64(v.Value)
			}
		}
		t.Fatalf("%s has no figure %q: %+v", f.ID, name, f.Evidence.Figures)
		return 0
	}
	leaked := finding(run(func(r *planted.Run) { r.Leaked = 4 }), "leakage")
	if want := []int64{1000, 1001, 1002, 1003}; leaked == nil || !slices.Equal(leaked.Evidence.Samples, want) || leaked.Level != diagnose.Warning {
		t.Errorf("leakage %+v, want samples %v", leaked, want)
	}
	dead := finding(run(func(r *planted.Run) { r.Dead = 3 }), "class_collapsed")
	if dead == nil || !slices.Equal(dead.Evidence.Classes, []int{3}) || value(dead, "recall of class 3") != 0 {
		t.Errorf("class collapsed: %+v, want class 3", dead)
	}
	pair := finding(run(func(r *planted.Run) { r.Confused = 0.6 }), "confused_classes")
	if pair == nil || !slices.Equal(pair.Evidence.Classes, []int{0, 1}) {
		t.Errorf("confused classes: %+v, want 0 and 1", pair)
	}
	// Logits that are three times the calibrated ones want T = 3, and no epoch is better than another for it.
	sharp := finding(run(func(r *planted.Run) { r.Val, r.Scale = 4000, func(float64) float64 { return 3 } }), "overconfidence")
	if sharp == nil || !(math.Abs(value(sharp, "temperature")-3) <= 0.4) {
		t.Errorf("over-confidence: %+v, want T = 3", sharp)
	}
	// The noise begins at 0.3 of 20 epochs.
	onset := finding(run(func(r *planted.Run) {
		r.Memory = func(t float64) float64 { return 10 * t }
		r.Forgetting = func(t float64) float64 { return 3 * max(t-0.5, 0) }
	}), "overfitting")
	if onset == nil || !(math.Abs(value(onset, "onset epoch")-10) <= 2) || !strings.Contains(onset.Title, "accuracy suffers") {
		t.Errorf("overfitting: %+v, want its onset at epoch 10, accuracy suffering", onset)
	}
}

// What cannot be decided is left open, and nothing panics: few epochs, few classes, no validation, no labels, NaN, a mask.
func TestDiagnoseEdges(t *testing.T) {
	nothing, _ := recorded(t)
	if d, err := diagnose.Of(t.Context(), analysis.New(nothing)); err != nil || len(d.Findings) != 0 {
		t.Errorf("no epoch: %+v, %v", d, err)
	}
	one, _ := recorded(t, even())
	if d, err := diagnose.Of(t.Context(), analysis.New(one)); err != nil || finding(d, "overfitting") != nil || finding(d, "leakage") != nil {
		t.Errorf("one epoch of zeros: %+v, %v", d, err)
	}
	bad, _ := recorded(t, even(), [2][]float32{{log2, 0, 0, nan, log2, 0, log2, 0, 0}, {-inf, 0, 0, inf, 0, 0}})
	d, err := diagnose.Of(t.Context(), analysis.New(bad))
	if f := finding(d, "undefined_logits"); err != nil || f == nil || !slices.Equal(f.Evidence.Epochs, []int{2}) || f.Level != diagnose.Error {
		t.Errorf("NaN at epoch 2: %+v, %v", f, err)
	}
	for name, samples := range map[string]map[string]record.Samples{
		"no validation":  {"train": {IDs: []int64{1, 2, 3}, Labels: []int32{0, 1, 0}}},
		"no label":       {"train": {IDs: []int64{1, 2, 3}, Labels: []int32{-100, -100, -100}}, "val": {IDs: []int64{4}, Labels: []int32{-100}}},
		"an empty split": {"train": {IDs: []int64{1, 2, 3}, Labels: []int32{0, 1, 1}}, "val": {}},
	} {
		logits := map[int]map[string][]float32{}
		for epoch := range 4 {
			logits[epoch] = map[string][]float32{"train": {-1, float32(epoch), 2}}
			if s, ok := samples["val"]; ok {
				logits[epoch]["val"] = make([]float32, len(s.IDs))
			}
		}
		run, _ := runOf(t, record.Manifest{Classes: []string{"no", "yes"}, Head: record.HeadBinary, Columns: 1}, samples, logits)
		if d := compute(t, run); finding(d, "ship") != nil {
			t.Errorf("%s: %+v", name, d.Findings)
		}
	}
}

// TestPlantBig makes the run that bench/diagnose.py measures on; without -plant it does nothing.
func TestPlantBig(t *testing.T) {
	if *plant == "" {
		t.Skip("no -plant")
	}
	r := planted.Healthy()
	r.Classes, r.Train, r.Val, r.Epochs = 100, 40_000, 10_000, 100
	if err := r.Write(*plant, 1); err != nil {
		t.Fatal(err)
	}
}

// Log-probabilities are logits as good as any: said, and no alarm. Probabilities of one column are told by never being
// negative, over every epoch and not in one alone.
func TestWhatIsRecorded(t *testing.T) {
	r := planted.Healthy()
	r.Output = func(z []float32) {
		planted.Softmax(z)
		for j, p := range z {
			z[j] = float32(math.Log(math.Max(float64(p), 1e-30)))
		}
	}
	d := diagnosePlanted(t, r, 3)
	if f := finding(d, "probabilities"); f == nil || f.Level != diagnose.Info || len(alarms(d, false)) != 1 {
		t.Errorf("log-probabilities: %+v, all %v", f, alarms(d, false))
	}
	for name, c := range map[string]struct {
		last float64 // added to the values of the last epoch
		want bool
	}{"probabilities": {0, true}, "logits that were in [0,1] for a while": {-0.5, false}} {
		s := record.Samples{}
		for i := range 100 {
			s.IDs, s.Labels = append(s.IDs, int64(i)), append(s.Labels, int32(i%2))
		}
		logits := map[int]map[string][]float32{}
		for epoch := 1; epoch <= 5; epoch++ {
			z := make([]float32, 100)
			for i := range z {
				z[i] = float32(1 / (1 + math.Exp(float64(epoch)*(0.5-float64(i%2))+float64(i%7-3)/4)))
				if epoch == 5 {
					z[i] += float32(c.last)
				}
			}
			logits[epoch] = map[string][]float32{"train": z, "val": z}
		}
		run, _ := runOf(t, record.Manifest{Classes: []string{"no", "yes"}, Head: record.HeadBinary, Columns: 1},
			map[string]record.Samples{"train": s, "val": s}, logits)
		if f := finding(compute(t, run), "probabilities"); (f != nil) != c.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// What is said of an epoch is said of those recorded; the epoch to ship is one whose weights are kept.
func TestFindingsOfWhatIsKept(t *testing.T) {
	r := planted.Healthy()
	r.Memory = func(t float64) float64 { return 10 * t }
	r.Forgetting = func(t float64) float64 { return 3 * max(t-0.5, 0) }
	all := diagnosePlanted(t, r, 7)
	r.Every = 4
	some := diagnosePlanted(t, r, 7)
	if f := finding(some, "overfitting"); f == nil || !strings.Contains(f.Title, "from about epoch 8 (between 4 and 12 none but it is recorded)") {
		t.Errorf("every fourth epoch recorded: %+v", f)
	}
	if f := finding(all, "overfitting"); f == nil || strings.Contains(f.Title, "about") {
		t.Errorf("every epoch recorded: %+v", f)
	}
	best := finding(all, "ship").Evidence.Epochs[0]
	r.Every, r.Kept = 1, []int{best + 3, 20}
	f := finding(diagnosePlanted(t, r, 7), "ship")
	if f.Evidence.Epochs[0] != best+3 || !strings.Contains(f.Evidence.Text, fmt.Sprintf("Epoch %d is better", best)) {
		t.Errorf("checkpoints of %v: %+v; want epoch %d, and %d named as the better one", r.Kept, f, best+3, best)
	}
	r.Kept = []int{best, 20}
	if f := finding(diagnosePlanted(t, r, 7), "ship"); f.Evidence.Epochs[0] != best || strings.Contains(f.Evidence.Text, "better") {
		t.Errorf("checkpoints of %v: %+v", r.Kept, f)
	}
}

// A softmax that is saturated does no harm where it is right.
func TestSaturatedAndRight(t *testing.T) {
	r := planted.Healthy()
	r.Signal = 8
	if f := finding(diagnosePlanted(t, r, 1), "saturated"); f == nil || f.Level != diagnose.Info {
		t.Errorf("classes far apart: %+v", f)
	}
	r.Signal, r.Scale = 3.5, func(t float64) float64 { return 40 * t }
	if f := finding(diagnosePlanted(t, r, 1), "saturated"); f == nil || f.Level != diagnose.Warning {
		t.Errorf("logits forty times too large: %+v", f)
	}
}
