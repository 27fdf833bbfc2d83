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
func (net *Network[T]) locate(b Batch[T]) error {
	if row := nonFiniteRow(b.Features, max(net.inputs, 1)); row >= 0 {
		return &NonFiniteError{"input", "features", row}
	}
	x := b.Features
	for i, l := range net.layers {
		x = l.output(b.N)
		if err := net.locateForward(l.name(), net.owned[i], x, b.N); err != nil {
			return err
		}
	}
	// The head's logits may never have been held.
	net.head.reserve(b.N)
	if err := net.locateForward("head", net.owned[len(net.layers)], net.head.forward(x, b.N, true), b.N); err != nil {
		return err
	}
	if row := nonFiniteRow(net.nll[:b.N], 1); row >= 0 {
		return &NonFiniteError{"head", "loss", row}
	}
	for i, own := range slices.Backward(net.owned) {
		for _, p := range own {
			if !kernel.AllFinite(p.Grad) {
				return &NonFiniteError{net.layerName(i), "gradient", -1}
			}
		}
	}
	return &NonFiniteError{"head", "loss", -1}
}

// locateForward looks at what a layer made of good input: its parameters, then its output y [n,width].
func (net *Network[T]) locateForward(name string, own []Param[T], y []T, n int) error {
	row := nonFiniteRow(y, len(y)/n)
	for _, p := range own {
		if !kernel.AllFinite(p.Data) {
			return &NonFiniteError{name, p.Name[len(name)+1:], row}
		}
	}
	if row >= 0 {
		return &NonFiniteError{name, "output", row}
	}
	return nil
}

func (net *Network[T]) layerName(i int) string {
	if i == len(net.layers) {
		return net.head.label
	}
	return net.layers[i].name()
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
