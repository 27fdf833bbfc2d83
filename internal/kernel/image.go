package kernel

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/spare"
)

// Window is how a square window of Size×Size moves over images [N,H,W,C], Pad pixels of zeros around them, by Stride.
type Window struct {
	H, W, C           int
	Size, Stride, Pad int
}

// Out returns the height and the width of what comes out.
func (w Window) Out() (h, width int) {
	return (w.H+2*w.Pad-w.Size)/w.Stride + 1, (w.W+2*w.Pad-w.Size)/w.Stride + 1
}

// pixels is the number of windows over an image, patch that of values under each.
func (w Window) pixels() int {
	h, width := w.Out()
	return h * width
}

func (w Window) patch() int { return w.Size * w.Size * w.C }

// image is the number of values of an image.
func (w Window) image() int { return w.H * w.W * w.C }

func (w Window) check(function string) {
	if w.H < 1 || w.W < 1 || w.C < 1 || w.Size < 1 || w.Stride < 1 || w.Pad < 0 || w.Pad >= w.Size ||
		w.Size > w.H+2*w.Pad || w.Size > w.W+2*w.Pad || w.H+2*w.Pad > math.MaxInt32/w.C/(w.W+2*w.Pad) {
		panic(fmt.Sprintf("kernel: %s: no window of %d, stride %d, padding %d fits images of %dx%dx%d", function, w.Size, w.Stride, w.Pad, w.H, w.W, w.C))
	}
}

// Images are shared among threads in at most so many parts.
const imageParts = 16

// images is a call on images, cut into parts of whole ones.
type images[T Float] struct {
	parts
	imageCall[T]
	n, each int // images in all and in a part

	// of convolutions
	forward, back         places // of the window, and of the one by which dy becomes dx
	filters               []T    // the weights as vector code reads them
	gradSize              int    // of the weights, as they are summed up
	gradWeights, gradBias []T    // of each part
}

// imageCall is what a call is about.
type imageCall[T Float] struct {
	op            imageOp
	window        Window
	out           int
	relu          bool
	y, x, dy, dx  []T
	weights, bias []T
	which         []int32
}

type imageOp uint8

const (
	opConv imageOp = iota
	opConvBackward
	opConvPool
	opConvPoolBackward
	opMaxPool
	opMaxPoolBackward
)

// imageSpace is a thread's place for an image with its padding, for the gradient of one, and for what lies under windows.
type imageSpace[T Float] struct{ padded, grad, patches []T }

var (
	spareImages = make(chan task, 16)
	spareSpaces = make(chan any, 64)
)

func takeImages[T Float](call imageCall[T]) *images[T] {
	t, _ := any(spare.Take(spareImages)).(*images[T])
	if t == nil {
		t = new(images[T])
	}
	t.imageCall = call
	return t
}

// run does the call on n images in at most so many parts.
func (t *images[T]) run(n, parts int) {
	t.n, t.each = n, max(1, (n+parts-1)/parts)
	t.start((n + t.each - 1) / t.each)
	if n*(t.window.image()+t.window.pixels()*t.out) < sharedLogits/4 {
		t.work()
	} else {
		share(t)
	}
}

// drop lets go of what the call was about.
func (t *images[T]) drop() {
	t.imageCall = imageCall[T]{}
	spare.Give(spareImages, task(t))
}

func (t *images[T]) work() {
	s, _ := spare.Take(spareSpaces).(*imageSpace[T])
	if s == nil {
		s = new(imageSpace[T])
	}
	for part := range t.taken {
		for i := part * t.each; i < min((part+1)*t.each, t.n); i++ {
			switch t.op {
			case opConv:
				t.conv(i, s)
			case opConvBackward:
				t.convBackward(i, part, s)
			case opConvPool:
				t.convPool(i, s)
			case opConvPoolBackward:
				t.convPoolBackward(i, part, s)
			case opMaxPool:
				t.maxPool(i)
			default:
				t.maxPoolBackward(i)
			}
		}
	}
	spare.Give(spareSpaces, any(s))
}

// vector returns t where vector code does it, else nil.
func (t *images[T]) vector() *images[float32] {
	if active.lanes == 0 {
		return nil
	}
	v, _ := any(t).(*images[float32])
	return v
}

// row returns row i of those of so many values.
func row[T any](x []T, i, size int) []T { return x[i*size : (i+1)*size] }

func grown[T any](x *[]T, n int) []T {
	if cap(*x) < n {
		*x = make([]T, n)
	}
	return (*x)[:n]
}
