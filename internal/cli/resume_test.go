package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logitscope/logitscope/record"
)

// asProgram makes the test's binary the program, to be killed.
const asProgram = "LOGITSCOPE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
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
	for _, name := range []string{"model.safetensors", "state.safetensors", "state.json"} {
		sum.Write(c.Files[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Epochs of about 10 ms: long enough for a kill to fall into one on a busy machine.
const killedEpochs = 25

var killedArgs = []string{
	"train", "--quiet", "--train-size", "300", "--model", "mlp:256,128", "--dropout", "0.2", "--epochs", strconv.Itoa(killedEpochs), "--batch", "2", "--mixup", "0.2",
	"--ema", "0.9", "--schedule", "cosine", "--warmup", "0.1", "--clip-norm", "1", "--optimizer", "adamw", "--weight-decay", "0.01",
}

// Killed at 50 random moments and resumed each time: every epoch's logits and the last checkpoint have the bits of a run that
// was never killed.
func TestKilledAndResumed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program a hundred times")
	}
	folder := t.TempDir()
	whole := filepath.Join(folder, "whole")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	program := func(args ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		return cmd
	}
	began := time.Now()
	if out, err := program(append(append([]string{}, killedArgs...), "--out", whole)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(began) // starting the program included
	logits, weights := logitsHash(t, whole), weightsHash(t, whole)
	kills, between := 0, 0
	for round := 0; kills < 50; round++ {
		dir := filepath.Join(folder, "killed")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		args := append(append([]string{}, killedArgs...), "--out", dir)
		for {
			if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err == nil {
				args = []string{"train", "--resume", dir, "--quiet"}
			}
			cmd := program(args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// The moment: a little after a random epoch has been recorded, so that as many fall into training as into the
			// program's start on a machine of any speed.
			after := filepath.Join(dir, "epochs", fmt.Sprintf("%06d", 1+rng.IntN(killedEpochs)))
			pause := time.Duration(rng.Float64() * float64(8*time.Millisecond))
			if rng.IntN(5) == 0 {
				after, pause = folder, time.Duration(rng.Float64()*float64(took))
			}
			ended := make(chan struct{})
			go func() {
				for _, err := os.Stat(after); err != nil; _, err = os.Stat(after) {
					select {
					case <-ended:
						return
					case <-time.After(200 * time.Microsecond):
					}
				}
				select {
				case <-ended:
				case <-time.After(pause):
					cmd.Process.Kill()
				}
			}()
			err := cmd.Wait()
			close(ended)
			if err == nil {
				break
			}
			if cmd.ProcessState.ExitCode() >= 0 {
				t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, stderr.String())
			}
			kills++
			if run, err := record.Open(dir); err == nil {
				if n := len(run.Epochs()); n > 0 && n < killedEpochs {
					between++
				}
				run.Close()
			}
		}
		if got := logitsHash(t, dir); got != logits {
			t.Fatalf("round %d: the logits have the hash %s, never killed %s", round, got, logits)
		}
		if got := weightsHash(t, dir); got != weights {
			t.Fatalf("round %d: the last checkpoint has the hash %s, never killed %s", round, got, weights)
		}
		if report, err := record.Check(dir); err != nil || !report.OK() || report.State != record.StateComplete {
			t.Fatalf("round %d: check: %v %+v", round, err, report)
		}
	}
	t.Logf("%d of %d kills hit between the first epoch and the last", between, kills)
	if between < 10 {
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
	other := small(t, "--seed", "9")
	if err := os.RemoveAll(filepath.Join(dir, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	for _, split := range []string{"train.arrow", "val.arrow", "epoch.json"} {
		from, to := filepath.Join(other, "epochs", "000002", split), filepath.Join(dir, "epochs", "000002", split)
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, stderr := call(t, "train", "--resume", dir, "--quiet"); code != exitFailure || !strings.Contains(stderr, "epoch 2") {
		t.Errorf("exit code %d, %q: want epoch 2 to be named", code, stderr)
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
		"epochs: 3\nlearning_rate: 1\n": `bad.yaml:2:1: unknown field "learning_rate"`,
		"data:\n  pth: x\n":             `bad.yaml:2:3: unknown field "pth"`,
		"epochs: many\n":                "bad.yaml:1:9",
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
