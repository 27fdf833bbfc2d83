package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The page's findings are those of diagnose --json, figure by figure, and the parts of the NLL those of show --json; a
// finding opens by the keyboard and leads to its epoch.
func TestFindingsAreThoseOfDiagnose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	logitscope(t, "demo", "--no-serve", "--out", dir)
	var want struct {
		Findings []struct {
			ID, Level, Title string
			Evidence         struct {
				Figures []struct {
					Name  string
					Value *float64
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(logitscope(t, "diagnose", dir, "--json")), &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Findings) < 3 {
		t.Fatalf("diagnose finds %+v", want)
	}
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1440, 1000)
	p.waitEpoch(t, 45)
	p.wait(t, fmt.Sprintf(`%s?.dataset.count === "%d"`, element("findings"), len(want.Findings)))
	for _, f := range want.Findings {
		id := "finding-" + f.ID
		if level := evaluate[string](t, p, element(id)+".dataset.level"); level != f.Level {
			t.Errorf("%s has level %s on the page, %s in diagnose", f.ID, level, f.Level)
		}
		if title := evaluate[string](t, p, element(id)+`.querySelector("summary b").textContent`); title != f.Title {
			t.Errorf("%s is called %q on the page, %q in diagnose", f.ID, title, f.Title)
		}
		for _, figure := range f.Evidence.Figures {
			if figure.Value == nil {
				continue
			}
			got := evaluate[float64](t, p, fmt.Sprintf(`+%s.querySelector('[data-figure="%s"]').dataset.value`, element(id), figure.Name))
			if !(math.Abs(got-*figure.Value) <= 1e-12*max(1, math.Abs(*figure.Value))) {
				t.Errorf("%s: %s is %v on the page, %v in diagnose", f.ID, figure.Name, got, *figure.Value)
			}
		}
	}
	var curves struct {
		Epochs []struct {
			Splits map[string]struct {
				Parts *struct{ Scale, Ranking float64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(logitscope(t, "show", dir, "--json")), &curves); err != nil {
		t.Fatal(err)
	}
	parts := curves.Epochs[44].Splits["val"].Parts
	for id, number := range map[string]float64{"part-scale": parts.Scale, "part-ranking": parts.Ranking} {
		if got := p.value(t, id); !(math.Abs(got-number) <= 1e-12) {
			t.Errorf("%s is %v on the page, %v in show", id, got, number)
		}
	}
	evaluate[chromedp.Void](t, p, element("finding-overfitting")+`.querySelector("summary").focus()`)
	p.do(t, chromedp.SendKeys(chromedp.CSS(`[data-testid="finding-overfitting"] summary`), kb.Enter))
	p.wait(t, element("finding-overfitting")+".open")
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="finding-overfitting"] button`)))
	p.waitEpoch(t, 12)
	p.screenshot(t, "findings.png")
	p.sane(t)
}
