package kernel

import "fmt"

// Window is how a square window of Size×Size moves over images [N,H,W,C], Pad pixels of zeros around them, by Stride.
type Window struct {
	H, W, C           int
	Size, Stride, Pad int
}

// Out returns the height and the width of what comes out.
func (w Window) Out() (h, width int) {
	return (w.H+2*w.Pad-w.Size)/w.Stride + 1, (w.W+2*w.Pad-w.Size)/w.Stride + 1
}

// patch is the number of values under a window.
func (w Window) patch() int { return w.Size * w.Size * w.C }

func (w Window) check(function string) {
	if w.H < 1 || w.W < 1 || w.C < 1 || w.Size < 1 || w.Stride < 1 || w.Pad < 0 || w.Pad >= w.Size ||
		w.Size > w.H+2*w.Pad || w.Size > w.W+2*w.Pad {
		panic(fmt.Sprintf("kernel: %s: no window of %d, stride %d, padding %d fits images of %dx%dx%d", function, w.Size, w.Stride, w.Pad, w.H, w.W, w.C))
	}
}

const (
	// Patches are copied together in blocks of about so many values, which stay in the second cache.
	patchBlock = 1 << 16
	// Images are shared among threads in at most so many parts. Each part of a gradient is summed on its own, if all those
	// parts' weights together are no more than gradientParts.
	imageParts    = 16
	gradientParts = 1 << 21
)

// Conv writes to y [N,OH,OW,out] the sums of products of each window of x [N,H,W,C] with weights [out,Size,Size,C], plus
// bias [out], then ReLU where relu is set: a cross-correlation, as PyTorch's Conv2d, through the matrix product.
func Conv[T Float](y, x, weights, bias []T, n, out int, w Window, relu bool) {
	w.check("Conv")
	oh, ow := w.Out()
	checkLen("Conv", "y", len(y), n*oh*ow*out)
	checkLen("Conv", "x", len(x), n*w.H*w.W*w.C)
	checkLen("Conv", "weights", len(weights), out*w.patch())
	checkLen("Conv", "bias", len(bias), out)
	t := takeImages[T]()
	t.op, t.y, t.x, t.weights, t.bias, t.out, t.window, t.relu = opConv, y, x, weights, bias, out, w, relu
	t.run(n, imageParts)
}

// ConvBackward writes from dy [N,OH,OW,out] the gradients of Conv's arguments: dx [N,H,W,C] or nil, dWeights and dBias.
func ConvBackward[T Float](dx, dWeights, dBias, dy, x, weights []T, n, out int, w Window) {
	w.check("ConvBackward")
	oh, ow := w.Out()
	checkLen("ConvBackward", "dy", len(dy), n*oh*ow*out)
	checkLen("ConvBackward", "x", len(x), n*w.H*w.W*w.C)
	checkLen("ConvBackward", "weights", len(weights), out*w.patch())
	checkLen("ConvBackward", "dWeights", len(dWeights), out*w.patch())
	checkLen("ConvBackward", "dBias", len(dBias), out)
	if dx != nil {
		checkLen("ConvBackward", "dx", len(dx), len(x))
	}
	parts := max(1, min(imageParts, gradientParts/len(weights)))
	t := takeImages[T]()
	t.op, t.y, t.x, t.weights, t.dx, t.out, t.window = opConvBackward, dy, x, weights, dx, out, w
	t.gradWeights = grown(t.gradWeights, parts*len(weights))
	t.gradBias = grown(t.gradBias, parts*out)
	gradWeights, gradBias := t.gradWeights, t.gradBias
	clear(gradWeights)
	clear(gradBias)
	t.run(n, parts)
	SumRows(dWeights, gradWeights, len(weights), false)
	SumRows(dBias, gradBias, out, false)
}

// MaxPool writes to y [N,OH,OW,C] the largest value of each channel in each window of x [N,H,W,C], without padding, and to
// which [N,OH,OW,C] where in the window it is: row by row, of equal ones the first. NaN is larger than all.
func MaxPool[T Float](y []T, which []uint8, x []T, n int, w Window) {
	checkPool("MaxPool", len(y), len(which), len(x), n, w)
	t := takeImages[T]()
	t.op, t.y, t.which, t.x, t.window = opMaxPool, y, which, x, w
	t.run(n, imageParts)
}

// MaxPoolBackward writes to dx [N,H,W,C] what each value of x had a part in: dy where it was the largest, else 0.
func MaxPoolBackward[T Float](dx, dy []T, which []uint8, n int, w Window) {
	checkPool("MaxPoolBackward", len(dy), len(which), len(dx), n, w)
	t := takeImages[T]()
	t.op, t.y, t.which, t.dx, t.window = opMaxPoolBackward, dy, which, dx, w
	t.run(n, imageParts)
}

func checkPool(function string, y, which, x, n int, w Window) {
	w.check(function)
	if w.Pad != 0 || w.Size > 16 {
		panic(fmt.Sprintf("kernel: %s: window of %d with padding %d, want at most 16 and none", function, w.Size, w.Pad))
	}
	oh, ow := w.Out()
	checkLen(function, "y", y, n*oh*ow*w.C)
	checkLen(function, "which", which, n*oh*ow*w.C)
	checkLen(function, "x", x, n*w.H*w.W*w.C)
}

type imageOp uint8

const (
	opConv imageOp = iota
	opConvBackward
	opMaxPool
	opMaxPoolBackward
)

// images is a call on images, cut into parts of whole ones.
type images[T Float] struct {
	parts
	op                      imageOp
	n, each, out            int
	window                  Window
	relu                    bool
	y, x, dx, weights, bias []T // y is dy on the way back
	which                   []uint8
	gradWeights, gradBias   []T // by part
}

var (
	spareImages  = make(chan task, 16)
	sparePatches = make(chan any, 64)
)

func takeImages[T Float]() *images[T] {
	if t, ok := any(take(spareImages)).(*images[T]); ok && t != nil {
		return t
	}
	return new(images[T])
}

// run does the call in at most so many parts and gives t back.
func (t *images[T]) run(n, parts int) {
	t.n, t.each = n, max(1, (n+parts-1)/parts)
	t.start((n + t.each - 1) / t.each)
	if len(t.y)+len(t.x) < sharedLogits/4 {
		t.work()
	} else {
		share(t)
	}
	t.y, t.x, t.dx, t.weights, t.bias, t.which = nil, nil, nil, nil, nil, nil
	give(spareImages, task(t))
}

// patches is a thread's place for the values under windows and for their gradient.
type patches[T Float] struct{ values, grads []T }

func (t *images[T]) work() {
	p, _ := take(sparePatches).(*patches[T])
	if p == nil {
		p = new(patches[T])
	}
	for part := range t.taken {
		for i := part * t.each; i < min((part+1)*t.each, t.n); i++ {
			switch t.op {
			case opConv:
				t.conv(i, p)
			case opConvBackward:
				t.convBackward(i, part, p)
			case opMaxPool:
				t.maxPool(i)
			default:
				t.maxPoolBackward(i)
			}
		}
	}
	give(sparePatches, any(p))
}

// blocks yields runs of output rows whose patches fit in a block.
func (t *images[T]) blocks(yield func(from, to int) bool) {
	oh, ow := t.window.Out()
	each := max(1, patchBlock/(ow*t.window.patch()))
	for from := 0; from < oh; from += each {
		if !yield(from, min(from+each, oh)) {
			return
		}
	}
}

func (t *images[T]) conv(i int, p *patches[T]) {
	w, k := t.window, t.window.patch()
	oh, ow := w.Out()
	x, y := image(t.x, i, w.H*w.W*w.C), image(t.y, i, oh*ow*t.out)
	for from, to := range t.blocks {
		pixels := (to - from) * ow
		p.values = grown(p.values, pixels*k)
		gather(p.values, x, w, from, to)
		MatMul(NT, y[from*ow*t.out:to*ow*t.out], p.values, t.weights, pixels, t.out, k, Epilogue[T]{Bias: t.bias, ReLU: t.relu})
	}
}

// dW += dyᵀ·patches, db += Σ dy, dpatches = dy·W, which go back to where the patches came from.
func (t *images[T]) convBackward(i, part int, p *patches[T]) {
	w, k := t.window, t.window.patch()
	oh, ow := w.Out()
	x, dy := image(t.x, i, w.H*w.W*w.C), image(t.y, i, oh*ow*t.out)
	dw := image(t.gradWeights, part, t.out*k)
	SumRows(image(t.gradBias, part, t.out), dy, t.out, true)
	var dx []T
	if t.dx != nil {
		dx = image(t.dx, i, len(x))
		clear(dx)
	}
	for from, to := range t.blocks {
		pixels := (to - from) * ow
		p.values = grown(p.values, pixels*k)
		gather(p.values, x, w, from, to)
		rows := dy[from*ow*t.out : to*ow*t.out]
		MatMul(TN, dw, rows, p.values, t.out, k, pixels, Epilogue[T]{Accumulate: true})
		if dx != nil {
			p.grads = grown(p.grads, pixels*k)
			MatMul(NN, p.grads, rows, t.weights, pixels, k, t.out, Epilogue[T]{})
			scatter(dx, p.grads, w, from, to)
		}
	}
}

func image[T Float](x []T, i, size int) []T { return x[i*size : (i+1)*size] }

func grown[T Float](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// inside returns which of the Size places from at on lie in [0,length).
func (w Window) inside(at, length int) (from, to int) { return max(0, -at), min(w.Size, length-at) }

// gather copies what lies under the windows of output rows [from,to) of an image together: dst [(to−from)·OW, Size·Size·C].
func gather[T Float](dst, x []T, w Window, from, to int) {
	_, ow := w.Out()
	line := w.Size * w.C
	at := 0
	for oy := from; oy < to; oy++ {
		for ox := range ow {
			left := ox*w.Stride - w.Pad
			first, last := w.inside(left, w.W)
			for ky := range w.Size {
				row := dst[at : at+line]
				at += line
				top := oy*w.Stride - w.Pad + ky
				if top < 0 || top >= w.H || first >= last {
					clear(row)
					continue
				}
				src := x[(top*w.W+left+first)*w.C : (top*w.W+left+last)*w.C]
				if len(src) == line {
					if line < 16 {
						//lint:ignore S1001 so few values are there sooner than a call of copy
						for j, v := range src {
							row[j] = v
						}
					} else {
						copy(row, src)
					}
					continue
				}
				clear(row[:first*w.C])
				copy(row[first*w.C:], src)
				clear(row[last*w.C:])
			}
		}
	}
}

// scatter adds what gather would have copied to where it came from.
func scatter[T Float](dx, src []T, w Window, from, to int) {
	_, ow := w.Out()
	line := w.Size * w.C
	at := 0
	for oy := from; oy < to; oy++ {
		for ox := range ow {
			left := ox*w.Stride - w.Pad
			first, last := w.inside(left, w.W)
			for ky := range w.Size {
				row := src[at : at+line]
				at += line
				top := oy*w.Stride - w.Pad + ky
				if top >= 0 && top < w.H && first < last {
					addTo(dx[(top*w.W+left+first)*w.C:(top*w.W+left+last)*w.C], row[first*w.C:last*w.C])
				}
			}
		}
	}
}

// addTo: dst += x.
func addTo[T Float](dst, x []T) {
	done := 0
	if len(dst) >= 16 {
		if dst32, ok := any(dst).([]float32); ok {
			done = addRow32(dst32, any(x).([]float32))
		}
	}
	for i := done; i < len(dst); i++ {
		dst[i] += x[i]
	}
}

func (t *images[T]) maxPool(i int) {
	w := t.window
	oh, ow := w.Out()
	x, y := image(t.x, i, w.H*w.W*w.C), image(t.y, i, oh*ow*w.C)
	which := t.which[i*len(y) : (i+1)*len(y)]
	for oy := range oh {
		for ox := range ow {
			best, at := y[:w.C], which[:w.C]
			y, which = y[w.C:], which[w.C:]
			place := uint8(0)
			for ky := range w.Size {
				for kx := range w.Size {
					from := ((oy*w.Stride+ky)*w.W + ox*w.Stride + kx) * w.C
					row := x[from : from+w.C]
					if place == 0 {
						copy(best, row)
						clear(at)
					} else {
						larger(best, at, row, place)
					}
					place++
				}
			}
		}
	}
}

// larger puts x where it is above best, and place to where.
func larger[T Float](best []T, where []uint8, x []T, place uint8) {
	x, where = x[:len(best)], where[:len(best)]
	for c, v := range x {
		if v > best[c] || v != v && best[c] == best[c] {
			best[c], where[c] = v, place
		}
	}
}

func (t *images[T]) maxPoolBackward(i int) {
	w := t.window
	oh, ow := w.Out()
	dx, dy := image(t.dx, i, w.H*w.W*w.C), image(t.y, i, oh*ow*w.C)
	which := t.which[i*len(dy) : (i+1)*len(dy)]
	clear(dx)
	at := 0
	for oy := range oh {
		for ox := range ow {
			corner := (oy*w.Stride*w.W + ox*w.Stride) * w.C
			for c := range w.C {
				place := int(which[at])
				dx[corner+(place/w.Size*w.W+place%w.Size)*w.C+c] += dy[at]
				at++
			}
		}
	}
}
