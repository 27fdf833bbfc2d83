package record

import (
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
)

// RowStat is what a run keeps about a row of raw logits z, beside the logits or in place of them; p is softmax(z). All numbers are NaN where
// the row has no softmax. Those that depend on the label are NaN where the row has no label.
type RowStat struct {
	NLL, LSE     float32 // −log p of the label, in nats, and log Σ exp z
	ZLabel, ZTop float32 // the label's logit, and the largest logit
	Top          int32   // the class of the largest logit, the lowest on a tie; −1 where the row has no softmax
	Rank         int32   // the number of classes before the label's: those of larger logits, and those of equal logits and lower number; −1 where NLL is NaN
	Other        float32 // the largest logit except the label's; −Inf where there is no other class
	Entropy      float32 // −Σ p·log p, in nats
	SumP2, VarZ  float32 // Σ p², and the variance of z under p
}

// wideRows is the smallest number of logits in a row whose statistics are kept beside dense rows. Narrower rows are as quickly read whole.
const wideRows = 17

// keepsStats reports whether a Writer keeps statistics of the rows of a split. It always does where the rows are not dense.
func (m *Manifest) keepsStats(split int) bool {
	return m.Head.AcrossColumns() && (m.Columns >= wideRows || !m.encodingOf(split).dense)
}

// statColumns are the columns of a file of statistics behind id and label, in the order of a RowStat's fields.
var statColumns = []column{
	{name: "nll", kind: kindFloat},
	{name: "lse", kind: kindFloat},
	{name: "z_label", kind: kindFloat},
	{name: "z_top", kind: kindFloat},
	{name: "top", kind: kindInt32},
	{name: "rank", kind: kindInt32},
	{name: "other", kind: kindFloat},
	{name: "entropy", kind: kindFloat},
	{name: "sum_p2", kind: kindFloat},
	{name: "var_z", kind: kindFloat},
}

// statScratch is memory that appendStats works in, kept from one call to the next.
type statScratch struct {
	stats     []kernel.Stat
	variances []float64
}

// appendStats appends the statistics of rows of k logits with their labels to dst.
func (s *statScratch) appendStats(dst []RowStat, z []float32, k int, labels []int32) []RowStat {
	n := len(z) / k
	s.stats, s.variances = slices.Grow(s.stats[:0], n)[:n], slices.Grow(s.variances[:0], n)[:n]
	kernel.RowVariances(s.stats, s.variances, z, k, labels)
	for i, stat := range s.stats {
		row := z[i*k : (i+1)*k]
		dst = append(dst, RowStat{
			NLL: float32(stat.NLL), LSE: float32(stat.LSE), ZLabel: float32(stat.True), ZTop: float32(stat.Largest),
			Top: stat.Argmax, Rank: stat.Rank - 1, Other: largestOther(stat, row, labels[i]),
			Entropy: float32(stat.Entropy), SumP2: float32(stat.SumSquares), VarZ: float32(s.variances[i]),
		})
	}
	return dst
}

// largestOther returns the largest logit except the label's. It reads the row only where its statistics do not determine that logit.
func largestOther(stat kernel.Stat, row []float32, label int32) float32 {
	switch {
	case stat.Rank == 0:
		return float32(math.NaN())
	case stat.Argmax != label:
		return float32(stat.Largest)
	}
	// The margin, a difference in float64, has all digits of it unless one of the two is so much smaller than the other.
	if v := float32(stat.True - stat.Margin); stat.True-float64(v) == stat.Margin && math.Abs(float64(v)) > math.Abs(stat.True)/(1<<28) {
		return v
	}
	largest := float32(math.Inf(-1))
	for j, v := range row {
		if v > largest && j != int(label) {
			largest = v
		}
	}
	return largest
}

// statValues returns the bytes of the columns of a file of statistics, in the order of statColumns.
func statValues(stats []RowStat) [][]byte {
	values := make([][]byte, len(statColumns))
	for i := range values {
		values[i] = make([]byte, 0, 4*len(stats))
	}
	for i := range stats {
		s := &stats[i]
		for c, v := range [...]uint32{
			math.Float32bits(s.NLL), math.Float32bits(s.LSE), math.Float32bits(s.ZLabel), math.Float32bits(s.ZTop), uint32(s.Top), uint32(s.Rank),
			math.Float32bits(s.Other), math.Float32bits(s.Entropy), math.Float32bits(s.SumP2), math.Float32bits(s.VarZ),
		} {
			values[c] = append(values[c], byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
		}
	}
	return values
}

// statViews are views of the columns of a file of statistics.
type statViews struct {
	floats [8][]float32 // nll, lse, z_label, z_top, other, entropy, sum_p2, var_z
	top    []int32
	rank   []int32
}

func viewStats(values [][]byte) *statViews {
	s := &statViews{top: view[int32](values[4]), rank: view[int32](values[5])}
	for i, c := range []int{0, 1, 2, 3, 6, 7, 8, 9} {
		s.floats[i] = view[float32](values[c])
	}
	return s
}

// append appends the statistics of the rows [first, end) to dst.
func (s *statViews) append(dst []RowStat, first, end int) []RowStat {
	f := &s.floats
	for i := first; i < end; i++ {
		dst = append(dst, RowStat{f[0][i], f[1][i], f[2][i], f[3][i], s.top[i], s.rank[i], f[4][i], f[5][i], f[6][i], f[7][i]})
	}
	return dst
}

// validate returns an error where a row of k logits has a class or a rank that it cannot have.
func (s *statViews) validate(k int) error {
	for i, top := range s.top {
		if rank := s.rank[i]; top < -1 || int(top) >= k || rank < -1 || int(rank) >= k {
			return fmt.Errorf("row %d: top %d and rank %d of %d classes", i, top, rank, k)
		}
	}
	return nil
}
