package record

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// checkpointOf is the checkpoint of an epoch of the crash tests: two files of several blocks.
func checkpointOf(epoch int) []File {
	return []File{
		{"model.safetensors", bytes.Repeat([]byte{byte(epoch)}, 5000)},
		{"state.json", fmt.Appendf(nil, `{"epoch":%d}`, epoch)},
	}
}

func figuresOf(epoch int) Figures {
	v := float64(epoch) / 7
	return Figures{epoch, []SplitFigures{{"train", v, 1 - v}, {"val", 2 * v, math.NaN()}}}
}

// goOn writes what is missing of 3 epochs, each with its checkpoint and its figures, and the end.
func goOn(w *Writer, reached func(step int)) error {
	trained := 0 // up to the last checkpoint
	if kept, err := listNumbered(w.root, checkpointsDir); err == nil && len(kept) > 0 {
		trained = kept[len(kept)-1]
	}
	for epoch := 1; epoch <= 3; epoch++ {
		if epoch > trained {
			w.Figures(figuresOf(epoch))
		}
		if w.last == nil || epoch > *w.last {
			if err := w.Write(epoch, crashLogits(epoch)); err != nil {
				return errors.Join(err, w.Close(StateFailed))
			}
		}
		if err := w.Checkpoint(epoch, checkpointOf(epoch), 1); err != nil {
			return errors.Join(err, w.Close(StateFailed))
		}
		reached(epoch)
	}
	if err := w.Close(StateComplete); err != nil {
		return err
	}
	reached(4)
	return nil
}

// checkCheckpoints checks that what was reached is there, whole, and never of an epoch that is not.
func checkCheckpoints(disk *memDisk, step int) error {
	root, err := disk.folder().OpenFolder("run")
	if err != nil {
		return nil // checkCrashRun has looked
	}
	r, err := open(root, "run")
	if err != nil {
		return err
	}
	epochs, err := r.Checkpoints()
	if err != nil {
		return err
	}
	last := 0
	if n := len(r.Epochs()); n > 0 {
		last = r.Epochs()[n-1]
	}
	if len(epochs) == 0 && step >= 1 || len(epochs) > 0 && (slices.Max(epochs) > last || slices.Max(epochs) < min(step, 3)) {
		return fmt.Errorf("checkpoints %v after step %d, with %d epochs", epochs, step, last)
	}
	if step >= 1 && !slices.Contains(epochs, 1) || step == 4 && len(epochs) != 2 {
		return fmt.Errorf("checkpoints %v, want that of epoch 1 kept", epochs)
	}
	figures, err := r.Figures()
	if err != nil {
		return err
	}
	if n := len(epochs); n > 0 && len(figures) < epochs[n-1] {
		return fmt.Errorf("%d epochs have figures, and epoch %d a checkpoint", len(figures), epochs[n-1])
	}
	for i, f := range figures {
		if fmt.Sprint(f) != fmt.Sprint(figuresOf(i+1)) {
			return fmt.Errorf("figures %v, want %v", f, figuresOf(i+1))
		}
	}
	for _, epoch := range epochs {
		c, err := r.Checkpoint(epoch)
		if err != nil {
			return err
		}
		for _, want := range checkpointOf(epoch) {
			if !bytes.Equal(c.Files[want.Name], want.Data) {
				return fmt.Errorf("checkpoint %d: %s is another file than was written", epoch, want.Name)
			}
		}
	}
	return nil
}

func startCrashRun(disk *memDisk) (*Writer, error) {
	m, samples := crashRun()
	w, err := newWriter("run", "run", m, samples)
	if err != nil {
		return nil, err
	}
	return w, w.create(disk.folder(), "run", samples)
}

func resumeOn(disk *memDisk) (*Writer, error) {
	root, err := disk.folder().OpenFolder("run")
	if err != nil {
		return nil, err
	}
	return resume(root, "run")
}

// Power is lost after every operation of a writer that keeps checkpoints; then after every operation of the one that
// resumes; and the next one ends with the whole run.
func TestPowerLossAndResume(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var left []*memDisk
	crashAfterEach := func(disk *memDisk, step *atomic.Int32) {
		disk.after = func(op, name string) {
			for _, keep := range []float64{0, 0.5, 1} {
				crashed := disk.crash(remains{keep, 512, rng})
				left = append(left, crashed)
				if step == nil {
					continue // what the first writer reached is not known any more
				}
				err := checkCrashRun(crashed, int(step.Load()))
				if err == nil {
					err = checkCheckpoints(crashed, int(step.Load()))
				}
				if err != nil {
					t.Errorf("power lost after %s %s, keeping %v: %v", op, name, keep, err)
				}
			}
		}
	}
	disk, step := newMemDisk(), new(atomic.Int32)
	step.Store(notCreated)
	crashAfterEach(disk, step)
	w, err := startCrashRun(disk)
	if err != nil {
		t.Fatal(err)
	}
	step.Store(0)
	if err := goOn(w, func(reached int) { step.Store(int32(reached)) }); err != nil {
		t.Fatal(err)
	}
	finish := func(disk *memDisk, what string) {
		w, err := resumeOn(disk)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		err = goOn(w, func(int) {})
		if err == nil {
			err = checkCrashRun(disk, 4)
		}
		if err == nil {
			err = checkCheckpoints(disk, 4)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	first := left
	left = nil
	for i, disk := range first {
		if i%29 == 0 { // resumed, and killed again while resuming
			twice := disk.crash(remains{1, 512, rng})
			crashAfterEach(twice, nil)
			if w, err := resumeOn(twice); err == nil {
				if err := goOn(w, func(int) {}); err != nil {
					t.Error(err)
				}
			}
		}
		finish(disk, fmt.Sprint("crash ", i))
	}
	for i, disk := range left {
		finish(disk, fmt.Sprint("second crash ", i))
	}
	if len(first) < 200 || len(left) < 200 {
		t.Errorf("%d and %d crashes, want more", len(first), len(left))
	}
}

func TestResume(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	m, samples := sampleRun()
	w, err := Create(dir, m, samples, File{"config.yaml", []byte("lr: 1\n")})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteEpoch(1, sampleLogits(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("resumed while its writer lives: %v", err)
	}
	if err := w.Checkpoint(1, checkpointOf(1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(StateInterrupted); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "epochs", ".tmp-000002"), 0o700); err != nil {
		t.Fatal(err)
	}
	if w, err = Resume(dir); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(1, sampleLogits(1)); err == nil {
		t.Error("an epoch was written twice")
	}
	if err := w.Write(2, sampleLogits(2)); err != nil {
		t.Fatal(err)
	}
	if err := w.Checkpoint(2, checkpointOf(2)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mustHold(t, r, 1, 2)
	if r.State() != StateComplete {
		t.Errorf("state %q", r.State())
	}
	if epochs, err := r.Checkpoints(); err != nil || !slices.Equal(epochs, []int{2}) {
		t.Errorf("checkpoints %v, %v", epochs, err)
	}
	if data, err := r.File("config.yaml"); err != nil || string(data) != "lr: 1\n" {
		t.Errorf("config.yaml is %q, %v", data, err)
	}
	if _, err := r.File("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	report, err := Check(t.Context(), dir)
	if err != nil || !report.OK() || len(report.Notes) != 0 {
		t.Errorf("check: %v %+v", err, report)
	}
	// A flipped byte in a checkpoint is found and named.
	name := filepath.Join(dir, "checkpoints", "000002", "model.safetensors")
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw[77] ^= 4
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if report, err := Check(t.Context(), dir); err != nil || len(report.Damaged) != 1 || report.Damaged[0].Path != name {
		t.Errorf("check: %v %+v, want the damage of %s", err, report, name)
	}
	if _, err := r.Checkpoint(2); err == nil {
		t.Error("a damaged checkpoint was opened")
	}
	// An epoch that is gone is not resumed over.
	if err := os.RemoveAll(filepath.Join(dir, "epochs", "000001")); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), "1 of its epochs are missing") {
		t.Errorf("resumed a run that has lost an epoch: %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "x"), m, samples, File{"epochs", nil}); err == nil {
		t.Error("a file called epochs was taken")
	}
}

// A disk that is full when a checkpoint is written: an error, the checkpoint before stays, and the run says failed.
func TestCheckpointOnFullDisk(t *testing.T) {
	for _, failing := range []string{
		"mkdir run/checkpoints/.tmp-000002", "write run/checkpoints/.tmp-000002/model.safetensors", "sync run/checkpoints/.tmp-000002/state.json",
		"syncdir run/checkpoints/.tmp-000002", "rename run/checkpoints/.tmp-000002", "create run/checkpoints/.tmp-000002/checkpoint.json",
	} {
		disk := newMemDisk()
		disk.fault = func(op, name string) error {
			if op+" "+name == failing {
				return fs.ErrInvalid
			}
			return nil
		}
		w, err := startCrashRun(disk)
		if err != nil {
			t.Fatal(err)
		}
		if err := goOn(w, func(int) {}); !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), "checkpoint 2") {
			t.Errorf("%s failed: error %v", failing, err)
		}
		disk.fault = func(string, string) error { return nil }
		if err := checkCheckpoints(disk, 1); err != nil {
			t.Errorf("%s failed: %v", failing, err)
		}
		root, err := disk.folder().OpenFolder("run")
		if err != nil {
			t.Fatal(err)
		}
		if r, err := open(root, "run"); err != nil || r.State() != StateFailed {
			t.Errorf("%s failed: the run does not say so: %v", failing, err)
		}
	}
}
