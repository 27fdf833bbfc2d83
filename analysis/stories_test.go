package analysis

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

var (
	storySeeds = flag.Int("stories", 4, "seeds for each number of validation samples")
	storyTable = flag.String("storytable", "", "file for the table of what was told")
	firstSeed  = flag.Uint64("first", 0, "the first of them")
)

// courses are planted runs whose validation NLL moves in a known way: the truth of a story is told by 20,000 samples more.
var courses = map[string]func(*planted.Run){
	"settles": func(r *planted.Run) {},
	"stands still and wanders": func(r *planted.Run) {
		r.Scale, r.Wander = func(t float64) float64 { return 1 - math.Exp(-30*t) }, 0.2
	},
	"stands still, hard, wanders far": func(r *planted.Run) {
		r.Signal, r.Classes, r.Wander = 1.5, 3, 0.4
		r.Scale = func(t float64) float64 { return 1 - math.Exp(-60*t) }
	},
	"easy":        func(r *planted.Run) { r.Signal, r.Wander, r.Classes = 5, 0.3, 2 },
	"still falls": func(r *planted.Run) { r.Scale, r.Wander = func(t float64) float64 { return 0.5 * t }, 0.05 },
	"grows too sure": func(r *planted.Run) {
		r.Scale = func(t float64) float64 { return 1 - math.Exp(-10*t) + 1.5*t*t }
		r.Memory = func(t float64) float64 { return 20 * t }
		r.Wander = 0.1
	},
	"gets worse": func(r *planted.Run) {
		r.Memory = func(t float64) float64 { return 10 * t }
		r.Forgetting = func(t float64) float64 { return 1.5 * max(t-0.3, 0) }
		r.Wander = 0.1
	},
}

// storyOf tells the story of a planted run without a directory, and its validation NLL by epoch.
func storyOf(p *planted.Planted, epochs int) (Story, []float64) { return storyOfCycles(p, epochs, nil) }

// storyOfCycles is storyOf where the learning rate restarts after these epochs.
func storyOfCycles(p *planted.Planted, epochs int, cycles []int) (Story, []float64) {
	c := &Curves{State: record.StateComplete, PlannedEpochs: epochs}
	units := map[int]*sampleSums{}
	var nll []float64
	for epoch := 1; epoch <= epochs; epoch++ {
		logits := p.Epoch(epoch)
		e := EpochScores{Epoch: epoch, Splits: map[string]SplitScores{}}
		for split, z := range logits {
			samples := p.Samples[split]
			u := newUnits(&samples, p.Manifest.Columns)
			scores := summary.NewScores()
			b := summary.Batch{Logits: z, Labels: samples.Labels, Columns: p.Manifest.Columns}
			b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
				scores.AddStats(rows, stats)
				for i := range stats {
					u.add(rows.First+i, stats[i].NLL)
				}
			})
			e.Splits[split] = SplitScores{N: scores.N, NLL: Number(scores.Mean(scores.NLL)), Accuracy: Number(scores.Accuracy())}
			if split == record.ValSplit {
				units[epoch] = u
				nll = append(nll, scores.Mean(scores.NLL))
			}
		}
		c.Epochs = append(c.Epochs, e)
	}
	return tellStory(c, witness{units: func(e int) *sampleSums { return units[e] }, uniform: math.Log(float64(p.Manifest.Columns)), spread: math.NaN(), cycles: cycles}), nll
}

// A story is true of 20,000 samples more that the network never saw, but for one in twenty; with 3,000 of validation it is told. With
// few it may be left open, which is not false. -args -stories N -first SEED -v tells how often each is told.
func TestStoriesAreTrue(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	told := map[string]Kind{"settles": Converged, "still falls": Learning, "grows too sure": Overfitting, "gets worse": Overfitting}
	stories, lies := 0, 0
	table := "| course of validation NLL | samples | overfits, or got worse | still falls | stands still | left open | false |\n|---|---:|---:|---:|---:|---:|---:|\n"
	for _, name := range slices.Sorted(maps.Keys(courses)) {
		for _, n := range []int{30, 100, 300, 3000} {
			kinds := map[string]int{}
			for seed := *firstSeed; seed < *firstSeed+uint64(*storySeeds); seed++ {
				truth, r := planted.Healthy(), planted.Healthy()
				courses[name](&truth)
				courses[name](&r)
				truth.Train, truth.Val, r.Val = 10, 20_000, n
				s, _ := storyOf(r.Plant(seed), r.Epochs)
				kinds[string(s.Kind)]++
				stories++
				if lie := untrue(s, truth.Plant(seed)); lie != "" {
					lies++
					kinds["false"]++
					t.Logf("%s, %d samples, seed %d: %s\n%s", name, n, seed, lie, s.Sentence)
				}
				if want := told[name]; n == 3000 && want != "" && s.Kind != want {
					kinds["missed"]++
				}
			}
			t.Log(name, n, kinds)
			rose := kinds[string(Overfitting)] + kinds[string(Worsened)] + kinds[string(Diverged)]
			table += fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d |\n", name, n, rose, kinds[string(Learning)], kinds[string(Converged)], kinds[string(Undecided)], kinds["false"])
			if float64(kinds["missed"]) > 0.05*float64(*storySeeds) {
				t.Errorf("%s, %d samples: %v, want %s", name, n, kinds, told[name])
			}
		}
	}
	if float64(lies) > 0.05*float64(stories) {
		t.Errorf("%d of %d stories are false", lies, stories)
	}
	if *storyTable != "" {
		if err := os.WriteFile(*storyTable, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// untrue says what is not so in a story, by the NLL of many samples more.
func untrue(s Story, truth *planted.Planted) string {
	nll := func(epoch int) float64 {
		samples := truth.Samples[record.ValSplit]
		b := summary.Batch{Logits: truth.Epoch(epoch)[record.ValSplit], Labels: samples.Labels, Columns: truth.Manifest.Columns}
		scores := summary.NewScores()
		b.Stats(scores.AddStats)
		return scores.Mean(scores.NLL)
	}
	best, last := nll(s.BestEpoch), nll(s.LastEpoch)
	margin := 2 * witness{uniform: math.Log(float64(truth.Manifest.Columns))}.margin(best)
	switch {
	case (s.Kind == Overfitting || s.Kind == Worsened) && !(last > best):
		return fmt.Sprintf("NLL went from %.4f to %.4f", best, last)
	case s.Kind == Learning && !(last < nll(s.Change.From)):
		return fmt.Sprintf("NLL went from %.4f to %.4f", nll(s.Change.From), last)
	case s.Kind == Converged && !(math.Abs(last-best) <= margin):
		return fmt.Sprintf("NLL went from %.4f to %.4f, which is not still", best, last)
	}
	return ""
}

// Where the learning rate restarts, the end of a cycle is held against that of the one before.
func TestStoriesOfCycles(t *testing.T) {
	for name, want := range map[string]Kind{"still falls": Learning, "settles": Converged} {
		for seed := range uint64(10) {
			r := planted.Healthy()
			courses[name](&r)
			r.Val = 3000
			cycles := []int{r.Epochs / 4, r.Epochs / 2, r.Epochs}
			if s, _ := storyOfCycles(r.Plant(seed), r.Epochs, cycles); s.Kind != want || want == Learning && s.Change.From != r.Epochs/2 {
				t.Errorf("%s, seed %d: %s since %+v, want %s: %s", name, seed, s.Kind, s.Change, want, s.Sentence)
			}
			// A run that was cut within a cycle is told by its last quarter.
			if s, _ := storyOfCycles(r.Plant(seed), r.Epochs, cycles[:2]); want == Learning && (s.Kind != want || s.Change.From == r.Epochs/2) {
				t.Errorf("%s, seed %d, cut: %s since %+v: %s", name, seed, s.Kind, s.Change, s.Sentence)
			}
		}
	}
}

func TestCyclesOf(t *testing.T) {
	for _, c := range []struct {
		config string
		last   int
		want   []int
	}{
		{`{"schedule": "restarts", "lr_cycle": 4, "epochs": 60}`, 60, []int{4, 12, 28, 60}},
		{`{"schedule": "restarts", "lr_cycle": 4, "epochs": 60}`, 59, []int{4, 12, 28}},
		{`{"schedule": "restarts", "lr_cycle": 4, "epochs": 50}`, 50, []int{4, 12, 28, 50}},
		{`{"schedule": "restarts", "lr_cycle": 1, "epochs": 3}`, 3, []int{1, 3}},
		{`{"schedule": "restarts", "lr_cycle": 4, "epochs": 60}`, 3, nil},
		{`{"schedule": "restarts", "lr_cycle": 0, "epochs": 60}`, 60, nil},
		{`{"schedule": "cosine", "lr_cycle": 4, "epochs": 60}`, 60, nil},
		{`{"schedule": {"of": "others"}}`, 60, nil},
		{``, 60, nil},
	} {
		if got := cyclesOf([]byte(c.config), c.last); !slices.Equal(got, c.want) {
			t.Errorf("%s up to %d: %v, want %v", c.config, c.last, got, c.want)
		}
	}
}
