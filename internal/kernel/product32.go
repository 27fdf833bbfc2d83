package kernel

import (
	"unsafe"

	"github.com/logitscope/logitscope/internal/spare"
)

// product is a matrix product, cut into parts of C. Each part is computed by one thread. An element of C is one chain of fused multiply-adds over
// k in rising order, so that neither the cut nor the number of threads changes a bit.
type product struct {
	c, a, b  []float32
	m, n, k  int
	layout   Layout
	epilogue Epilogue[float32]

	parts
	blocks // how the product is cut where its operands are copied
}

const (
	// parallelWork is the number of multiply-adds from which on threads share a product, since waking a thread takes microseconds.
	parallelWork = 1 << 21
	// blockedWork is the number of multiply-adds from which on the operands are copied, where C has enough rows and columns too.
	blockedWork = 1 << 18
)

var (
	spareProducts = make(chan *product, 16)
	spareBuffers  = make(chan []float32, 16)
)

// matMul32 is MatMul by vector code.
func matMul32(layout Layout, c, a, b []float32, m, n, k int, e Epilogue[float32]) {
	p := spare.Take(spareProducts)
	if p == nil {
		p = new(product)
	}
	p.c, p.a, p.b, p.m, p.n, p.k, p.layout, p.epilogue = c, a, b, m, n, k, layout, e
	rows, width := active.tileRows, active.tileWidth
	if m >= 2*rows && n >= width && m*n*k >= blockedWork {
		p.multiplyBlocks()
	} else {
		p.phase = inPlace
		p.start((n + width - 1) / width)
		p.run()
	}
	p.c, p.a, p.b, p.epilogue.Bias = nil, nil, nil, nil
	spare.Give(spareProducts, p)
}

// run does the parts of a phase, with several threads where the whole product is large enough.
func (p *product) run() {
	if p.m*p.n*p.k >= parallelWork {
		share(p)
	} else {
		p.work()
	}
}

func (p *product) work() {
	buffer := spare.Take(spareBuffers)
	for part := range p.taken {
		switch p.phase {
		case inPlace:
			p.panel(part, &buffer)
		case packing:
			p.packPart(part)
		case multiplying:
			p.multiplyPart(part, &buffer)
		}
	}
	spare.Give(spareBuffers, buffer)
}

// strides returns how many elements of A lie between an element and the next of its column, rowStride, and the next of its row, step.
func (p *product) strides() (rowStride, step int) {
	if p.layout == TN {
		return 1, p.m
	}
	return p.k, 1
}

// flags returns the flags for a tile. goesOn says that its sums go on from what C holds, last that they end with this tile, so that a ReLU may
// follow.
func (p *product) flags(goesOn, last bool) int {
	flags := 0
	if goesOn || p.epilogue.Accumulate {
		flags |= tileAccumulates
	}
	if last && p.epilogue.ReLU {
		flags |= tileReLU
	}
	return flags
}

// bias returns the bias of the columns from the given one on, or nil where there is none.
func (p *product) bias(column int) *float32 {
	if p.epilogue.Bias == nil {
		return nil
	}
	return &p.epilogue.Bias[column]
}

// panel computes the columns of one panel. It reads A where it lies, and B too unless the layout is NT, in which the elements of a row lie apart.
func (p *product) panel(panel int, buffer *[]float32) {
	width := active.tileWidth
	from := panel * width
	columns := min(width, p.n-from)
	b, stride := p.b[from:], p.n
	if p.layout == NT {
		b, stride = reserve(buffer, p.k*width), width
		packRows(b, p.b[from*p.k:], columns, p.k, p.k, width)
	}
	rowStride, step := p.strides()
	flags := p.flags(false, true)
	for i := 0; i < p.m; {
		rows := tileRows(p.m - i)
		active.tile(rows, columns, &p.a[i*rowStride], 4*rowStride, 4*step, &b[0], 4*stride, &p.c[i*p.n+from], 4*p.n, p.k, p.bias(from), flags)
		i += rows
	}
}

// reserve returns n values of *buffer, for which it makes a new slice where the capacity is less. What they hold is undefined.
func reserve(buffer *[]float32, n int) []float32 {
	if cap(*buffer) < n {
		*buffer = make([]float32, n)
	}
	return (*buffer)[:n]
}

// packSteps writes a strip [steps,width] to dst. The first few elements of a step are those of src, whose steps are stride elements apart; the
// others are 0.
func packSteps(dst, src []float32, few, steps, stride, width int) {
	_, _ = dst[steps*width-1], src[(steps-1)*stride+few-1]
	active.copySteps(&dst[0], &src[0], few, steps, stride, width)
}

// packRows writes a strip [steps,width] to dst, which is the transpose of few rows of src. The rows have steps elements and are stride elements
// apart. The last of them stands in for those that are missing to width.
func packRows(dst, src []float32, few, steps, stride, width int) {
	_, _ = dst[steps*width-1], src[(few-1)*stride+steps-1]
	active.transposeSteps(&dst[0], &src[0], few, steps, stride, width)
}

// tileRows returns the rows of the tallest tile, of operands that lie where they are, that fits into the rows that are left.
func tileRows(left int) int {
	switch {
	case left >= 8 && active.plainRows == 8:
		return 8
	case left >= 4:
		return 4
	case left >= 2:
		return 2
	}
	return 1
}

// packedTile computes a tile of C from strips, of at most as many rows and columns as these have.
func packedTile(rows, columns int, a, b, c, ahead *float32, cStride, k int, bias *float32, flags int) {
	strip, width := active.tileRows, active.tileWidth
	if rows < strip || columns <= width/2 {
		for i := 0; i < rows; {
			of := tileRows(rows - i)
			active.tile(of, columns, after(a, i), 4, 4*strip, b, 4*width, after(c, i*cStride/4), cStride, k, bias, flags)
			i += of
		}
	} else {
		active.packedTile(columns, a, b, c, ahead, cStride, k, bias, flags)
	}
}

// after returns the address of the float32 that is n elements behind x.
func after(x *float32, n int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(x), 4*n)) }
