package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Texts of samples stand on the page as they are, whatever they hold: nothing of them is taken for markup, and none makes the page wider than the
// screen.
func TestTexts(t *testing.T) {
	texts := []string{
		"", "<script>window.caught = 1</script><img src=x onerror='window.caught = 1'> & &amp; <b>bold</b>", strings.Repeat("שלום עולם, זה מבחן. ", 8),
		"line one\nline two\n\n\tline four", strings.Repeat("🙂👩‍👩‍👧🏳️‍🌈 ", 20), strings.Repeat("x", 900), strings.Repeat("日本語の文章です。", 30), "\u202egnirts desrever\u202c after",
		"ordinary words", "</span></button></section>", "مرحبا 123 abc", strings.Repeat("A film of no small ambition. ", 60),
	}
	var lines strings.Builder
	for epoch := 1; epoch <= 2; epoch++ {
		for i, text := range texts {
			row, err := json.Marshal(map[string]any{"id": i, "epoch": epoch, "text": text, "label": i % 2, "logits": []float64{float64(i%5) - 2, 0}})
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(row, '\n'))
		}
	}
	file, dir := filepath.Join(t.TempDir(), "z.jsonl"), filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	logitscope(t, "import", file, "--out", dir)
	url := serve(t, "view", dir, "--addr", "127.0.0.1:0").url
	for _, width := range []int64{1400, 800, 360} {
		p := open(t, url, width, 900)
		p.waitEpoch(t, 2)
		p.appears(t, "inspector-nll")
		p.wait(t, fmt.Sprintf(`document.querySelectorAll(".sample .text").length === %d`, len(texts)))
		for i, text := range texts {
			want, _, _ := strings.Cut(text, " ambition. A film of no small ambition. A film of no small ambition. A film of no small ambition. A film of no")
			evaluate[chromedp.Void](t, p, fmt.Sprintf(`document.querySelector('[data-sample="%d"]').click()`, i)) // wherever the bar of epochs is
			p.wait(t, fmt.Sprintf(`%s?.textContent.includes("Sample %d:")`, element("inspector"), i))
			got := evaluate[string](t, p, element("text")+`?.textContent ?? ""`)
			if !strings.HasPrefix(got, want) || len(text) <= 1000 && got != text || len(got) > 1000 {
				t.Errorf("sample %d at %d pixels: %q, want %q", i, width, got, text)
			}
			if shown := evaluate[bool](t, p, fmt.Sprintf(`document.querySelector('[data-sample="%d"] .text').clientHeight > 0`, i)); !shown {
				t.Errorf("sample %d has no line in the list", i)
			}
			if i == 2 && evaluate[string](t, p, `getComputedStyle(`+element("text")+`).direction`) != "rtl" {
				t.Error("a text that is read from right to left is set from left to right")
			}
		}
		if over := evaluate[float64](t, p, `document.documentElement.scrollWidth - window.innerWidth`); over > 0 {
			t.Errorf("at %d pixels the page is %v pixels wider than the screen", width, over)
		}
		if evaluate[bool](t, p, `window.caught !== undefined`) {
			t.Error("markup in a text has run")
		}
		p.sane(t)
		p.screenshot(t, fmt.Sprintf("texts-%d.png", width))
	}
}
