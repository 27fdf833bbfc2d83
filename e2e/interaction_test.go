package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func (p *page) press(t *testing.T, id, keys string) {
	t.Helper()
	p.do(t, chromedp.SendKeys(chromedp.CSS(fmt.Sprintf(`[data-testid="%s"]`, id)), keys))
}

// The slider obeys the keyboard, and goes over an epoch that is missing.
func TestKeyboardGoesOverAGap(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	logitscope(t, "train", "--quiet", "--train-size", "100", "--epochs", "4", "--out", dir)
	if err := os.RemoveAll(filepath.Join(dir, "epochs", "000002")); err != nil {
		t.Fatal(err)
	}
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1200, 900)
	p.waitEpoch(t, 4)
	for _, step := range []struct {
		keys  string
		epoch int
	}{{kb.Home, 1}, {kb.ArrowRight, 3}, {kb.ArrowRight, 4}, {kb.ArrowLeft, 3}, {kb.ArrowLeft, 1}, {kb.End, 4}} {
		p.press(t, "epoch-slider", step.keys)
		p.waitEpoch(t, step.epoch)
		if at := evaluate[string](t, p, element("epoch-slider")+".value"); at != fmt.Sprint(step.epoch) {
			t.Errorf("the slider is at %s, the page at epoch %d", at, step.epoch)
		}
	}
	p.sane(t)
}

// Play goes from the first epoch to the last, one each time that its interval is over, and stops there.
func TestPlay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	logitscope(t, "train", "--quiet", "--train-size", "100", "--epochs", "4", "--out", dir)
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1200, 900)
	p.waitEpoch(t, 4)
	// The intervals end when the test says so, not when epochs may still be drawn.
	evaluate[chromedp.Void](t, p, `window.setInterval = (over) => { window.intervalOver = over; return 0; }`)
	playing := element("play") + `.ariaLabel === "Pause"`
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="play"]`)))
	p.wait(t, playing)
	p.waitEpoch(t, 1)
	for epoch := 2; epoch <= 4; epoch++ {
		evaluate[chromedp.Void](t, p, `intervalOver()`)
		p.waitEpoch(t, epoch)
	}
	p.wait(t, playing)
	evaluate[chromedp.Void](t, p, `intervalOver()`)
	p.wait(t, "!("+playing+")")
	p.sane(t)
}

// The hardest training samples: the inspector never asks for a sample of the other split, and planted labels are flagged.
func TestHardestOfEachSplit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	logitscope(t, "train", "--quiet", "--train-size", "200", "--label-noise", "0.2", "--epochs", "8", "--out", dir)
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1440, 900)
	p.waitEpoch(t, 8)
	p.appears(t, "inspector-nll")
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="hardest-train"]`)))
	p.wait(t, `document.querySelectorAll(".sample .flag").length > 0`)
	p.do(t, chromedp.Click(chromedp.CSS(`.sample.planted`)))
	p.wait(t, element("inspector")+`?.querySelector(".planted") != null`)
	p.do(t, chromedp.Click(chromedp.CSS(`[data-testid="hardest-val"]`)))
	p.wait(t, `document.querySelectorAll(".sample .flag").length === 0`)
	p.appears(t, "inspector-nll")
	p.sane(t)
	p.screenshot(t, "hardest.png")
}

// A damaged epoch and one that is gone are named on the page, beside the sample whose history lacks them as well.
func TestDamageIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	logitscope(t, "train", "--quiet", "--train-size", "100", "--epochs", "5", "--out", dir)
	if err := os.RemoveAll(filepath.Join(dir, "epochs", "000002")); err != nil {
		t.Fatal(err)
	}
	for _, split := range []string{"train", "val"} {
		if err := os.Truncate(filepath.Join(dir, "epochs", "000003", split+".arrow"), 1000); err != nil {
			t.Fatal(err)
		}
	}
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1200, 900)
	p.waitEpoch(t, 5)
	p.appears(t, "inspector-nll")
	for _, place := range []string{".story", `[data-testid="inspector"]`} {
		p.wait(t, fmt.Sprintf(`document.querySelector('%s').textContent.includes("000003/val.arrow")`, place))
		p.wait(t, fmt.Sprintf(`document.querySelector('%s').textContent.includes("epoch 2 is missing")`, place))
	}
}

// A record may begin with epoch 0, how the network was before it was trained, and end in an epoch that is not whole.
func TestEpoch0AndAnUnfinishedOne(t *testing.T) {
	folder := t.TempDir()
	for epoch := range 2 {
		rows := fmt.Sprintf("label,no,yes\n0,%d.5,0\n1,0,1\n1,0,2\n", epoch)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d_val.csv", epoch)), []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(folder, "run")
	logitscope(t, "import", filepath.Join(folder, "{epoch}_{split}.csv"), "--out", dir)
	if err := os.Mkdir(filepath.Join(dir, "epochs", ".tmp-000002"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := open(t, serve(t, "view", dir, "--addr", "127.0.0.1:0").url, 1200, 900)
	p.waitEpoch(t, 1)
	p.slide(t, 0)
	p.slide(t, 1)
	p.wait(t, element("unfinished")+`.textContent.startsWith("Epoch 2 was begun and is not whole")`)
	p.sane(t)
}
