package nn

import (
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
)

// NonFiniteError says where a NaN or an infinity first appeared when a batch was trained. The step that returned it changed no parameter.
type NonFiniteError struct {
	Layer    string // the name of the layer: "input", "dense1", "head", …
	Quantity string // "features", "weight", "bias", "output", "loss" or "gradient"
	Row      int    // the first sample of the batch that has it, or -1 where it belongs to no one sample
}

// Error implements error.
func (e *NonFiniteError) Error() string {
	where := e.Layer + " " + e.Quantity
	if e.Row < 0 {
		return fmt.Sprintf("NaN or infinity in %s", where)
	}
	return fmt.Sprintf("NaN or infinity in %s at row %d of the batch", where, e.Row)
}

// locate returns a *NonFiniteError that says where a value was first not finite in the batch that was just computed. It looks at the
// values in the order in which a step computes them: forward from the features to the loss, then the gradients backward from the head.
func (net *Network[T]) locate(b Batch[T]) error {
	if row := nonFiniteRow(b.Features, max(net.inputs, 1)); row >= 0 {
		return &NonFiniteError{"input", "features", row}
	}
	x := b.Features
	for i, l := range net.layers {
		x = l.output(b.N)
		if err := net.locateForward(l.name(), net.ofLayer[i], x, b.N); err != nil {
			return err
		}
	}
	// The head's logits are computed again, because the fused loss does not keep them.
	net.head.reserve(b.N)
	if err := net.locateForward("head", net.ofLayer[len(net.layers)], net.head.forward(x, b.N, true), b.N); err != nil {
		return err
	}
	if row := nonFiniteRow(net.nll[:b.N], 1); row >= 0 {
		return &NonFiniteError{"head", "loss", row}
	}
	for i, params := range slices.Backward(net.ofLayer) {
		for _, p := range params {
			if !kernel.AllFinite(p.Grad) {
				return &NonFiniteError{net.layerName(i), "gradient", -1}
			}
		}
	}
	return &NonFiniteError{"head", "loss", -1}
}

// locateForward returns an error where the parameters of a layer, whose input is finite, or its output y [n,width] are not finite.
func (net *Network[T]) locateForward(name string, params []Param[T], y []T, n int) error {
	row := nonFiniteRow(y, len(y)/n)
	for _, p := range params {
		if !kernel.AllFinite(p.Data) {
			return &NonFiniteError{name, p.Name[len(name)+1:], row}
		}
	}
	if row >= 0 {
		return &NonFiniteError{name, "output", row}
	}
	return nil
}

// layerName returns the name of layer i, the head being the last.
func (net *Network[T]) layerName(i int) string {
	if i == len(net.layers) {
		return net.head.label
	}
	return net.layers[i].name()
}

// nonFiniteRow returns the first row of x [N,width] that has a NaN or an infinity, or -1 where none has.
func nonFiniteRow[T Float](x []T, width int) int {
	for i, v := range x {
		if !finite(float64(v)) {
			return i / width
		}
	}
	return -1
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
