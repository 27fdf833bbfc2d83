package cli

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// piped is logitscope with this standard input.
func piped(t *testing.T, in io.Reader, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newPredict()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(in)
	cmd.SetOut(&out)
	var said bytes.Buffer
	cmd.SetErr(&said)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String() + said.String(), err
}

// pieces hands out a text so many bytes at a time.
type pieces struct {
	text string
	each int
}

func (p *pieces) Read(to []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(to, p.text[:min(p.each, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// What comes through a pipe is answered as the same rows in a file are, wherever it is cut.
func TestPredictAStream(t *testing.T) {
	folder := t.TempDir()
	dir, table := filepath.Join(folder, "run"), "kind,height,class\n"
	for i := range 60 {
		table += []string{"\"a, b\"", "\"two\nlines\"", "c"}[i%3] + "," + []string{"1.5", "2", "7"}[i%3] + "," + []string{"x", "y", "z"}[i%3] + "\n"
	}
	train := filepath.Join(folder, "train.csv")
	if err := os.WriteFile(train, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	succeed(t, "train", "--quiet", "--data", train, "--epochs", "2", "--out", dir)
	rows := "height,kind\n2,c\n,\"a, b\"\r\n7,\"two\nlines\"\n1,d\n3,\"e\"\"\n\"\n4,c"
	file := filepath.Join(folder, "new.csv")
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	want := succeed(t, "predict", dir, file)
	if flag := succeed(t, "predict", dir, "--data", file); flag != want {
		t.Errorf("as an argument %s, as a flag %s", want, flag)
	}
	for each := range len(rows) + 1 {
		got, err := piped(t, &pieces{rows, each + 1}, dir, "-")
		if err != nil || !strings.HasPrefix(got, want) || !strings.Contains(got, "6 rows of") || !strings.Contains(got, "2 values of categories that training did not have") {
			t.Fatalf("%d bytes at a time: %v\n%s\nwant\n%s", each+1, err, got, want)
		}
		// Comments stand above the header.
		if got, err := piped(t, &pieces{"# the \"first\n# second\n" + rows, each + 1}, dir, "-"); err != nil || !strings.HasPrefix(got, want) {
			t.Fatalf("comments, %d bytes at a time: %v\n%s\nwant\n%s", each+1, err, got, want)
		}
	}
	for _, above := range []string{"sep=,\r\n", "Sizes of 2026\n\n", "Sizes of 2026,,\n", "# of today\n# "} {
		if got, err := piped(t, &pieces{above + rows, 7}, dir, "-"); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%q above: %v\n%s\nwant\n%s", above, err, got, want)
		}
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := piped(t, &packed, dir, "-"); err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("packed: %v %s", err, got)
	}
	got, err := piped(t, &pieces{"{\"kind\":\"c\",\"height\":2}\n{\"height\":null,\"kind\":\"a, b\"}\n{\"kind\":\"two\\nlines\",\"height\":7}\n", 5}, dir, "-")
	if lines := strings.SplitAfter(want, "\n"); err != nil || !strings.HasPrefix(got, strings.Join(lines[:4], "")) {
		t.Errorf("JSON lines: %v %s", err, got)
	}
	for text, say := range map[string]string{
		"":                               "standard input holds no row",
		"height,kind\n":                  "standard input holds no row",
		"height,kind\n2,c,4,5\n":         "standard input: line 2 has 4 fields",
		"width\n2\n":                     "standard input holds no line that names the columns",
		"height,kind\n2,\"c\n3,d\n4,e\n": "standard input",
	} {
		if got, err := piped(t, strings.NewReader(text), dir, "-"); err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "logitscope-") {
			t.Errorf("%q: error %v, want %q; %s", text, err, say, got)
		}
	}
}

// A row is answered before the next one comes.
func TestPredictAnswersAtOnce(t *testing.T) {
	folder := t.TempDir()
	dir, train := filepath.Join(folder, "run"), filepath.Join(folder, "train.csv")
	if err := os.WriteFile(train, []byte("a,class\n"+strings.Repeat("1,x\n2,y\n", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	succeed(t, "train", "--quiet", "--data", train, "--epochs", "2", "--out", dir)
	rows, in := io.Pipe()
	out, answers := io.Pipe()
	cmd := newPredict()
	cmd.SetIn(rows)
	cmd.SetOut(answers)
	cmd.SetErr(io.Discard)
	cmd.SetArgs([]string{dir, "-"})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(t.Context()) }()
	if _, err := io.WriteString(in, "a\n1\n"); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1<<10)
	for text := ""; strings.Count(text, "\n") < 2; {
		n, err := out.Read(first) // would wait for ever
		if err != nil {
			t.Fatal(err)
		}
		text += string(first[:n])
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A model whose table had no header takes single rows as they are.
func TestPredictAStreamWithoutHeader(t *testing.T) {
	folder := t.TempDir()
	dir, train := filepath.Join(folder, "run"), filepath.Join(folder, "train.csv")
	if err := os.WriteFile(train, []byte(strings.Repeat("1,5,x\n2,6,y\n", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	succeed(t, "train", "--quiet", "--data", train, "--epochs", "2", "--out", dir)
	if got, err := piped(t, strings.NewReader("1,5\n2,6"), dir, "-"); err != nil || !strings.Contains(got, "2 rows of") {
		t.Errorf("%v: %s", err, got)
	}
}

// What leaves nothing to train on says so, and what to give instead.
func TestNothingToTrainOn(t *testing.T) {
	data := rings(t, 60, 0)
	for args, say := range map[string]string{
		"--val-fraction 0.999":                              "validation fraction 0.999 leaves 0 of 60 samples for training",
		"--val-fraction 0.97":                               "leaves 1 of 60 samples for training, fewer than there are classes (4)",
		"--class-weights 0,0,0,0":                           "class weights 0,0,0,0: every class has the weight 0",
		"--class-weights 0,0,0,0 --loss focal":              "every class has the weight 0",
		"--class-weights 0,0":                               "give balanced, or 4 numbers",
		"--data digits --val-fraction 0.999":                "leaves 1 of 1797 samples for training",
		"--data digits --class-weights 0,0,0,0,0,0,0,0,0,0": "every class has the weight 0",
	} {
		given := append([]string{"train", "--out", filepath.Join(t.TempDir(), "run"), "--data", data}, strings.Fields(args)...)
		if code, _, said := call(t, given...); code == exitOK || !strings.Contains(said, say) {
			t.Errorf("%s: exit code %d, %s; want %q", args, code, said, say)
		}
	}
}
