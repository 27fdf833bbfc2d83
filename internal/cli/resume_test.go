package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/record"
)

// asProgram makes the test's binary the program. Its value says when that is killed: once so many epochs of the run that is being
// written, and of its folds, are there that were not before, and some microseconds later; "" is never.
const asProgram = "LOGITSCOPE_TEST_KILLED_AFTER"

func TestMain(m *testing.M) {
	moment, ok := os.LookupEnv(asProgram)
	if !ok {
		code := m.Run()
		os.RemoveAll(fixtures)
		os.Exit(code)
	}
	if moment != "" {
		var dir string
		var epochs, later int
		if _, err := fmt.Sscanf(moment, "%d %d %s", &epochs, &later, &dir); err != nil {
			panic(err)
		}
		go killedWhen(dir, recorded(dir)+epochs, time.Duration(later)*time.Microsecond)
	}
	os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
}

// killedWhen kills this program from within, so that the moment is the training's and not that of a busy machine.
func killedWhen(dir string, epochs int, later time.Duration) {
	for recorded(dir) < epochs {
		time.Sleep(100 * time.Microsecond)
	}
	time.Sleep(later)
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
}

// recorded counts the epochs of a run and of its folds.
func recorded(dir string) (n int) {
	for _, part := range []string{"", record.FoldsDir} {
		epochs, _ := filepath.Glob(filepath.Join(dir, part, "epochs", "[0-9]*"))
		n += len(epochs)
	}
	return n
}

// logitsHash is the hash of all epochs' files of logits.
func logitsHash(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	files, err := filepath.Glob(filepath.Join(dir, "epochs", "[0-9]*", "*.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // sorted by Glob
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write([]byte(strings.TrimPrefix(file, dir)))
		sum.Write(raw)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// weightsHash is the hash of the files of the last checkpoint.
func weightsHash(t *testing.T, dir string) string {
	t.Helper()
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	epochs, err := run.Checkpoints()
	if err != nil || len(epochs) == 0 {
		t.Fatalf("checkpoints %v, %v", epochs, err)
	}
	c, err := run.Checkpoint(epochs[len(epochs)-1])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		sum.Write([]byte(name))
		sum.Write(c.Files[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

const killedEpochs = 12

var killedArgs = []string{
	"train", "--quiet", "--train-size", "100", "--model", "mlp:32,16", "--dropout", "0.2", "--epochs", strconv.Itoa(killedEpochs), "--batch", "4", "--mixup", "0.2",
	"--ema", "0.9", "--schedule", "restarts", "--lr-cycle", "1", "--min-gain", "0.001", "--warmup", "0.1", "--clip-norm", "1", "--optimizer", "adamw", "--weight-decay", "0.01", "--folds", "2",
}

// killsAsked is how many kills TestKilledAndResumed is to survive, where 50 are not enough: make kill asks for 1,000.
const killsAsked = "LOGITSCOPE_TEST_KILLS"

// Killed at 50 random moments and resumed each time: every epoch's logits and the last checkpoint, of the run and of its
// folds, have the bits of a run that was never killed.
func TestKilledAndResumed(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	if testing.Short() {
		t.Skip("starts the program a hundred times")
	}
	wanted := 50
	if asked := os.Getenv(killsAsked); asked != "" {
		var err error
		if wanted, err = strconv.Atoi(asked); err != nil || wanted < 50 {
			t.Fatalf("%s=%q: give a number of 50 or more", killsAsked, asked)
		}
	}
	folder := numtest.InMemory(t)
	whole, dir := filepath.Join(folder, "whole"), filepath.Join(folder, "killed")
	program := func(moment string, args ...string) (killed bool) {
		t.Helper()
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"="+moment)
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
		}
		return err != nil
	}
	program("", append(slices.Clip(killedArgs), "--out", whole)...)
	var want []string
	for _, part := range []string{"", record.FoldsDir} {
		want = append(want, logitsHash(t, filepath.Join(whole, part)), weightsHash(t, filepath.Join(whole, part)))
	}
	kills, between := 0, 0
	for round := 0; kills < wanted; round++ {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		args := append(slices.Clip(killedArgs), "--out", dir)
		// Of a moment before the next epoch some fall within the start of the program, others into whatever an epoch takes.
		for program(fmt.Sprintf("%d %d %s", rand.IntN(killedEpochs), rand.IntN(20_000), dir), args...) {
			kills++
			n := recorded(dir)
			for _, part := range []string{"", record.FoldsDir} {
				if run, err := record.Open(filepath.Join(dir, part)); err == nil {
					args = []string{"train", "--resume", dir, "--quiet"}
					run.Close()
				}
			}
			if n > 0 && n < 2*killedEpochs {
				between++
			}
		}
		for i, part := range []string{"", record.FoldsDir} {
			if got := logitsHash(t, filepath.Join(dir, part)); got != want[2*i] {
				t.Fatalf("round %d: the logits in %q have the hash %s, never killed %s", round, part, got, want[2*i])
			}
			if got := weightsHash(t, filepath.Join(dir, part)); got != want[2*i+1] {
				t.Fatalf("round %d: the last checkpoint in %q has the hash %s, never killed %s", round, part, got, want[2*i+1])
			}
		}
		if report, err := record.Check(t.Context(), dir); err != nil || !report.OK() || report.State != record.StateComplete || report.Folds.State != record.StateComplete {
			t.Fatalf("round %d: check: %v %+v", round, err, report)
		}
	}
	t.Logf("%d of %d kills hit between the first epoch and the last", between, kills)
	if between < kills/5 {
		t.Errorf("of %d kills only %d hit between the first epoch and the last", kills, between)
	}
}

// Epochs recorded beyond the checkpoint, no checkpoint at all, a damaged one: the same bits in the end.
func TestResumeWithoutCheckpoint(t *testing.T) {
	whole, dir := small(t), filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	want := logitsHash(t, whole)
	for _, remove := range []string{"checkpoints", "epochs/000003", "end.json"} {
		if err := os.RemoveAll(filepath.Join(dir, remove)); err != nil {
			t.Fatal(err)
		}
	}
	succeed(t, "train", "--resume", dir, "--quiet")
	if logitsHash(t, dir) != want {
		t.Error("other logits after epoch 3 and the checkpoints were lost")
	}
	// A flipped byte in the only checkpoint: training begins anew and meets the same bits.
	models, err := filepath.Glob(filepath.Join(dir, "checkpoints", "*", "model.safetensors"))
	if err != nil || len(models) != 1 {
		t.Fatal(models, err)
	}
	raw, err := os.ReadFile(models[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(models[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, stderr := call(t, "train", "--resume", dir)
	if !strings.Contains(stderr, "damaged") || logitsHash(t, dir) != want {
		t.Errorf("resumed with a damaged checkpoint: %s", stderr)
	}
	// Recorded logits that training does not give again are not passed over.
	other := small(t, "--lr", "0.02")
	for _, epoch := range []int{2, 1} {
		if err := os.RemoveAll(filepath.Join(dir, "checkpoints")); err != nil {
			t.Fatal(err)
		}
		for _, split := range []string{"train.arrow", "val.arrow", "epoch.json"} {
			name := filepath.Join("epochs", fmt.Sprintf("%06d", epoch), split)
			raw, err := os.ReadFile(filepath.Join(other, name))
			if err != nil {
				t.Fatal(err)
			}
			if split == "epoch.json" {
				raw = ofRun(t, raw, dir)
			}
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		code, _, stderr := call(t, "train", "--resume", dir, "--quiet")
		if code != exitFailure || !strings.Contains(stderr, fmt.Sprintf("epoch %d of", epoch)) || !strings.Contains(stderr, "what was recorded is whole") {
			t.Errorf("exit code %d, %q: want epoch %d to be named", code, stderr, epoch)
		}
	}
}

// ofRun makes a sealed file of another run one of the run in dir.
func ofRun(t *testing.T, raw []byte, dir string) []byte {
	t.Helper()
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	var file map[string]any
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	delete(file, "crc32c")
	file["run"] = run.Manifest().ID
	if raw, err = record.Seal(file); err != nil {
		t.Fatal(err)
	}
	return raw
}

// A run whose data gives other features than it began with does not go on, though its samples and labels are the same.
func TestResumeOfOtherFeatures(t *testing.T) {
	for name, rows := range map[string][2]string{
		"table": {"1.5,%d,%s\n", "1.25,%d,%s\n"},
		"texts": {"the ship is at sea %d,%s\n", "the ship is at land %d,%s\n"},
	} {
		data, dir := filepath.Join(t.TempDir(), "data.csv"), filepath.Join(t.TempDir(), "run")
		write := func(every, first string) {
			text := map[string]string{"table": "x,y,kind\n", "texts": "text,kind\n"}[name]
			for i := range 60 {
				row := every
				if i < 30 {
					row = first
				}
				text += fmt.Sprintf(row, i%7, []string{"a", "b"}[i%2])
			}
			if err := os.WriteFile(data, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(rows[0], rows[0])
		succeed(t, "train", "--quiet", "--data", data, "--target", "kind", "--epochs", "2", "--out", dir)
		succeed(t, "train", "--quiet", "--resume", dir)
		write(rows[0], rows[1])
		code, _, stderr := call(t, "train", "--quiet", "--resume", dir)
		if code != exitFailure || !strings.Contains(stderr, "began with other features") {
			t.Errorf("%s: exit code %d, %q", name, code, stderr)
		}
		succeed(t, "check", dir)
	}
}

// A run's own configuration trains the same bits again; flags win over it; what it cannot know is named with its place.
func TestConfiguration(t *testing.T) {
	dir := small(t, "--hidden", "12,8", "--stop-on", "val.accuracy", "--class-weights", "balanced", "--label-noise", "0.1", "--label-noise-kind", "confused")
	config := filepath.Join(dir, "config.yaml")
	again, other := filepath.Join(t.TempDir(), "again"), filepath.Join(t.TempDir(), "other")
	succeed(t, "train", "-c", config, "--quiet", "--out", again)
	if logitsHash(t, dir) != logitsHash(t, again) {
		t.Error("the run's own configuration trains other logits")
	}
	succeed(t, "train", "-c", config, "--epochs", "1", "--seed", "3", "--quiet", "--out", other)
	if s := show(t, other); len(s.Epochs) != 1 {
		t.Errorf("%d epochs, the flag says 1", len(s.Epochs))
	}
	for text, want := range map[string]string{
		"\ufeffepochs: many\n":          `"many" is no whole number`,
		"epochs: 3\nlearning_rate: 1\n": `bad.yaml:2:1: unknown field "learning_rate"`,
		"data:\n  pth: x\n":             `bad.yaml:2:3: unknown field "pth"`,
		"epochs: many\n":                `bad.yaml:1:9: "many" is no whole number`,
		"lr: fast\n":                    `bad.yaml:1:5: "fast" is no number`,
		"budget: 5\n":                   `bad.yaml:1:9: "5" is no time with its unit, such as 90s or 1h30m`,
		"budget: soon\n":                `bad.yaml: time: invalid duration "soon": write a time with its unit, such as 90s or 1h30m`,
		"lr: 1\nlr: 2\n":                "bad.yaml:2:1",
		"lr: [1\n":                      "bad.yaml:1:5",
		"schedule: poly\n":              `unknown schedule "poly"`,
	} {
		path := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := call(t, "train", "-c", path, "--out", filepath.Join(t.TempDir(), "run")); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, stderr, want)
		}
	}
	if code, _, stderr := call(t, "train", "--resume", dir, "--epochs", "9"); code != exitUsage || !strings.Contains(stderr, "as it was begun") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
