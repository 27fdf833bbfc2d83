package analysis

import (
	"math"

	"github.com/logitscope/logitscope/record"
)

// Values says what the recorded values are. That is decided over every row of every epoch and never over a part, because single rows of logits may
// happen to lie in [0,1].
type Values int

// What the recorded values may be.
const (
	AreLogits           Values = iota // raw logits
	AreProbabilities                  // probabilities, each row of which sums to 1
	AreSigmoids                       // they look like probabilities, each of its own class
	AreLogProbabilities               // logarithms of probabilities, whose softmax is right
	AreOfTwoSoftmaxes                 // probabilities that the loss took for logits, so that it applied a second softmax
)

// Unlike reports whether the values are so unlike logits that their NLL, p and confidence say nothing about the model.
func (v Values) Unlike() bool {
	return v == AreProbabilities || v == AreSigmoids || v == AreOfTwoSoftmaxes
}

// sentence says in words what values that are Unlike logits are, "" for others.
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

// ValuesOf decides what the recorded values are from the traits of every epoch.
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

// TwiceSoftmaxed reports whether the loss was given probabilities. With one p ≤ 1 and the other K−1 at 0 or more, −log softmax(p) cannot fall
// below log(e + K − 1) − 1, and the NLL of a network that learns to classify ends just above that. timeline must not be empty.
func TwiceSoftmaxed(m *record.Manifest, timeline []Moment) bool {
	const (
		within = 1 + sumsTo // the largest difference of two values of a row
		near   = 0.25       // the share of the way from log K to the floor that the last NLL may be above the floor
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
	// The logits of a network that has learned nothing are within 1 of each other too. Those of a network that tells classes apart
	// and whose NLL is at the floor are not.
	low, _ := Wilson(last.Right(), last.Defined())
	return (math.Log(k)-float64(last.NLL))/(math.Log(k)-floor) >= 1-near && low >= 1.5/k
}

// SoftmaxFloor returns log(e + k − 1) − 1, the lowest −log softmax(p) of k probabilities p.
func SoftmaxFloor(k float64) float64 { return math.Log(math.E+k-1) - 1 }
