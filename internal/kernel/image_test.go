package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// convCase is a convolution of random numbers and what it gives by its definition, in float64.
type convCase struct {
	window                              Window
	n, out                              int
	relu                                bool
	x, weights, bias, dy                []float32
	y, dx, dWeights, dBias              []float64
	sizeY, sizeDx, sizeWeights, sizeSum []float64 // the sums of what was added up, without signs: what rounding is measured by
}

func newConvCase(rng *rand.Rand, w Window, n, out int, relu bool) *convCase {
	c := &convCase{window: w, n: n, out: out, relu: relu}
	k, pixels := w.Size*w.Size*w.C, n*w.pixels()
	c.x, c.weights, c.bias, c.dy = normal(rng, n*w.H*w.W*w.C), normal(rng, out*k), normal(rng, out), normal(rng, pixels*out)
	c.define()
	return c
}

// define computes what the convolution gives.
func (c *convCase) define() {
	for _, to := range []struct {
		sums, sizes *[]float64
		n           int
	}{{&c.y, &c.sizeY, len(c.dy)}, {&c.dx, &c.sizeDx, len(c.x)}, {&c.dWeights, &c.sizeWeights, len(c.weights)}, {&c.dBias, &c.sizeSum, c.out}} {
		*to.sums, *to.sizes = make([]float64, to.n), make([]float64, to.n)
	}
	h, width := c.window.Out()
	at := 0
	for i := range c.n {
		for oy := range h {
			for ox := range width {
				for o := range c.out {
					c.pixel(i, oy, ox, o, at)
					at++
				}
			}
		}
	}
}

func (c *convCase) pixel(i, oy, ox, o, at int) {
	w := c.window
	sum, size := float64(c.bias[o]), math.Abs(float64(c.bias[o]))
	each := func(visit func(x, weight int)) {
		for ky := range w.Size {
			for kx := range w.Size {
				y, x := oy*w.Stride+ky-w.Pad, ox*w.Stride+kx-w.Pad
				if y < 0 || y >= w.H || x < 0 || x >= w.W {
					continue
				}
				for channel := range w.C {
					visit(((i*w.H+y)*w.W+x)*w.C+channel, ((o*w.Size+ky)*w.Size+kx)*w.C+channel)
				}
			}
		}
	}
	each(func(x, weight int) {
		v := float64(c.x[x]) * float64(c.weights[weight])
		sum += v
		size += math.Abs(v)
	})
	if c.relu {
		sum = max(sum, 0)
	}
	c.y[at], c.sizeY[at] = sum, size
	g := float64(c.dy[at])
	if c.relu && float32(sum) == 0 {
		g = 0
	}
	c.dBias[o] += g
	c.sizeSum[o] += math.Abs(g)
	each(func(x, weight int) {
		c.dx[x] += g * float64(c.weights[weight])
		c.sizeDx[x] += math.Abs(g * float64(c.weights[weight]))
		c.dWeights[weight] += g * float64(c.x[x])
		c.sizeWeights[weight] += math.Abs(g * float64(c.x[x]))
	})
}

// check runs the convolution forward and back in guarded memory.
func (c *convCase) check(t *testing.T, atStart bool) {
	t.Helper()
	guard := func(x []float32) []float32 { return guarded(t, x, atStart) }
	y, x, weights, bias := guard(make([]float32, len(c.y))), guard(c.x), guard(c.weights), guard(c.bias)
	Conv(y, x, weights, bias, c.n, c.out, c.window, c.relu)
	c.near(t, "y", y, c.y, c.sizeY)
	output := y
	if c.relu {
		for i, v := range c.y { // of an output that is near 0 either side is right
			if (v > 0) != (y[i] > 0) {
				y[i] = float32(v)
			}
		}
	} else {
		output = nil
	}
	dx, dWeights, dBias := guard(make([]float32, len(c.x))), guard(normal(seeded(1), len(weights))), guard(normal(seeded(2), c.out))
	ConvBackward(dx, dWeights, dBias, guard(c.dy), x, output, weights, c.n, c.out, c.window)
	c.near(t, "dx", dx, c.dx, c.sizeDx)
	c.near(t, "dWeights", dWeights, c.dWeights, c.sizeWeights)
	c.near(t, "dBias", dBias, c.dBias, c.sizeSum)
	first := slices.Clone(dWeights)
	ConvBackward(nil, dWeights, dBias, guard(c.dy), x, output, weights, c.n, c.out, c.window)
	if !slices.Equal(first, dWeights) {
		t.Error("without dx dWeights are others")
	}
}

// checkPooled holds the convolution with max-pooling against the two calls that it is, bit by bit, and its gradients against
// those of a convolution whose dy is 0 but where a pixel was the largest.
func (c *convCase) checkPooled(t *testing.T, atStart bool) {
	t.Helper()
	w := c.window
	if !w.CanPool() {
		return
	}
	guard := func(x []float32) []float32 { return guarded(t, x, atStart) }
	whole := make([]float32, len(c.y))
	Conv(whole, c.x, c.weights, c.bias, c.n, c.out, w, c.relu)
	h, width := w.Out()
	want, which := pool(whole, c.n, Window{H: h, W: width, C: c.out, Size: 2, Stride: 2})
	y, x, weights := guard(make([]float32, len(want))), guard(c.x), guard(c.weights)
	from := numtest.Guarded[int32](t, len(want), atStart)
	ConvPool(y, from, x, weights, guard(c.bias), c.n, c.out, w, c.relu)
	back := &convCase{window: w, n: c.n, out: c.out, x: c.x, weights: c.weights, bias: c.bias, dy: make([]float32, len(c.dy))}
	dy := normal(seeded(3), len(want))
	_, wide := w.Pooled()
	for j, place := range which {
		square := j / c.out % w.squares()
		py, px := square/wide*2+int(place)/2, square%wide*2+int(place)%2
		dead := c.relu && want[j] == 0
		if y[j] != want[j] || !dead && from[j] != w.corner(py, px) {
			t.Fatalf("pixel %d is %v from %d, want %v from %d; %d filters, ReLU %v, %+v", j/c.out, y[j], from[j], want[j], w.corner(py, px), c.out, c.relu, w)
		}
		if !dead {
			back.dy[((j/c.out/w.squares()*h+py)*width+px)*c.out+j%c.out] = dy[j]
		}
	}
	back.define()
	output := y
	if !c.relu {
		output = nil
	}
	dx, dWeights, dBias := guard(normal(seeded(4), len(c.x))), guard(normal(seeded(1), len(weights))), guard(normal(seeded(2), c.out))
	ConvPoolBackward(dx, dWeights, dBias, guard(dy), from, x, output, weights, c.n, c.out, w)
	back.near(t, "pooled dx", dx, back.dx, back.sizeDx)
	back.near(t, "pooled dWeights", dWeights, back.dWeights, back.sizeWeights)
	back.near(t, "pooled dBias", dBias, back.dBias, back.sizeSum)
	first := slices.Clone(dWeights)
	ConvPoolBackward(nil, dWeights, dBias, guard(dy), from, x, output, weights, c.n, c.out, w)
	if !slices.Equal(first, dWeights) {
		t.Error("pooled: without dx dWeights are others")
	}
}

func (c *convCase) near(t *testing.T, what string, got []float32, want, size []float64) {
	t.Helper()
	for i, v := range want {
		if !(math.Abs(float64(got[i])-v) <= 1e-6*size[i]) {
			t.Errorf("%s[%d] = %v, want %v; %d images, %d filters, ReLU %v, %+v", what, i, got[i], v, c.n, c.out, c.relu, c.window)
			return
		}
	}
}

// Convolutions of shapes around the edges of vectors, tiles and panels, and their gradients.
func TestConvOnEveryPath(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	rng := seeded(21)
	var cases []*convCase
	for i, c := range []struct {
		w      Window
		n, out int
	}{
		{Window{H: 5, W: 4, C: 1, Size: 3, Stride: 1, Pad: 1}, 2, 3},
		{Window{H: 1, W: 1, C: 1, Size: 1, Stride: 1}, 1, 1},
		{Window{H: 9, W: 7, C: 16, Size: 3, Stride: 1, Pad: 1}, 3, 32},
		{Window{H: 6, W: 6, C: 33, Size: 3, Stride: 1, Pad: 2}, 2, 17},
		{Window{H: 8, W: 8, C: 7, Size: 5, Stride: 2, Pad: 2}, 2, 31},
		{Window{H: 6, W: 10, C: 40, Size: 2, Stride: 2}, 2, 65},
		{Window{H: 11, W: 5, C: 3, Size: 3, Stride: 3, Pad: 1}, 17, 8},
		{Window{H: 3, W: 3, C: 2, Size: 3, Stride: 1}, 5, 9},
		{Window{H: 16, W: 16, C: 4, Size: 3, Stride: 1, Pad: 1}, 20, 16}, // shared among threads
		{Window{H: 4, W: 3, C: 2, Size: 5, Stride: 1, Pad: 4}, 2, 5},
		{Window{H: 7, W: 6, C: 25, Size: 3, Stride: 1}, 18, 40},
		{Window{H: 5, W: 8, C: 16, Size: 3, Stride: 1, Pad: 1}, 2, 7},
	} {
		cases = append(cases, newConvCase(rng, c.w, c.n, c.out, i%2 == 0))
	}
	onEveryPath(t, func(t *testing.T) {
		for i, c := range cases {
			c.check(t, i%4 < 2)
			c.checkPooled(t, i%4 < 2)
		}
	})
}

func FuzzConv(f *testing.F) {
	f.Add(uint64(1), uint8(6), uint8(7), uint8(3), uint8(3), uint8(0), uint8(1), uint8(5), uint8(1))
	f.Add(uint64(2), uint8(9), uint8(4), uint8(16), uint8(2), uint8(1), uint8(0), uint8(33), uint8(0))
	f.Add(uint64(3), uint8(3), uint8(3), uint8(34), uint8(5), uint8(2), uint8(4), uint8(16), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, h, width, channels, size, stride, pad, out, option uint8) {
		w := Window{H: 1 + int(h%12), W: 1 + int(width%12), C: 1 + int(channels%40), Size: 1 + int(size%5), Stride: 1 + int(stride%3)}
		w.Pad = int(pad) % w.Size
		if w.Size > w.H+2*w.Pad || w.Size > w.W+2*w.Pad {
			t.Skip()
		}
		c := newConvCase(seeded(seed), w, 1+int(option>>1)%3, 1+int(out%70), option&1 != 0)
		onPaths(t, func(atStart bool) {
			c.check(t, atStart)
			c.checkPooled(t, atStart)
		})
	})
}

// Of a filter that holds NaN all its pixels are NaN, and of a pixel the gradient: none is stopped by a ReLU or a lane's edge.
func TestConvNaN(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		w := Window{H: 6, W: 6, C: 3, Size: 3, Stride: 1, Pad: 1}
		const out = 20
		rng := seeded(3)
		x, weights, y := normal(rng, w.image()), normal(rng, out*w.patch()), make([]float32, w.pixels()*out)
		weights[7*w.patch()+13] = float32(math.NaN())
		Conv(y, x, weights, make([]float32, out), 1, out, w, true)
		for i, v := range y {
			if (v != v) != (i%out == 7) {
				t.Fatalf("pixel %d, channel %d is %v: NaN is in filter 7", i/out, i%out, v)
			}
		}
		dx := make([]float32, len(x))
		dWeights, dBias := make([]float32, len(weights)), make([]float32, out)
		ConvBackward(dx, dWeights, dBias, normal(rng, len(y)), x, y, weights, 1, out, w)
		check := func() {
			for o, v := range dBias {
				if (v != v) != (o == 7) {
					t.Errorf("dBias[%d] = %v: NaN is in filter 7", o, v)
				}
			}
		}
		check()
		pooled, from := make([]float32, len(y)/4), make([]int32, len(y)/4)
		ConvPool(pooled, from, x, weights, make([]float32, out), 1, out, w, true)
		ConvPoolBackward(dx, dWeights, dBias, normal(rng, len(pooled)), from, x, pooled, weights, 1, out, w)
		check()
	})
}

func TestConvIsDeterministic(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		c := newConvCase(seeded(4), Window{H: 16, W: 16, C: 5, Size: 3, Stride: 1, Pad: 1}, 40, 12, true)
		var want [][]float32
		for _, procs := range []int{1, 2, 4} {
			runtime.GOMAXPROCS(procs)
			y, dx, dWeights, dBias := make([]float32, len(c.y)), make([]float32, len(c.x)), make([]float32, len(c.weights)), make([]float32, c.out)
			pooled, from := make([]float32, len(y)/4), make([]int32, len(y)/4)
			pooledDx, pooledDWeights := make([]float32, len(dx)), make([]float32, len(dWeights))
			work := func() {
				Conv(y, c.x, c.weights, c.bias, c.n, c.out, c.window, true)
				ConvBackward(dx, dWeights, dBias, slices.Clone(c.dy), c.x, y, c.weights, c.n, c.out, c.window)
				ConvPool(pooled, from, c.x, c.weights, c.bias, c.n, c.out, c.window, true)
				ConvPoolBackward(pooledDx, pooledDWeights, dBias, slices.Clone(c.dy[:len(pooled)]), from, c.x, pooled, c.weights, c.n, c.out, c.window)
			}
			work()
			got := [][]float32{y, dx, dWeights, dBias, pooled, pooledDx, pooledDWeights}
			if want == nil {
				want = got
			}
			for i := range got {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("GOMAXPROCS=%d gives other bits than 1", procs)
				}
			}
		}
	})
}

// pool is max-pooling by its definition.
func pool(x []float32, n int, w Window) (y []float32, which []int32) {
	h, width := w.Out()
	for i := range n {
		for oy := range h {
			for ox := range width {
				for c := range w.C {
					best, at := float32(math.Inf(-1)), int32(-1)
					for place := range w.Size * w.Size {
						v := x[((i*w.H+oy*w.Size+place/w.Size)*w.W+ox*w.Size+place%w.Size)*w.C+c]
						if at < 0 || best == best && !(v <= best) {
							best, at = v, int32(place)
						}
					}
					y, which = append(y, best), append(which, at)
				}
			}
		}
	}
	return y, which
}

// Max-pooling of any bits, equal ones, infinities and NaN among them, forward and back.
func FuzzMaxPool(f *testing.F) {
	for seed, c := range []uint8{1, 3, 7, 8, 15, 16, 17, 33} {
		f.Add(bytesOf(normal(seeded(uint64(seed)), 999)), uint8(4), uint8(3+seed), c, uint8(1+seed))
	}
	f.Add(bytesOf([]float32{float32(math.NaN()), 1, 1, float32(math.Inf(-1)), 0, float32(math.Inf(1)), -1}), uint8(5), uint8(5), uint8(9), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, h, width, channels, size uint8) {
		w := Window{H: 1 + int(h%9), W: 1 + int(width%9), C: 1 + int(channels%40)}
		w.Size = 1 + int(size)%min(w.H, w.W)
		w.Stride = w.Size
		values := floats(raw, 1000)
		if len(values) == 0 {
			t.Skip()
		}
		const n = 2
		x := make([]float32, n*w.image())
		for i := range x {
			x[i] = values[i%len(values)]
		}
		wantY, wantWhich := pool(x, n, w)
		dy := normal(seeded(1), len(wantY))
		wantDx := make([]float32, len(x))
		for i, place := range wantWhich {
			h, width := w.Out()
			image, oy, ox, c := i/(h*width*w.C), i/(width*w.C)%h, i/w.C%width, i%w.C
			wantDx[((image*w.H+oy*w.Size+int(place)/w.Size)*w.W+ox*w.Size+int(place)%w.Size)*w.C+c] = dy[i]
		}
		same := func(got float32, want float64) bool { return numtest.Near(float64(got), want, 0) }
		onPaths(t, func(atStart bool) {
			y, dx := guarded(t, make([]float32, len(wantY)), atStart), guarded(t, normal(seeded(2), len(x)), atStart)
			which := numtest.Guarded[int32](t, len(wantWhich), atStart)
			MaxPool(y, which, guarded(t, x, atStart), n, w)
			nearRow(t, fmt.Sprintf("%+v: y", w), y, widen(wantY), same)
			if !slices.Equal(which, wantWhich) {
				t.Errorf("%+v: places %v, want %v", w, which, wantWhich)
			}
			MaxPoolBackward(dx, guarded(t, dy, atStart), which, n, w)
			nearRow(t, fmt.Sprintf("%+v: dx", w), dx, widen(wantDx), same)
		})
	})
}

// Sums of columns and what normalisations end with, of any shape, in guarded memory; what is written may be an operand.
func FuzzColumns(f *testing.F) {
	for seed, columns := range []uint8{1, 7, 8, 15, 16, 17, 33, 64} {
		f.Add(uint64(seed), uint8(3*seed), columns)
	}
	f.Fuzz(func(t *testing.T, seed uint64, rows, columns uint8) {
		rng := seeded(seed)
		n, m := 1+int(columns%100), int(rows%20)
		u, v, old := normal(rng, m*n), normal(rng, m*n), normal(rng, n)
		a, b, shift, c := normal(rng, n), normal(rng, n), normal(rng, n), normal(rng, n)
		want, first, second := make([]float64, m*n), widen(old), widen(old)
		for i := range u {
			j := i % n
			want[i] = float64(u[i])*float64(a[j]) + (float64(v[i])-float64(shift[j]))*float64(b[j]) + float64(c[j])
			first[j] += float64(u[i] - a[j])
			second[j] += float64(u[i]-a[j]) * float64(v[i]-shift[j])
		}
		onPaths(t, func(atStart bool) {
			guard := func(x []float32) []float32 { return guarded(t, x, atStart) }
			u, v, a, b, shift, c := guard(u), guard(v), guard(a), guard(b), guard(shift), guard(c)
			gotFirst, gotSecond := numtest.Guarded[float64](t, n, atStart), numtest.Guarded[float64](t, n, atStart)
			copy(gotFirst, widen(old))
			copy(gotSecond, widen(old))
			ColumnMoments(gotFirst, gotSecond, u, v, a, shift)
			numtest.AllNear(t, "sum", gotFirst, first, 1e-13)
			numtest.AllNear(t, "sum of products", gotSecond, second, 1e-13)
			Blend(u, u, v, a, b, shift, c)
			numtest.AllNear(t, "blend", u, want, 3e-6)
		})
	})
}

// Bags of any tokens, their means and weighted sums, and what they add to a table that holds something already.
func FuzzBag(f *testing.F) {
	for seed, width := range []uint8{1, 7, 8, 16, 17, 33, 64} {
		f.Add(uint64(seed), width, uint8(seed%3), uint8(9), seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, width8, more, rows uint8, weighted bool) {
		rng := seeded(seed)
		width, n, m := 1+int(width8%70), rng.IntN(6), 1+int(rows%20)
		stride := width + int(more%5)
		tokens, offsets := []int32{}, []int32{0}
		for range n {
			for range rng.IntN(5) {
				tokens = append(tokens, int32(rng.IntN(m)))
			}
			offsets = append(offsets, int32(len(tokens)))
		}
		var weights []float32
		if weighted {
			weights = normal(rng, len(tokens))
		}
		table, old, dy := normal(rng, m*width), normal(rng, m*width), normal(rng, n*stride)
		want, wantTable := make([]float64, n*stride), widen(old)
		for i := range n {
			bag := tokens[offsets[i]:offsets[i+1]]
			for at, token := range bag {
				scale := 1 / float64(len(bag))
				if weighted {
					scale = float64(weights[int(offsets[i])+at])
				}
				for j := range width {
					want[i*stride+j] += scale * float64(table[int(token)*width+j])
					wantTable[int(token)*width+j] += scale * float64(dy[i*stride+j])
				}
			}
		}
		onPaths(t, func(atStart bool) {
			got := guarded(t, make([]float32, n*stride), atStart)
			Bag(got, guarded(t, table, atStart), tokens, offsets, weights, width, stride)
			numtest.AllNear(t, "bag", got, want, 1e-6)
			gotTable := guarded(t, old, atStart)
			BagBackward(gotTable, guarded(t, dy, atStart), tokens, offsets, weights, width, stride)
			numtest.AllNear(t, "gradient", gotTable, wantTable, 2e-6)
		})
	})
}

func TestImagePanicsNameTheArgument(t *testing.T) {
	x, places := make([]float32, 16), make([]int32, 4)
	w := Window{H: 4, W: 4, C: 1, Size: 2, Stride: 2}
	for _, c := range []struct {
		want string
		call func()
	}{
		{"Conv: y holds 16 values, want 4", func() { Conv(x, x, x[:4], x[:1], 1, 1, w, false) }},
		{"Conv: x holds 15 values, want 16", func() { Conv(x[:4], x[:15], x[:4], x[:1], 1, 1, w, false) }},
		{"Conv: bias holds 2 values, want 1", func() { Conv(x[:4], x, x[:4], x[:2], 1, 1, w, false) }},
		{"Conv: no window of 5, stride 1, padding 0 fits images of 4x4x1", func() { Conv(x, x, x, x, 1, 1, Window{H: 4, W: 4, C: 1, Size: 5, Stride: 1}, false) }},
		{"Conv: no window of 2, stride 2, padding 0 fits images of 100000x100000x1", func() { Conv(x, x, x, x, 1, 1, Window{H: 1e5, W: 1e5, C: 1, Size: 2, Stride: 2}, false) }},
		{"ConvBackward: dx holds 4 values, want 16", func() { ConvBackward(x[:4], x[:4], x[:1], x[:4], x, nil, x[:4], 1, 1, w) }},
		{"ConvBackward: y holds 3 values, want 4", func() { ConvBackward(nil, x[:4], x[:1], x[:4], x, x[:3], x[:4], 1, 1, w) }},
		{"ConvPool: from holds 3 values, want 4", func() {
			ConvPool(x[:4], places[:3], x, x[:9], x[:1], 1, 1, Window{H: 4, W: 4, C: 1, Size: 3, Stride: 1, Pad: 1}, false)
		}},
		{"ConvPool: window of 2, stride 2 over images of 4x4: want 3, stride 1", func() { ConvPool(x[:1], places[:1], x, x[:4], x[:1], 1, 1, w, false) }},
		{"MaxPool: which holds 4 values, want 1", func() { MaxPool(x[:1], places, x, 1, Window{H: 4, W: 4, C: 1, Size: 4, Stride: 4}) }},
		{"MaxPool: window of 2, stride 1, padding 0: want windows side by side", func() { MaxPool(x, places, x, 1, Window{H: 4, W: 4, C: 1, Size: 2, Stride: 1}) }},
		{"Bag: token 4 of sample 1 is not in [0, 4)", func() { Bag(x[:8], x, []int32{3, 4}, []int32{0, 1, 2}, nil, 4, 4) }},
		{"Bag: sample 0 is tokens [0, 3) of 2", func() { Bag(x[:4], x, []int32{3, 4}, []int32{0, 3}, nil, 4, 4) }},
		{"Bag: 1 weights of 2 tokens", func() { Bag(x[:4], x, []int32{3, 2}, []int32{0, 2}, x[:1], 4, 4) }},
	} {
		numtest.Panics(t, c.want, c.call)
	}
}
