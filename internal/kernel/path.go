package kernel

import (
	"fmt"
	"os"
	"strings"
	"unsafe"
)

// path is the code that float32 runs on, as a table of routines for one set of vector instructions. The portable path has no routines: on it
// the loops that define each kernel do all the work.
//
// A path is chosen once, at start-up, by what the processor has. LOGITSCOPE_KERNEL asks for another by its name, and the build tag noasm
// leaves only the portable one. To support another architecture, add a file that fills paths of its own and lists them in available.
type path struct {
	name  string
	lanes int // the elements of a vector, 8 or 16; 0 for the portable path, on which the fields below are zero

	// Matrix products. A tile is a part of C of some rows and columns. A routine computes c = a·b or c += a·b of it, adds a bias unless that is
	// nil, and ends in a ReLU where flags has tileReLU. Strides are in bytes. The last tile of a row may be narrower than tileWidth.
	tileRows, tileWidth int // the size of a tile of packedTile, whose operands were copied
	plainRows           int // the rows of the tallest tile of tile, whose operands lie where they are
	tile                func(rows, columns int, a *float32, rowStride, step int, b *float32, bStride int, c *float32, cStride, k int, bias *float32, flags int)
	packedTile          func(columns int, a, b, c, ahead *float32, cStride, k int, bias *float32, flags int)
	copySteps           func(dst, src *float32, few, steps, stride, width int)
	transposeSteps      func(dst, src *float32, few, steps, stride, width int)

	// Images: a tile of a product whose A[i,s] is x[rows[i]+steps[s]], such a tile followed by max-pooling, the gradients of a convolution that
	// was pooled, and max-pooling alone, forward and back.
	windowTile     func(columns int, x *float32, rows, steps *int32, k int, b *float32, bStride int, c *float32, cStride int, bias *float32, flags int)
	poolTile       func(rows, columns int, y *float32, from *int32, stride int, x *float32, corners, values *int32, k int, b, bias *float32, flags, tiles int)
	pooledGradient func(back bool, vectors, elements int, w, x, dy *float32, from *int32, squares, stride, channels, xLine, wLine int)
	poolRow        func(y *float32, which *int32, x *float32, pixels, channels, size, line, pixel int)
	poolBackward   func(dx, dy *float32, which *int32, pixels, channels, size, line, pixel int)

	// Steps that go element by element. n is a multiple of lanes.
	adam          func(w, grad, m, v *float32, n int, constants *[9]float32)
	dropout       func(dst, x *float32, n int, constants *[8]uint32)
	relu          func(dst, x *float32, n int)
	reluBackward  func(dx, dy, y *float32, n int)
	gelu          func(dst, y, x *float32, n int)
	geluSlope     func(dst, y, x *float32, n int)
	addRow        func(dst, x *float32, n int)
	allFinite     func(x *float32, n int) uint32
	countLabels   func(labels *int32, n int, found *[32]uint32)
	sumLanes      func(x *float32, n int, sums *[16]float64)
	sumRows       func(dst, x *float32, rows, channels int)
	columnMoments func(first, second *float64, u, v, shiftU, shiftV *float32, rows, columns, stride int)
	blend         func(dst, u, v, a, b, shift, c *float32, rows, columns, stride int)
	bagSum        func(sum, table *float32, tokens *int32, weights *float32, n, width int)
	bagAdd        func(grad, table *float32, tokens *int32, weights *float32, n, width int)

	// Rows of n logits. n is a multiple of rowLanes unless a comment says otherwise.
	maxRow       func(x *float32, n int) float32
	findRow      func(x *float32, n int, value float32) int
	expSum       func(x *float32, n int, e *[4]float32) float64
	expRow       func(dst, x *float32, n int, e *[4]float32, factor *[2]float32)
	expRowStream func(dst, x *float32, n int, e *[4]float32, factor *[2]float32) // writes past the caches; dst is at the start of a cache line
	affineRow    func(dst, x *float32, n int, coefficients *[5]float32)
	copyRow      func(dst, x *float32, n int, threshold float32, found *float32) // any n
	powerSums    func(x *float32, n int, decay *float32, sums *[3]float64, next *float32)
	powerSpread  func(x *float32, n int, decay *float32, sums *[4][8]float64, next *float32)
	addPowers    func(sums *float64, x *float32, n int, decay *float32, factor float32)
	aboveRow     func(x, weights *float32, n int, t float32) (weight float64, count int32, least, greatest float32)
	aboveEach    func(at *int32, x, thresholds *float32, n int, offset float32) int
	indexBins    func(dst *uint8, near *int32, x *float32, n int, edges *float32) int
	exactSum     func(x *float32, n int, e *[2]float64) uint64
	countBins    func(counts *uint64, indices *uint8, n int) // nil where the processor does not count the bits of vectors

	// Short rows, transposed in groups of as many as a vector has lanes, as the type columns has them.
	transposed    func(columns, rows *float32, k, groups int, back bool)
	columnsSum    func(columns *float32, k, first, groups int, e *[4]float32, labels *int32, keep bool)
	columnsPairs  func(columns *float32, k, first, groups int, e *[4]float32, labels *int32, keep bool) // two groups at a time; nil where the processor has too few registers
	columnsLog    func(columns, rounded *float32, groups int)
	columnsScale  func(columns *float32, k, groups int, factor float64, labels *int32)
	columnsShift  func(columns *float32, k, groups int, coefficients *[3]float32)
	columnsStats  func(columns *float32, k int, e *[4]float32, labels *int32) uint32
	columnsSpread func(columns *float32, k int, decay *float32, sums *[3][16]float64)
}

var portable = &path{name: "generic"}

// active is the path that all kernels run on. activeErr is not nil where LOGITSCOPE_KERNEL asks for one that there is not.
var active, activeErr = choose(os.Getenv("LOGITSCOPE_KERNEL"), available())

// choose returns the path with the name that is asked for. Where none is asked for it returns the last path, which is the best. For a name that
// is unknown, or of a path that this processor has not, it returns the best path and an error, since whoever asks for a path measures or looks
// for a fault and must be told that another one runs.
func choose(asked string, paths []*path) (*path, error) {
	best := paths[len(paths)-1]
	if asked == "" {
		return best, nil
	}
	var names []string
	for _, p := range paths {
		if p.name == asked {
			return p, nil
		}
		names = append(names, p.name)
	}
	return best, fmt.Errorf("LOGITSCOPE_KERNEL=%s: this processor and build have %s", asked, strings.Join(names, ", "))
}

// Path returns the name of the code that float32 runs on: generic, avx2 or avx512. It returns an error too where LOGITSCOPE_KERNEL asks for a
// path that this processor or build has not.
func Path() (string, error) { return active.name, activeErr }

// whole returns how many of n elements fill the path's vectors.
func (p *path) whole(n int) int {
	if p.lanes == 0 {
		return 0
	}
	return n &^ (p.lanes - 1)
}

// wholeRow returns how many of a row's n logits the routines for rows take, a multiple of rowLanes.
func (p *path) wholeRow(n int) int {
	if p.lanes == 0 {
		return 0
	}
	return n &^ (rowLanes - 1)
}

// onStack returns p in a way that hides from the compiler that it is an address of the caller's stack. Without it, what p points to would be
// allocated wherever p is given to a routine of a path, since the compiler does not know which function that is and must assume that it keeps
// the address. The routines keep no address.
func onStack[T any](p *T) *T {
	address := uintptr(unsafe.Pointer(p))
	return *(**T)(unsafe.Pointer(&address))
}
