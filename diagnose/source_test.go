package diagnose_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/record"
)

// questions are all that can be asked of a run with the splits train and val, three epochs and sample 4.
var questions = map[string]func(context.Context, *analysis.Analyzer) (any, error){
	"curves":  func(ctx context.Context, a *analysis.Analyzer) (any, error) { return a.Curves(ctx) },
	"graphs":  func(ctx context.Context, a *analysis.Analyzer) (any, error) { return a.Graphs(ctx, 2) },
	"hardest": func(ctx context.Context, a *analysis.Analyzer) (any, error) { return a.Hardest(ctx, 2, "val", 5) },
	"explain": func(ctx context.Context, a *analysis.Analyzer) (any, error) { return a.Explain(ctx, 3, "train", 4, 1) },
	"score": func(ctx context.Context, a *analysis.Analyzer) (any, error) {
		return a.Score(ctx, 3, "val", analysis.ScoreOptions{})
	},
	"compared": func(ctx context.Context, a *analysis.Analyzer) (any, error) { return a.Compared(ctx, "run") },
	"dynamics": func(ctx context.Context, a *analysis.Analyzer) (any, error) { return dynamics.Of(ctx, a, "train") },
	"labels": func(ctx context.Context, a *analysis.Analyzer) (any, error) {
		return dynamics.FindWrongLabels(ctx, a, "train", 9)
	},
	"diagnose": func(ctx context.Context, a *analysis.Analyzer) (any, error) { return diagnose.Of(ctx, a) },
}

// inMemory makes a run of n training samples and half as many of validation, of logits that float16 holds.
func inMemory(n int) *analysis.Memory {
	const k = 3
	m := &analysis.Memory{
		Run:       record.Manifest{Name: "run", Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: k, PlannedEpochs: 3},
		SamplesOf: map[string]*record.Samples{}, Logits: map[int]map[string][]float32{1: {}, 2: {}, 3: {}},
	}
	for split, n := range map[string]int{"train": n, "val": n / 2} {
		s := &record.Samples{IDs: make([]int64, n), Labels: make([]int32, n)}
		for i := range n {
			s.IDs[i], s.Labels[i] = int64(i), int32(i*7%k)
		}
		m.SamplesOf[split] = s
		for epoch := range m.Logits {
			z, rng := make([]float32, n*k), rand.New(rand.NewPCG(uint64(epoch), uint64(n)))
			for i := range z {
				z[i] = float32(rng.IntN(512)) / 64
				if i%k == int(s.Labels[i/k]) {
					z[i] += float32(epoch)
				}
			}
			m.Logits[epoch][split] = z
		}
	}
	m.Run.Splits = []record.SplitInfo{{Name: "train", N: n}, {Name: "val", N: n / 2}}
	return m
}

func answers(t *testing.T, a *analysis.Analyzer) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, ask := range questions {
		found, err := ask(t.Context(), a)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

// A run in memory, in a directory, as float16, in parts that come in any order, and one of whose samples some have no row, answers every
// question alike.
func TestSourcesAnswerAlike(t *testing.T) {
	m := inMemory(400)
	want := answers(t, analysis.Of(m))
	for name, rows := range map[string]string{"float32": "", "float16": "float16", "parts": "", "parts of float16": "float16", "of some": "float16"} {
		manifest, samples := m.Run, map[string]record.Samples{}
		if rows != "" || name == "parts" {
			manifest.FormatVersion = 3
		}
		manifest.Splits = nil
		for _, split := range m.Run.Splits {
			split.Rows.Logits = rows
			manifest.Splits = append(manifest.Splits, split)
			s := *m.SamplesOf[split.Name]
			if name == "of some" { // others that have no row, between those that have
				s = record.Samples{}
				for i, id := range m.SamplesOf[split.Name].IDs {
					s.IDs, s.Labels = append(s.IDs, 10_000+id, id), append(s.Labels, record.Ignored, m.SamplesOf[split.Name].Labels[i])
				}
			}
			samples[split.Name] = s
			manifest.Splits[len(manifest.Splits)-1].N = len(s.IDs)
		}
		dir := filepath.Join(t.TempDir(), "run")
		w, err := record.Create(dir, manifest, samples)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, epoch := range slices.Sorted(maps.Keys(m.Logits)) {
			if strings.HasPrefix(name, "float") {
				err = errors.Join(err, w.WriteEpoch(epoch, m.Logits[epoch]))
				continue
			}
			for split, z := range m.Logits[epoch] {
				ids := m.SamplesOf[split].IDs
				half := len(ids) / 3
				err = errors.Join(err, w.AppendPart(epoch, split, record.Part{IDs: ids[:half], Logits: z[:3*half]}),
					w.AppendPart(epoch, split, record.Part{IDs: ids[half:], Logits: z[3*half:]}))
			}
			err = errors.Join(err, w.Commit(epoch, nil))
		}
		if err := errors.Join(err, w.Close(record.StateComplete)); err != nil {
			t.Fatal(name, err)
		}
		run, err := record.Open(dir)
		if err != nil {
			t.Fatal(name, err)
		}
		defer run.Close()
		for question, got := range answers(t, analysis.New(run)) {
			if name == "of some" { // said of each split, and all that differs
				if told := strings.Count(got, `"of":800,`) + strings.Count(got, `"of":400,`); question == "curves" && told != 6 {
					t.Errorf("%s: of %d splits of epochs it is said how many samples there are, want 6", question, told)
				}
				got = strings.NewReplacer(`"of":800,`, "", `"of":400,`, "").Replace(got)
			}
			if got != want[question] {
				t.Errorf("%s, %s: %s\nwant %s", name, question, got, want[question])
			}
		}
	}
}

// counted counts the blocks that are read, and cancels behind some of them.
type counted struct {
	*analysis.Memory
	blocks, cancelAt, after atomic.Int64
	cancel                  context.CancelFunc
	notKept                 bool
}

func (c *counted) Rows(ctx context.Context, epoch int, split string) (analysis.Rows, error) {
	rows, err := c.Memory.Rows(ctx, epoch, split)
	return countedRows{rows, c}, err
}

type countedRows struct {
	analysis.Rows
	c *counted
}

func (r countedRows) Info() record.RowsInfo {
	info := r.Rows.Info()
	info.Dense = !r.c.notKept
	return info
}

func (r countedRows) At(first, n int) record.Block {
	if n > 1 {
		switch at := r.c.blocks.Add(1); {
		case at == r.c.cancelAt.Load():
			r.c.cancel()
		case r.c.cancelAt.Load() > 0 && at > r.c.cancelAt.Load():
			r.c.after.Add(1)
		}
	}
	return r.Rows.At(first, n)
}

// Whatever is asked, a pass over the logits stops within a block of the end of its context, and is no answer.
func TestQuestionsStop(t *testing.T) {
	m := inMemory(1_000_000)
	for name, ask := range questions {
		if name == "score" {
			continue // it takes its rows as they are mapped, all at once
		}
		ctx, cancel := context.WithCancel(t.Context())
		c := &counted{Memory: m, cancel: cancel}
		c.cancelAt.Store(2)
		_, err := ask(ctx, analysis.Of(c))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
		// Each goroutine may be within a block.
		if after := c.after.Load(); after > int64(2*runtime.GOMAXPROCS(0)) {
			t.Errorf("%s: %d blocks were read after the end", name, after)
		}
		cancel()
	}
}

// What a run did not keep is one error, which names it, whatever is asked.
func TestNotKept(t *testing.T) {
	for name, ask := range questions {
		_, err := ask(t.Context(), analysis.Of(&counted{Memory: inMemory(40), notKept: true}))
		var notKept *record.NotKeptError
		if !errors.As(err, &notKept) || notKept.What != record.KeptLogits {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
