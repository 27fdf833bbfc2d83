package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long is waited for what must come: only what never comes is to fail, on whatever machine.
const patience = 3 * time.Minute

// page is a tab of a headless Chromium.
type page struct {
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the browser's console complained of
}

// open starts a browser with a fresh profile on the address. Without a Chromium the test is skipped, in CI it fails.
func open(t *testing.T, url string, width, height int64) *page {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		const message = "no Chromium found: apt-get install chromium"
		if os.Getenv("CI") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancelAllocator)
	tab, cancelTab := chromedp.NewContext(allocator)
	t.Cleanup(cancelTab)
	ctx, cancel := context.WithTimeout(tab, 10*patience)
	t.Cleanup(cancel)
	p := &page{ctx: ctx}
	p.do(t, chromedp.EmulateViewport(width, height))
	messages := chromedp.Console(ctx)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			if message.IsException() || message.Type == "error" || message.Type == "warning" {
				p.mu.Lock()
				p.problems = append(p.problems, message.String())
				p.mu.Unlock()
			}
		}
	}()
	p.do(t, chromedp.Navigate(url))
	return p
}

func (p *page) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// evaluate runs JavaScript in the page.
func evaluate[T any](t *testing.T, p *page, script string, options ...chromedp.EvaluateOption) T {
	t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, options...))
	if err != nil {
		t.Fatalf("%s: %v", script[:min(80, len(script))], err)
	}
	return v
}

// wait waits until a JavaScript expression is true.
func (p *page) wait(t *testing.T, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](condition)); err != nil {
		t.Fatalf("waiting for %s: %v", condition, err)
	}
}

// element is the JavaScript that finds a test id.
func element(id string) string {
	return fmt.Sprintf(`document.querySelector('[data-testid="%s"]')`, id)
}

// appears waits until an element is on the page.
func (p *page) appears(t *testing.T, id string) {
	t.Helper()
	p.wait(t, element(id)+" !== null")
}

// value reads the full number behind one that the page shows.
func (p *page) value(t *testing.T, id string) float64 {
	t.Helper()
	text := evaluate[string](t, p, element(id)+".dataset.value")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%s holds %q", id, text)
	}
	return v
}

// waitEpoch waits until the graphs of an epoch are drawn.
func (p *page) waitEpoch(t *testing.T, epoch int) {
	t.Helper()
	p.wait(t, fmt.Sprintf(`%s?.dataset.epoch === "%d"`, element("graphs"), epoch))
}

// drag moves a slider as a hand does: the value, then the event that dragging fires.
func (p *page) drag(t *testing.T, id string, value float64) {
	t.Helper()
	evaluate[chromedp.Void](t, p, fmt.Sprintf(`(() => {
		const slider = %s;
		slider.value = %v;
		slider.dispatchEvent(new Event("input", { bubbles: true }));
	})()`, element(id), value))
}

func (p *page) slide(t *testing.T, epoch int) {
	t.Helper()
	p.drag(t, "epoch-slider", float64(epoch))
	p.waitEpoch(t, epoch)
}

// sane fails the test when the browser's console complained.
func (p *page) sane(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.problems) > 0 {
		t.Errorf("the browser's console says: %s", strings.Join(p.problems, "; "))
	}
}

// screenshot keeps a picture of the page where the README shows one when LOGITSCOPE_SCREENSHOT is set, and otherwise
// among the test's artifacts.
func (p *page) screenshot(t *testing.T, name string) {
	t.Helper()
	p.do(t, chromedp.Sleep(300*time.Millisecond))
	data, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.ArtifactDir()
	if os.Getenv("LOGITSCOPE_SCREENSHOT") != "" && name == "dashboard.png" {
		dir = filepath.Join("..", "docs", "images")
		data = fewerColours(t, data)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// fewerColours keeps the 256 most frequent colours of a picture, so that it is small enough for the repository.
func fewerColours(t *testing.T, data []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	bounds, times := picture.Bounds(), map[color.Color]int{}
	for y := range bounds.Max.Y {
		for x := range bounds.Max.X {
			times[picture.At(x, y)]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(times), func(a, b color.Color) int { return times[b] - times[a] })
	paletted := image.NewPaletted(bounds, frequent[:min(256, len(frequent))])
	draw.Draw(paletted, bounds, picture, image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, paletted); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The page's numbers at epochs 5 and 45 are those of show --json, to the last digit.
func TestSliderShowsTheNumbersOfShow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	logitscope(t, "demo", "--no-serve", "--out", dir)
	want := show(t, dir)
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1440, 1000)
	p.waitEpoch(t, 45)
	for _, epoch := range []int{5, 45} {
		p.slide(t, epoch)
		if at := p.value(t, "epoch"); at != float64(epoch) {
			t.Errorf("the page shows epoch %v, the slider is at %d", at, epoch)
		}
		for split, s := range want.Epochs[epoch-1].Splits {
			for id, number := range map[string]float64{
				"nll-" + split: s.NLL, "accuracy-" + split: s.Accuracy,
				"mean-" + split + "-z": s.ZTrue, "mean-" + split + "-p": s.PTrue,
				"mean-" + split + "-log_p": s.LogPTrue, "mean-" + split + "-nll": s.NLL,
			} {
				if got := p.value(t, id); !(math.Abs(got-number) <= 1e-12*max(1, math.Abs(number))) {
					t.Errorf("epoch %d: %s is %v on the page, %v in show --json", epoch, id, got, number)
				}
			}
		}
	}
	story := evaluate[string](t, p, element("story")+".textContent")
	if story != want.Story.Sentence || !strings.Contains(story, fmt.Sprintf("epoch %d", want.Story.BestEpoch)) {
		t.Errorf("the page says %q, show says %q", story, want.Story.Sentence)
	}
	curve := evaluate[string](t, p, `document.querySelector('[aria-label^="NLL over the epochs"]').getAttribute("aria-label")`)
	if want.Story.Mark == "" || !strings.HasSuffix(curve, "; "+want.Story.Mark) {
		t.Errorf("the curve is marked %q, the story says %q", curve, want.Story.Mark)
	}
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="jump-best"]`)))
	p.waitEpoch(t, want.Story.BestEpoch)
	p.slide(t, 45)
	p.appears(t, "inspector-nll")
	p.screenshot(t, "dashboard.png")
	p.sane(t)
}

// The inspector's numbers, computed in the page, are those of explain at the same temperature.
func TestInspectorAgreesWithExplain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	logitscope(t, "train", "--quiet", "--train-size", "200", "--epochs", "3", "--out", dir)
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1200, 900)
	p.waitEpoch(t, 3)
	p.appears(t, "inspector-nll")
	id := evaluate[string](t, p, `document.querySelector('.sample[aria-pressed="true"]').dataset.sample`)
	p.drag(t, "temperature", 0.5)
	var want struct{ NLL float64 }
	out := logitscope(t, "explain", dir, "--epoch", "3", "--split", "val", "--sample", id,
		"--temperature", strconv.FormatFloat(math.Sqrt(10), 'g', -1, 64), "--json")
	if err := json.Unmarshal([]byte(out), &want); err != nil {
		t.Fatal(err)
	}
	if shown := evaluate[int](t, p, element("history")+`.querySelectorAll("path.line").length`); shown != 2 {
		t.Errorf("the inspector draws %d lines of the sample's history, want NLL and softmax", shown)
	}
	if got := p.value(t, "inspector-nll"); !(math.Abs(got-want.NLL) <= 1e-9) {
		t.Errorf("sample %s: NLL at T = √10 is %v on the page, %v by explain", id, got, want.NLL)
	}
	p.sane(t)
}

// The page fills while training runs, by events, and says when it is done.
func TestPageFillsWhileTraining(t *testing.T) {
	var s *server
	var p *page
	first := 0.0
	// Where the browser starts so late that the training is over, it is slowed down.
	for pace, running := 200*time.Millisecond, false; !running; pace *= 5 {
		if pace > 10*time.Second {
			t.Fatal("the page does not show a training that runs")
		}
		s = serve(t, "demo", "--out", filepath.Join(t.TempDir(), "demo"), "--addr", "127.0.0.1:0", "--pace", pace.String())
		p = open(t, s.url, 1440, 900)
		p.appears(t, "graphs")
		first = p.value(t, "epoch")
		running = first <= 40 && evaluate[string](t, p, element("state")+".dataset.state") == "running"
	}
	p.wait(t, fmt.Sprintf(`+%s.dataset.value >= %v`, element("epoch"), first+5))
	p.wait(t, element("state")+`.dataset.state === "complete"`)
	p.waitEpoch(t, 45)
	p.sane(t)
	s.says(t, "^Ctrl-C ends the program") // the story is told after the run is complete
	if code := s.interrupt(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
}

// A folder that is still empty: the page waits, and a run that appears is shown by itself.
func TestRunAppears(t *testing.T) {
	folder := t.TempDir()
	p := open(t, serve(t, "view", folder, "--addr", "127.0.0.1:0").url, 1000, 800)
	p.appears(t, "waiting")
	logitscope(t, "train", "--quiet", "--train-size", "100", "--epochs", "2", "--out", filepath.Join(folder, "first"))
	p.waitEpoch(t, 2)
	logitscope(t, "train", "--quiet", "--train-size", "100", "--epochs", "2", "--out", filepath.Join(folder, "second"))
	p.appears(t, "run-select")
	p.sane(t)
}

// axe-core finds nothing on the page, light and dark, wide and narrow.
func TestAccessibility(t *testing.T) {
	axe, err := os.ReadFile(filepath.Join("..", "web", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("%v: run make web first", err)
	}
	dir := filepath.Join(t.TempDir(), "demo")
	logitscope(t, "demo", "--no-serve", "--out", dir)
	url := serve(t, "view", dir, "--addr", "127.0.0.1:0").url
	for _, c := range []struct {
		scheme string
		width  int64
	}{{"light", 1440}, {"dark", 1440}, {"light", 390}} {
		name := fmt.Sprintf("%s-%d", c.scheme, c.width)
		t.Run(name, func(t *testing.T) {
			p := open(t, url, c.width, 900)
			_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: c.scheme}},
			})
			if err != nil {
				t.Fatal(err)
			}
			p.waitEpoch(t, 45)
			p.appears(t, "inspector-nll")
			evaluate[chromedp.Void](t, p, string(axe))
			type violation struct {
				ID    string `json:"id"`
				Help  string `json:"help"`
				Nodes []struct {
					HTML string `json:"html"`
				} `json:"nodes"`
			}
			for _, v := range evaluate[[]violation](t, p, `axe.run().then((r) => r.violations)`, chromedp.EvalAwaitPromise) {
				t.Errorf("%s: %s: %.200s", v.ID, v.Help, v.Nodes[0].HTML)
			}
			if evaluate[bool](t, p, `document.documentElement.scrollWidth > innerWidth`) {
				t.Error("the page is wider than the window")
			}
			p.screenshot(t, "axe-"+name+".png")
		})
	}
}
