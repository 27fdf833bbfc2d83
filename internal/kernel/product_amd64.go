//go:build !noasm

package kernel

import "runtime"

// product is a matrix product cut into panels of columns, each done by one thread. An element of C is one chain of fused
// multiply-adds over k in order, so neither the cut nor the number of threads changes a bit.
type product struct {
	c, a, b         []float32
	m, n, k         int
	rowStride, step int // of A: from row to row and from step to step, in elements
	transposed      bool
	epilogue        Epilogue[float32]
	chunk           int // columns a part where k is cut in blocks, else 0

	parts // panels or chunks
}

const (
	// A product with fewer multiply-adds than this is done by the caller alone: waking another thread takes microseconds.
	parallelWork = 1 << 21
	// B that is larger than this is copied panel by panel, so that its rows lie together; a small one stays in cache as
	// it is.
	packAbove = 1 << 15
	// Where k is longer, or Aᵀ larger, k is cut in blocks of which A is copied too, so that a tile's rows lie together.
	blockAboveSteps      = 1 << 11
	blockAboveTransposed = 1 << 18
	// A block's rows of A stay in the nearest cache, a chunk of B in the next.
	blockSteps   = 384
	blockColumns = 512
	blockRows    = 64 // whole cache lines of Aᵀ
	packedRows   = 8  // of a tile
)

var (
	spareProducts = make(chan *product, 16)
	spareBuffers  = make(chan []float32, 16)
)

func matMul32(layout Layout, c, a, b []float32, m, n, k int, e Epilogue[float32]) {
	p := take(spareProducts)
	if p == nil {
		p = new(product)
	}
	p.c, p.a, p.b, p.m, p.n, p.k, p.epilogue = c, a, b, m, n, k, e
	p.rowStride, p.step, p.transposed = k, 1, layout == NT
	if layout == TN {
		p.rowStride, p.step = 1, m
	}
	width := panelWidth()
	p.chunk = 0
	if m >= packedRows && n >= width && (k > blockAboveSteps || layout == TN && m*k > blockAboveTransposed) {
		each := (n + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
		p.chunk = min((each+width-1)/width*width, blockColumns)
		width = p.chunk
	}
	p.start((n + width - 1) / width)
	if m*n*k >= parallelWork {
		share(p)
	} else {
		p.work()
	}
	p.c, p.a, p.b, p.epilogue.Bias = nil, nil, nil, nil
	give(spareProducts, p)
}

func (p *product) work() {
	buffer := take(spareBuffers)
	for part := range p.taken {
		if p.chunk > 0 {
			p.blocks(part, &buffer)
		} else {
			p.panel(part, &buffer)
		}
	}
	give(spareBuffers, buffer)
}

// blocks computes a chunk of columns, block by block of k: reading A where it lies, a row apart from step to step or from
// row to row, would miss the caches.
func (p *product) blocks(part int, buffer *[]float32) {
	width := panelWidth()
	from := part * p.chunk
	columns := min(p.chunk, p.n-from)
	panels := (columns + width - 1) / width
	packed := reserve(buffer, blockSteps*(blockRows+panels*width))
	a, b := packed[:blockSteps*blockRows], packed[blockSteps*blockRows:]
	for start := 0; start < p.k; start += blockSteps {
		steps := min(blockSteps, p.k-start)
		if p.transposed {
			packRows(b, p.b[from*p.k+start:], columns, steps, p.k, width)
		} else {
			packStrips(b, p.b[start*p.n+from:], columns, steps, p.n, width)
		}
		last := start+steps == p.k
		flags := p.flags(start > 0, last)
		for top := 0; top < p.m; top += blockRows {
			rows := min(blockRows, p.m-top)
			if p.step == 1 {
				packRows(a, p.a[top*p.k+start:], rows, steps, p.k, packedRows)
			} else {
				packStrips(a, p.a[start*p.m+top:], rows, steps, p.m, packedRows)
			}
			for panel := range panels {
				at := from + panel*width
				var bias *float32
				if p.epilogue.Bias != nil && last {
					bias = &p.epilogue.Bias[at]
				}
				for i := 0; i < rows; {
					of := tileRows(rows - i)
					tile(of, min(width, p.n-at), &a[i/packedRows*packedRows*steps+i%packedRows], 4, 4*packedRows, &b[panel*steps*width], 4*width,
						&p.c[(top+i)*p.n+at], 4*p.n, steps, bias, flags)
					i += of
				}
			}
		}
	}
}

// packStrips writes steps rows of src as strips of so many columns, each [steps,width]; width is a multiple of 8. Columns
// that are missing from the last strip stay as they are.
func packStrips(dst, src []float32, columns, steps, stride, width int) {
	for from := 0; from < columns; from += 8 {
		to := dst[from/width*width*steps+from%width:]
		if from+8 <= columns {
			copyStrip8AVX2(&to[0], 4*width, &src[from], 4*stride, steps)
			continue
		}
		for i := range steps {
			copy(to[i*width:], src[i*stride+from:i*stride+columns])
		}
	}
}

// flags of the tile routine: a chain goes on from C, or is the last of an element and so may end in a ReLU.
func (p *product) flags(goesOn, last bool) int {
	flags := 0
	if goesOn || p.epilogue.Accumulate {
		flags |= 1
	}
	if last && p.epilogue.ReLU {
		flags |= 2
	}
	return flags
}

func panelWidth() int {
	if active == avx512 {
		return 32
	}
	return 16
}

// panel computes the columns of one panel.
func (p *product) panel(panel int, buffer *[]float32) {
	width := panelWidth()
	from := panel * width
	columns := min(width, p.n-from)
	b, stride := p.b, p.n
	switch {
	case p.transposed:
		b, stride = reserve(buffer, p.k*width), width
		packRows(b, p.b[from*p.k:], columns, p.k, p.k, width)
	case p.n*p.k > packAbove && p.m >= width:
		b, stride = reserve(buffer, p.k*width), width
		packStrips(b, p.b[from:], columns, p.k, p.n, width)
	default:
		b = b[from:]
	}
	var bias *float32
	if p.epilogue.Bias != nil {
		bias = &p.epilogue.Bias[from]
	}
	flags := p.flags(false, true)
	for i := 0; i < p.m; {
		rows := tileRows(p.m - i)
		tile(rows, columns, &p.a[i*p.rowStride], 4*p.rowStride, 4*p.step, &b[0], 4*stride, &p.c[i*p.n+from], 4*p.n, p.k, bias, flags)
		i += rows
	}
}

func reserve(buffer *[]float32, n int) []float32 {
	if cap(*buffer) < n {
		*buffer = make([]float32, n)
	}
	return (*buffer)[:n]
}

// packRows writes rows of src, steps of each, as strips of width rows, each [steps,width]: transposed. Rows that are missing
// from the last strip stay as they are.
func packRows(dst, src []float32, rows, steps, stride, width int) {
	for from := 0; from < rows; from += 8 {
		to := dst[from/width*width*steps+from%width:]
		whole := 0
		if from+8 <= rows {
			for ; whole+8 <= steps; whole += 8 {
				transpose8AVX2(&to[whole*width], 4*width, &src[from*stride+whole], 4*stride)
			}
		}
		for j := range min(8, rows-from) {
			for i := whole; i < steps; i++ {
				to[i*width+j] = src[(from+j)*stride+i]
			}
		}
	}
}

// tileRows is the largest tile that fits into the rows that are left.
func tileRows(left int) int {
	switch {
	case left >= 8 && active == avx512:
		return 8
	case left >= 4:
		return 4
	case left >= 2:
		return 2
	}
	return 1
}

// lanes holds, from element 16−n on, n times −1 and then zeros: AVX2's mask for n columns.
var lanes = func() (l [32]int32) {
	for i := range 16 {
		l[i] = -1
	}
	return l
}()

// tile calls the routine for a tile of rows × columns.
func tile(rows, columns int, a *float32, rowStride, step int, b *float32, bStride int, c *float32, cStride, k int, bias *float32, flags int) {
	if active == avx512 {
		mask := uint32(uint64(1)<<columns - 1)
		switch wide := columns > 16; {
		case wide && rows == 8:
			tileAVX512r8x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide && rows == 4:
			tileAVX512r4x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide && rows == 2:
			tileAVX512r2x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide:
			tileAVX512r1x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 8:
			tileAVX512r8x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 4:
			tileAVX512r4x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 2:
			tileAVX512r2x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		default:
			tileAVX512r1x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		}
		return
	}
	mask := &lanes[16-columns]
	switch wide := columns > 8; {
	case wide && rows == 4:
		tileAVX2r4x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
	case wide && rows == 2:
		tileAVX2r2x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
	case wide:
		tileAVX2r1x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
	case rows == 4:
		tileAVX2r4x8(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
	case rows == 2:
		tileAVX2r2x8(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
	default:
		tileAVX2r1x8(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
	}
}
