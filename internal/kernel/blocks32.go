package kernel

import (
	"runtime"

	"github.com/logitscope/logitscope/internal/spare"
)

// blocks says how a large product is cut. A step is one of the k terms of each element's sum. The longer side of C is cut into parts, one for a
// thread at a time. The operand along the other side is needed by all parts: it is copied once, by all threads together. The operand along the
// longer side is copied piece by piece, by the thread that computes the part. A copy consists of strips. A strip has as many rows of A, or
// columns of B, as a tile has, and lies step by step. The scheme is from Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication", 2008, and Van Zee and van de Geijn, "BLIS", 2015.
type blocks struct {
	phase        phase
	cutRows      bool      // whether the rows of C are cut into parts, and B is shared; else the columns are cut, and A is shared
	from, extent int       // the first and the number of the shared operand's rows or columns that are copied now
	first, steps int       // the first and the number of the steps that are copied now
	depth        int       // the steps of a block, whose strips stay in the caches
	shared       []float32 // the copy for all parts: [blocks][strips][depth,strip]
}

// phase is what a product's threads do now.
type phase uint8

const (
	inPlace     phase = iota // they multiply operands where they lie
	packing                  // they copy the shared operand
	multiplying              // they multiply the copies
)

const (
	maxDepth     = 1024    // the largest depth of a block: C is read and written once for each block
	maxOwn       = 1 << 16 // the elements of a part's own copy, which stays in the second cache beside a strip of the shared operand
	packedAtOnce = 4       // the strips that a thread copies of the shared operand at a time
)

// maxShared is the number of elements that are copied for all parts at a time, 4 MiB, and maxExtent the largest extent. Tests make them smaller.
var maxShared, maxExtent = 1 << 20, 2048

var spareShared = make(chan []float32, 4)

// multiplyBlocks computes the product block by block from copies of its operands.
func (p *product) multiplyBlocks() {
	p.cutRows = p.m >= p.n
	side, strip, cut, cutStrip := p.sides()
	p.depth = even(p.k, maxDepth)
	strips, threads := (cut+cutStrip-1)/cutStrip, min(runtime.GOMAXPROCS(0), runtime.NumCPU())
	each := max(1, maxOwn/(cutStrip*p.depth))
	parts := (strips + each - 1) / each
	parts = min((parts+threads-1)/threads*threads, strips)
	shared := spare.Take(spareShared)
	for p.from = 0; p.from < side; p.from += p.extent {
		p.extent = min((even(side, maxExtent)+strip-1)/strip*strip, side-p.from)
		wide := (p.extent + strip - 1) / strip * strip
		most := max(maxShared/wide/p.depth, 1) * p.depth
		for p.first = 0; p.first < p.k; p.first += p.steps {
			p.steps = min(most, p.k-p.first)
			p.shared = reserve(&shared, wide*p.steps)
			p.phase = packing
			count := (p.extent + strip - 1) / strip
			p.start((count + packedAtOnce - 1) / packedAtOnce)
			p.run()
			p.phase = multiplying
			p.start(parts)
			p.run()
		}
	}
	p.shared = nil
	spare.Give(spareShared, shared)
}

// even returns the length of the pieces, all as equal as can be, that a length is cut into so that none is longer than most.
func even(length, most int) int {
	pieces := (length + most - 1) / most
	return (length + pieces - 1) / pieces
}

// sides returns the length of C's side that is not cut, along which the operand is shared, and the length of the side that is cut, each followed
// by the width of its operand's strips.
func (p *product) sides() (shared, strip, cut, cutStrip int) {
	rows, width := active.tileRows, active.tileWidth
	if p.cutRows {
		return p.n, width, p.m, rows
	}
	return p.m, rows, p.n, width
}

// packStrips copies the rows [from,to) of A where rows is set, else the columns [from,to) of B, as strips of some steps from step first on.
func (p *product) packStrips(dst []float32, rows bool, from, to, first, steps int) {
	height, width := active.tileRows, active.tileWidth
	strip := width
	if rows {
		strip = height
	}
	for at := from; at < to; at, dst = at+strip, dst[steps*strip:] {
		few := min(strip, to-at)
		switch {
		case rows && p.layout == TN:
			packSteps(dst, p.a[first*p.m+at:], few, steps, p.m, height)
		case rows:
			packRows(dst, p.a[at*p.k+first:], few, steps, p.k, height)
		case p.layout == NT:
			packRows(dst, p.b[at*p.k+first:], few, steps, p.k, width)
		default:
			packSteps(dst, p.b[first*p.n+at:], few, steps, p.n, width)
		}
	}
}

// packPart copies the strips of a part of the shared operand.
func (p *product) packPart(part int) {
	_, strip, _, _ := p.sides()
	wide := (p.extent + strip - 1) / strip * strip
	from, to := part*packedAtOnce*strip, min((part+1)*packedAtOnce*strip, p.extent)
	for first := 0; first < p.steps; first += p.depth {
		steps := min(p.depth, p.steps-first)
		p.packStrips(p.shared[first*wide+from*steps:], !p.cutRows, p.from+from, p.from+to, p.first+first, steps)
	}
}

// multiplyPart computes a part of C: some strips of the side that is cut, along all of the other side that is copied now.
func (p *product) multiplyPart(part int, buffer *[]float32) {
	_, strip, length, cutStrip := p.sides()
	wide := (p.extent + strip - 1) / strip * strip
	strips := (length + cutStrip - 1) / cutStrip
	from, to := part*strips/p.count*cutStrip, min((part+1)*strips/p.count*cutStrip, length)
	own := reserve(buffer, (to-from+cutStrip)*p.depth)
	for first := 0; first < p.steps; first += p.depth {
		steps := min(p.depth, p.steps-first)
		p.packStrips(own, p.cutRows, from, to, p.first+first, steps)
		last := p.first+first+steps == p.k
		flags := p.flags(p.first+first > 0, last)
		for s := 0; s < p.extent; s += strip {
			shared := p.shared[first*wide+s*steps:]
			next := strip * steps
			for at := from; at < to; at += cutStrip {
				row, column := at, p.from+s
				a, b := own[(at-from)*steps:], shared
				rows, columns := min(cutStrip, to-at), min(strip, p.extent-s)
				if !p.cutRows {
					row, column, a, b, rows, columns = column, row, b, a, columns, rows
				}
				var bias *float32
				if last {
					bias = p.bias(column)
				}
				packedTile(rows, columns, &a[0], &b[0], &p.c[row*p.n+column], &shared[min(next, len(shared)-1)], 4*p.n, steps, bias, flags)
				next += 16 * steps // a tile asks the cache for 64 bytes a step of the next strip
			}
		}
	}
}
