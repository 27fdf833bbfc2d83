package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/record"
)

// call runs the program as main does and returns what it printed.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

// succeed is call for what must work.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := call(t, args...)
	if code != exitOK {
		t.Fatalf("logitscope %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// fixtures is the folder of the runs that tests share, each trained when it is first asked for.
var (
	fixtures string
	shared   = map[string]string{} // what was printed, by the run's directory
)

// fixture returns the directory of a shared run, which nobody changes, and what the command that trained it printed.
func fixture(t *testing.T, args ...string) (dir, out string) {
	t.Helper()
	if fixtures == "" {
		var err error
		if fixtures, err = os.MkdirTemp("", "logitscope-cli-"); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(fixtures, url.PathEscape(strings.Join(args, " ")), "run")
	out, ok := shared[dir]
	if !ok {
		out = succeed(t, append(args, "--out", dir)...)
		shared[dir] = out
	}
	return dir, out
}

// demo is the run of logitscope demo.
func demo(t *testing.T) (dir, out string) {
	t.Helper()
	return fixture(t, "demo", "--no-serve")
}

// smallArgs train a quick run.
var smallArgs = []string{"train", "--quiet", "--train-size", "100", "--hidden", "16", "--epochs", "3"}

// small returns the directory of a quick run of one's own.
func small(t *testing.T, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if len(args) > 0 {
		succeed(t, append(append(slices.Clip(smallArgs), args...), "--out", dir)...)
		return dir
	}
	whole, _ := fixture(t, smallArgs...)
	if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	return dir
}

type shown struct {
	Run     string
	Classes []string
	Epochs  []struct {
		Epoch  int
		Splits map[string]struct {
			N        int
			NLL      float64
			Accuracy float64
			PTrue    float64 `json:"p_true"`
			ZTrue    float64 `json:"z_true"`
			LogPTrue float64 `json:"log_p_true"`
		}
	}
	Story struct{ Sentence, Kind string }
}

func show(t *testing.T, dir string) shown {
	t.Helper()
	var s shown
	if err := json.Unmarshal([]byte(succeed(t, "show", dir, "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// The command that the README's tour begins with trains the run that its words are about: the demo's, down to the settings' bytes.
func TestTourIsOfTheDemo(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "bin/logitscope train ")
	command, _, ends := strings.Cut(rest, " --out runs/noisy\n")
	if !found || !ends {
		t.Fatal("README.md has no command that trains runs/noisy")
	}
	tour := filepath.Join(t.TempDir(), "noisy")
	succeed(t, append(append([]string{"train"}, strings.Fields(command)...), "--out", tour)...)
	dir, _ := demo(t)
	var settings [2][]byte
	for i, run := range []string{dir, tour} {
		if settings[i], err = os.ReadFile(filepath.Join(run, "config.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(settings[0], settings[1]) {
		t.Errorf("the demo's settings are\n%s\nthose of the tour's run\n%s", settings[0], settings[1])
	}
}

// The demo must tell the story that PyTorch tells on these digits: the training set is learned by heart, wrong labels and
// all, while validation NLL falls and then rises.
func TestDemoTellsItsStory(t *testing.T) {
	dir, out := demo(t)
	s := show(t, dir)
	if len(s.Epochs) != 45 || len(s.Classes) != 10 {
		t.Fatalf("%d epochs of %d classes, want 45 of 10", len(s.Epochs), len(s.Classes))
	}
	last := s.Epochs[44].Splits
	if n := last["train"].N; n != 400 {
		t.Errorf("%d training samples, want 400", n)
	}
	if p := last["train"].PTrue; !(p >= 0.85) {
		t.Errorf("training p at epoch 45 is %v, want at least 0.85", p)
	}
	lowest := math.Inf(1)
	for _, e := range s.Epochs {
		lowest = min(lowest, e.Splits["val"].NLL)
	}
	if ratio := last["val"].NLL / lowest; !(ratio >= 1.4) {
		t.Errorf("validation NLL at epoch 45 is %v times its minimum, want at least 1.4", ratio)
	}
	if s.Story.Kind != "overfitting" || !strings.Contains(out, s.Story.Sentence) {
		t.Errorf("the story is %+v; demo printed %q", s.Story, out)
	}
	samples := samplesOf(t, dir, "train")
	wrong := 0
	for i, label := range samples.Labels {
		if label != samples.CleanLabels[i] {
			wrong++
		}
	}
	if wrong != 80 {
		t.Errorf("%d wrong labels are remembered, want a fifth of 400", wrong)
	}
}

func samplesOf(t *testing.T, dir, split string) *record.Samples {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	samples, err := r.Samples(split)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// The figures of show are those that train printed at its end.
func TestShowAgreesWithTrain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var result experiment.Result
	out := succeed(t, "train", "--quiet", "--epochs", "2", "--out", dir, "--json")
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatal(err)
	}
	s := show(t, dir)
	if result.Epochs != 2 || len(s.Epochs) != 2 {
		t.Fatalf("train recorded %d epochs, show has %d, want 2", result.Epochs, len(s.Epochs))
	}
	for split, want := range result.Splits {
		got := s.Epochs[1].Splits[split]
		if !(math.Abs(got.NLL-want.NLL) <= 1e-6*want.NLL) || got.Accuracy != want.Accuracy {
			t.Errorf("%s: show has NLL %v and accuracy %v, train had %v and %v", split, got.NLL, got.Accuracy, want.NLL, want.Accuracy)
		}
		if !(math.Abs(got.LogPTrue+got.NLL) <= 1e-9) {
			t.Errorf("%s: mean log p %v is not −NLL %v", split, got.LogPTrue, got.NLL)
		}
	}
	if n := s.Epochs[0].Splits["train"].N; n != 1437 {
		t.Errorf("%d training samples, want 1437", n)
	}
	table := succeed(t, "show", dir)
	if lines := strings.Count(table, "\n"); lines < 5 || !strings.Contains(table, "accuracy") {
		t.Errorf("the table is %q", table)
	}
}

// Where every sample has its label on top no finite temperature is best, and show says which way it goes.
func TestShowOfAPerfectEpoch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	succeed(t, "train", "--train-size", "60", "--batch", "4", "--lr", "0.01", "--epochs", "40", "--record", "last", "--out", dir)
	table := succeed(t, "show", dir)
	if !strings.Contains(table, "→ 0") || strings.Contains(table, "NaN") {
		t.Errorf("the table is\n%s", table)
	}
}

func TestSameSeedSameRun(t *testing.T) {
	one, two, other := small(t, "--seed", "3"), small(t, "--seed", "3"), small(t, "--seed", "4")
	read := func(dir string) string {
		raw, err := os.ReadFile(filepath.Join(dir, "epochs", "000003", "val.arrow"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if read(one) != read(two) {
		t.Error("one seed gave two sets of logits")
	}
	if read(one) == read(other) {
		t.Error("two seeds gave the same logits")
	}
}

func TestExplain(t *testing.T) {
	dir := small(t)
	id := samplesOf(t, dir, "val").IDs[0]
	args := []string{"explain", dir, "--epoch", "3", "--split", "val", "--sample", jsonOf(t, id), "--temperature", "2"}
	var e struct {
		Label, Argmax        int
		Z, Softmax, Gradient []float64
		LogSoftmax           []float64 `json:"log_softmax"`
		NLL                  float64
	}
	if err := json.Unmarshal([]byte(succeed(t, append(args, "--json")...)), &e); err != nil {
		t.Fatal(err)
	}
	sum, gradient, exps := 0.0, 0.0, 0.0
	for _, z := range e.Z {
		exps += math.Exp(z / 2)
	}
	for j, p := range e.Softmax {
		if want := math.Exp(e.Z[j]/2) / exps; !(math.Abs(p-want) <= 1e-9) {
			t.Errorf("softmax[%d] = %v, want %v", j, p, want)
		}
		sum += p
		gradient += e.Gradient[j]
	}
	if len(e.Z) != 10 || !(math.Abs(sum-1) <= 1e-9) || !(math.Abs(gradient) <= 1e-9) {
		t.Errorf("%d logits, Σp = %v, Σgradient = %v", len(e.Z), sum, gradient)
	}
	if !(math.Abs(e.NLL+e.LogSoftmax[e.Label]) <= 1e-12) {
		t.Errorf("NLL %v, log p of the label %v", e.NLL, e.LogSoftmax[e.Label])
	}
	text := succeed(t, args...)
	for _, word := range []string{"softmax", "gradient", "NLL"} {
		if !strings.Contains(text, word) {
			t.Errorf("the table lacks %q: %s", word, text)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestCheckNamesDamage(t *testing.T) {
	dir := small(t)
	if out := succeed(t, "check", dir); !strings.Contains(out, "3 epochs") {
		t.Errorf("check of a whole run printed %q", out)
	}
	path := filepath.Join(dir, "epochs", "000002", "train.arrow")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t, "check", dir)
	if code != exitFailure || !strings.Contains(stdout, "000002/train.arrow") {
		t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
	}
	// What is not damaged is still read, and the epoch that the history lacks is named.
	code, stdout, stderr = call(t, "explain", dir, "--epoch", "3", "--split", "train", "--sample", jsonOf(t, samplesOf(t, dir, "train").IDs[0]))
	if code != exitFailure || !strings.Contains(stdout, "log-softmax") || !strings.Contains(stderr, "000002/train.arrow") {
		t.Errorf("explain: exit code %d, printed %q and %q", code, stdout, stderr)
	}
}

func TestPlot(t *testing.T) {
	dir := small(t)
	for name, magic := range map[string]string{"four.png": "\x89PNG", "four.svg": "<?xml"} {
		path := filepath.Join(t.TempDir(), name)
		succeed(t, "plot", dir, "--epochs", "1,3", "-o", path)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(raw), magic) || len(raw) < 5000 {
			t.Errorf("%s: %d bytes that begin %q", name, len(raw), raw[:min(8, len(raw))])
		}
	}
}

// Every error is one line that says what was wrong, with exit code 2 for wrong usage and 1 for the rest.
func TestErrors(t *testing.T) {
	dir := small(t)
	newer := filepath.Join(t.TempDir(), "newer")
	if err := os.CopyFS(newer, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(newer, "manifest.json")
	raw, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte(`"format_version": 1`), fmt.Appendf(nil, `"format_version": %d`, record.FormatVersion+1), 1)
	if err := os.WriteFile(manifest, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"trian", exitUsage, "unknown command"},
		{"train extra", exitUsage, "extra"},
		{"train --epochs ten", exitUsage, "--epochs"},
		{"train --optimizer lion", exitUsage, "use adam, adamw or sgd"},
		{"train --train-size 5000", exitUsage, "training size 5000"},
		{"train --label-noise 2", exitUsage, "not in [0, 1]"},
		{"train --val-fraction 1", exitUsage, "not in [0, 1)"},
		{"lr-find --from 1 --to 0.1", exitFailure, "rising range"},
		{"lr-find --model rnn", exitUsage, "unknown kind"},
		{"train --data cifar", exitUsage, "no data at cifar: give a file, a folder of images or digits"},
		{"train --out " + dir, exitFailure, "exists"},
		{"bench --threads 0", exitUsage, "--threads 0"},
		{"show", exitUsage, "RUN is missing: give logitscope show RUN"},
		{"show nowhere", exitFailure, "nowhere"},
		{"show " + newer, exitFailure, "format"},
		{"explain " + dir, exitUsage, "--epoch is missing"},
		{"explain " + dir + " --epoch 99 --split val --sample 1", exitFailure, "99"},
		{"explain " + dir + " --epoch 1 --split test --sample 1", exitFailure, "test"},
		{"explain " + dir + " --epoch 1 --split val --sample 99999", exitFailure, "99999"},
		{"explain " + dir + " --epoch 1 --split val --sample 1 --temperature 0", exitUsage, "above 0"},
		{"plot " + dir + " -o four.gif", exitFailure, "gif"},
		{"plot " + dir + " --epochs 7", exitFailure, "7"},
		{"check nowhere", exitFailure, "nowhere"},
		{"view nowhere", exitFailure, "nowhere"},
		{"view " + dir + " --addr nonsense", exitUsage, "HOST:PORT"},
		{"view " + dir + " --addr :8321", exitUsage, "127.0.0.1"},
		{"view " + dir + " --addr 0.0.0.0:0", exitFailure, "LOGITSCOPE_TOKEN"},
		{"demo --pace -1s", exitUsage, "--pace"},
	} {
		code, _, stderr := call(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", c.args, code, stderr, c.code, c.want)
		}
		if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "logitscope: ") {
			t.Errorf("%s: the error is not one line: %q", c.args, stderr)
		}
	}
}

// Ctrl-C in the middle: a clear error, and the epochs recorded before are whole.
func TestInterrupt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	stderr := &cancelAfter{cancel: cancel, want: "epoch 4/"}
	code := run(ctx, []string{"train", "--epochs", "100000", "--train-size", "100", "--out", dir}, &stdout, stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), "stopped after epoch") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	succeed(t, "check", dir)
	if s := show(t, dir); len(s.Epochs) < 4 {
		t.Errorf("%d epochs can be read, want 4 or more", len(s.Epochs))
	}
}

// cancelAfter ends a context once the text was written to it.
type cancelAfter struct {
	bytes.Buffer
	cancel context.CancelFunc
	want   string
}

func (c *cancelAfter) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if strings.Contains(c.String(), c.want) {
		c.cancel()
	}
	return n, err
}

func TestHelpAndCompletion(t *testing.T) {
	for _, name := range []string{"demo", "train", "predict", "view", "show", "explain", "check", "plot"} {
		if help := succeed(t, name, "--help"); !strings.Contains(help, "Examples:") {
			t.Errorf("%s --help has no example", name)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if script := succeed(t, "completion", shell); len(script) < 500 {
			t.Errorf("completion for %s is %q", shell, script)
		}
	}
}

// A usage error names the help of the command that was called.
func TestUsageErrorNamesTheCommand(t *testing.T) {
	code, _, stderr := call(t, "train", "--no-such-flag")
	if code != exitUsage || !strings.Contains(stderr, "see logitscope train --help") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// Flags under headings: each once, those without a heading last.
func TestHelpUnderHeadings(t *testing.T) {
	help := succeed(t, "train", "--help")
	last := 0
	for _, want := range []string{"Data flags:", "\n      --data ", "Model flags:", "\n      --model ", "Training flags:", "\n      --epochs ", "Loss flags:", "\n      --loss ", "\nFlags:", "\n      --seed "} {
		at := strings.Index(help, want)
		if at < last || strings.Count(help, want) != 1 {
			t.Errorf("%q stands at %d, after %d", want, at, last)
		}
		last = at
	}
}
