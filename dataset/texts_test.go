package dataset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder of texts for each class is what a table of the same texts is.
func TestTextFolder(t *testing.T) {
	dir := t.TempDir()
	put := func(name, body string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		id := string(rune('a' + i))
		put("spam/"+id+".txt", "buy the cheap pills now "+id+"\n")
		put("ham/"+id, "<html> shall we meet at noon, \"dear\" "+id)
	}
	put("ham/utf16.txt", "\xff\xfe"+utf16Of("shall we größe", false))
	put("ham/.hidden", "\x00")
	d, err := Load(t.Context(), Options{Path: dir, ValFraction: 0.25}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	if d.Pipeline.Kind != KindText || strings.Join(d.Classes, " ") != "ham spam" || d.Len() != 41 {
		t.Fatalf("%s, classes %v, %d samples", d.Pipeline.Kind, d.Classes, d.Len())
	}
	new := t.TempDir()
	if err := os.WriteFile(filepath.Join(new, "x.txt"), []byte("cheap pills"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{new, file(t, "new.csv", "text\ncheap pills\n"), file(t, "new.jsonl", `{"text": "cheap pills"}`)} {
		rows, err := d.Pipeline.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if b := rows.Next(9); b == nil || b.N != 1 || len(b.Tokens) == 0 {
			t.Errorf("%s: %+v", path, b)
		}
		rows.Close()
	}
	put("spam/bad.txt", "caf\xe9")
	if _, err := Load(t.Context(), Options{Path: dir, ValFraction: 0.25}, stream(1)); err == nil || !strings.Contains(err.Error(), "bad.txt: line 1 is not UTF-8") {
		t.Errorf("error %v", err)
	}
	if _, err := Load(t.Context(), Options{Path: dir, ValFraction: 0.25, Encoding: "latin1"}, stream(1)); err != nil {
		t.Errorf("latin1: %v", err)
	}
}
