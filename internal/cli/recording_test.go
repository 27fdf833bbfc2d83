package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/record"
)

// epochsOf lists the epochs that a run holds.
func epochsOf(t *testing.T, dir string) []int {
	t.Helper()
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	return run.Epochs()
}

// A run keeps the epochs that it was told to, with the bits of one that keeps all; what reads runs gets along with the rest.
func TestRecord(t *testing.T) {
	args := []string{"--train-size", "100", "--epochs", "7", "--lr", "0.1", "--batch", "8"} // so that an early epoch is the best
	all := small(t, args...)
	whole, _ := nlls(t, all)
	best := 0
	var result trained
	for _, c := range []struct {
		record string
		want   []int
	}{{"best", nil}, {"last", []int{7}}, {"every:3", []int{3, 6, 7}}, {"every:7", []int{7}}, {"every:9", []int{7}}, {"none", []int{}}} {
		dir := filepath.Join(t.TempDir(), "run")
		printed := succeed(t, append([]string{"train", "--quiet", "--json", "--hidden", "16", "--record", c.record, "--out", dir}, args...)...)
		if err := json.Unmarshal([]byte(printed), &result); err != nil {
			t.Fatal(err)
		}
		if best = result.Best; c.record == "best" {
			c.want = []int{best}
		}
		if got := epochsOf(t, dir); !slices.Equal(got, c.want) || result.Epochs != 7 || result.Recorded != len(c.want) {
			t.Errorf("--record %s keeps epochs %v, want %v; printed %+v", c.record, got, c.want, result)
		}
		for _, epoch := range c.want {
			for _, split := range []string{"train.arrow", "val.arrow"} {
				name := filepath.Join("epochs", strings.Repeat("0", 5)+string(rune('0'+epoch)), split)
				a, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(filepath.Join(all, name))
				if err != nil {
					t.Fatal(err)
				}
				if string(a) != string(b) {
					t.Errorf("--record %s: %s differs from that of a run that keeps all", c.record, name)
				}
			}
		}
		want := logitsHash(t, dir)
		succeed(t, "train", "--resume", dir, "--quiet") // with nothing left to do
		if err := os.Remove(filepath.Join(dir, "end.json")); err != nil {
			t.Fatal(err)
		}
		if c.record == "every:3" { // as if it had been killed
			for _, epoch := range []string{"000006", "000007"} {
				if err := os.RemoveAll(filepath.Join(dir, "epochs", epoch)); err != nil {
					t.Fatal(err)
				}
			}
		}
		succeed(t, "train", "--resume", dir, "--quiet")
		if logitsHash(t, dir) != want {
			t.Errorf("--record %s: other epochs after it was resumed", c.record)
		}
		if report, err := record.Check(dir); err != nil || !report.OK() {
			t.Errorf("--record %s: check: %v %+v", c.record, err, report)
		}
		if got, recorded := nlls(t, dir); recorded != len(c.want) || !slices.Equal(got, whole) {
			t.Errorf("--record %s: %d epochs, NLL by epoch %v, where all are kept %v", c.record, recorded, got, whole)
		}
		commands := []string{
			"show", "diagnose", "compare", "check", "score", "labels", "calibrate", "plot -o " + filepath.Join(dir, "a.png"),
			"plot --kind curves -o " + filepath.Join(dir, "a.png"), "plot --kind map -o " + filepath.Join(dir, "a.png"), "report -o " + filepath.Join(dir, "a.html"),
		}
		for i, command := range commands {
			words := strings.Fields(command)
			code, stdout, said := call(t, append([]string{words[0], dir}, words[1:]...)...)
			if ok := len(c.want) > 0 || i < 4; (code == exitOK) != ok || !ok && !strings.Contains(said, "ended without an epoch recorded") {
				t.Errorf("--record %s, %s: exit code %d, %q, %q", c.record, command, code, stdout, said)
			}
			if command == "diagnose" && strings.Contains(stdout, "7 epochs without recorded logits, which findings need") != (len(c.want) == 0) {
				t.Errorf("--record %s: %q", c.record, stdout)
			}
		}
	}
	if best == 7 {
		t.Error("the best epoch is the last: the test tells them not apart")
	}
	for _, bad := range []string{"some", "every:0", "every:x", "none --folds 2"} {
		out := filepath.Join(t.TempDir(), "run")
		if code, _, said := call(t, append([]string{"train", "--out", out, "--record"}, strings.Fields(bad)...)...); code != exitUsage || !strings.Contains(said, "--record") {
			t.Errorf("--record %s: exit code %d, %q", bad, code, said)
		}
	}
}

// nlls are the story of a run, validation NLL and accuracy of every epoch, in five digits since they are added up in another
// order, and how many epochs are recorded.
func nlls(t *testing.T, dir string) (texts []string, recorded int) {
	t.Helper()
	curves, err := curvesOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	texts = append(texts, curves.Story.Sentence)
	for _, e := range curves.All() {
		s := e.Splits["val"]
		texts = append(texts, fmt.Sprintf("%d: %.5g %.5g of %d", e.Epoch, s.NLL, s.Accuracy, s.N))
	}
	return texts, len(curves.Epochs)
}

// A run of more than one expects is announced with its size and what makes it smaller.
func TestWarnOfSize(t *testing.T) {
	s := func(epochs int, kept string) string {
		j := defaultJob()
		j.Epochs, j.Record, j.said = epochs, kept, io.Discard
		data, err := j.load()
		if err != nil {
			t.Fatal(err)
		}
		parts, err := j.split(data)
		if err != nil {
			t.Fatal(err)
		}
		s, err := j.session(filepath.Join(t.TempDir(), "run"), data, parts)
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		s.warnOfSize(&said)
		return said.String()
	}
	// 1,797 samples of 10 logits and an id are 86,256 bytes an epoch.
	if said := s(100_000, "all"); !strings.Contains(said, "100000 epochs of 1 MiB make a run of 8.0 GiB") || !strings.Contains(said, "--record every:10, last, best or none") {
		t.Errorf("said %q", said)
	}
	for _, kept := range []string{"every:10", "last", "none"} {
		if said := s(100_000, kept); said != "" {
			t.Errorf("--record %s: said %q", kept, said)
		}
	}
}
