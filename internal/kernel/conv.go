package kernel

const (
	// A gradient of weights is summed in parts, each of which has memory of its own. There are as many parts as fit into gradientParts values
	// together, but at least leastParts, so that threads share the work of a large gradient too.
	gradientParts = 1 << 21
	leastParts    = 4
	// patchBlock is the number of pixels whose patches are multiplied at a time, where patches are written to memory.
	patchBlock = 16
)

// Conv writes to y [N,OH,OW,out] the scalar product of each window of n images x [N,H,W,C] with each of the filters weights
// [out,Size,Size,C], plus bias [out], and applies a ReLU where relu is set. It is a cross-correlation, as PyTorch's Conv2d is.
func Conv[T Float](y, x, weights, bias []T, n, out int, w Window, relu bool) {
	w.check("Conv")
	checkLen("Conv", "y", len(y), n*w.pixels()*out)
	checkLen("Conv", "x", len(x), n*w.image())
	checkLen("Conv", "weights", len(weights), out*w.patch())
	checkLen("Conv", "bias", len(bias), out)
	t := takeImages(imageCall[T]{op: opConv, window: w, out: out, relu: relu, y: y, x: x, weights: weights, bias: bias})
	t.forward.of(w)
	if v := t.vector(); v != nil {
		packFilters(v)
	}
	t.run(n, imageParts)
	t.drop()
}

// ConvBackward writes the gradients of Conv's arguments, given the gradient dy [N,OH,OW,out] of what it wrote: dx [N,H,W,C], unless that is nil,
// dWeights and dBias. y is what Conv wrote where that ended in a ReLU, else nil. It may overwrite dy.
func ConvBackward[T Float](dx, dWeights, dBias, dy, x, y, weights []T, n, out int, w Window) {
	w.check("ConvBackward")
	checkLen("ConvBackward", "dy", len(dy), n*w.pixels()*out)
	checkLen("ConvBackward", "x", len(x), n*w.image())
	checkLen("ConvBackward", "weights", len(weights), out*w.patch())
	t := takeImages(imageCall[T]{op: opConvBackward, window: w, out: out, y: y, x: x, dy: dy, dx: dx, weights: weights})
	size := len(weights)
	v := t.vector()
	if v != nil {
		size = prepareBackward(v)
	}
	t.gradients("ConvBackward", dWeights, dBias, n, size)
	if v != nil {
		unpackGradients(v, any(dWeights).([]float32))
	} else {
		copy(dWeights, t.gradWeights)
	}
	t.drop()
}

// gradients does a call that goes back. It leaves the gradient of the weights, which has size values, in gradWeights.
func (t *images[T]) gradients(function string, dWeights, dBias []T, n, size int) {
	checkLen(function, "dWeights", len(dWeights), len(t.weights))
	checkLen(function, "dBias", len(dBias), t.out)
	if t.dx != nil {
		checkLen(function, "dx", len(t.dx), len(t.x))
	}
	if t.y != nil {
		checkLen(function, "y", len(t.y), len(t.dy))
	}
	t.forward.of(t.window)
	t.gradSize = size
	parts := min(imageParts, max(leastParts, gradientParts/size))
	t.gradWeights, t.gradBias = grown(&t.gradWeights, parts*size), grown(&t.gradBias, parts*t.out)
	clear(t.gradWeights)
	clear(t.gradBias)
	t.run(n, parts)
	SumRows(dBias, t.gradBias, t.out, false)
	SumRows(t.gradWeights[:size], t.gradWeights[size:], size, true)
	t.gradWeights = t.gradWeights[:size]
}

// places says where an image with its padding has the values under the windows. Value t of the window of pixel p is at corners[p] + values[t].
type places struct{ corners, values []int32 }

// of sets l to the places of a window.
func (l *places) of(w Window) {
	h, width := w.Out()
	line := (w.W + 2*w.Pad) * w.C
	l.corners, l.values = l.corners[:0], l.values[:0]
	for y := range h {
		for x := range width {
			l.corners = append(l.corners, w.corner(y, x))
		}
	}
	for y := range w.Size {
		for j := range w.Size * w.C {
			l.values = append(l.values, int32(y*line+j))
		}
	}
}

// corner returns where the window of an output's pixel begins in an image with its padding.
func (w Window) corner(y, x int) int32 { return int32((y*(w.W+2*w.Pad) + x) * w.Stride * w.C) }

// padded returns an image with zeros around it, in buffer. Without padding it returns the image itself.
func padded[T Float](buffer *[]T, x []T, w Window) []T {
	if w.Pad == 0 {
		return x
	}
	line, side := w.W*w.C, w.Pad*w.C
	wide := line + 2*side
	dst := grown(buffer, (w.H+2*w.Pad)*wide)
	at := w.Pad*wide + side
	clear(dst[:at])
	for y := range w.H {
		copy(dst[at:at+line], x[y*line:])
		clear(dst[at+line : at+wide]) // the padding to the right, and that to the left of the next line
		at += wide
	}
	clear(dst[at:])
	return dst
}

// conv does Conv of image i.
func (t *images[T]) conv(i int, s *imageSpace[T]) {
	x, y := padded(&s.padded, row(t.x, i, t.window.image()), t.window), row(t.y, i, t.window.pixels()*t.out)
	if v := t.vector(); v != nil {
		convolve(v, any(y).([]float32), any(x).([]float32))
		return
	}
	k := t.window.patch()
	for p := range t.forward.corners {
		patch := gather(&s.patches, x, &t.forward, p)
		MatMul(NT, row(y, p, t.out), patch, t.weights, 1, t.out, k, Epilogue[T]{Bias: t.bias, ReLU: t.relu})
	}
}

// convBackward does ConvBackward of image i, and adds to the gradients of a part: dW += dyᵀ·patches and db += Σ dy. dx is dy·W, of which each
// patch is added to the place that it came from.
func (t *images[T]) convBackward(i, part int, s *imageSpace[T]) {
	size := t.window.pixels() * t.out
	dy := row(t.dy, i, size)
	if t.y != nil {
		ReLUBackward(dy, dy, row(t.y, i, size))
	}
	SumRows(row(t.gradBias, part, t.out), dy, t.out, true)
	x := padded(&s.padded, row(t.x, i, t.window.image()), t.window)
	gradWeights := row(t.gradWeights, part, t.gradSize)
	v := t.vector()
	if v != nil {
		addGradients(v, any(gradWeights).([]float32), any(x).([]float32), any(dy).([]float32))
	} else {
		for p := range t.forward.corners {
			patch := gather(&s.patches, x, &t.forward, p)
			MatMul(TN, gradWeights, row(dy, p, t.out), patch, t.out, len(patch), 1, Epilogue[T]{Accumulate: true})
		}
	}
	if t.dx == nil {
		return
	}
	dx := row(t.dx, i, t.window.image())
	if v != nil && t.window.Stride == 1 {
		dy := padded(&s.padded, dy, t.window.back(t.out))
		convolveBack(v, any(dx).([]float32), any(dy).([]float32))
		return
	}
	t.scatter(dx, dy, s)
}

// gather copies the values under the window of pixel p to buffer, and returns them.
func gather[T Float](buffer *[]T, x []T, l *places, p int) []T {
	patch, x := grown(buffer, len(l.values)), x[l.corners[p]:]
	for j, at := range l.values {
		patch[j] = x[at]
	}
	return patch
}

// scatter computes the gradients of the patches, a block of pixels at a time, and writes to dx the sum that each of its values has of them.
func (t *images[T]) scatter(dx, dy []T, s *imageSpace[T]) {
	w, k := t.window, t.window.patch()
	grad := grown(&s.grad, (w.H+2*w.Pad)*(w.W+2*w.Pad)*w.C)
	clear(grad)
	patches := grown(&s.patches, patchBlock*k)
	for from := 0; from < w.pixels(); from += patchBlock {
		corners := t.forward.corners[from:min(from+patchBlock, w.pixels())]
		n := len(corners)
		MatMul(NN, patches[:n*k], dy[from*t.out:(from+n)*t.out], t.weights, n, k, t.out, Epilogue[T]{})
		for p, corner := range corners {
			to := grad[corner:]
			for j, v := range row(patches, p, k) {
				to[t.forward.values[j]] += v
			}
		}
	}
	unpad(dx, grad, w)
}

// unpad copies an image without its padding to dst.
func unpad[T Float](dst, padded []T, w Window) {
	line, wide := w.W*w.C, (w.W+2*w.Pad)*w.C
	for y := range w.H {
		copy(row(dst, y, line), padded[(y+w.Pad)*wide+w.Pad*w.C:])
	}
}

// back returns the window of the convolution that computes dx from dy where the stride is 1. Its filters are those of w, turned round.
func (w Window) back(out int) Window {
	h, width := w.Out()
	return Window{H: h, W: width, C: out, Size: w.Size, Stride: 1, Pad: w.Size - 1 - w.Pad}
}
