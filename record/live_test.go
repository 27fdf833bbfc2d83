package record

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logitscope/logitscope/internal/numtest"
)

const writeForever = "RECORD_TEST_WRITE_FOREVER" // the directory in which this binary, started again, writes until it is killed

func TestMain(m *testing.M) {
	dir := os.Getenv(writeForever)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := writeUntilKilled(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// writeUntilKilled prints every epoch that is committed. Every third waits for the disk.
func writeUntilKilled(dir string) error {
	m, samples := sampleRun()
	w, err := Create(dir, m, samples)
	if err != nil {
		return err
	}
	fmt.Println(-1)
	for epoch := 0; ; epoch++ {
		if err := w.Write(epoch, sampleLogits(epoch)); err != nil {
			return err
		}
		if epoch%3 == 2 {
			if err := w.Flush(); err != nil {
				return err
			}
			fmt.Println(epoch)
		}
	}
}

// A process is killed while it writes: the run opens, is known to be interrupted, and has every epoch that was promised.
func TestKilled(t *testing.T) {
	for round := range 10 {
		dir := filepath.Join(numtest.InMemory(t), "run")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writeForever+"="+dir)
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		lines.Scan()
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.State() != StateRunning {
			t.Errorf("state %q while it is written", r.State())
		}
		time.AfterFunc(time.Duration(round*round)*time.Millisecond, func() { cmd.Process.Kill() })
		promised := -1
		for lines.Scan() {
			if promised, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the writer ended by itself: %v", err)
		}
		if err := r.Refresh(); err != nil {
			t.Fatal(err)
		}
		n := len(r.Epochs())
		if r.State() != StateInterrupted || n < promised+1 {
			t.Errorf("state %q with %d epochs, of which %d were promised", r.State(), n, promised+1)
		}
		var all []int
		for epoch := range n {
			all = append(all, epoch)
		}
		mustHold(t, r, all...)
		if report, err := Check(t.Context(), dir); err != nil || !report.OK() {
			t.Errorf("%v %+v", err, report)
		}
		r.Close()
	}
}

// Readers that look as often as they can see whole epochs only, in order, and the end.
func TestReadWhileWritten(t *testing.T) {
	const epochs = 60
	dir := filepath.Join(t.TempDir(), "run")
	m, samples := sampleRun()
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := Open(dir) // by all readers at once
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			seen := 0
			for ended := false; !ended; {
				if err := shared.Refresh(); err != nil {
					t.Error(err)
					return
				}
				ended = shared.State() != StateRunning
				now := shared.Epochs()
				if len(now) < seen {
					t.Errorf("%d epochs after %d", len(now), seen)
				}
				for i, epoch := range now {
					if epoch != i+1 {
						t.Errorf("epochs %v", now)
					}
					if i < seen {
						continue
					}
					for split, want := range sampleLogits(epoch) {
						l, err := shared.Logits(epoch, split)
						if err != nil {
							t.Error(err)
							return
						}
						if !slices.Equal(l.IDs, samples[split].IDs) || !sameBits(l.Values, want) {
							t.Errorf("epoch %d, %s: other logits than were written", epoch, split)
						}
						l.Close()
					}
				}
				seen = max(seen, len(now))
			}
			if err := shared.Refresh(); err != nil || len(shared.Epochs()) != epochs || shared.State() != StateComplete {
				t.Errorf("at the end: %v, %d epochs, state %q", err, len(shared.Epochs()), shared.State())
			}
		})
	}
	for epoch := 1; epoch <= epochs; epoch++ {
		if err := w.Write(epoch, sampleLogits(epoch)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

// The caller may change its logits as soon as Write returns.
func TestWriteCopies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	m, samples := sampleRun()
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	reused := sampleLogits(1)
	for epoch := 1; epoch <= 8; epoch++ {
		for split, values := range sampleLogits(epoch) {
			copy(reused[split], values)
		}
		if err := w.Write(epoch, reused); err != nil {
			t.Fatal(err)
		}
		clear(reused["train"])
		clear(reused["val"])
	}
	if err := w.Close(StateInterrupted); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mustHold(t, r, 1, 2, 3, 4, 5, 6, 7, 8)
	if r.State() != StateInterrupted {
		t.Errorf("state %q", r.State())
	}
}
