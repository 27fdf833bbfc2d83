package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/internal/numtest"
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
	numtest.WithoutRaceDetector(t)
	args := []string{"--train-size", "100", "--epochs", "7", "--lr", "0.1", "--batch", "8"} // so that an early epoch is the best
	all := small(t, args...)
	whole, _ := nlls(t, all)
	best := 0
	var result experiment.Result
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
		if report, err := record.Check(t.Context(), dir); err != nil || !report.OK() {
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

// Rows of float16 are those of float32, rounded; every command reads them, and a run of them is resumed to the same bits.
func TestRecordRows(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	args := []string{"--train-size", "100", "--epochs", "3"}
	whole := small(t, args...)
	half := filepath.Join(t.TempDir(), "run")
	succeed(t, append([]string{"train", "--quiet", "--hidden", "16", "--record-rows", "float16", "--out", half}, args...)...)
	logits := func(dir string) []float32 {
		run, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer run.Close()
		l, err := run.Logits(3, "val")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return slices.Clone(l.Values)
	}
	got, want, same := logits(half), logits(whole), 0
	for i := range want {
		if diff := math.Abs(float64(got[i]) - float64(want[i])); !(diff <= math.Abs(float64(want[i]))/2048+1e-7) { // half a unit of its last of 11 bits
			t.Fatalf("logit %d is %v, of %v", i, got[i], want[i])
		}
		if got[i] == want[i] {
			same++
		}
	}
	if same == len(want) {
		t.Error("nothing was rounded")
	}
	for _, command := range []string{
		"show", "diagnose", "compare", "check", "score", "labels", "calibrate", "plot -o " + filepath.Join(half, "a.png"),
		"report -o " + filepath.Join(half, "a.html"), "export -o " + filepath.Join(t.TempDir(), "a.npz"),
	} {
		words := strings.Fields(command)
		succeed(t, append([]string{words[0], half}, words[1:]...)...)
	}
	hash := logitsHash(t, half)
	for _, gone := range []string{"end.json", "epochs/000003"} { // as if it had been killed
		if err := os.RemoveAll(filepath.Join(half, gone)); err != nil {
			t.Fatal(err)
		}
	}
	succeed(t, "train", "--resume", half, "--quiet")
	if logitsHash(t, half) != hash {
		t.Error("other epochs after it was resumed")
	}
	if code, _, said := call(t, "train", "--record-rows", "float8", "--out", half); code != exitUsage || !strings.Contains(said, `"float8": give float32 or float16`) {
		t.Errorf("exit code %d, %q", code, said)
	}
}

// nlls are validation NLL and accuracy of every epoch of a run, in five digits since they are added up in another order, and how many
// epochs are recorded. What the run's story tells rests on those that are.
func nlls(t *testing.T, dir string) (texts []string, recorded int) {
	t.Helper()
	curves, err := curvesOf(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	texts = append(texts, fmt.Sprint(curves.Story.BestEpoch, curves.Story.LastEpoch))
	for _, e := range curves.All() {
		s := e.Splits["val"]
		texts = append(texts, fmt.Sprintf("%d: %.5g %.5g of %d", e.Epoch, s.NLL, s.Accuracy, s.N))
	}
	return texts, len(curves.Epochs)
}
