package analysis

import (
	"math"

	"github.com/logitscope/logitscope/record"
)

// Values say what the recorded values are. It is decided over every row of every epoch, never on a part: single rows of real logits
// may well lie in [0,1].
type Values int

const (
	AreLogits Values = iota
	AreProbabilities
	AreSigmoids // they look like probabilities, each of its own class
	AreLogProbabilities
	AreOfTwoSoftmaxes // the loss was given probabilities
)

// Unlike reports whether NLL, p and confidence of the values as logits say nothing of the model.
func (v Values) Unlike() bool {
	return v == AreProbabilities || v == AreSigmoids || v == AreOfTwoSoftmaxes
}

// sentence says so.
func (v Values) sentence() string {
	switch v {
	case AreProbabilities:
		return "The recorded values are probabilities, not logits: their NLL is not that of the model, and its course says nothing."
	case AreSigmoids:
		return "The recorded values look like probabilities, not logits: their NLL is then not that of the model, and its course says nothing."
	case AreOfTwoSoftmaxes:
		return "The softmax is applied twice: NLL cannot fall below a floor, and its course says nothing of what the network could learn."
	}
	return ""
}

// ValuesOf tells them from what was seen at every epoch.
func ValuesOf(m *record.Manifest, timeline []Moment) Values {
	if len(timeline) == 0 {
		return AreLogits
	}
	probs, logProbs, distinct := true, true, false
	for _, at := range timeline {
		for _, s := range at.Splits() {
			probs, logProbs, distinct = probs && s.Probs, logProbs && s.LogProbs, distinct || s.Distinct
		}
	}
	each := m.Columns == 1 || !m.Head.AcrossColumns()
	switch {
	case probs && distinct && !each:
		return AreProbabilities
	case probs && distinct && timeline[len(timeline)-1].Splits()[0].Spread < 1 && len(timeline) >= FewEpochs:
		return AreSigmoids
	case logProbs && distinct && !each:
		return AreLogProbabilities
	case TwiceSoftmaxed(m, timeline):
		return AreOfTwoSoftmaxes
	}
	return AreLogits
}

// TwiceSoftmaxed: the loss was given probabilities. With p ≤ 1 and the other K−1 at 0 or more, −log softmax(p) cannot go
// below log(e + K − 1) − 1, and a network that learns to classify comes to stand just above it.
func TwiceSoftmaxed(m *record.Manifest, timeline []Moment) bool {
	const (
		within = 1 + sumsTo // of each other: all values of a row
		near   = 0.25       // of the way from log K to the floor
	)
	k := float64(len(m.Classes))
	if k < 2 || timeline[0].Train.N == 0 || !m.Head.AcrossColumns() || len(timeline) < FewEpochs {
		return false
	}
	floor := SoftmaxFloor(k)
	for _, at := range timeline {
		if at.Train.Spread > within || float64(at.Train.NLL) < floor-sumsTo {
			return false
		}
	}
	last := timeline[len(timeline)-1].Train
	// Logits of a network that has learned nothing are within 1 of each other too; those of one that tells classes apart
	// and stands at the floor are not.
	low, _ := Wilson(last.Right(), last.Defined())
	return (math.Log(k)-float64(last.NLL))/(math.Log(k)-floor) >= 1-near && low >= 1.5/k
}

// SoftmaxFloor is the lowest −log softmax(p) of K probabilities.
func SoftmaxFloor(k float64) float64 { return math.Log(math.E+k-1) - 1 }
