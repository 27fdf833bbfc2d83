package kernel

import "fmt"

// A convolution with max-pooling by 2 behind it is one call. The four pixels of a square are compared while they are in registers, and only the
// largest is written. Going back, three of the four have no gradient, and which three differs from channel to channel. So each value of dy goes
// back to its own window, which takes a quarter of the products of the whole convolution.

// CanPool reports whether ConvPool can do a convolution, which is so for windows of 3×3 with a stride of 1 and an output of at least 2×2 pixels.
func (w Window) CanPool() bool {
	h, width := w.Out()
	return w.Size == 3 && w.Stride == 1 && h >= 2 && width >= 2
}

// Pooled returns the height and the width of what ConvPool writes.
func (w Window) Pooled() (h, width int) {
	h, width = w.Out()
	return h / 2, width / 2
}

// squares returns the number of pixels that ConvPool writes.
func (w Window) squares() int {
	h, width := w.Pooled()
	return h * width
}

// ConvPool does Conv and then MaxPool with a window of 2: it writes to y [N,PH,PW,out] the largest value of each channel in each square of 2×2
// pixels. The bits are those of Conv and MaxPool, except for the sign of a 0 behind a ReLU. It writes to from [N,PH,PW,out] where the window of
// the largest pixel begins in its image with its padding, for ConvPoolBackward.
func ConvPool[T Float](y []T, from []int32, x, weights, bias []T, n, out int, w Window, relu bool) {
	checkConvPool("ConvPool", len(y), len(from), len(x), len(weights), n, out, w)
	checkLen("ConvPool", "bias", len(bias), out)
	t := takeImages(imageCall[T]{op: opConvPool, window: w, out: out, relu: relu, y: y, x: x, weights: weights, bias: bias, which: from})
	t.forward.ofSquares(w)
	if v := t.vector(); v != nil {
		packFilters(v)
	}
	t.run(n, imageParts)
	t.drop()
}

// ConvPoolBackward writes the gradients of ConvPool's arguments, given the gradient dy [N,PH,PW,out] of what it wrote: dx [N,H,W,C], unless that
// is nil, dWeights and dBias. from is what ConvPool wrote; so is y where ConvPool ended in a ReLU, and else it is nil. It may overwrite dy.
func ConvPoolBackward[T Float](dx, dWeights, dBias, dy []T, from []int32, x, y, weights []T, n, out int, w Window) {
	checkConvPool("ConvPoolBackward", len(dy), len(from), len(x), len(weights), n, out, w)
	t := takeImages(imageCall[T]{op: opConvPoolBackward, window: w, out: out, y: y, x: x, dy: dy, dx: dx, weights: weights, which: from})
	t.gradients("ConvPoolBackward", dWeights, dBias, n, len(weights))
	copy(dWeights, t.gradWeights)
	t.drop()
}

func checkConvPool(function string, y, from, x, weights, n, out int, w Window) {
	w.check(function)
	if !w.CanPool() {
		panic(fmt.Sprintf("kernel: %s: window of %d, stride %d over images of %dx%d: want 3, stride 1, and at least 2x2 pixels", function, w.Size, w.Stride, w.H, w.W))
	}
	checkLen(function, "y", y, n*w.squares()*out)
	checkLen(function, "from", from, y)
	checkLen(function, "x", x, n*w.image())
	checkLen(function, "weights", weights, out*w.patch())
}

// ofSquares sets l to the places of a window, with the corners of the four pixels of each square behind each other.
func (l *places) ofSquares(w Window) {
	l.of(w)
	l.corners = l.corners[:0]
	h, width := w.Pooled()
	for y := range h {
		for x := range width {
			for i := range 4 {
				l.corners = append(l.corners, w.corner(2*y+i/2, 2*x+i%2))
			}
		}
	}
}

// convPool does ConvPool of image i.
func (t *images[T]) convPool(i int, s *imageSpace[T]) {
	size := t.window.squares() * t.out
	x, y, from := padded(&s.padded, row(t.x, i, t.window.image()), t.window), row(t.y, i, size), row(t.which, i, size)
	if v := t.vector(); v != nil {
		convolvePool(v, any(y).([]float32), from, any(x).([]float32))
		return
	}
	pixel := grown(&s.grad, t.out)
	for p, corner := range t.forward.corners {
		patch := gather(&s.patches, x, &t.forward, p)
		MatMul(NT, pixel, patch, t.weights, 1, t.out, len(patch), Epilogue[T]{Bias: t.bias, ReLU: t.relu})
		best, from := row(y, p/4, t.out), row(from, p/4, t.out)
		for o, v := range pixel {
			if p%4 == 0 || v > best[o] || v != v && best[o] == best[o] {
				best[o], from[o] = v, corner
			}
		}
	}
}

// convPoolBackward does ConvPoolBackward of image i, and adds to the gradients of a part. For each value of dy it adds the window of x, times that
// value, to dW, and W, times that value, to the same window of dx.
func (t *images[T]) convPoolBackward(i, part int, s *imageSpace[T]) {
	w, size := t.window, t.window.squares()*t.out
	dy, from := row(t.dy, i, size), row(t.which, i, size)
	if t.y != nil {
		ReLUBackward(dy, dy, row(t.y, i, size))
	}
	SumRows(row(t.gradBias, part, t.out), dy, t.out, true)
	x, gradWeights := padded(&s.padded, row(t.x, i, w.image()), w), row(t.gradWeights, part, t.gradSize)
	var dx []T
	if t.dx != nil {
		dx = grown(&s.grad, (w.H+2*w.Pad)*(w.W+2*w.Pad)*w.C)
		clear(dx)
	}
	if v := t.vector(); v != nil {
		addPooled(v, any(gradWeights).([]float32), any(x).([]float32), any(dx).([]float32), any(dy).([]float32), from)
	} else {
		for j, g := range dy {
			own, o := from[j], j%t.out
			for k, value := range t.forward.values {
				gradWeights[o*len(t.forward.values)+k] += g * x[own+value]
				if dx != nil {
					dx[own+value] += g * t.weights[o*len(t.forward.values)+k]
				}
			}
		}
	}
	if dx != nil {
		unpad(row(t.dx, i, w.image()), dx, w)
	}
}
