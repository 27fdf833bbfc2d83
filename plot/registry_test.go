package plot_test

import (
	"errors"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/record"
)

// Every kind draws a run and says what it shows; of one without labels there is nothing to draw where labels are asked for.
func TestEveryKindDraws(t *testing.T) {
	r := planted.Healthy()
	r.Train, r.Val, r.Epochs = 100, 60, 4
	dir := t.TempDir() + "/run"
	if err := r.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	seen := map[string]bool{}
	for _, k := range plot.Kinds() {
		if k.Text == "" || k.Splits == "" || seen[k.Name] {
			t.Errorf("%q says nothing of itself, or is there twice", k.Name)
		}
		seen[k.Name] = true
		if same, err := plot.KindNamed(k.Name); err != nil || same.Text != k.Text {
			t.Errorf("%s is not found by its name: %v", k.Name, err)
		}
		subject := &plot.Subject{Analyzer: analysis.New(run), Epochs: []int{4}}
		picture, err := k.Draw(t.Context(), subject)
		if err != nil {
			t.Fatalf("%s: %v", k.Name, err)
		}
		if svg, err := picture.SVG(); err != nil || len(svg) < 1000 {
			t.Errorf("%s: a picture of %d bytes (%v)", k.Name, len(svg), err)
		}
		unlabelled := &plot.Subject{Analyzer: subject.Analyzer, Epochs: []int{4}, Scores: map[string]*analysis.Score{"train": {}, "val": {}}}
		_, err = k.Draw(t.Context(), unlabelled)
		if asksLabels(k.Name) && err == nil || err != nil && !errors.Is(err, plot.ErrNothing) {
			t.Errorf("%s of scores of nothing: %v", k.Name, err)
		}
		if picture, _, _, err := k.Report(t.Context(), unlabelled); asksLabels(k.Name) && (picture != nil || err != nil) {
			t.Errorf("%s: a report has a picture of nothing (%v)", k.Name, err)
		}
	}
	if _, err := plot.KindNamed("pie"); err == nil {
		t.Error("a picture that there is not is found")
	}
}

func asksLabels(kind string) bool {
	return kind == "reliability" || kind == "confusion" || kind == "classes"
}
