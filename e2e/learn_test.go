package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var learnSteps = []string{"logit", "binary", "softmax", "temperature", "pick", "log", "nll", "cross-entropy", "gradient", "training"}

// learn serves the page and returns its address, without a slash at the end.
func learn(t *testing.T) string {
	t.Helper()
	return serve(t, "learn", "--open=false", "--addr", "127.0.0.1:0").url
}

// goTo opens an address in the tab and waits until the step's instrument is there.
func (p *page) goTo(t *testing.T, address, step string) {
	t.Helper()
	p.do(t, chromedp.Navigate(address))
	p.ready(t, step)
}

func (p *page) ready(t *testing.T, step string) {
	t.Helper()
	p.wait(t, fmt.Sprintf(`document.querySelector('#%s:not([hidden]) .stage')?.dataset.ready === %q`, step, step))
}

func (p *page) scheme(t *testing.T, scheme string) {
	t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// axe-core finds nothing on any step, light and dark, wide and at 320 pixels, with all opened that opens; and nothing is
// wider than the window.
func TestLearnAccessibility(t *testing.T) {
	axe, err := os.ReadFile(filepath.Join("..", "web", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("%v: run make web first", err)
	}
	base := learn(t)
	for _, c := range []struct {
		scheme string
		width  int64
	}{{"light", 1440}, {"dark", 320}} {
		t.Run(fmt.Sprintf("%s-%d", c.scheme, c.width), func(t *testing.T) {
			p := open(t, base, c.width, 900)
			p.scheme(t, c.scheme)
			for _, address := range append(append([]string{}, learnSteps...), "training?data=digits&scaled=1", "cross-entropy?target=several&q=bbbbc", "softmax?k=1000", "gradient?k=40") {
				step, query, _ := strings.Cut(address, "?")
				if !strings.Contains(query, "q=") {
					query += "&wrong=1&a=0"
				}
				p.goTo(t, base+"/"+step+"?"+query, step)
				evaluate[chromedp.Void](t, p, `document.querySelectorAll("article:not([hidden]) details").forEach((d) => (d.open = true))`)
				evaluate[chromedp.Void](t, p, string(axe))
				type violation struct {
					ID    string `json:"id"`
					Help  string `json:"help"`
					Nodes []struct {
						HTML string `json:"html"`
					} `json:"nodes"`
				}
				for _, v := range evaluate[[]violation](t, p, `axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then((r) => r.violations)`, chromedp.EvalAwaitPromise) {
					t.Errorf("%s: %s: %s: %.300s", address, v.ID, v.Help, v.Nodes[0].HTML)
				}
				for _, width := range []int64{1024, 640, 320, c.width} {
					p.do(t, chromedp.EmulateViewport(width, 900))
					// What draws itself anew does so with the next picture.
					wide := evaluate[int](t, p, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(document.documentElement.scrollWidth - innerWidth))))`, chromedp.EvalAwaitPromise)
					if wide > 0 {
						t.Errorf("%s: the page is %d pixels wider than a window of %d", address, wide, width)
					}
				}
			}
			p.sane(t)
		})
	}
}

// The address is the state: a pasted link shows it, a drag is one step back, and Forward does it again.
func TestLearnAddress(t *testing.T) {
	base := learn(t)
	p := open(t, base+"/softmax?z=2,1,0.1&y=0&t=1", 1200, 900)
	p.ready(t, "softmax")
	where := func() string { return evaluate[string](t, p, `location.pathname + location.search`) }
	if got := where(); got != "/learn/softmax?z=2,1,0.1&y=0" {
		t.Errorf("the address is %s", got)
	}
	first := `document.querySelector('#softmax [role="slider"][data-j="0"]')`
	if got := evaluate[string](t, p, first+`.ariaValueNow`); got != "2" {
		t.Errorf("the first slider is at %s, want 2", got)
	}
	slider := chromedp.CSS(`#softmax [role="slider"][data-j="0"]`)
	// In one go: a hand that rests between two of them would make two steps back.
	evaluate[chromedp.Void](t, p, fmt.Sprintf(`for (let i = 0; i < 3; i++) %s.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true, cancelable: true }))`, first))
	p.wait(t, `location.search === "?z=2.3,1,0.1&y=0"`)
	p.do(t, chromedp.SendKeys(slider, kb.Home))
	p.wait(t, `location.search === "?z=-inf,1,0.1&y=0"`)
	if text := evaluate[string](t, p, first+`.ariaValueText`); !strings.Contains(text, "ruled out") {
		t.Errorf("a class at −∞ reads %q", text)
	}
	evaluate[chromedp.Void](t, p, `history.back()`)
	p.wait(t, first+`.ariaValueNow === "2.3"`)
	evaluate[chromedp.Void](t, p, `history.back()`)
	p.wait(t, first+`.ariaValueNow === "2"`)
	evaluate[chromedp.Void](t, p, `history.forward()`)
	p.wait(t, first+`.ariaValueNow === "2.3"`)
	// The vector goes on to the next step, and Back returns.
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="next"]`)))
	p.ready(t, "temperature")
	if got := where(); got != "/learn/temperature?z=2.3,1,0.1&y=0" {
		t.Errorf("the next step's address is %s", got)
	}
	evaluate[chromedp.Void](t, p, `history.back()`)
	p.ready(t, "softmax")
	// A question's answer is shown once one is given, and is a part of the address.
	if evaluate[bool](t, p, `document.querySelector("#softmax details").open`) {
		t.Error("the answer is shown before the question is answered")
	}
	p.do(t, chromedp.Click(chromedp.CSS(`#softmax [data-testid="option"]`)))
	p.wait(t, `document.querySelector("#softmax details").open && location.search.endsWith("&a=0")`)
	p.sane(t)
}

// A pointer on a bar lights its term in the formula, and on the term its bar.
func TestLearnLights(t *testing.T) {
	p := open(t, learn(t)+"/softmax?z=2,1,0.1&y=0", 1200, 900)
	p.ready(t, "softmax")
	over := func(selector string) {
		evaluate[chromedp.Void](t, p, fmt.Sprintf(`document.querySelector(%q).dispatchEvent(new PointerEvent("pointerover", { bubbles: true }))`, selector))
	}
	over(`#softmax [role="slider"][data-j="1"]`)
	p.wait(t, `document.querySelector('#softmax math [data-j="1"].lit') !== null && document.querySelector('#softmax [data-strip="p"] .column[data-j="1"].lit') !== null`)
	over(`#softmax math mrow [data-j="2"]`)
	p.wait(t, `document.querySelector('#softmax [role="slider"][data-j="2"].lit') !== null && document.querySelector('#softmax math [data-j="1"].lit') === null`)
	p.sane(t)
}

// Whatever an address holds: a step with its instrument, and a word about what could not be.
func TestLearnBadAddresses(t *testing.T) {
	base := learn(t)
	p := open(t, base, 1000, 800)
	for _, c := range []struct{ path, step, says string }{
		{"/softmax?z=" + strings.Repeat("1,", 999_999) + "1", "softmax", "1,000,000 logits"},
		{"/softmax?z=NaN,1e999,2", "softmax", "no number"},
		{"/temperature?t=0", "temperature", "0.05"},
		{"/temperature?t=-1", "temperature", "0.05"},
		{"/temperature?t=1e999", "temperature", "20"},
		{"/no-such-step", "logit", "no step"},
		{"/%3Cimg%20src=x%20onerror=document.title=1%3E", "logit", "no step"},
		{"/softmax?z=%3Cscript%3Ealert(1)%3C/script%3E", "softmax", "no number"},
		{"/%E0%A4", "logit", "no step"},
		{"/log?z=%E0%A4%A&t=%", "log", "no number"},
		{"/nll?z=-inf,-inf&y=9", "nll", "ruled out"},
		{"/training?epoch=1e9&units=-3&noise=NaN", "training", "epoch"},
		{"/pick?topk=-1&topp=0&minp=9&draws=1e12", "pick", "Top-p"},
		{"/a/b/c", "logit", "no step"},
	} {
		p.goTo(t, base+c.path, c.step)
		says := evaluate[string](t, p, element("says")+`?.textContent ?? ""`)
		if !strings.Contains(says, c.says) {
			t.Errorf("%.60s: the page says %q, want %q", c.path, says, c.says)
		}
		if evaluate[bool](t, p, `document.querySelector("img, script:not([src])") !== null`) {
			t.Errorf("%.60s: markup of the address is in the page", c.path)
		}
	}
}

// The page's NLL is explain's: the inspector's link takes a sample's logits along.
func TestLearnAgreesWithExplain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	logitscope(t, "train", "--quiet", "--train-size", "200", "--epochs", "3", "--out", dir)
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1200, 900)
	p.waitEpoch(t, 3)
	p.appears(t, "inspector-nll")
	id := evaluate[string](t, p, `document.querySelector('.sample[aria-pressed="true"]').dataset.sample`)
	var want struct{ NLL float64 }
	if err := json.Unmarshal([]byte(logitscope(t, "explain", dir, "--epoch", "3", "--split", "val", "--sample", id, "--json")), &want); err != nil {
		t.Fatal(err)
	}
	p.goTo(t, evaluate[string](t, p, `document.querySelector('[data-testid="inspector"] .nll a').href`), "nll")
	// The link has the logits in hundredths: each may be off by 0.005, and so the loss by twice that.
	if got := p.value(t, "nll"); !(math.Abs(got-want.NLL) <= 0.01) {
		t.Errorf("sample %s: NLL %v in Learn, %v by explain", id, got, want.NLL)
	}
	p.sane(t)
}

// Written to a file it works without any server, and fetches nothing.
func TestLearnFile(t *testing.T) {
	dir := t.TempDir()
	logitscope(t, "learn", "-o", dir)
	file := (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dir, "index.html"))}).String()
	p := open(t, file+"#softmax?z=2,1,0.1&y=0", 1200, 900)
	p.ready(t, "softmax")
	p.do(t, chromedp.SendKeys(chromedp.CSS(`#softmax [role="slider"][data-j="0"]`), kb.ArrowUp))
	p.wait(t, `location.hash === "#softmax?z=2.1,1,0.1&y=0"`)
	for range learnSteps[3:] {
		p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="next"]`)))
		p.wait(t, `document.querySelector("article:not([hidden]) .stage").dataset.ready !== undefined`)
	}
	p.ready(t, "training")
	evaluate[chromedp.Void](t, p, `history.back()`)
	p.ready(t, "gradient")
	if fetched := evaluate[int](t, p, `performance.getEntriesByType("resource").length`); fetched != 0 {
		t.Errorf("the file fetched %d things", fetched)
	}
	p.goTo(t, file+"#no-such-step", "logit")
	p.sane(t)
}

// Without JavaScript the ten texts, their formulas, questions and answers are there.
func TestLearnWithoutJavaScript(t *testing.T) {
	base := learn(t)
	p := open(t, "about:blank", 1000, 800)
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	p.do(t, chromedp.Navigate(base))
	for _, step := range learnSteps {
		text, err := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS("#"+step)))
		if err != nil {
			t.Fatal(err)
		}
		if len(strings.Fields(text)) < 60 || !strings.Contains(text, "Answer") {
			t.Errorf("%s without JavaScript: %.200q", step, text)
		}
	}
}

// Storage, workers and WebGL refused: nothing of it is needed.
func TestLearnWithLittle(t *testing.T) {
	base := learn(t)
	p := open(t, "about:blank", 1000, 800)
	_, err := chromedp.Call(p.ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `
		for (const name of ["localStorage", "sessionStorage", "indexedDB"])
			Object.defineProperty(window, name, { get() { throw new DOMException("refused", "SecurityError"); } });
		window.Worker = window.SharedWorker = undefined;
		const get = HTMLCanvasElement.prototype.getContext;
		HTMLCanvasElement.prototype.getContext = function (kind, ...rest) { return kind === "2d" ? get.call(this, kind, ...rest) : null; };`})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range learnSteps {
		p.goTo(t, base+"/"+step, step)
	}
	p.sane(t)
}

// The network trains before one's eyes, and a link trains it to the same place again.
func TestLearnTrains(t *testing.T) {
	base := learn(t)
	p := open(t, base+"/training?units=8", 1200, 900)
	p.ready(t, "training")
	trained := element("trained")
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="play"]`)))
	// The page itself pauses: it may have reached the end before this test hears of the 20th epoch.
	evaluate[chromedp.Void](t, p, fmt.Sprintf(`new Promise((done) => {
		const look = () => {
			if (%s.dataset.value < 20) return requestAnimationFrame(look);
			%s.click();
			done();
		};
		look();
	})`, trained, element("play")), chromedp.EvalAwaitPromise)
	p.wait(t, fmt.Sprintf(`new URLSearchParams(location.search).get("epoch") === %s.dataset.value`, trained))
	numbers := `[...document.querySelectorAll("#training .side p b")].map((b) => b.textContent).join(" ")`
	address, shown := evaluate[string](t, p, `location.href`), evaluate[string](t, p, numbers)
	epoch := evaluate[string](t, p, trained+`.dataset.value`)
	p.do(t, chromedp.Navigate("about:blank"))
	p.goTo(t, address, "training")
	p.wait(t, fmt.Sprintf(`%s.dataset.value === %q`, trained, epoch))
	if again := evaluate[string](t, p, numbers); again != shown {
		t.Errorf("the link shows %s, it was made of %s", again, shown)
	}
	p.sane(t)
}

// What Learn says of the losses is what the program says.
func TestLearnChooser(t *testing.T) {
	p := open(t, learn(t)+"/cross-entropy", 1200, 900)
	p.ready(t, "cross-entropy")
	for _, letter := range []string{"0b", "1b", "2a"} {
		p.do(t, chromedp.Click(chromedp.CSS(fmt.Sprintf(`[data-testid="choose-%s"]`, letter))))
	}
	p.appears(t, "loss")
	var losses []struct{ Name, Use, Pitfalls string }
	if err := json.Unmarshal([]byte(logitscope(t, "losses", "--json")), &losses); err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(strings.Fields(evaluate[string](t, p, element("loss")+`.textContent`)), " ")
	for _, l := range losses {
		if (l.Name == "kl") != strings.Contains(shown, l.Use) {
			t.Errorf("%s: the page shows %q", l.Name, shown)
		}
	}
	p.sane(t)
}
