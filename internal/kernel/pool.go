package kernel

import "fmt"

// MaxPool writes to y [N,OH,OW,C] the largest value of each channel in each window of n images x [N,H,W,C], and to which [N,OH,OW,C] its place in
// the window, counted from 0 row by row. Of equal values the first is taken, and NaN is larger than all numbers. It panics unless the windows
// lie side by side, which means that the stride is their size, and there is no padding.
func MaxPool[T Float](y []T, which []int32, x []T, n int, w Window) {
	checkPool("MaxPool", len(y), len(which), len(x), n, w)
	t := takeImages(imageCall[T]{op: opMaxPool, window: w, out: w.C, y: y, which: which, x: x})
	t.run(n, imageParts)
	t.drop()
}

// MaxPoolBackward writes to dx [N,H,W,C] the gradient of MaxPool's x: dy for a value that was the largest in its window, else 0.
func MaxPoolBackward[T Float](dx, dy []T, which []int32, n int, w Window) {
	checkPool("MaxPoolBackward", len(dy), len(which), len(dx), n, w)
	t := takeImages(imageCall[T]{op: opMaxPoolBackward, window: w, out: w.C, dy: dy, which: which, dx: dx})
	t.run(n, imageParts)
	t.drop()
}

func checkPool(function string, y, which, x, n int, w Window) {
	w.check(function)
	if w.Pad != 0 || w.Stride != w.Size {
		panic(fmt.Sprintf("kernel: %s: window of %d, stride %d, padding %d: want windows side by side without padding", function, w.Size, w.Stride, w.Pad))
	}
	checkLen(function, "y", y, n*w.pixels()*w.C)
	checkLen(function, "which", which, y)
	checkLen(function, "x", x, n*w.image())
}

// maxPool does MaxPool of image i.
func (t *images[T]) maxPool(i int) {
	w := t.window
	h, width := w.Out()
	line := width * w.C
	x, y, which := row(t.x, i, w.image()), row(t.y, i, h*line), row(t.which, i, h*line)
	for oy := range h {
		lines, best, at := x[oy*w.Size*w.W*w.C:], row(y, oy, line), row(which, oy, line)
		if t.vector() != nil {
			poolRow(any(best).([]float32), at, any(lines).([]float32), w)
			continue
		}
		for j := range best {
			corner := lines[j/w.C*w.Size*w.C+j%w.C:]
			best[j], at[j] = corner[0], 0
			for place := 1; place < w.Size*w.Size; place++ {
				if v := corner[w.place(place)]; v > best[j] || v != v && best[j] == best[j] {
					best[j], at[j] = v, int32(place)
				}
			}
		}
	}
}

// place returns how many values place i of a window is behind its corner.
func (w Window) place(i int) int { return (i/w.Size*w.W + i%w.Size) * w.C }

// maxPoolBackward does MaxPoolBackward of image i.
func (t *images[T]) maxPoolBackward(i int) {
	w := t.window
	h, width := w.Out()
	line := width * w.C
	dx, dy, which := row(t.dx, i, w.image()), row(t.dy, i, h*line), row(t.which, i, h*line)
	if t.vector() == nil || h*w.Size < w.H || width*w.Size < w.W {
		clear(dx)
	}
	for oy := range h {
		lines, grad, at := dx[oy*w.Size*w.W*w.C:], row(dy, oy, line), row(which, oy, line)
		if t.vector() != nil {
			poolRowBackward(any(lines).([]float32), any(grad).([]float32), at, w)
			continue
		}
		for j, g := range grad {
			lines[j/w.C*w.Size*w.C+j%w.C+w.place(int(at[j]))] = g
		}
	}
}
