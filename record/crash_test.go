package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// crashRun is a run whose files are several blocks long, so that they can be torn.
func crashRun() (Manifest, map[string]Samples) {
	m := Manifest{Name: "run", Classes: strings.Split("abcdefghij", ""), Head: HeadSoftmax, Columns: 10}
	samples := map[string]Samples{}
	for i, split := range []string{"train", "val"} {
		s := Samples{}
		for id := range 300 - 200*i {
			s.IDs, s.Labels = append(s.IDs, int64(id)), append(s.Labels, int32(id%10))
		}
		samples[split] = s
	}
	return m, samples
}

func crashLogits(epoch int) map[string][]float32 {
	_, samples := crashRun()
	logits := map[string][]float32{}
	for split, s := range samples {
		logits[split] = make([]float32, 10*len(s.IDs))
		for i := range logits[split] {
			logits[split][i] = float32(epoch) + float32(i)/1024
		}
	}
	return logits
}

// crashCase is a run that is written while power is lost.
type crashCase struct {
	start func(disk *memDisk) (*Writer, error)
	write func(w *Writer, epoch int) error
	read  func(r *Run, epoch int) error // what was written
}

// crashCases are runs of formats 1 and 3.
func crashCases(t *testing.T) map[string]crashCase {
	whole, root := newMemDisk(), folder(nil)
	three := crashCase{start: startRun3, write: func(w *Writer, epoch int) error { return errors.Join(writeEpoch3(w, epoch), w.Flush()) }}
	err := three.run(whole, func(int) {})
	if err == nil {
		root, err = whole.folder().OpenFolder("run")
	}
	if err != nil {
		t.Fatal(err)
	}
	all := mustOpen(t, root)
	three.read = func(r *Run, epoch int) error {
		for _, split := range []string{"train", "val"} {
			want, err := allRows(all, epoch, split)
			if err != nil {
				return err
			}
			if got, err := allRows(r, epoch, split); err != nil || got != want {
				return fmt.Errorf("epoch %d, %s: %v: %s, want %s", epoch, split, err, got, want)
			}
			if _, err := r.Samples(split); err != nil {
				return err
			}
		}
		return nil
	}
	return map[string]crashCase{"format 1": format1Case, "format 3": three}
}

var format1Case = crashCase{startCrashRun, func(w *Writer, epoch int) error { return w.WriteEpoch(epoch, crashLogits(epoch)) }, func(r *Run, epoch int) error {
	for split, want := range crashLogits(epoch) {
		l, err := r.Logits(epoch, split)
		if err != nil {
			return err
		}
		if !sameBits(l.Values, want) {
			return fmt.Errorf("epoch %d, %s: other logits than were written", epoch, split)
		}
	}
	return nil
}}

// run writes 3 epochs and the end, and says after each step how far it came.
func (c crashCase) run(disk *memDisk, reached func(step int)) error {
	w, err := c.start(disk)
	if err != nil {
		return err
	}
	reached(0)
	for epoch := 1; epoch <= 3; epoch++ {
		if err := c.write(w, epoch); err != nil {
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

const notCreated = -1

func checkCrashRun(disk *memDisk, step int) error { return format1Case.check(disk, step) }

// check checks what is left of a run whose writer had reached a step: that step's epochs are there, perhaps the
// next one, each whole; a run that was not created is there whole or not at all.
func (c crashCase) check(disk *memDisk, step int) error {
	root, err := disk.folder().OpenFolder("run")
	if errors.Is(err, fs.ErrNotExist) && step == notCreated {
		return nil
	}
	if err != nil {
		return err
	}
	report, err := check(context.Background(), root, "run")
	if err != nil || !report.OK() {
		return fmt.Errorf("check: %v %+v", err, report)
	}
	r, err := open(root, "run")
	if err != nil {
		return err
	}
	epochs := r.Epochs()
	if want := max(0, min(step, 3)); len(epochs) != want && len(epochs) != min(want+1, 3) {
		return fmt.Errorf("%d epochs after step %d", len(epochs), step)
	}
	if state := r.State(); step == 4 && state != StateComplete || step < 3 && (state == StateComplete || state == StateRunning) {
		return fmt.Errorf("state %q after step %d", state, step)
	}
	for i, epoch := range epochs {
		if epoch != i+1 {
			return fmt.Errorf("epochs %v", epochs)
		}
		if err := c.read(r, epoch); err != nil {
			return err
		}
	}
	return nil
}

// Power is lost after every operation, with nothing, some and all of what was not synced kept, by small and large blocks.
func TestPowerLoss(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	for name, c := range crashCases(t) {
		t.Run(name, c.testPowerLoss)
	}
}

func (c crashCase) testPowerLoss(t *testing.T) {
	disk := newMemDisk()
	step := atomic.Int32{}
	step.Store(notCreated)
	rng := rand.New(rand.NewPCG(1, 2))
	crashes := 0
	disk.after = func(op, name string) {
		for _, block := range []int{512, 4096} {
			for _, keep := range []float64{0, 0.5, 0.5, 0.5, 0.5, 0.9, 1} {
				crashes++
				if err := c.check(disk.crash(remains{keep, block, rng}), int(step.Load())); err != nil {
					t.Errorf("power lost after %s %s, keeping %v by blocks of %d: %v", op, name, keep, block, err)
				}
			}
		}
	}
	if err := c.run(disk, func(reached int) { step.Store(int32(reached)) }); err != nil {
		t.Fatal(err)
	}
	if want := 14 * 50; crashes < want {
		t.Errorf("%d crashes, want at least %d", crashes, want)
	}
	if err := c.check(disk, 4); err != nil {
		t.Error(err)
	}
}

// Every sync is needed: a disk that ignores one of them loses something in one of the crashes.
func TestPowerLossFindsMissingSync(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	cases := crashCases(t)
	for _, file := range []string{"train.arrow", "train.1.arrow", "val.stats.arrow", "epoch.json"} {
		cases["format 3"].mustNeed(t, "sync run/epochs/.tmp-000002/"+file)
	}
	cases["format 3"].mustNeed(t, "sync run/epochs/.tmp-000001/train.samples.arrow")
	for _, ignored := range []string{
		"sync run/manifest.json", "sync run/samples/val.arrow", "syncdir run/samples", "syncdir run", "syncdir .",
		"sync run/epochs/.tmp-000002/train.arrow", "sync run/epochs/.tmp-000002/epoch.json", "syncdir run/epochs/.tmp-000002", "syncdir run/epochs",
		"sync run/.tmp-end.json",
	} {
		cases["format 1"].mustNeed(t, ignored)
	}
}

// mustNeed checks that a disk which ignores a sync is found out.
func (c crashCase) mustNeed(t *testing.T, ignored string) {
	t.Helper()
	disk := newMemDisk()
	step := atomic.Int32{}
	step.Store(notCreated)
	found := false
	disk.after = func(op, name string) {
		if err := c.check(disk.crash(remains{0, 512, rand.New(rand.NewPCG(1, 2))}), int(step.Load())); err != nil {
			found = true
		}
	}
	disk.ignored = ignored
	if err := c.run(disk, func(reached int) { step.Store(int32(reached)) }); err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Errorf("a disk that ignores %q is not found out", ignored)
	}
}

// Each operation fails once: the writer says so, in one line, never goes on as if nothing had happened, and the epochs it
// had committed are there.
func TestFailingDisk(t *testing.T) {
	for name, c := range crashCases(t) {
		t.Run(name, c.testFailingDisk)
	}
}

func (c crashCase) testFailingDisk(t *testing.T) {
	var ops []string
	disk := newMemDisk()
	disk.fault = func(op, name string) error {
		ops = append(ops, op+" "+name)
		return nil
	}
	if err := c.run(disk, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if len(ops) < 60 {
		t.Fatalf("only %d operations", len(ops))
	}
	for i, failing := range ops {
		occurrence := 0 // of that name, to fail the same one
		for _, op := range ops[:i] {
			if op == failing {
				occurrence++
			}
		}
		disk := newMemDisk()
		failed := false
		disk.fault = func(op, name string) error {
			if op+" "+name != failing {
				return nil
			}
			occurrence--
			if failed = occurrence == -1; failed {
				return syscall.ENOSPC
			}
			return nil
		}
		step := notCreated
		err := c.run(disk, func(reached int) { step = reached })
		disk.fault = func(string, string) error { return nil }
		// Nothing depends on what is not removed of killed processes beside the run.
		if harmless := failing == "close run/lock" || failing == "readdir ."; err == nil && !harmless {
			t.Errorf("%s failed, and no error came", failing)
			continue
		}
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s failed: the error is %v", failing, err)
		}
		if step == notCreated {
			if _, err := disk.folder().Lstat("run"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s failed: a run is there that was not created", failing)
			}
			continue
		}
		root, err := disk.folder().OpenFolder("run")
		if err != nil {
			t.Fatal(err)
		}
		report, err := check(t.Context(), root, "run")
		if err != nil || !report.OK() || report.Epochs < min(step, 3) || report.State == StateRunning || step < 3 && report.State == StateComplete {
			t.Errorf("%s failed after step %d: %v %+v", failing, step, err, report)
		}
		if err := c.check(disk.crash(remains{0, 512, rand.New(rand.NewPCG(1, 2))}), step); err != nil {
			t.Errorf("%s failed after step %d, then power: %v", failing, step, err)
		}
	}
}
