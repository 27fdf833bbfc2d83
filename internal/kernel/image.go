package kernel

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/spare"
)

// Window says how a square window of Size×Size pixels moves over images [N,H,W,C]: by Stride pixels, over an image that has Pad pixels of zeros
// on each side.
type Window struct {
	H, W, C           int
	Size, Stride, Pad int
}

// Out returns the height and the width of the output, which has a pixel for each place of the window.
func (w Window) Out() (h, width int) {
	return (w.H+2*w.Pad-w.Size)/w.Stride + 1, (w.W+2*w.Pad-w.Size)/w.Stride + 1
}

// pixels returns the number of places that the window has over an image.
func (w Window) pixels() int {
	h, width := w.Out()
	return h * width
}

// patch returns the number of values under the window.
func (w Window) patch() int { return w.Size * w.Size * w.C }

// image returns the number of values of an image without padding.
func (w Window) image() int { return w.H * w.W * w.C }

func (w Window) check(function string) {
	if w.H < 1 || w.W < 1 || w.C < 1 || w.Size < 1 || w.Stride < 1 || w.Pad < 0 || w.Pad >= w.Size ||
		w.Size > w.H+2*w.Pad || w.Size > w.W+2*w.Pad || w.H+2*w.Pad > math.MaxInt32/w.C/(w.W+2*w.Pad) {
		panic(fmt.Sprintf("kernel: %s: no window of %d, stride %d, padding %d fits images of %dx%dx%d", function, w.Size, w.Stride, w.Pad, w.H, w.W, w.C))
	}
}

// imageParts is the largest number of parts that a call on images is cut into for threads.
const imageParts = 16

// images is a call on images that is cut into parts of whole images.
type images[T Float] struct {
	parts
	imageCall[T]
	n, each int // the number of all images, and of those in a part

	// These are for convolutions alone.
	forward, back         places // of the window, and of the window by which dx is computed from dy
	filters               []T    // the weights in the order in which the vector code reads them
	gradSize              int    // the number of values of the weights' gradient, with what fills up panels
	gradWeights, gradBias []T    // [parts,gradSize] and [parts,out]: the gradients, each part's for itself
}

// imageCall has the arguments of a call on images.
type imageCall[T Float] struct {
	op            imageOp
	window        Window
	out           int // the channels of the output
	relu          bool
	y, x, dy, dx  []T
	weights, bias []T
	which         []int32 // MaxPool's argument of this name, or ConvPool's from
}

// imageOp says which function was called.
type imageOp uint8

const (
	opConv imageOp = iota
	opConvBackward
	opConvPool
	opConvPoolBackward
	opMaxPool
	opMaxPoolBackward
)

// imageSpace is a thread's own memory: for an image with its padding, for the gradient of one, and for patches, the values under windows.
type imageSpace[T Float] struct{ padded, grad, patches []T }

var (
	spareImages = make(chan task, 16)
	spareSpaces = make(chan any, 64)
)

// takeImages returns images for a call, with memory of an earlier call where there is some.
func takeImages[T Float](call imageCall[T]) *images[T] {
	t, _ := any(spare.Take(spareImages)).(*images[T])
	if t == nil {
		t = new(images[T])
	}
	t.imageCall = call
	return t
}

// run does the call on n images in at most so many parts. A small call is not shared among threads.
func (t *images[T]) run(n, parts int) {
	t.n, t.each = n, max(1, (n+parts-1)/parts)
	t.start((n + t.each - 1) / t.each)
	if n*(t.window.image()+t.window.pixels()*t.out) < sharedLogits/4 {
		t.work()
	} else {
		share(t)
	}
}

// drop lets go of the call's arguments, and keeps its memory for the next call.
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

// vector returns t where it is of float32 and there is vector code, else nil.
func (t *images[T]) vector() *images[float32] {
	if active.lanes == 0 {
		return nil
	}
	v, _ := any(t).(*images[float32])
	return v
}

// row returns row i of x, whose rows have size values.
func row[T any](x []T, i, size int) []T { return x[i*size : (i+1)*size] }

// grown returns n values of *x, for which it makes a new slice where the capacity is less. What they hold is undefined.
func grown[T any](x *[]T, n int) []T {
	if cap(*x) < n {
		*x = make([]T, n)
	}
	return (*x)[:n]
}
