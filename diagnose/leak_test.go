package diagnose_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/record"
)

// How grave copies are follows from what they do: the figures with and without them are both told.
func TestLeakageByItsEffect(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*planted.Run)
		level diagnose.Level
		says  string
	}{
		"one copy":                {func(r *planted.Run) { r.Leaked, r.Val = 1, 43 }, diagnose.Info, "1 of 43 validation samples is in"},
		"some, known no better":   {func(r *planted.Run) { r.Leaked, r.Memory = 25, func(float64) float64 { return 0 } }, diagnose.Warning, "25 of 500 validation samples are in"},
		"a fifth, known by heart": {func(r *planted.Run) { r.Leaked, r.Signal, r.Memory = 100, 2, func(t float64) float64 { return 20 * t } }, diagnose.Error, "100 of 500"},
		"all of them":             {func(r *planted.Run) { r.Leaked, r.Val = 100, 100 }, diagnose.Error, "100 of 100"},
		"three pictures, known by heart": {func(r *planted.Run) {
			r.Leaked, r.Previews, r.Memory = 3, true, func(t float64) float64 { return 20 * t }
		}, diagnose.Warning, "3 of 500"},
	} {
		r := planted.Healthy()
		c.plant(&r)
		f := finding(diagnosePlanted(t, r, 5), "leakage")
		if f == nil || f.Level != c.level || !strings.Contains(f.Title, c.says) {
			t.Errorf("%s: %+v, want level %s and %q", name, f, c.level, c.says)
			continue
		}
		if with := "with them and"; strings.Contains(f.Evidence.Text, with) == (name == "all of them") {
			t.Errorf("%s: %s", name, f.Evidence.Text)
		}
	}
}

// Figures with and without the copies, by hand: four samples of which one is training's.
func TestLeakageFigures(t *testing.T) {
	two := record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2}
	odds := func(p float64) float32 { return float32(math.Log(p / (1 - p))) }
	run, _ := runOf(t, two, map[string]record.Samples{
		"train": {IDs: []int64{1, 2}, Labels: []int32{0, 1}}, "val": {IDs: []int64{11, 12, 13, 14}, Labels: []int32{0, 0, 0, 0}},
	}, map[int]map[string][]float32{1: {"train": {3, 0, 0, 3}, "val": {odds(0.9), 0, odds(0.8), 0, odds(0.7), 0, odds(0.4), 0}}}, record.File{
		Name: diagnose.CopiesFile, Data: []byte(`{"repeated":0,"splits":[{"split":"val","pairs":[[11,1]]}]}`),
	})
	f := finding(compute(t, run), "leakage")
	if f == nil || f.Confidence != diagnose.Certain || !slices.Equal(f.Evidence.Samples, []int64{11}) {
		t.Fatalf("%+v", f)
	}
	want := map[string]float64{
		"samples shared": 1, "share": 0.25, "NLL": -math.Log(0.9*0.8*0.7*0.4) / 4, "NLL without them": -math.Log(0.8*0.7*0.4) / 3,
		"accuracy": 0.75, "accuracy without them": 2. / 3,
	}
	for _, v := range f.Evidence.Figures {
		if !(math.Abs(float64(v.Value)-want[v.Name]) <= 1e-6) {
			t.Errorf("%s is %v, want %v", v.Name, v.Value, want[v.Name])
		}
		delete(want, v.Name)
	}
	if len(want) > 0 {
		t.Errorf("no figures %v", want)
	}
}

// Rows that were compared and are none of training's are no copies, whatever their logits.
func TestRowsNotLogits(t *testing.T) {
	r := planted.Healthy()
	r.Leaked = 25
	p := r.Plant(1)
	for name, c := range map[string]struct {
		copies string
		want   bool
		says   string
	}{
		"none":                 {`{"repeated":0,"splits":[{"split":"val","pairs":[]}]}`, false, ""},
		"one":                  {`{"repeated":0.1,"splits":[{"split":"val","pairs":[[1003,7]]}]}`, true, "to the letter: 1003 is 7 of training"},
		"rows take few values": {`{"repeated":0.9,"splits":[{"split":"val","pairs":[[1003,7],[1004,7]]}]}`, true, "90 % are there more than once"},
	} {
		dir := filepath.Join(t.TempDir(), "run")
		w, err := record.Create(dir, p.Manifest, p.Samples, record.File{Name: diagnose.CopiesFile, Data: []byte(c.copies)})
		if err != nil {
			t.Fatal(err)
		}
		for epoch := 1; epoch <= 4; epoch++ {
			if err := w.Write(epoch, p.Epoch(epoch)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(record.StateComplete); err != nil {
			t.Fatal(err)
		}
		run, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		f := finding(compute(t, run), "leakage")
		if (f != nil) != c.want || f != nil && (!strings.Contains(f.Evidence.Text, c.says) || f.Level == diagnose.Error) {
			t.Errorf("%s: %+v", name, f)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindCopies(t *testing.T) {
	got := diagnose.FindCopies("val", []int64{7, 8, 9}, []uint64{5, 6, 5}, []int64{1, 2, 3}, []uint64{4, 5, 5})
	if want := "{val [[7 2] [9 2]]}"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if none := diagnose.FindCopies("val", nil, nil, nil, nil); none.Pairs == nil || diagnose.Repeated(nil) != 0 {
		t.Errorf("nothing to compare: %+v", none)
	}
	if got := diagnose.Repeated([]uint64{1, 2, 1, 3}); got != 0.5 {
		t.Errorf("%v repeated, want a half", got)
	}
}

// Texts of the training set in another split are found by the text; those that training has twice, and samples without one, are not.
func TestLeakageByTexts(t *testing.T) {
	two := record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2, Preview: &record.Preview{Kind: record.PreviewText, Max: 100}}
	run, _ := runOf(t, two, map[string]record.Samples{
		"train": {IDs: []int64{1, 2, 3, 4, 5}, Labels: []int32{0, 1, 0, 1, 0}, Texts: []string{"one", "two", "twice", "twice", ""}},
		"val":   {IDs: []int64{11, 12, 13, 14}, Labels: []int32{0, 0, 0, 0}, Texts: []string{"other", "two", "twice", ""}},
	}, map[int]map[string][]float32{1: {"train": {3, 0, 0, 3, 1, 0, 0, 1, 2, 0}, "val": {1, 0, 3, 0, 2, 0, 0, 0}}})
	f := finding(compute(t, run), "leakage")
	if f == nil || f.Confidence != diagnose.Certain || !slices.Equal(f.Evidence.Samples, []int64{12}) || !strings.Contains(f.Evidence.Text, "the text of a training sample, as far as texts are kept: 12 is 2 of training") {
		t.Fatalf("%+v", f)
	}
}
