package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// textsRun is sampleRun with texts for previews; val has none.
func textsRun() (Manifest, map[string]Samples) {
	m, samples := sampleRun()
	m.Preview = &Preview{Kind: PreviewText, Max: 40}
	m.Splits = []SplitInfo{{Name: "train", N: 5, Samples: SamplesGrowing}, {Name: "val", N: 2}}
	train, val := samples["train"], samples["val"]
	train.Previews, val.Previews = nil, nil
	train.Texts = []string{"plain", "", "<b>\"&\u2028\n\x00</script>", "שלום 🙂👩‍👩‍👧", strings.Repeat("x", 40)}
	samples["train"], samples["val"] = train, val
	return m, samples
}

func writeTexts(t *testing.T, dir string) {
	t.Helper()
	m, samples := textsRun()
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	more := Samples{IDs: []int64{99}, Labels: []int32{1}, CleanLabels: []int32{1}, Texts: []string{"later"}}
	if err := w.AddSamples(1, "train", Samples{IDs: []int64{98}, Labels: []int32{1}, CleanLabels: []int32{1}}); err == nil {
		t.Error("a sample without the column that those before have")
	}
	part := Part{IDs: []int64{99, 7}, Logits: []float32{1, 2, 3, 4, 5, 6}}
	if err := errors.Join(w.AddSamples(1, "train", more), w.AppendPart(1, "train", part), w.Commit(1, nil), w.Close(StateComplete)); err != nil {
		t.Fatal(err)
	}
}

// Texts are read as they were written, here and by another implementation of Arrow, those of samples that came later too.
func TestTexts(t *testing.T) {
	dir := t.TempDir() + "/texts"
	writeTexts(t, dir)
	r := openDir(t, dir)
	m := r.Manifest()
	if m.FormatVersion != 3 || !slices.Equal(m.Needs, []string{"preview"}) || *m.Preview != (Preview{Kind: PreviewText, Max: 40}) {
		t.Errorf("%+v", m)
	}
	_, samples := textsRun()
	want := append(samples["train"].Texts, "later")
	if s, err := r.Samples("train"); err != nil || !slices.Equal(s.Texts, want) || s.Previews != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := r.Samples("val"); err != nil || s.Texts != nil || s.Previews != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if report, err := Check(t.Context(), dir); err != nil || !report.OK() || len(report.Notes) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	got := readByNode(t, dir)
	var read []string
	for _, text := range append(values[string](t, got.Samples["train"], "preview", "Utf8"), values[string](t, got.Epochs["1"]["train.samples"], "preview", "Utf8")...) {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, string(raw))
	}
	if !slices.Equal(read, want) || got.Samples["val"].Columns["preview"].Type != "" {
		t.Errorf("another reader has %q, want %q", read, want)
	}
}

// A run that was written when texts were new is read today, and by every version to come.
func TestTextsOfOld(t *testing.T) {
	const dir = "testdata/texts"
	if os.Getenv("WRITE_TEXTS") != "" { // once, when texts are new
		writeTexts(t, dir)
	}
	_, samples := textsRun()
	if s, err := openDir(t, dir).Samples("train"); err != nil || !slices.Equal(s.Texts, append(samples["train"].Texts, "later")) {
		t.Errorf("%+v, %v", s, err)
	}
	if report, err := Check(t.Context(), dir); err != nil || !report.OK() || len(report.Notes) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	// What is written now is the same to the byte.
	now := t.TempDir() + "/texts"
	writeTexts(t, now)
	for _, name := range []string{"samples/train.arrow", "samples/val.arrow", "epochs/000001/train.samples.arrow"} {
		old, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if file, err := os.ReadFile(now + "/" + name); err != nil || !bytes.Equal(file, old) {
			t.Errorf("%s is written otherwise: %v", name, err)
		}
	}
}

// A writer refuses texts that no reader would take.
func TestTextsRefused(t *testing.T) {
	for want, change := range map[string]func(m *Manifest, s *Samples){
		"4 texts for 5 samples":       func(_ *Manifest, s *Samples) { s.Texts = s.Texts[:4] },
		"row 4: a text of 40 bytes":   func(m *Manifest, _ *Samples) { m.Preview.Max = 39 },
		"row 1: a text that is no":    func(_ *Manifest, s *Samples) { s.Texts[1] = "\xff" },
		"texts of at most 2 bytes":    func(m *Manifest, _ *Samples) { m.Preview.Max = 2 },
		"want 3 to 16777216":          func(m *Manifest, _ *Samples) { m.Preview.Max = 1 << 25 },
		"texts have no size":          func(m *Manifest, _ *Samples) { m.Preview.Height = 1 },
		`kind "row"`:                  func(m *Manifest, _ *Samples) { m.Preview.Kind = "row" },
		"not of the kind":             func(_ *Manifest, s *Samples) { s.Texts, s.Previews = nil, []byte("aaaabbbbccccddddeeee") },
		"manifest does not describe":  func(m *Manifest, s *Samples) { m.Preview, s.Texts, s.Previews = nil, nil, []byte{1} },
		"kind that the manifest desc": func(m *Manifest, _ *Samples) { m.Preview = nil },
	} {
		m, samples := textsRun()
		train := samples["train"]
		change(&m, &train)
		samples["train"] = train
		if _, err := Create(t.TempDir()+"/run", m, samples); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A file whose offsets fall, begin elsewhere or lead beyond the text is no file of texts.
func TestTextsOfLyingFiles(t *testing.T) {
	columns := []column{{name: "id", kind: kindInt64}, {name: "preview", kind: kindText, optional: true}}
	ids := bytesOf([]int64{1, 2})
	for _, offsets := range [][]int32{{0, 2, 4}, {0, 3, 2}, {0, -1, 2}, {1, 2, 4}, {0, 2, 1 << 30}, {0, 2, 5}} {
		file := encodeArrow(columns, [][]byte{ids, bytesOf(offsets), []byte("abcd")}, 2)
		values, err := decodeArrow(file, columns, 2)
		if ok := slices.Equal(offsets, []int32{0, 2, 4}); ok != (err == nil) {
			t.Errorf("%v: %v", offsets, err)
		} else if ok && !slices.Equal(textsOf(values[1], values[2]), []string{"ab", "cd"}) {
			t.Errorf("%q", values)
		}
	}
	none, err := decodeArrow(encodeArrow(columns, [][]byte{ids, nil, nil}, 2), columns, 2)
	if err != nil || !reflect.DeepEqual(none[1:], [][]byte{nil, nil}) {
		t.Errorf("%v, %v", none, err)
	}
}

func TestCutText(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 3, ""},
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc…"},
		{"日本語", 9, "日本語"},
		{"日本語文", 9, "日本…"},
		{"日本語文", 8, "日…"},
		{"🙂🙂", 7, "🙂…"},
		{"a\xffb", 5, "a�b"},
		{"a\xffb", 4, "a…"},
		{"abc", 3, "abc"},
		{"abcd", 3, "…"},
		{"\xff\xfe\xfd\xfc\xfb", 4, "…"},
	} {
		if got := CutText(c.text, c.most); got != c.want {
			t.Errorf("%q in %d bytes: %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// FuzzCutText: what CutText returns is UTF-8 of no more bytes than asked for, and begins as the text does where that is UTF-8.
func FuzzCutText(f *testing.F) {
	f.Add("日本語文🙂", 8)
	f.Add("\xff\xf0\x9f", 3)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(3, most%100)
		got := CutText(text, most)
		if len(got) > most || !utf8.ValidString(got) {
			t.Errorf("%q in %d bytes: %q", text, most, got)
		}
		if utf8.ValidString(text) && got != text && (len(text) <= most || !strings.HasPrefix(text, strings.TrimSuffix(got, cutMark))) {
			t.Errorf("%q in %d bytes: %q", text, most, got)
		}
	})
}
