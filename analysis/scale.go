package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/summary"
)

// Scale says what the values of a matrix are.
type Scale string

// The scales of values.
const (
	Logits   Scale = "logits"   // raw logits
	Probs    Scale = "probs"    // probabilities, each row of which sums to 1
	LogProbs Scale = "logprobs" // natural logarithms of such probabilities
)

// sumTolerance is how far rounding to float16 may take the sum of a row of probabilities from 1.
const sumTolerance = 2e-3

// LooksLike returns what the values of b look like: probabilities where every row lies in [0,1] and sums to 1 as exactly as its digits allow,
// logarithms of probabilities where the exponentials do so, else logits. A single column looks like probabilities where all of it lies in [0,1].
// LooksLike reads every row that holds no NaN, because a few rows of logits may happen to look like either.
func LooksLike(b summary.Batch) Scale {
	if b.Wide != nil {
		return looksLike(b.Wide, b.Columns)
	}
	return looksLike(b.Logits, b.Columns)
}

func looksLike[T kernel.Float](values []T, columns int) Scale {
	probs, logProbs, rows := true, columns > 1, 0
	// The ranges of the sums of rows, of the values and of their exponentials.
	var ofValues, ofExponentials sums
	for start := 0; start < len(values) && (probs || logProbs); start += columns {
		row := values[start : start+columns]
		sum, exponentials, least, most := 0.0, 0.0, row[0], row[0]
		for _, v := range row {
			least, most = min(least, v), max(most, v)
			sum += float64(v)
			if logProbs {
				exponentials += math.Exp(float64(v))
			}
		}
		if sum != sum {
			continue
		}
		rows++
		probs = probs && least >= -negligible && most <= 1+sumTolerance && (columns == 1 || math.Abs(sum-1) <= mostRounding)
		logProbs = logProbs && most <= sumTolerance && math.Abs(exponentials-1) <= mostRounding
		ofValues.add(sum)
		ofExponentials.add(exponentials)
	}
	switch {
	case rows == 0:
		return Logits
	case probs && (columns == 1 || sumToOne(ofValues, values, columns)):
		return Probs
	case logProbs && sumToOne(ofExponentials, values, 0):
		return LogProbs
	}
	return Logits
}

const (
	mostRounding = 0.5  // the largest difference of a sum from 1 that rounding may ever explain
	negligible   = 1e-6 // how far below 0 a probability may be, as one is that was computed as a difference
)

// sums is the range of (sum of a row) − 1 over rows. It includes 0.
type sums struct{ low, high float64 }

func (s *sums) add(sum float64) { s.low, s.high = min(s.low, sum-1), max(s.high, sum-1) }

// sumToOne reports whether rounding explains how far the sums are from 1: rounding to float16, or to the number of digits that the values are written
// with. columns is 0 for logarithms: rounding changes all of their exponentials by at most the same share, and so the sum too, whatever their number.
func sumToOne[T kernel.Float](s sums, values []T, columns int) bool {
	if s.low >= -sumTolerance && s.high <= sumTolerance {
		return true
	}
	decimals, digits := written(values)
	if decimals == 0 {
		return false
	}
	unit := math.Pow10(-decimals)
	most := unit / 2 * max(float64(columns), 1)
	if columns > 0 && digits > 1 { // values with the same number of significant digits, as in 1.2e-3
		most = max(most, math.Pow10(1-digits)/2)
	}
	least := max(most, unit*float64(columns)) // digits may have been cut off, which makes sums smaller than rounding does
	const slack = 1 + 1e-6
	return s.low >= -least*slack && s.high <= most*slack
}

// written returns how many decimal places and how many significant digits the values are written with at most. It returns 0 and 0 where there are more
// than 7 significant digits, because nobody rounded such values.
func written[T kernel.Float](values []T) (decimals, digits int) {
	const most = 7
	for _, v := range values {
		bits := 64
		if T(float32(v)) == v {
			bits = 32
		}
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(math.Abs(float64(v)), 'e', -1, bits), "e")
		e, err := strconv.Atoi(exponent)
		if err != nil || v == 0 { // NaN and infinities have no exponent
			continue
		}
		n := len(strings.Replace(mantissa, ".", "", 1))
		if decimals, digits = max(decimals, n-1-e), max(digits, n); digits > most {
			return 0, 0
		}
	}
	return decimals, digits
}

// Rounding returns how far a probability may be off by rounding, where it was computed in floats whose fraction has the given number of bits: half the
// distance of two floats below 2, four times as much above 20 bits, which leaves room for a few steps of arithmetic.
func Rounding(fraction int) float64 {
	if fraction > 20 {
		fraction -= 2
	}
	return math.Ldexp(1, -fraction-1)
}

// AsLogits returns the values of b, which are of the given scale, as logits: those of a probability p are log p, whose softmax is p. A single column,
// which holds the probability p of class 1, becomes the two columns log(1−p) and log p. Rows that do not sum to 1 are divided by their sum where
// rounding explains the difference, and note says so. Values that are not of the scale are an error that names a row.
func AsLogits(b summary.Batch, scale Scale) (as summary.Batch, note string, err error) {
	if scale == Logits {
		return b, "", nil
	}
	as = b
	as.Logits, as.Wide, as.Normal, as.Columns = nil, make([]float64, len(b.Labels)*b.Classes()), true, b.Classes()
	if single := Rounding(23); as.Slack < single && allFloat32(b) {
		as.Slack = single
	}
	b.First = 0
	all := summary.Fold(b, 64, func() *asLogits {
		return &asLogits{scale: scale, slack: as.Slack, row: make([]float64, b.Columns)}
	}, func(c *asLogits, part summary.Batch) { c.rows(as.Wide[part.First*as.Columns:], part) }, (*asLogits).merge)
	switch rounded := all.within(b); {
	case all.err != nil:
		return b, "", all.err
	case !rounded:
		return b, "", fmt.Errorf("row %d has %s that sum to %.6g: it is not of kind %s", all.worst, map[Scale]string{Probs: "values", LogProbs: "exponentials"}[scale], 1+all.worstBy, scale)
	case all.divided > 0:
		note = fmt.Sprintf("%d of %d rows sum to %.6g to %.6g: each is divided by its sum", all.divided, len(b.Labels), 1+all.sums.low, 1+all.sums.high)
	}
	return as, note, nil
}

// asLogits turns rows of probabilities or log-probabilities into log-probabilities, and gathers what there is to say of their sums.
type asLogits struct {
	scale Scale
	slack float64   // how far arithmetic may have taken a probability from its value
	row   []float64 // room for a row

	sums    sums
	worst   int     // the row whose sum is farthest from 1
	worstBy float64 // the sum of that row less 1
	divided int     // the number of rows whose sum differs from 1 by more than arithmetic explains
	err     error   // the error of the first row that is not of the scale
}

func (c *asLogits) rows(dst []float64, b summary.Batch) {
	for i := range b.Labels {
		b.Row(c.row, i)
		sum := 0.0
		for _, v := range c.row {
			p := v
			if c.scale == LogProbs {
				p = math.Exp(v)
			}
			if p < -negligible || p > 1+sumTolerance {
				c.err = fmt.Errorf("row %d holds %v: it is not of kind %s", b.First+i, v, c.scale)
				return
			}
			sum += p
		}
		if b.Columns == 1 {
			dst[2*i], dst[2*i+1] = bothLogs(c.row[0], c.scale)
			continue
		}
		off := math.Abs(sum - 1)
		if off > math.Abs(c.worstBy) {
			c.worst, c.worstBy = b.First+i, sum-1
		}
		// A row whose sum differs from 1 only by the arithmetic of adding is left as it was given: k/n stays k/n.
		divisor := 1.0
		if off > max(1e-9, 8*c.slack) {
			divisor = sum
		}
		if off > 1e-5 {
			c.divided++
		}
		if sum == sum {
			c.sums.add(sum)
		}
		if c.scale == LogProbs {
			divisor = math.Log(divisor)
		}
		out := dst[i*b.Columns:]
		for j, v := range c.row {
			if c.scale == LogProbs {
				out[j] = min(v-divisor, 0)
			} else {
				out[j] = math.Log(min(max(v, 0)/divisor, 1))
			}
		}
	}
}

// bothLogs returns log(1−p) and log p, of a value that is p or log p by its scale, in the form that loses fewest digits.
func bothLogs(v float64, scale Scale) (no, yes float64) {
	switch {
	case scale == LogProbs && v > -math.Ln2:
		v = min(v, 0)
		return math.Log(-math.Expm1(v)), v
	case scale == LogProbs:
		return math.Log1p(-math.Exp(v)), v
	}
	p := min(max(v, 0), 1)
	if p < 0.5 {
		return math.Log1p(-p), math.Log(p)
	}
	return math.Log(1 - p), math.Log(p)
}

func (c *asLogits) merge(other *asLogits) {
	c.sums.low, c.sums.high = min(c.sums.low, other.sums.low), max(c.sums.high, other.sums.high)
	if math.Abs(other.worstBy) > math.Abs(c.worstBy) {
		c.worst, c.worstBy = other.worst, other.worstBy
	}
	if c.divided += other.divided; c.err == nil {
		c.err = other.err
	}
}

// within reports whether rounding explains the sums of the rows of b.
func (c *asLogits) within(b summary.Batch) bool {
	columns := b.Columns
	if c.scale == LogProbs {
		columns = 0
	}
	if b.Wide != nil {
		return sumToOne(c.sums, b.Wide, columns)
	}
	return sumToOne(c.sums, b.Logits, columns)
}

// allFloat32 reports whether float32 holds every value.
func allFloat32(b summary.Batch) bool {
	for _, v := range b.Wide {
		if float64(float32(v)) != v && v == v {
			return false
		}
	}
	return true
}
