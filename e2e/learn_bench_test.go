package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestLearnBench measures what bench/learn.py writes down, and runs for it alone: bytes over the wire of each step in the order of the
// steps, the time that a drag takes with 1,000 classes, and how fast the network trains.
func TestLearnBench(t *testing.T) {
	path := os.Getenv("LOGITSCOPE_LEARN_BENCH")
	if path == "" {
		t.Skip("bench/learn.py runs this")
	}
	base := learn(t)
	result := struct {
		Bytes  map[string]int     `json:"bytes"`
		Drag   map[string]float64 `json:"drag"`   // ms, median over 60 moves until all is painted
		Worst  map[string]float64 `json:"worst"`  // ms
		Epochs float64            `json:"epochs"` // a second, at 300 points and 32 units
	}{map[string]int{}, map[string]float64{}, map[string]float64{}, 0}
	p := open(t, base+"/logit", 1440, 900)
	const sum = `performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).reduce((n, e) => n + e.transferSize, 0)`
	before := 0
	for i, step := range learnSteps {
		if i > 0 {
			p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="next"]`)))
		}
		p.ready(t, step)
		p.do(t, chromedp.Sleep(500e6))
		now := evaluate[int](t, p, sum)
		result.Bytes[step], before = now-before, now
	}
	for _, step := range []string{"logit", "softmax", "temperature", "nll", "cross-entropy", "gradient"} {
		p.goTo(t, base+"/"+step+"?k=1000", step)
		times := evaluate[[]float64](t, p, fmt.Sprintf(`(async () => {
			const canvas = document.querySelector("#%s canvas.moves");
			const box = canvas.getBoundingClientRect();
			const at = (type, i) => canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1, buttons: 1, clientX: box.left + 400, clientY: box.top + 10 + (i %% 60) }));
			canvas.setPointerCapture = () => {};
			canvas.hasPointerCapture = () => true;
			at("pointerdown", 0);
			const times = [];
			for (let i = 0; i < 60; i++) {
				await new Promise((r) => requestAnimationFrame(r));
				const from = performance.now();
				at("pointermove", i);
				await Promise.resolve(); // the page follows in microtasks
				await new Promise((r) => queueMicrotask(r));
				document.body.getBoundingClientRect(); // and is laid out
				times.push(performance.now() - from);
			}
			return times.sort((a, b) => a - b);
		})()`, step), chromedp.EvalAwaitPromise)
		result.Drag[step], result.Worst[step] = times[30], times[59]
	}
	p.goTo(t, base+"/training", "training")
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="play"]`)))
	from := evaluate[float64](t, p, `performance.now()`)
	p.wait(t, `+`+element("trained")+`.dataset.value >= 200`)
	took := evaluate[float64](t, p, `performance.now()`) - from
	result.Epochs = 1000 * p.value(t, "trained") / took
	text, err := json.Marshal(result)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
