package kernel

// What the vector code and the Go code in front of it agree on. _gen reads this file: a constant or the place of a field is changed
// here alone, and the vector code made anew.

const (
	eighths    = 8       // the unit of exponent: eighths of a power of two
	rowLanes   = 16      // rows are cut into whole vectors of the widest set, on both
	exponents  = 1 << 14 // above it, in powers of two, the fraction of an exponent has too few bits
	biasBits   = 64      // the vector code's powers are above what they stand for by so many
	bias       = 1 << biasBits
	underflow  = 189 // 2^-189 is 0 in float32, and a normal number with the bias
	extremeLow = -1e30
)

// rowBlock is how many elements of a row are read twice while they are in the nearest cache.
const rowBlock = 4096

// Flags of the tile routines: add to what C holds, and end in a ReLU.
const (
	tileAccumulates = 1
	tileReLU        = 2
)

// Grain is 1.5·2^12: a float64 probability to which it is added, and from which it is taken again, is rounded to a multiple of 2^-40, far
// below what float32 tells of it. Sums of such are exact, whatever the order, while they are below 2^13.
const Grain = 6144

// exactLanes is what exactSum's vector code does a multiple of.
const exactLanes = 8

// countedBins is how many indices countBins takes at a time.
const countedBins = 512

// exponent turns a logit x into the power of two 2^((x·(high+low) − ref)/8), by which exp((x − m)/T) is computed: ref is an
// integer, so that it rounds nothing, and is held as magic = 1.5·2^23 − ref. What lies below floor gives 0.
type exponent struct{ high, low, floor, magic float32 }

// compared is what comparisons of logits give: the largest, the least finite, and how many are above a threshold.
type compared struct {
	largest, least float32
	above          int32
}

// decay turns logits z that are at most ref into exp((z − ref)/T): 2^(−d·(high+low)/8) of the distance d = ref − z, which counts for
// cap at most.
type decay struct{ ref, cap, high, low float32 }

// edges is a Binning in float32.
type edges struct{ scale, offset, last, near float32 }

// columns holds short rows across, in groups of as many as a vector has lanes: column j of group g is the vector at
// z[(g·k + j)·lanes]. The vector code reads and writes the fields down to rank.
type columns struct {
	z [maxColumns * rowLanes]float32 // logits, then powers, then what they become
	//lint:ignore U1000 the vector code keeps a power's remainder here: power·(1 + rest)
	rest   [maxColumns * rowLanes]float32
	groups [maxGroups]group

	// of RowStats, for one group
	moment, squares [rowLanes]float64 // sums over the others
	top             [rowLanes]float64 // the greatest power of the others
	other, least    [rowLanes]float32 // the largest of the other logits, the least finite one of all
	argmax, rank    [rowLanes]int32   // the class of other; the label's rank, or 0

	spare    [maxColumns * rowLanes]float32 // rows where they are fewer than lanes
	row      [maxColumns]float32            // a row that the portable code does
	label    [maxGroups * rowLanes]int32
	rounded  [maxGroups * rowLanes]float32 // logs
	lanes, k int
	exponent [4]float32 // log2(e)/T in eighths, as two floats, and what makes the floor of ref
}

// group is what is known of a group's rows.
type group struct {
	shift, shiftLow [rowLanes]float32 // of log-softmax; of RowStats the label's logit and the next one below it
	ref             [rowLanes]float32 // what powers are measured from, in eighths
	others, own     [rowLanes]float64 // sums of powers, all but the label's; the label's, or 1
	logs            [rowLanes]float64 // log(1 + others/own)
	good            uint32            // a bit for each row of which the sums are good and, from bit 16 on, for each that is Ignored
	_               [15]uint32
}

// maxColumns is the largest K that is worked across rows: columns and rests fit into the nearest cache.
const maxColumns = 256

// maxGroups are taken at once, so that the steps of one overlap those of others.
const maxGroups = 16
