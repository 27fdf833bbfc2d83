package cli

import (
	"encoding/json"
	"fmt"
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
)

// Whatever a run does, and however few validation samples it has, the sentence of show, the findings, the mark on the curves and the
// report say the same, and no two of them contradict each other.
func TestStoryAndFindingsAgree(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	kinds := map[analysis.Kind]int{}
	courses := map[string]func(*planted.Run){
		"settles": func(*planted.Run) {},
		"wanders": func(r *planted.Run) { r.Wander = 0.2 },
		"overfits": func(r *planted.Run) {
			r.Memory, r.Forgetting = func(t float64) float64 { return 10 * t }, func(t float64) float64 { return 1.5 * max(t-0.3, 0) }
		},
		"too sure": func(r *planted.Run) {
			r.Scale, r.Memory = func(t float64) float64 { return 1 - math.Exp(-10*t) + 1.5*t*t }, func(t float64) float64 { return 20 * t }
		},
		"falls":      func(r *planted.Run) { r.Scale = func(t float64) float64 { return 0.5 * t } },
		"gets worse": func(r *planted.Run) { r.Wander, r.Forgetting = 0.05, func(t float64) float64 { return max(t-0.3, 0) } },
		"hard":       func(r *planted.Run) { r.Signal = 1 },
		"softmaxed":  func(r *planted.Run) { r.Output = planted.Softmax },
	}
	for name, change := range courses {
		for _, n := range []int{30, 100, 300, 3000} {
			r := planted.Healthy()
			r.Epochs, r.Val, r.Train = 12, n, 300
			change(&r)
			dir := filepath.Join(t.TempDir(), "run")
			if err := r.Write(dir, uint64(n)); err != nil {
				t.Fatal(err)
			}
			var curves analysis.Curves
			var d diagnose.Diagnosis
			for command, into := range map[string]any{"show": &curves, "diagnose": &d} {
				if err := json.Unmarshal([]byte(succeed(t, command, dir, "--json")), into); err != nil {
					t.Fatal(err)
				}
			}
			s := curves.Story
			kinds[s.Kind]++
			what := fmt.Sprintf("%s, %d samples: %s (%s)", name, n, s.Kind, s.Sentence)
			found := map[string]diagnose.Finding{}
			for _, f := range d.Findings {
				found[f.ID] = f
			}
			has := func(id string) bool { _, ok := found[id]; return ok }
			for id, kind := range map[string]analysis.Kind{"overfitting": analysis.Overfitting, "worsened": analysis.Worsened, "still_falling": analysis.Learning} {
				if has(id) != (s.Kind == kind) {
					t.Errorf("%s: the finding %s: %v", what, id, has(id))
				}
			}
			if (has("probabilities") || has("double_softmax")) != (s.Kind == analysis.NotLogits) {
				t.Errorf("%s: %+v", what, found)
			}
			text := succeed(t, "show", dir)
			picture, page := filepath.Join(dir, "..", "curves.svg"), filepath.Join(dir, "..", "report.html")
			succeed(t, "plot", dir, "--kind", "curves", "-o", picture)
			succeed(t, "report", dir, "-o", page)
			drawn, err := os.ReadFile(picture)
			if err != nil {
				t.Fatal(err)
			}
			html, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, s.Sentence) || !strings.Contains(string(html), s.Sentence) {
				t.Errorf("%s: show or the report say something else", what)
			}
			for where, shown := range map[string]string{"the picture": string(drawn), "the report": string(html)} {
				if overfits := strings.Contains(shown, "overfits from"); overfits != (s.Kind == analysis.Overfitting) {
					t.Errorf("%s: %s has a mark of overfitting: %v", what, where, overfits)
				}
				if s.Mark != "" && !strings.Contains(shown, s.Mark) {
					t.Errorf("%s: %s lacks the mark %q", what, where, s.Mark)
				}
			}
			everything := text + succeed(t, "diagnose", dir)
			everything = strings.Join(strings.Fields(everything), " ")
			for _, pair := range [][2]string{
				{"accuracy suffers", "not worse"},
				{"accuracy suffers", "and better"},
				{"stands still", "still falls"},
				{"hardly moves", "still falls"},
				{"may be chance; about", "overfits"},
				{"cannot be told whether it moves", "still falls"},
				{"overfits", "still falls"},
				{"overfits", "More epochs"},
				{"overfits", "fare no worse"},
				{"overfits", "train longer"},
				{"in confidence alone", "got worse"},
				{"stands still", "more epochs may"},
			} {
				if strings.Contains(everything, pair[0]) && strings.Contains(everything, pair[1]) {
					t.Errorf("%s: both %q and %q are said", what, pair[0], pair[1])
				}
			}
			if r := curves.Rise; r != nil && strings.Contains(r.Sentence, "not worse") && slices.ContainsFunc(d.Findings, func(f diagnose.Finding) bool { return strings.Contains(f.Title, "suffers") }) {
				t.Errorf("%s: %s", what, r.Sentence)
			}
		}
	}
	for _, kind := range []analysis.Kind{analysis.Overfitting, analysis.Learning, analysis.Converged, analysis.Undecided, analysis.NotLogits} {
		if kinds[kind] == 0 {
			t.Errorf("no story of kind %s: %v", kind, kinds)
		}
	}
}
