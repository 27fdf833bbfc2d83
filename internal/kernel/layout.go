package kernel

// This file has what the vector code and the Go code that calls it must agree on. The generator in _gen reads it, so a constant or a field is
// changed here alone, and make gen then makes the vector code anew.

const (
	eighths    = 8             // exponents of two are counted in eighths
	rowLanes   = 16            // rows are cut into vectors of 16 elements on AVX2 too, whose own have 8, so that both paths cut alike
	exponents  = 1 << 14       // the largest exponent of two: above it, its fraction has too few bits in float32
	biasBits   = 64            // the vector code's powers are 2^biasBits times what they stand for, so that small ones are normal numbers
	bias       = 1 << biasBits // that factor
	underflow  = 189           // 2^-189 is 0 in float32, and times bias a normal number
	extremeLow = -1e30         // log-softmax takes −Inf for this number in a product that may be with 0, so that it is not NaN
)

// rowBlock is the number of elements of a row that are read twice in a row, the second time from the nearest cache.
const rowBlock = 4096

// Flags of the tile routines of matrix products.
const (
	tileAccumulates = 1 // the tile is added to what C holds
	tileReLU        = 2 // a ReLU follows
)

// Grain is 1.5·2^12. A float64 probability to which it is added, and from which it is then subtracted, is rounded to a multiple of 2^-40,
// which is far below the precision of a probability in float32. Sums of such numbers are exact, in whatever order, while they are below 2^13.
const Grain = 6144

// exactLanes is the number of elements of which exactSum's vector code takes a multiple.
const exactLanes = 8

// countedBins is the number of indices that countBins takes at a time.
const countedBins = 512

// exponent holds the constants by which exp((x − m)/T) of a logit x is computed as a power of two, 2^((x·(high+low) − ref)/8), where m is near
// the largest logit. high + low is 8·log2(e)/T in two floats. ref is an integer, so that it adds no error of rounding; it is held as
// magic = 1.5·2^23 − ref. For logits below floor the power is 0.
type exponent struct{ high, low, floor, magic float32 }

// compared is the result of comparing logits: the largest, the least that is finite, and the number of those above a threshold.
type compared struct {
	largest, least float32
	above          int32
}

// decay holds the constants by which exp((z − ref)/T) is computed of logits z ≤ ref: it is 2^(−d·(high+low)/8) of the distance d = ref − z. A
// distance larger than cap counts as cap. high + low is 8·log2(e)/T in two floats.
type decay struct{ ref, cap, high, low float32 }

// edges is a Binning in float32: the bin of v is v·scale + offset without its fraction, at most last. A sum nearer to an integer than near may
// be on either side of it.
type edges struct{ scale, offset, last, near float32 }

// columns holds short rows of logits transposed, so that the lanes of a vector are different rows and a sum over a row is a sum of vectors. The
// rows are in groups of as many as a vector has lanes: the vector at z[(g·k + j)·lanes] has logit j of each row of group g. The vector code
// reads and writes the fields down to rank.
type columns struct {
	z [maxColumns * rowLanes]float32 // logits, then powers, then what they become
	//lint:ignore U1000 the vector code keeps a power's remainder here: power·(1 + rest)
	rest   [maxColumns * rowLanes]float32
	groups [maxGroups]group

	// These are of RowStats, which takes one group at a time. The others are all classes but the label's.
	moment, squares [rowLanes]float64 // the sums Σ power·exponent and Σ power² over the others
	top             [rowLanes]float64 // the greatest power of the others
	other, least    [rowLanes]float32 // the largest logit of the others, and the least finite one of all
	argmax, rank    [rowLanes]int32   // the class of other, and the label's rank, or 0 without a label

	spare    [maxColumns * rowLanes]float32 // the last rows, where they are fewer than a vector has lanes
	row      [maxColumns]float32            // the result for a row that the portable code does
	label    [maxGroups * rowLanes]int32
	rounded  [maxGroups * rowLanes]float32 // the groups' logs in float32, as columnsLog writes them
	lanes, k int                           // the elements of a vector, and the logits of a row
	exponent [4]float32                    // high and low of exponent, and by what floor follows from ref: ref·[2] + [3]
}

// group is what is known of the rows of a group, a lane for each.
type group struct {
	shift, shiftLow [rowLanes]float32 // what log-softmax subtracts, in two floats; for RowStats the label's logit and the next float below it
	ref             [rowLanes]float32 // the exponent from which powers are measured, in eighths
	others, own     [rowLanes]float64 // the sum of all powers but the label's, and the label's power; 1 where there are no labels
	logs            [rowLanes]float64 // log(1 + others/own)
	good            uint32            // bits 0 to 15: whether the row's sums are good; from bit 16 on: whether its label is Ignored
	_               [15]uint32
}

// maxColumns is the largest K of rows that are held as columns. Their logits and remainders fit into the nearest cache.
const maxColumns = 256

// maxGroups is the largest number of groups that are taken at once. The processor overlaps the steps of one group with those of the next.
const maxGroups = 16
