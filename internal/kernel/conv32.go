package kernel

// A convolution is a matrix product whose operand A is never written to memory: A[p,t], of pixel p and value t of its window, is
// x[corners[p]+values[t]]. The filters lie in panels of as many columns as a tile is wide, [panels][patch,width], and so does their gradient.

// packFilters copies weights [out,patch] into the panels of filters.
func packFilters(t *images[float32]) {
	k, width := t.window.patch(), active.tileWidth
	filters := grown(&t.filters, (t.out+width-1)/width*width*k)
	for from := 0; from < t.out; from += width {
		packRows(filters[from*k:], t.weights[from*k:], min(width, t.out-from), k, k, width)
	}
}

// prepareBackward copies the filters, turned round, into panels, since dx is a convolution of dy, which has out channels, with C filters. It
// returns the number of values in the panels of the weights' gradient.
func prepareBackward(t *images[float32]) int {
	w, width := t.window, active.tileWidth
	size := (t.out + width - 1) / width * width * w.patch()
	if t.dx == nil || w.Stride != 1 {
		return size
	}
	t.back.of(w.back(t.out))
	k := len(t.back.values)
	filters := grown(&t.filters, (w.C+width-1)/width*width*k)
	for from := 0; from < w.C; from += width {
		for place := range w.Size * w.Size {
			for o := range t.out {
				turned := t.weights[o*w.patch()+(w.Size*w.Size-1-place)*w.C:]
				copy(row(filters[from*k:], place*t.out+o, width), turned[from:min(from+width, w.C)])
			}
		}
	}
	return size
}

// convolve writes to y the convolution of an image x that has its padding.
func convolve(t *images[float32], y, x []float32) {
	multiplyWindows(y, x, &t.forward, t.filters, t.bias, t.out, t.relu)
}

// convolveBack writes to dx the convolution of dy, which has its padding, with the filters turned round.
func convolveBack(t *images[float32], dx, dy []float32) {
	multiplyWindows(dx, dy, &t.back, t.filters, nil, t.window.C, false)
}

// multiplyWindows writes to y [pixels,out] the convolution of an image x by the places l, with filters in panels.
func multiplyWindows(y, x []float32, l *places, filters, bias []float32, out int, relu bool) {
	flags, width := 0, active.tileWidth
	if relu {
		flags = tileReLU
	}
	for from := 0; from < out; from += width {
		var b *float32
		if bias != nil {
			b = &bias[from]
		}
		windowProduct(y[from:], out, x, l.corners, l.values, filters[from*len(l.values):], width, min(width, out-from), b, flags)
	}
}

// addGradients adds an image's part of the weights' gradient to its panels: the products of the values under the windows of x with dy.
func addGradients(t *images[float32], panels, x, dy []float32) {
	width := active.tileWidth
	for from := 0; from < t.out; from += width {
		windowProduct(panels[from*len(t.forward.values):], width, x, t.forward.values, t.forward.corners, dy[from:], t.out, min(width, t.out-from), nil, tileAccumulates)
	}
}

// unpackGradients copies the gradient from its panels, those of the first part, which has the sum of all parts, to dWeights [out,patch].
func unpackGradients(t *images[float32], dWeights []float32) {
	k, width := t.window.patch(), active.tileWidth
	for from := 0; from < t.out; from += width {
		packRows(dWeights[from*k:], t.gradWeights[from*k:], k, min(width, t.out-from), width, k)
	}
}

// windowProduct computes C [rows,columns] from A, which is A[i,s] = x[rows[i]+steps[s]], and B [steps,columns]. There are at most as many columns
// as a panel has.
func windowProduct(c []float32, cStride int, x []float32, rows, steps []int32, b []float32, bStride, columns int, bias *float32, flags int) {
	height := active.plainRows
	for len(rows) >= height {
		windowTile(columns, &x[0], rows, steps, &b[0], bStride, &c[0], cStride, bias, flags)
		rows = rows[height:]
		if len(rows) == 0 {
			return
		}
		c = c[height*cStride:]
	}
	// The last rows, fewer than a tile has, are computed in a tile of their own, in which the last row stands in for those that are missing.
	table, tile := onStack(new([8]int32)), onStack(new([8 * 32]float32))
	for i := range height {
		table[i] = rows[min(i, len(rows)-1)]
	}
	for i := range rows {
		copy(tile[i*32:i*32+columns], c[i*cStride:])
	}
	windowTile(columns, &x[0], table[:], steps, &b[0], bStride, &tile[0], 32, bias, flags)
	for i := range rows {
		copy(c[i*cStride:i*cStride+columns], tile[i*32:])
	}
}

func windowTile(columns int, x *float32, rows, steps []int32, b *float32, bStride int, c *float32, cStride int, bias *float32, flags int) {
	active.windowTile(columns, x, &rows[0], &steps[0], len(steps), b, 4*bStride, c, 4*cStride, bias, flags)
}

// convolvePool writes to y the convolution of an image x that has its padding, after max-pooling, and to from where the windows of the largest
// pixels begin.
func convolvePool(t *images[float32], y []float32, from []int32, x []float32) {
	flags, width, each := 0, active.tileWidth, active.plainRows
	if t.relu {
		flags = tileReLU
	}
	k := len(t.forward.values)
	for column := 0; column < t.out; column += width {
		columns := min(width, t.out-column)
		filters, bias := t.filters[column*k:], t.bias[column:]
		whole := len(t.forward.corners) / each
		if whole > 0 {
			poolTiles(each, columns, y[column:], from[column:], 4*t.out, x, t.forward.corners, t.forward.values, filters, bias, flags, whole)
		}
		if done := whole * each; done < len(t.forward.corners) {
			at := done/4*t.out + column
			poolTiles(4, columns, y[at:], from[at:], 4*t.out, x, t.forward.corners[done:], t.forward.values, filters, bias, flags, 1)
		}
	}
}

func poolTiles(rows, columns int, y []float32, from []int32, stride int, x []float32, corners, values []int32, filters, bias []float32, flags, tiles int) {
	active.poolTile(rows, columns, &y[0], &from[0], stride, &x[0], &corners[0], &values[0], len(values), &filters[0], &bias[0], flags, tiles)
}

// addPooled adds an image's part to the weights' gradient and, unless it is nil, to dx. A window has three lines of three pixels. The routines
// take three vectors of such a line at a time, and one vector where less is left.
func addPooled(t *images[float32], gradWeights, x, dx, dy []float32, from []int32) {
	w := t.window
	squares, xLine, wLine, lane := w.squares(), 4*(w.W+2*w.Pad)*w.C, 4*3*w.C, active.lanes
	for at := 0; at < 3*w.C; {
		vectors := 3
		left := 3*w.C - at
		if left < 3*lane {
			vectors = 1
		}
		active.pooledGradient(false, vectors, left, &gradWeights[at], &x[at], &dy[0], &from[0], squares, 4*t.out, t.out, xLine, wLine)
		// Every other square is done first, and then the rest, since the windows of neighbours overlap, and a write would wait for the one before.
		for first := 0; dx != nil && first < min(2, squares); first++ {
			i := first * t.out
			active.pooledGradient(true, vectors, left, &t.weights[at], &dx[at], &dy[i], &from[i], (squares+1-first)/2, 8*t.out, t.out, xLine, wLine)
		}
		at += vectors * lane
	}
}

// poolRow does max-pooling of a row of windows of an image. x begins at the corner of the first window.
func poolRow(y []float32, which []int32, x []float32, w Window) {
	active.poolRow(&y[0], &which[0], &x[0], len(y)/w.C, w.C, w.Size, 4*w.W*w.C, 4*w.C)
}

// poolRowBackward does what MaxPoolBackward does for a row of windows.
func poolRowBackward(dx, dy []float32, which []int32, w Window) {
	active.poolBackward(&dx[0], &dy[0], &which[0], len(dy)/w.C, w.C, w.Size, 4*w.W*w.C, 4*w.C)
}
