package report_test

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/report"
)

func write(t *testing.T, dir string) (string, error) {
	t.Helper()
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	var b bytes.Buffer
	_, err = report.Write(t.Context(), &b, run)
	return b.String(), err
}

func TestReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r := planted.Healthy()
	r.WrongLabels, r.Previews, r.Epochs, r.Leaked = 0.1, true, 6, 5
	if err := r.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	html, err := write(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<title>run – logitscope report</title>", "Ship epoch", "Leakage: 5 of 500", "Labels that may be wrong", "data:image/png;base64,",
		"Reliability: run, validation, epoch 6", "Confusion: run, validation", "Data map: run, training", "class 9", "NLL at T*", "prefers-color-scheme: dark", "@media print",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the report has no %q", want)
		}
	}
	// Nothing is fetched and nothing runs: the only addresses are the namespaces of SVG.
	for _, bad := range regexp.MustCompile(`(?i)<script|<link|<iframe|@import|url\(|\b(src|href)\s*=\s*"[^"#d][^"]*"`).FindAllString(html, -1) {
		t.Errorf("the report holds %q", bad)
	}
	for _, address := range regexp.MustCompile(`https?://[^"' <]+`).FindAllString(html, -1) {
		if !strings.HasPrefix(address, "http://www.w3.org/") {
			t.Errorf("the report names %s", address)
		}
	}
}

// Names of classes stay text, in the page and in its pictures.
func TestHostileNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	hostile := []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</text></svg><b onload=x>`, "{{.Manifest}}", "\x00\u202e&amp;"}
	var labels []int32
	var ids []int64
	var logits []float32
	for i := range 50 {
		ids, labels = append(ids, int64(i)), append(labels, int32(i%5))
		for j := range 5 {
			logits = append(logits, float32((i*j)%4))
		}
	}
	s := record.Samples{IDs: ids, Labels: labels}
	w, err := record.Create(dir, record.Manifest{Classes: hostile, Head: record.HeadSoftmax, Columns: 5}, map[string]record.Samples{"train": s, "val": s})
	if err != nil {
		t.Fatal(err)
	}
	for epoch := 1; epoch <= 3; epoch++ {
		if err := w.Write(epoch, map[string][]float32{"train": logits, "val": logits}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	html, err := write(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img src=x", "<b onload", "</text></svg><b"} {
		if strings.Contains(html, bad) {
			t.Errorf("a class's name became markup: %s", bad)
		}
	}
	if !strings.Contains(html, "&lt;script&gt;alert(1)") || strings.Count(html, "{{.Manifest}}") == 0 {
		t.Error("a class's name is not there as text")
	}
}

func TestRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w, err := record.Create(dir, record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadBinary, Columns: 1}, map[string]record.Samples{"val": {}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(record.StateComplete)
	if _, err := write(t, dir); err == nil || !strings.Contains(err.Error(), "no epoch") {
		t.Errorf("no epoch: %v", err)
	}
	if err := w.WriteEpoch(1, map[string][]float32{"val": nil}); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, dir); err != nil {
		t.Errorf("an empty split: %v", err)
	}
}

// Texts of suspects stand in the report as text, whatever they hold.
func TestTexts(t *testing.T) {
	r := planted.Healthy()
	r.WrongLabels, r.Epochs = 0.1, 6
	p := r.Plant(1)
	p.Manifest.Preview = &record.Preview{Kind: record.PreviewText, Max: 100}
	for name, s := range p.Samples {
		for range s.IDs {
			s.Texts = append(s.Texts, "<script>alert(1)</script>\nשלום {{.}}")
		}
		p.Samples[name] = s
	}
	_, dir := runtest.Write(t, p.Manifest, p.Samples, func(w *record.Writer) error {
		for epoch := 1; epoch <= r.Epochs; epoch++ {
			if err := w.Write(epoch, p.Epoch(epoch)); err != nil {
				return err
			}
		}
		return nil
	})
	html, err := write(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(html, "<script") || strings.Count(html, `<p dir="auto">&lt;script&gt;alert(1)&lt;/script&gt;`+"\nשלום {{.}}</p>") < 10 {
		t.Error("the texts of suspects are not there as text")
	}
}
