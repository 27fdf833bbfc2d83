package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/dataset"
)

// birds writes a table of n rows whose class follows from two of its columns.
func birds(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("wing,colour,kind\n")
	for i := range n {
		k := i * 7919 % 3
		fmt.Fprintf(&b, "%d.%d,%s,%s\n", 10+5*k+i%4, i, []string{"grey", "black"}[i%2], []string{"gull", "crow", "swan"}[k])
	}
	path := filepath.Join(t.TempDir(), "birds.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Where the class is in a sign alone, it is learned from it: scikit-learn's character n-grams reach 1 on such texts.
func TestTextsOfSigns(t *testing.T) {
	for name, signs := range map[string][2]string{"emoji": {"😀", "😭"}, "emoticons": {":)", ":("}, "currencies": {"€", "?"}, "stars": {"★★★★☆", "★☆☆☆☆"}} {
		words := strings.Fields("phone shop day use we and the it this today from all")
		text := "text,label\n"
		for i := range 400 {
			for j := range 6 {
				text += words[(i*7+j*j*5+i/12)%len(words)] + " "
			}
			text += fmt.Sprintf("%s,%d\n", signs[i%2], i%2)
		}
		path, dir := filepath.Join(t.TempDir(), "x.csv"), filepath.Join(t.TempDir(), "run")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		succeed(t, "train", "--data", path, "--types", "text=text", "--epochs", "10", "--quiet", "--out", dir)
		s := show(t, dir)
		if last := s.Epochs[len(s.Epochs)-1].Splits["val"]; !(last.Accuracy >= 1) {
			t.Errorf("%s: accuracy %v", name, last.Accuracy)
		}
	}
}

func TestTrainOnATable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	code, _, said := call(t, "train", "--data", birds(t, 300), "--epochs", "20", "--out", dir)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	for _, want := range []string{"birds: 300 samples, 240 train, 60 val; 3 classes; 3 features", "colour  categorical  2", "column kind, the last one"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said before training: %s", want, said)
		}
	}
	s := show(t, dir)
	if last := s.Epochs[len(s.Epochs)-1].Splits["val"]; !(last.Accuracy >= 0.95) || last.N != 60 || strings.Join(s.Classes, " ") != "crow gull swan" {
		t.Errorf("%+v of classes %v", last, s.Classes)
	}
	raw, err := os.ReadFile(filepath.Join(dir, dataset.PipelineFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.ParsePipeline(raw); err != nil {
		t.Error(err)
	}
	for args, code := range map[string]int{
		"--target nothing": exitUsage, "--group nothing": exitUsage, "--types wing=colour": exitUsage, "--header maybe": exitUsage,
	} {
		out := filepath.Join(t.TempDir(), "run")
		if got, _, said := call(t, append([]string{"train", "--data", birds(t, 30), "--out", out}, strings.Fields(args)...)...); got != code {
			t.Errorf("%s: exit code %d: %s", args, got, said)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s left a run", args)
		}
	}
}
