//go:build !noasm

package kernel

// product is a matrix product cut into panels of columns, each done by one thread. An element of C is one chain of fused
// multiply-adds over k in order, so neither the cut nor the number of threads changes a bit.
type product struct {
	c, a, b         []float32
	m, n, k         int
	rowStride, step int // of A: from row to row and from step to step, in elements
	transposed      bool
	epilogue        Epilogue[float32]

	parts // panels
}

const (
	// A product with fewer multiply-adds than this is done by the caller alone: waking another thread takes microseconds.
	parallelWork = 1 << 21
	// B that is larger than this is copied panel by panel, so that its rows lie together; a small one stays in cache as
	// it is.
	packAbove = 1 << 15
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
	for panel := range p.taken {
		p.panel(panel, &buffer)
	}
	give(spareBuffers, buffer)
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
		packTransposed(b, p.b[from*p.k:(from+columns)*p.k], columns, p.k, width)
	case p.n*p.k > packAbove && p.m >= width:
		b, stride = reserve(buffer, p.k*width), width
		for i := range p.k {
			copy(b[i*width:i*width+columns], p.b[i*p.n+from:])
		}
	default:
		b = b[from:]
	}
	var bias *float32
	if p.epilogue.Bias != nil {
		bias = &p.epilogue.Bias[from]
	}
	flags := 0
	if p.epilogue.Accumulate {
		flags |= 1
	}
	if p.epilogue.ReLU {
		flags |= 2
	}
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

// packTransposed writes rows [columns,k] of B as the panel [k,width], width ≥ columns; what lies beyond stays as it is.
func packTransposed(dst, rows []float32, columns, k, width int) {
	j := 0
	for ; j+8 <= columns; j += 8 {
		i := 0
		for ; i+8 <= k; i += 8 {
			transpose8AVX2(&dst[i*width+j], 4*width, &rows[j*k+i], 4*k)
		}
		for ; i < k; i++ {
			for q := j; q < j+8; q++ {
				dst[i*width+q] = rows[q*k+i]
			}
		}
	}
	for ; j < columns; j++ {
		for i := range k {
			dst[i*width+j] = rows[j*k+i]
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
