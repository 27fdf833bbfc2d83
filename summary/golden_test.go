package summary_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/summary"
)

type goldenHistogram struct {
	N      int
	Mean   float64
	Counts []int
}

type goldenPair struct {
	Edges       []float64
	True, Other goldenHistogram
}

// Scores are those of PyTorch and scikit-learn, histograms those of NumPy: tools/oracle/summary.py.
func TestGolden(t *testing.T) {
	var golden struct {
		Cases []struct {
			Name       string
			Columns    int
			Logits     []float32
			Labels     []int32
			NLL        float64
			LogLoss    float64 `json:"log_loss"`
			Accuracy   float64
			PTrue      float64 `json:"p_true"`
			ZTrue      float64 `json:"z_true"`
			LogPTrue   float64 `json:"log_p_true"`
			Histograms map[string]goldenPair
		}
	}
	numtest.ReadGolden(t, "testdata/sklearn.json", &golden)
	if len(golden.Cases) == 0 {
		t.Fatal("no case")
	}
	for _, c := range golden.Cases {
		b := summary.Batch{Logits: c.Logits, Labels: c.Labels, Columns: c.Columns}
		s := summary.NewScores()
		s.Add(b)
		for _, figure := range []struct {
			name      string
			got, want float64
		}{
			{"NLL", s.Mean(s.NLL), c.NLL},
			{"log loss", s.Mean(s.NLL), c.LogLoss},
			{"accuracy", s.Accuracy(), c.Accuracy},
			{"p", s.Mean(s.PTrue), c.PTrue},
			{"z", s.Mean(s.ZTrue), c.ZTrue},
			{"log p", s.Mean(s.LogPTrue), c.LogPTrue},
		} {
			if !numtest.Near(figure.got, figure.want, 1e-6) {
				t.Errorf("%s: %s is %v, want %v", c.Name, figure.name, figure.got, figure.want)
			}
		}
		empty := func(name string) summary.Pair {
			edges := c.Histograms[name].Edges
			return summary.Pair{True: summary.NewHistogram(edges), Other: summary.NewHistogram(edges)}
		}
		q := summary.Quantities{Z: empty("z"), P: empty("p"), LogP: empty("log_p"), NLL: empty("nll")}
		q.Add(b)
		for name, got := range map[string]summary.Pair{"z": q.Z, "p": q.P, "log_p": q.LogP, "nll": q.NLL} {
			for _, pair := range []struct {
				got  *summary.Histogram
				want goldenHistogram
			}{{got.True, c.Histograms[name].True}, {got.Other, c.Histograms[name].Other}} {
				if pair.got.N != pair.want.N || !numtest.Near(pair.got.Mean(), pair.want.Mean, 1e-8) || !slices.Equal(pair.got.Counts, pair.want.Counts) {
					t.Errorf("%s: histogram of %s: %d values, mean %v, counts %v\nwant %+v", c.Name, name, pair.got.N, pair.got.Mean(), pair.got.Counts, pair.want)
				}
			}
		}
	}
}

// Every value lies in the bin whose edges are around it, those on an edge included.
func TestBinsAreTheirEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		low := rng.NormFloat64() * 100
		edges := summary.Edges(summary.Range{Low: low, High: low + rng.ExpFloat64()*50}, 1+rng.IntN(100))
		last := len(edges) - 2
		for range 20 {
			v := edges[rng.IntN(len(edges))]
			if rng.IntN(2) == 0 {
				v += rng.Float64() * (edges[1] - edges[0])
			}
			h := summary.NewHistogram(edges)
			h.Add(v)
			// The first edge above v ends its bin.
			want := min(max(sort.Search(len(edges), func(i int) bool { return edges[i] > v })-1, 0), last)
			if h.Counts[want] != 1 {
				t.Fatalf("%v is not in bin %d, from %v to %v: %v", v, want, edges[want], edges[want+1], h.Counts)
			}
		}
	}
}

// What is no probability is counted in the first bin or the last, and neither panics nor hangs.
func TestBinsCountWhatIsNoProbability(t *testing.T) {
	for p, want := range map[float64]int{math.Inf(-1): 0, -1: 0, 2: 9, math.Inf(1): 9} {
		bins := make(summary.Bins, 10)
		bins.Count(p, 0, true)
		if bins[want].N != 1 {
			t.Errorf("%v is not in bin %d: %v", p, want, bins)
		}
	}
	bins := make(summary.Bins, 10)
	if bins.Count(math.NaN(), 0, true); bins[0].N != 1 {
		t.Errorf("NaN: %v", bins)
	}
}

// Edges are the round numbers themselves, as a person writes them.
func TestEdgesAreRound(t *testing.T) {
	got := summary.Edges(summary.Range{Low: -0.3, High: 0.5}, 8)
	if want := []float64{-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3, 0.4, 0.5}; !slices.Equal(got, want) {
		t.Errorf("edges %v, want %v", got, want)
	}
}

// The sums of a row that is added cost no allocation.
func TestRowsAllocateNothing(t *testing.T) {
	s := summary.NewScores()
	perBatch := func(rows int) float64 {
		b := summary.Batch{Logits: make([]float32, rows*10), Labels: make([]int32, rows), Columns: 10}
		return testing.AllocsPerRun(10, func() { s.Add(b) })
	}
	if few, many := perBatch(1), perBatch(1000); many > few {
		t.Errorf("%v allocations for 1,000 rows, %v for one", many, few)
	}
}
