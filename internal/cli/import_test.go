package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/dynamics"
)

// import says what it made, and every command reads it.
func TestImport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	const folder = "../../convert/testdata/imported/"
	out := succeed(t, "import", folder+"history/{epoch}_{split}.npz", "--classes", folder+"classes.txt", "--out", dir)
	if want := "wrote " + dir + ": 2 epochs of 3 classes; samples: val 12\n"; out != want {
		t.Errorf("it says %q, want %q", out, want)
	}
	for _, args := range [][]string{{"show", dir}, {"score", dir}, {"diagnose", dir}, {"labels", dir}, {"check", dir}} {
		succeed(t, args...)
	}
	if text := succeed(t, "explain", dir, "--epoch", "2", "--split", "val", "--sample", "10"); !strings.Contains(text, "maybe") {
		t.Errorf("explain does not name the classes: %s", text)
	}
	for _, c := range [][]string{{"import"}, {"import", "x.npy"}, {"import", "x.npy", "--out", "r", "--kind", "odds"}, {"import", "x.npy", "--out", "r", "--first", "-1"}} {
		if code, _, _ := call(t, c...); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", c, code, exitUsage)
		}
	}
}

// An import and an export that are stopped say what became of what they were making, and leave nothing.
func TestStoppedConversions(t *testing.T) {
	folder := t.TempDir()
	made := filepath.Join(folder, "mine")
	const files = "../../convert/testdata/imported/history/{epoch}_{split}.npz"
	succeed(t, "import", files, "--out", made)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range [][]string{{"import", files, "--out"}, {"export", made, "--out"}, {"export", made, "--format", "cartography", "--out"}} {
		out := filepath.Join(folder, "stopped.csv")
		var said strings.Builder
		code := run(ctx, append(c, out), io.Discard, &said)
		want := "logitscope: stopped: " + out + " was not written, and nothing else is left; the same command begins again\n"
		if code != exitFailure || said.String() != want {
			t.Errorf("%v: exit code %d, %q, want %q", c, code, said.String(), want)
		}
		if left, _ := os.ReadDir(folder); len(left) != 1 {
			t.Errorf("%v: it left %v", c, left)
		}
	}
}

// Texts of samples are printed, escaped, where samples are listed, and kept whole where programs read them.
func TestTexts(t *testing.T) {
	const text = "<b>bold</b>\n\x1b[31m \"quoted\", שלום"
	file, dir := filepath.Join(t.TempDir(), "z.csv"), filepath.Join(t.TempDir(), "texts")
	rows := "epoch,split,id,text,label,logit:a,logit:b\n"
	for _, epoch := range []string{"1", "2"} {
		for _, split := range []string{"train", "val"} {
			rows += epoch + "," + split + `,0,"` + strings.ReplaceAll(text, `"`, `""`) + "\",a,-3,3\n" + epoch + "," + split + ",1,,b,-3,3\n"
		}
	}
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := succeed(t, "import", file, "--out", dir); !strings.Contains(out, "texts are kept with the run") {
		t.Errorf("import says %q", out)
	}
	const escaped = "<b>bold</b>\n" + `\u001b[31m "quoted", שלום`
	if out := succeed(t, "labels", dir, "--top", "2"); !strings.Contains(out, "  text\n") || !strings.Contains(out, `  <b>bold</b> \u001b[31m "quoted", שלום`+"\n") {
		t.Errorf("labels prints %q", out)
	}
	var w dynamics.WrongLabels
	if err := json.Unmarshal([]byte(succeed(t, "labels", dir, "--top", "2", "--json")), &w); err != nil || len(w.Suspects) == 0 || w.Suspects[0].Text != text {
		t.Errorf("labels --json has %+v, %v", w.Suspects, err)
	}
	suspects := filepath.Join(t.TempDir(), "suspects.csv")
	succeed(t, "labels", dir, "--top", "2", "-o", suspects)
	f, err := os.Open(suspects)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if table, err := csv.NewReader(f).ReadAll(); err != nil || len(table) != 3 || slices.Index(table[0], "text") < 0 || table[1][slices.Index(table[0], "text")] != text {
		t.Errorf("labels -o has %q, %v", table, err)
	}
	if out := succeed(t, "explain", dir, "--epoch", "2", "--split", "val", "--sample", "0"); !strings.Contains(out, "\ntext: "+escaped+"\n") {
		t.Errorf("explain prints %q", out)
	}
	if out := succeed(t, "explain", dir, "--epoch", "2", "--split", "val", "--sample", "1"); strings.Contains(out, "text:") {
		t.Errorf("explain prints %q", out)
	}
	for _, args := range [][]string{{"diagnose", dir}, {"show", dir}, {"check", dir}, {"calibrate", dir}} {
		succeed(t, args...)
	}
}
