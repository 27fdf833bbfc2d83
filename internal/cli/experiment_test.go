package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/record"
)

const table = "../../experiment/testdata/t.csv"

// stopper ends a context when a text is written.
type stopper struct {
	text string
	stop func()
}

func (s stopper) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.text) {
		s.stop()
	}
	return len(p), nil
}

// A run of a Go program and one of the command line, of the same settings, have the same bits, however they were begun and whoever
// went on with them: logits, weights and the settings that are kept.
func TestGoTrainsWhatTheCommandLineTrains(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		set  func(*experiment.Config)
	}{
		"all defaults": {nil, func(*experiment.Config) {}},
		"folds": {
			[]string{"--epochs", "6", "--folds", "2", "--record", "every:2", "--label-noise", "0.1"},
			func(c *experiment.Config) { c.Epochs, c.Folds, c.Record, c.LabelNoise = 6, 2, "every:2", 0.1 },
		},
		"given zeros": {
			[]string{"--epochs", "6", "--dropout", "0", "--weight-decay", "0"},
			func(c *experiment.Config) {
				c.Epochs, c.Given = 6, map[string]bool{"dropout": true, "weight_decay": true}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.args == nil {
				numtest.WithoutRaceDetector(t)
			}
			folder := t.TempDir()
			config := experiment.Default()
			config.Data.Path = table
			c.set(&config)
			whole := filepath.Join(folder, "command-line")
			args := append([]string{"train", "--data", table}, c.args...)
			succeed(t, append(args, "--quiet", "--out", whole)...)

			ofGo, stopped, begun := filepath.Join(folder, "go"), filepath.Join(folder, "begun-by-go"), filepath.Join(folder, "begun-by-the-command-line")
			if _, err := experiment.Run(t.Context(), config, ofGo, nil); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			_, err := experiment.Run(ctx, config, stopped, func(event experiment.Event) {
				if e, ok := event.(experiment.EpochDone); ok && e.Number == 3 {
					stop()
				}
			})
			if broken := (*experiment.BrokenOff)(nil); !errors.As(err, &broken) || !errors.Is(err, context.Canceled) || broken.Epoch != 3 {
				t.Fatalf("%v: want training to break off after epoch 3", err)
			}
			if run := openRun(t, stopped); run.State() != record.StateInterrupted || len(run.Epochs()) == 0 {
				t.Errorf("state %s, epochs %v", run.State(), run.Epochs())
			}
			succeed(t, "train", "--quiet", "--resume", stopped)

			ctx, stop = context.WithCancel(t.Context())
			if code := run(ctx, append(args, "--out", begun), io.Discard, stopper{"epoch 3/", stop}); code != exitFailure {
				t.Fatalf("exit code %d", code)
			}
			if _, err := experiment.Resume(t.Context(), begun, nil); err != nil {
				t.Fatal(err)
			}

			for _, dir := range []string{ofGo, stopped, begun} {
				for _, part := range []string{"", record.FoldsDir} {
					if part != "" && config.Folds == 0 {
						continue
					}
					a, b := filepath.Join(whole, part), filepath.Join(dir, part)
					if logitsHash(t, a) != logitsHash(t, b) || weightsHash(t, a) != weightsHash(t, b) {
						t.Errorf("%s %s: other bits", filepath.Base(dir), part)
					}
				}
				if a, b := readFile(t, whole, experiment.ConfigFile), readFile(t, dir, experiment.ConfigFile); a != b {
					t.Errorf("%s keeps the settings %s, want %s", filepath.Base(dir), b, a)
				}
			}
		})
	}
}

// A context that has ended stops a plan, a sweep, a search and a resumption before they do anything.
func TestExperimentsHeedTheirContext(t *testing.T) {
	dir := small(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	config := experiment.Default()
	config.Data.Path = table
	_, plan := experiment.Plan(ctx, config, nil)
	_, find := experiment.FindRate(ctx, config, 1e-5, 1, 20)
	_, resume := experiment.Resume(ctx, dir, nil)
	for name, err := range map[string]error{"Plan": plan, "FindRate": find, "Resume": resume} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	results, err := experiment.Sweep(ctx, []experiment.Trial{{Dir: filepath.Join(t.TempDir(), "run"), Config: config}}, 1, nil)
	if len(results) != 1 || results[0] != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", results, err)
	}
}

// A plan is run as often as one likes, at once too, each time with the same bits.
func TestAPlanIsRunTwice(t *testing.T) {
	config := experiment.Default()
	config.Data.Path, config.Epochs, config.Dropout = table, 4, 0.2
	plan, err := experiment.Plan(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "c")}
	failed := make([]error, len(dirs))
	var wait sync.WaitGroup
	for i, dir := range dirs {
		wait.Go(func() { _, failed[i] = plan.Run(t.Context(), dir, nil) })
	}
	wait.Wait()
	for i, dir := range dirs {
		if failed[i] != nil || logitsHash(t, dir) != logitsHash(t, dirs[0]) || weightsHash(t, dir) != weightsHash(t, dirs[0]) {
			t.Errorf("run %d: %v, or other bits", i, failed[i])
		}
	}
	if _, err := plan.Run(t.Context(), dirs[0], nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v: a directory that exists is written to", err)
	}
}

// What keeps a run from going on is told apart: another's data, no run, a run that trained nothing to go on with.
func TestResumeSaysWhy(t *testing.T) {
	folder := t.TempDir()
	data, dir := filepath.Join(folder, "t.csv"), filepath.Join(folder, "run")
	rows := readFile(t, table)
	write := func(text string) {
		if err := os.WriteFile(data, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rows)
	config := experiment.Default()
	config.Data.Path, config.Epochs = data, 2
	if _, err := experiment.Run(t.Context(), config, dir, nil); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{
		strings.Replace(rows, ",crow", ",heron", 1),             // another label
		strings.Replace(rows, "\n4", "\n14", 1),                 // another feature
		rows[:strings.LastIndex(strings.TrimSpace(rows), "\n")], // a row less
	} {
		write(other)
		var changed *experiment.ChangedError
		if _, err := experiment.Resume(t.Context(), dir, nil); other == rows || !errors.As(err, &changed) {
			t.Errorf("%v", err)
		}
	}
	write(rows)
	if result, err := experiment.Resume(t.Context(), dir, nil); err != nil || result.Epochs != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := experiment.Resume(t.Context(), filepath.Join(folder, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	var changed *experiment.ChangedError
	if err := os.WriteFile(filepath.Join(dir, experiment.ConfigFile), []byte("epochs: 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := experiment.Resume(t.Context(), dir, nil); !errors.As(err, &changed) {
		t.Errorf("%v", err)
	}
}
