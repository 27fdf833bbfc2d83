package dynamics

import (
	"cmp"
	"math"
	"slices"

	"github.com/logitscope/logitscope/analysis"
)

// Rank orders the labelled samples of a split by the evidence that their label is wrong, as FindWrongLabels does for a run without folds.
func Rank(d *Dynamics, classes int) []Suspect {
	return newNoise(d.Samples, max(classes, 2)).rank(d.Samples)
}

// rank returns the samples that have a softmax, the most suspect first. On a tie the lower id comes first.
func (n *noise) rank(samples []Sample) []Suspect {
	ranked := make([]Suspect, 0, len(samples))
	for _, s := range samples {
		if len(s.Likely) == 0 {
			continue
		}
		suspect := Suspect{Sample: s, Likelier: -1}
		var label, likelier, total float64
		for _, c := range s.Likely {
			p := float64(c.P) * n.probability(s.Label, c.Class)
			total += p
			switch {
			case c.Class == s.Label:
				label, suspect.PLabel = p, analysis.Number(c.P)
			case p > likelier || suspect.Likelier < 0:
				likelier, suspect.Likelier, suspect.PLikelier = p, c.Class, analysis.Number(c.P)
			}
		}
		suspect.Score = analysis.Number((likelier - label) / total)
		ranked = append(ranked, suspect)
	}
	slices.SortFunc(ranked, func(x, y Suspect) int { return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.ID, y.ID)) })
	for i := range ranked {
		ranked[i].Rank = i + 1
	}
	return ranked
}

// noise estimates how probable each label is for samples of each true class. It holds only the pairs that occur, since K² pairs would be too many
// where there are many classes.
type noise struct {
	pairs  map[[2]int32]float64 // label y, class j → Q(y,j), beyond what every pair has
	scale  []float64            // [K] of label y: what one sample counts, so that each label keeps its number of samples
	column []float64            // [K] of class j: Σ over y of Q(y,j)

	expected float64 // the estimated number of samples whose label is not their class
}

func newNoise(samples []Sample, k int) *noise {
	given, self := make([]float64, k), make([]float64, k)
	for _, s := range samples {
		for _, c := range s.Likely {
			if c.Class == s.Label {
				given[c.Class]++
				self[c.Class] += float64(c.P)
			}
		}
	}
	n := &noise{pairs: map[[2]int32]float64{}, scale: make([]float64, k), column: make([]float64, k)}
	rows := make([]float64, k)
	for _, s := range samples {
		for _, c := range s.Likely { // in falling order of p
			if given[c.Class] > 0 && float64(c.P) >= self[c.Class]/given[c.Class] {
				n.pairs[[2]int32{s.Label, c.Class}]++
				rows[s.Label]++
				break
			}
		}
	}
	every := 0.0
	for y := range n.scale {
		n.scale[y] = given[y] / (rows[y] + float64(k))
		every += n.scale[y]
	}
	for j := range n.column {
		n.column[j] = every
	}
	for _, pair := range sortedPairs(n.pairs) {
		y, j := pair[0], pair[1]
		n.column[j] += n.pairs[pair] * n.scale[y]
		if y != j {
			n.expected += n.pairs[pair] * given[y] / rows[y]
		}
	}
	return n
}

// sortedPairs returns the keys in a fixed order, so that sums over the map are always the same.
func sortedPairs(pairs map[[2]int32]float64) [][2]int32 {
	sorted := make([][2]int32, 0, len(pairs))
	for pair := range pairs {
		sorted = append(sorted, pair)
	}
	slices.SortFunc(sorted, func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return sorted
}

// probability returns the probability of a label for a sample of a class.
func (n *noise) probability(label, class int32) float64 {
	return (n.pairs[[2]int32{label, class}] + 1) * n.scale[label] / n.column[class]
}

// averagePrecision is Σ (Rₙ − Rₙ₋₁)·Pₙ over the thresholds in falling order, as scikit-learn has it: equal scores are one
// threshold. NaN where nothing is positive.
func averagePrecision(score []float64, positive []bool) float64 {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	sum, found, before := 0.0, 0, 0
	for n, i := range order {
		if positive[i] {
			found++
		}
		if n+1 == len(order) || score[order[n+1]] != score[i] {
			sum += float64(found-before) * float64(found) / float64(n+1)
			before = found
		}
	}
	if found == 0 {
		return math.NaN()
	}
	return sum / float64(found)
}
