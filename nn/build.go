package nn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/logitscope/logitscope/internal/kernel"
)

// builder turns Layers into layers, one after the other.
type builder[T Float] struct {
	net     *Network[T]
	width   int            // the number of values that the last layer gives for a sample
	image   kernel.Window  // where these are an image, its height, width and channels; H is 0 where they are not
	rng     *rand.Rand     // for the masks of dropout
	numbers map[string]int // how many layers of each kind there are
}

// number returns a name of a kind of layer that no other layer has: dense1, dense2, …
func (b *builder[T]) number(kind string) string {
	b.numbers[kind]++
	return kind + strconv.Itoa(b.numbers[kind])
}

func (b *builder[T]) append(l layer[T]) { b.net.layers = append(b.net.layers, l) }

// last returns the last layer so far, or nil.
func (b *builder[T]) last() layer[T] {
	if len(b.net.layers) == 0 {
		return nil
	}
	return b.net.layers[len(b.net.layers)-1]
}

// add appends the layer that l describes, or lets the layer before it do its work.
func (b *builder[T]) add(l Layer) error {
	if b.width == 0 && l.kind != kindEmbedding {
		return errors.New("there is no input feature")
	}
	switch l.kind {
	case kindDense:
		b.append(&denseLayer[T]{label: b.number("dense"), in: b.width, out: l.out})
		b.width, b.image = l.out, kernel.Window{}
	case kindReLU:
		// A ReLU behind a product is done by the product, while its tile is still in registers.
		if p, ok := b.last().(interface{ fuseReLU() bool }); ok && p.fuseReLU() {
			return nil
		}
		b.append(&reluLayer[T]{width: b.width})
	case kindGELU:
		b.append(&geluLayer[T]{width: b.width})
	case kindDropout:
		b.append(&dropoutLayer[T]{width: b.width, rate: l.rate, rng: b.rng})
	case kindImage:
		if l.height*l.width*l.channels != b.width {
			return fmt.Errorf("an image of %dx%dx%d has %d values, and %d come in", l.height, l.width, l.channels, l.height*l.width*l.channels, b.width)
		}
		b.image = kernel.Window{H: l.height, W: l.width, C: l.channels}
	case kindConv, kindMaxPool:
		return b.window(l)
	case kindLayerNorm:
		b.append(newLayerNorm(b.scaled("layernorm")))
	case kindBatchNorm:
		b.append(newBatchNorm(b.scaled("batchnorm")))
	case kindBins:
		if len(b.net.layers) > 0 {
			return errors.New("bins come first")
		}
		if b.width > math.MaxInt32/(l.size+1) {
			return fmt.Errorf("%d bins of %d features are too many", l.size, b.width)
		}
		b.append(newBins[T](b.width, l.size))
		b.width, b.image = b.width*l.size, kernel.Window{}
	case kindEmbedding:
		if len(b.net.layers) > 0 {
			return errors.New("an embedding comes first")
		}
		b.net.bag = &embeddingBag[T]{buckets: l.size, dim: l.out, features: b.width}
		b.append(b.net.bag)
		b.width, b.image = l.out+b.width, kernel.Window{}
	}
	return nil
}

// scaled returns the common part of a normalisation.
func (b *builder[T]) scaled(kind string) scaled[T] {
	channels := b.width
	if b.image.H > 0 {
		channels = b.image.C
	}
	return newScaled[T](b.number(kind), b.width, channels)
}

// window adds a layer that moves a window over images.
func (b *builder[T]) window(l Layer) error {
	w := b.image
	if w.H == 0 {
		return errors.New("no image comes in: say what it is with Image")
	}
	w.Size, w.Stride, w.Pad = l.size, l.stride, l.pad
	if l.size > w.H+2*l.pad || l.size > w.W+2*l.pad {
		return fmt.Errorf("a window of %dx%d does not fit images of %dx%d", l.size, l.size, w.H, w.W)
	}
	channels := w.C
	if l.kind == kindConv {
		b.append(&convLayer[T]{label: b.number("conv"), window: w, out: l.out})
		channels = l.out
	} else if conv, ok := b.last().(*convLayer[T]); !ok || l.size != 2 || !conv.fusePool() {
		b.append(&poolLayer[T]{window: w})
	}
	h, width := w.Out()
	b.image = kernel.Window{H: h, W: width, C: channels}
	b.width = h * width * channels
	return nil
}
