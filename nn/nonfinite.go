package nn

import (
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
)

// NonFiniteError says where a NaN or an infinity first appeared in a batch. The step that met it changed no parameter.
type NonFiniteError struct {
	Layer    string // "input", "dense1", "head", …
	Quantity string // "features", "weight", "bias", "output", "loss", "gradient"
	Row      int    // the first sample of the batch that it reached, or -1 where every sample is behind it
}

func (e *NonFiniteError) Error() string {
	where := e.Layer + " " + e.Quantity
	if e.Row < 0 {
		return fmt.Sprintf("NaN or infinity in %s", where)
	}
	return fmt.Sprintf("NaN or infinity in %s at row %d of the batch", where, e.Row)
}

// locate finds where a batch that went wrong first held a value that is not finite: forward from the features to the
// loss, then backward from the head, in the order in which a step computes them.
func (net *Network[T]) locate(features []T, n int) error {
	if row := nonFiniteRow(features, net.inputs); row >= 0 {
		return &NonFiniteError{"input", "features", row}
	}
	for _, l := range net.layers {
		y := l.output(n)
		row := nonFiniteRow(y, len(y)/n)
		if d, ok := l.(*denseLayer[T]); ok {
			if !kernel.AllFinite(d.weights) {
				return &NonFiniteError{d.label, "weight", row}
			}
			if !kernel.AllFinite(d.bias) {
				return &NonFiniteError{d.label, "bias", row}
			}
		}
		if row >= 0 {
			return &NonFiniteError{l.name(), "output", row}
		}
	}
	if row := nonFiniteRow(net.nll[:n], 1); row >= 0 {
		return &NonFiniteError{"head", "loss", row}
	}
	for _, l := range slices.Backward(net.layers) {
		d, ok := l.(*denseLayer[T])
		if ok && (!kernel.AllFinite(d.gradWeights) || !kernel.AllFinite(d.gradBias)) {
			return &NonFiniteError{d.label, "gradient", -1}
		}
	}
	return &NonFiniteError{"head", "loss", -1}
}

// nonFiniteRow returns the first row of x [N,width] that holds a NaN or an infinity, or -1.
func nonFiniteRow[T Float](x []T, width int) int {
	for i, v := range x {
		if !finite(float64(v)) {
			return i / width
		}
	}
	return -1
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
