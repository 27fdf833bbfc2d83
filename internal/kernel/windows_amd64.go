//go:build !noasm

package kernel

// A convolution is a product whose A is never written down: of pixel p and value t of its window it is x[corners[p]+values[t]].
// What is multiplied lies in panels, as many columns as a tile is wide: filters [panels][patch,width], and their gradient too.

// panelWidth is that of a panel, tileHeight the rows of a tile.
func panelWidth() int {
	if active == avx512 {
		return 32
	}
	return 16
}

func tileHeight() int {
	if active == avx512 {
		return 8
	}
	return 4
}

// packFilters writes weights [out,patch] as panels.
func packFilters(t *images[float32]) {
	k, width := t.window.patch(), panelWidth()
	filters := grown(&t.filters, (t.out+width-1)/width*width*k)
	for from := 0; from < t.out; from += width {
		packRows(filters[from*k:], t.weights[from*k:], min(width, t.out-from), k, k, width)
	}
}

// prepareBackward turns the filters round: what takes dy back to dx is a convolution with out channels and C filters. It returns
// how many values the panels of the weights' gradient have.
func prepareBackward(t *images[float32]) int {
	w, width := t.window, panelWidth()
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

// convolve writes y of an image x, which has its padding.
func convolve(t *images[float32], y, x []float32) {
	multiplyWindows(y, x, &t.forward, t.filters, t.bias, t.out, t.relu)
}

func convolveBack(t *images[float32], dx, dy []float32) {
	multiplyWindows(dx, dy, &t.back, t.filters, nil, t.window.C, false)
}

func multiplyWindows(y, x []float32, l *places, filters, bias []float32, out int, relu bool) {
	flags, width := 0, panelWidth()
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

// addGradients adds the products of what lies under windows and dy to panels of the weights' gradient.
func addGradients(t *images[float32], panels, x, dy []float32) {
	width := panelWidth()
	for from := 0; from < t.out; from += width {
		windowProduct(panels[from*len(t.forward.values):], width, x, t.forward.values, t.forward.corners, dy[from:], t.out, min(width, t.out-from), nil, tileAccumulates)
	}
}

// unpackGradients writes the panels of the first part, which is the sum of all, as weights [out,patch].
func unpackGradients(t *images[float32], dWeights []float32) {
	k, width := t.window.patch(), panelWidth()
	for from := 0; from < t.out; from += width {
		packRows(dWeights[from*k:], t.gradWeights[from*k:], k, min(width, t.out-from), width, k)
	}
}

// windowProduct computes C [rows,columns], no more columns than a panel has, from B [steps,columns] and A, x[rows[i]+steps[s]].
func windowProduct(c []float32, cStride int, x []float32, rows, steps []int32, b []float32, bStride, columns int, bias *float32, flags int) {
	height := tileHeight()
	for len(rows) >= height {
		windowTile(columns, &x[0], rows, steps, &b[0], bStride, &c[0], cStride, bias, flags)
		rows = rows[height:]
		if len(rows) == 0 {
			return
		}
		c = c[height*cStride:]
	}
	// The last rows are a tile aside, in which the last of them takes the place of those that are not there.
	var table [8]int32
	var tile [8 * 32]float32
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
	k := len(steps)
	switch mask := uint32(uint64(1)<<columns - 1); {
	case active == avx512 && columns > 16:
		tileWindowsAVX512r8x32(x, &rows[0], &steps[0], k, b, 4*bStride, c, 4*cStride, bias, mask, flags)
	case active == avx512:
		tileWindowsAVX512r8x16(x, &rows[0], &steps[0], k, b, 4*bStride, c, 4*cStride, bias, mask, flags)
	case columns > 8:
		tileWindowsAVX2r4x16(x, &rows[0], &steps[0], k, b, 4*bStride, c, 4*cStride, bias, &lanes[16-columns], flags)
	default:
		tileWindowsAVX2r4x8(x, &rows[0], &steps[0], k, b, 4*bStride, c, 4*cStride, bias, &lanes[16-columns], flags)
	}
}

// convolvePool writes what is left of an image x, which has its padding, after max-pooling.
func convolvePool(t *images[float32], y []float32, from []int32, x []float32) {
	flags, width, each := 0, panelWidth(), tileHeight()
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
	k := len(values)
	switch mask := uint32(uint64(1)<<columns - 1); {
	case active == avx512 && rows == 8 && columns > 16:
		tilePoolAVX512r8x32(&y[0], &from[0], stride, &x[0], &corners[0], &values[0], k, &filters[0], &bias[0], mask, flags, tiles)
	case active == avx512 && rows == 8:
		tilePoolAVX512r8x16(&y[0], &from[0], stride, &x[0], &corners[0], &values[0], k, &filters[0], &bias[0], mask, flags, tiles)
	case active == avx512 && columns > 16:
		tilePoolAVX512r4x32(&y[0], &from[0], stride, &x[0], &corners[0], &values[0], k, &filters[0], &bias[0], mask, flags, tiles)
	case active == avx512:
		tilePoolAVX512r4x16(&y[0], &from[0], stride, &x[0], &corners[0], &values[0], k, &filters[0], &bias[0], mask, flags, tiles)
	case columns > 8:
		tilePoolAVX2r4x16(&y[0], &from[0], stride, &x[0], &corners[0], &values[0], k, &filters[0], &bias[0], &lanes[16-columns], flags, tiles)
	default:
		tilePoolAVX2r4x8(&y[0], &from[0], stride, &x[0], &corners[0], &values[0], k, &filters[0], &bias[0], &lanes[16-columns], flags, tiles)
	}
}

// addPooled adds what an image has to the weights' gradient and, unless it is nil, to dx. Both lie in lines of three pixels' values, of which
// the routines do three vectors at a time, then one.
func addPooled(t *images[float32], gradWeights, x, dx, dy []float32, from []int32) {
	w := t.window
	squares, xLine, wLine, lane := w.squares(), 4*(w.W+2*w.Pad)*w.C, 4*3*w.C, panelWidth()/2
	for at := 0; at < 3*w.C; {
		vectors := 3
		left := 3*w.C - at
		if left < 3*lane {
			vectors = 1
		}
		pooledGradient(false, vectors, left, &gradWeights[at], &x[at], &dy[0], &from[0], squares, 4*t.out, t.out, xLine, wLine)
		// Every other square, and then the rest: what two neighbours both write would have to wait.
		for first := 0; dx != nil && first < min(2, squares); first++ {
			i := first * t.out
			pooledGradient(true, vectors, left, &t.weights[at], &dx[at], &dy[i], &from[i], (squares+1-first)/2, 8*t.out, t.out, xLine, wLine)
		}
		at += vectors * lane
	}
}

func pooledGradient(back bool, vectors, elements int, w, x, dy *float32, from *int32, squares, stride, channels, xLine, wLine int) {
	if active == avx512 {
		mask := uint32(1)<<min(elements, 16) - 1
		switch {
		case back && vectors == 3:
			poolBackAVX512x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		case back:
			poolBackAVX512x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		case vectors == 3:
			poolWeightsAVX512x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		default:
			poolWeightsAVX512x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		}
		return
	}
	mask := &lanes[16-min(elements, 8)]
	switch {
	case back && vectors == 3:
		poolBackAVX2x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
	case back:
		poolBackAVX2x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
	case vectors == 3:
		poolWeightsAVX2x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
	default:
		poolWeightsAVX2x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
	}
}

// poolRow does a row of windows of an image from its corner on.
func poolRow(y []float32, which []int32, x []float32, w Window) {
	if active == avx512 {
		poolRowAVX512(&y[0], &which[0], &x[0], len(y)/w.C, w.C, w.Size, 4*w.W*w.C, 4*w.C, &lanes[0])
	} else {
		poolRowAVX2(&y[0], &which[0], &x[0], len(y)/w.C, w.C, w.Size, 4*w.W*w.C, 4*w.C, &lanes[0])
	}
}

func poolRowBackward(dx, dy []float32, which []int32, w Window) {
	if active == avx512 {
		poolRowBackwardAVX512(&dx[0], &dy[0], &which[0], len(dy)/w.C, w.C, w.Size, 4*w.W*w.C, 4*w.C, &lanes[0])
	} else {
		poolRowBackwardAVX2(&dx[0], &dy[0], &which[0], len(dy)/w.C, w.C, w.Size, 4*w.W*w.C, 4*w.C, &lanes[0])
	}
}

// sumRows32 adds rows of n to dst; false where there is no vector code. Rows that do not stay in the nearest cache are read once.
func sumRows32(dst, x []float32, n int) bool {
	if active == portable {
		return false
	}
	for each := max(1, 8192/n) * n; len(x) > 0; {
		block := x[:min(each, len(x))]
		if active == avx512 {
			sumRowsAVX512(&dst[0], &block[0], len(block)/n, n, &lanes[0])
		} else {
			sumRowsAVX2(&dst[0], &block[0], len(block)/n, n, &lanes[0])
		}
		x = x[len(block):]
	}
	return true
}
