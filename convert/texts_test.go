package convert_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/convert"
)

// Texts beside logits, as pandas, pyarrow, datasets, NumPy and Python's json write them, are the samples' previews, cut as Python cuts them.
func TestImportTexts(t *testing.T) {
	const folder = "testdata/texts"
	raw, err := os.ReadFile(folder + "/want.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Texts, Files []string }
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Texts) < 10 || len(want.Files) < 8 {
		t.Fatalf("%d texts of %d files", len(want.Texts), len(want.Files))
	}
	for _, line := range want.Files {
		t.Run(line, func(t *testing.T) {
			file, column, _ := strings.Cut(line, " --text ")
			o := convert.ImportOptions{Text: strings.ReplaceAll(column, "\u00a0", " ")}
			dir := filepath.Join(t.TempDir(), "run")
			made, err := convert.Import(t.Context(), []string{filepath.Join(folder, file)}, dir, o)
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(made.Notes, "\n"); !strings.Contains(notes, "1000 bytes of each at most: --text - leaves them out") {
				t.Errorf("it says %q", notes)
			}
			run := opened(t, dir)
			samples, err := run.Samples("val")
			if err != nil {
				t.Fatal(err)
			}
			for i, id := range samples.IDs {
				want := want.Texts[id]
				if strings.HasSuffix(file, ".csv") {
					want = strings.ReplaceAll(want, "\r\n", "\n") // which Go's reader of CSV does, and RFC 4180 leaves open
				}
				if samples.Texts[i] != want {
					t.Errorf("sample %d: %q, want %q", id, samples.Texts[i], want)
				}
			}
			for _, name := range []string{"t.parquet", "t.csv", "t.jsonl"} { // exported, they are what they were
				out := filepath.Join(t.TempDir(), name)
				if err := convert.Export(t.Context(), run, out, convert.Options{}); err != nil {
					t.Fatal(err)
				}
				again := filepath.Join(t.TempDir(), "again")
				if _, err := convert.Import(t.Context(), []string{out}, again, convert.ImportOptions{}); err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(samples.Texts)
				for i := range want {
					if name == "t.csv" {
						want[i] = strings.ReplaceAll(want[i], "\r\n", "\n")
					}
				}
				if s, err := opened(t, again).Samples("val"); err != nil || !slices.Equal(s.Texts, want) || !slices.Equal(s.IDs, samples.IDs) {
					t.Errorf("%s: texts %q, want %q, %v", name, s.Texts, want, err)
				}
			}
			// And none where none are wanted.
			dir = filepath.Join(t.TempDir(), "none")
			if _, err := convert.Import(t.Context(), []string{filepath.Join(folder, file)}, dir, convert.ImportOptions{Text: "-"}); err != nil {
				if file != "review.csv" {
					t.Fatal(err)
				}
				return
			}
			none := opened(t, dir)
			if p := none.Manifest().Preview; p != nil {
				t.Errorf("texts that nobody wants: %+v", p)
			}
		})
	}
}

// Files whose texts contradict themselves, or that have none of the column that is asked for, are refused, by name and place.
func TestImportTextsRefused(t *testing.T) {
	for _, c := range []struct{ name, text, column, want string }{
		{"z.csv", "epoch,id,text,logit:a,logit:b\n1,7,one,1,2\n2,7,two,1,2\n", "", `line 3: sample 7 of split val has the text "two", and before it had "one"`},
		{"z.csv", "id,text,logit:a,logit:b\n7,one,1,2\n", "body", "no column is called body, which is to hold the texts: it has id, text, logit:a, logit:b"},
		{"z.csv", "id,text,Text,logit:a,logit:b\n7,one,1,1,2\n", "", "columns text and Text both tell the same"},
		{"z.jsonl", `{"logits":[1,2],"text":"a"}`, "body", "no object has a member body"},
		{"z.jsonl", `{"logits":[1,2],"body":["a"]}`, "body", `line 1: body: it is ["a"]: want text`},
		{"z.jsonl", `{"logits":[1,2],"body":7}`, "body", "line 1: body: it is 7: want text"},
		{"z.csv", "text,image\n1,2\nword,2\n", "", "line 3: column text: \"word\" is not a number"},
	} {
		file := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "run")
		_, err := convert.Import(t.Context(), []string{file}, dir, convert.ImportOptions{Text: c.column})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a run is there", c.text)
		}
	}
	const numbers = "testdata/texts/text.parquet"
	if _, err := convert.Import(t.Context(), []string{numbers}, t.TempDir()+"/run", convert.ImportOptions{Text: "epoch"}); err == nil {
		t.Error("numbers are taken for texts")
	}
	if _, err := convert.Import(t.Context(), []string{"testdata/imported/f4.npy"}, t.TempDir()+"/run", convert.ImportOptions{Text: "text"}); err == nil || !strings.Contains(err.Error(), "arrays have no column text") {
		t.Errorf("%v", err)
	}
}

// A text that the first epoch lacks may come with a later one; a class called text is a class.
func TestImportTextsLate(t *testing.T) {
	run, _ := imported(t, map[string]string{"z.csv": "epoch,id,text,logit:a,logit:b\n1,1,,1,2\n1,2,,1,2\n1,3,,1,2\n2,1,,1,2\n2,2,late,1,2\n2,3,,1,2\n"}, "z.csv", convert.ImportOptions{})
	if s, err := run.Samples("val"); err != nil || !slices.Equal(s.Texts, []string{"", "late", ""}) {
		t.Errorf("%+v, %v", s, err)
	}
	run, made := imported(t, map[string]string{"z.csv": "text,logit:a,logit:b\ncaf\xe9,1,2\nplain,1,2\n"}, "z.csv", convert.ImportOptions{})
	if s, err := run.Samples("val"); err != nil || !slices.Equal(s.Texts, []string{"caf\uFFFD", "plain"}) || !strings.Contains(strings.Join(made.Notes, "\n"), "1 of the texts hold") {
		t.Errorf("%+v, %v, %q", s, err, made.Notes)
	}
	run, _ = imported(t, map[string]string{"z.csv": "text,image\n1,2\n3,2\n"}, "z.csv", convert.ImportOptions{})
	if m := run.Manifest(); !slices.Equal(m.Classes, []string{"text", "image"}) || m.Preview != nil {
		t.Errorf("%+v", m)
	}
}

// Many texts are kept shorter rather than in more memory.
func TestImportManyTexts(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("id,text,logit:a,logit:b\n")
	for i := range 100 {
		fmt.Fprintf(&rows, "%d,%s,1,2\n", i, strings.Repeat("é", 400+i))
	}
	convert.HoldTexts(t, 12_000)
	run, made := imported(t, map[string]string{"z.csv": rows.String()}, "z.csv", convert.ImportOptions{})
	samples, err := run.Samples("val")
	if err != nil {
		t.Fatal(err)
	}
	all := len(strings.Join(samples.Texts, ""))
	if most := run.Manifest().Preview.Max; most != 102 || all > 12_000 || all < 6000 || samples.Texts[0] != strings.Repeat("é", 49)+"…" {
		t.Errorf("%d bytes, of %d at most: %q", all, most, samples.Texts[0])
	}
	if !strings.Contains(strings.Join(made.Notes, "\n"), "102 bytes of each at most") {
		t.Errorf("it says %q", made.Notes)
	}
}
