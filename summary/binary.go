package summary

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// An accumulator is written as bytes so that what one machine has counted can be merged on another. docs/summary-format.md specifies the
// bytes: a name that ends in its version, a line feed, the fields in order, and the CRC-32C of all of that.

// coder writes the fields of an accumulator, or reads them. Each accumulator has one method code, which names its fields in order to a
// coder that does either.
type coder struct {
	reading bool
	out     []byte // what was written
	in      []byte // what is still to be read
	err     error  // the first error of reading
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// marshal returns the bytes of an accumulator: fields is its method code, and name names its format and version.
func marshal(name string, fields func(*coder)) ([]byte, error) {
	c := &coder{out: []byte(name + "\n")}
	fields(c)
	return binary.LittleEndian.AppendUint32(c.out, crc32.Checksum(c.out, castagnoli)), nil
}

// unmarshal reads what marshal has written.
func unmarshal(data []byte, name string, fields func(*coder)) error {
	head := name + "\n"
	if len(data) < len(head)+4 || string(data[:len(head)]) != head {
		return fmt.Errorf("summary: the bytes are no %s, which begins with its name", name)
	}
	body := data[:len(data)-4]
	if binary.LittleEndian.Uint32(data[len(body):]) != crc32.Checksum(body, castagnoli) {
		return fmt.Errorf("summary: %s: the bytes are damaged: their checksum is another", name)
	}
	c := &coder{in: body[len(head):], reading: true}
	fields(c)
	if c.err == nil && len(c.in) > 0 {
		c.damaged("%d bytes are left", len(c.in))
	}
	if c.err != nil {
		return fmt.Errorf("summary: %s: %w", name, c.err)
	}
	return nil
}

var errShort = errors.New("the bytes end too early")

// damaged sets the error, unless one is set already.
func (c *coder) damaged(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// maxCount is the largest count. float64 holds every count up to it, and the sum of a thousand of them is an int64.
const maxCount = 1 << 53

// int codes a count of 0 or more as a varint, in the shortest form.
func (c *coder) int(v *int) {
	if !c.reading {
		c.out = binary.AppendUvarint(c.out, uint64(*v))
		return
	}
	value, n := binary.Uvarint(c.in)
	switch {
	case c.err != nil:
	case n == 0:
		c.err = errShort
	case n < 0 || value > maxCount:
		c.damaged("a count is above 2^53")
	case n > 1 && c.in[n-1] == 0:
		c.damaged("a count is written longer than it is")
	default:
		*v, c.in = int(value), c.in[n:]
		return
	}
	*v = 0
}

// bool codes v as the count 0 or 1.
func (c *coder) bool(v *bool) {
	n := 0
	if *v {
		n = 1
	}
	if c.int(&n); n > 1 {
		c.damaged("%d for yes or no", n)
	}
	*v = n == 1
}

// float codes v as 8 bytes.
func (c *coder) float(v *float64) {
	if !c.reading {
		c.out = binary.LittleEndian.AppendUint64(c.out, math.Float64bits(*v))
		return
	}
	if len(c.in) < 8 && c.err == nil {
		c.err = errShort
	}
	if c.err == nil {
		*v, c.in = math.Float64frombits(binary.LittleEndian.Uint64(c.in)), c.in[8:]
	}
}

// float32 codes v as 4 bytes.
func (c *coder) float32(v *float32) {
	if !c.reading {
		c.out = binary.LittleEndian.AppendUint32(c.out, math.Float32bits(*v))
		return
	}
	if len(c.in) < 4 && c.err == nil {
		c.err = errShort
	}
	if c.err == nil {
		*v, c.in = math.Float32frombits(binary.LittleEndian.Uint32(c.in)), c.in[4:]
	}
}

// sum codes a sum and what rounding took from it.
func (c *coder) sum(sum, rest *float64) {
	c.float(sum)
	c.float(rest)
	if c.reading && c.err == nil && *rest != 0 && *sum+*rest != *sum {
		c.damaged("a sum of %v and %v, which is no rounding", *sum, *rest)
	}
}

// slice codes the length of s and then each element, by element. An element has at least bytes bytes: a length that the bytes which are
// left cannot hold is refused before anything is allocated.
func slice[T any](c *coder, s *[]T, bytes int, element func(*T)) {
	n := len(*s)
	c.int(&n)
	if c.reading {
		if n > len(c.in)/bytes && c.err == nil {
			c.err = errShort
		}
		if c.err != nil {
			return
		}
		*s = make([]T, n)
	}
	for i := range *s {
		if element(&(*s)[i]); c.err != nil {
			return
		}
	}
}

// maxClasses is the largest number of classes that is read.
const maxClasses = 1 << 28

func (s *Scores) code(c *coder) {
	for _, count := range []*int{&s.N, &s.Undefined, &s.Right, &s.Top5} {
		c.int(count)
	}
	// The number of sums is written, so that a later version may have more. A sum that the bytes lack is NaN.
	sums := s.sums()
	n := len(sums)
	if c.int(&n); n > len(sums) {
		c.damaged("%d sums, of which this version knows %d", n, len(sums))
		return
	}
	for i, sum := range sums {
		if i < n {
			c.sum(sum, &s.rests[i])
		} else {
			*sum, s.rests[i] = math.NaN(), 0
		}
	}
	for _, edge := range []*float64{&s.Z.Low, &s.Z.High, &s.LogP.Low, &s.LogP.High} {
		c.float(edge)
	}
	if !c.reading || c.err != nil {
		return
	}
	s.LogPTrue = 0 - s.NLL
	switch {
	case s.Right > s.Top5 || s.Top5 > s.N:
		c.damaged("%d rows, of which %d are right and %d among five", s.N, s.Right, s.Top5)
	case s.Z != s.Z || s.LogP != s.LogP:
		c.damaged("an axis ends at no number")
	}
}

func (b *Bin) code(c *coder) {
	c.int(&b.N)
	c.int(&b.Right)
	c.sum(&b.Probability, &b.roundingRest)
	if c.reading && c.err == nil && (b.Right > b.N || !(b.Probability >= 0 && b.Probability <= float64(b.N)*(1+1e-9))) {
		c.damaged("a bin of %d, %d right, whose probabilities sum to %v", b.N, b.Right, b.Probability)
	}
}

func (b *Bins) code(c *coder) {
	slice(c, (*[]Bin)(b), 18, func(bin *Bin) { bin.code(c) })
	if len(*b) > MaxBins {
		c.damaged("%d bins, want at most %d", len(*b), MaxBins)
	}
}

func (c *Classes) code(to *coder) {
	slice(to, (*[]Class)(c), 35, func(class *Class) {
		to.int(&class.N)
		to.int(&class.Predicted)
		to.int(&class.Right)
		to.sum(&class.NLL, &class.nllRest)
		to.sum(&class.PTrue, &class.pTrueRest)
		if to.reading && class.Right > min(class.N, class.Predicted) {
			to.damaged("a class of %d rows, %d predicted, %d right", class.N, class.Predicted, class.Right)
		}
	})
	if to.reading && to.err == nil {
		n, predicted := 0, 0
		for _, class := range *c {
			n += class.N
			predicted += class.Predicted
		}
		if n != predicted {
			to.damaged("%d rows of all classes, of which %d are predicted", n, predicted)
		}
	}
}

func (c *Confusion) code(to *coder) {
	to.int(&c.K)
	slice(to, &c.Counts, 1, func(n *int64) {
		v := int(*n)
		to.int(&v)
		*n = int64(v)
	})
	if to.reading && to.err == nil && (c.K > maxClasses || len(c.Counts) != c.K*c.K) {
		to.damaged("%d pairs of %d classes", len(c.Counts), c.K)
	}
}

func (t *Table) code(c *coder) {
	t.Scores.code(c)
	t.Classes.code(c)
	t.Bins.code(c)
	confusion := t.Confusion != nil
	if c.bool(&confusion); !confusion {
		t.Confusion = nil
	} else {
		if c.reading {
			t.Confusion = new(Confusion)
		}
		t.Confusion.code(c)
	}
	if c.reading && c.err == nil {
		t.check(c)
	}
}

// check reports as damaged a table whose parts were counted from different rows.
func (t *Table) check(c *coder) {
	n, right, inBins, rightInBins := 0, 0, 0, 0
	for _, class := range t.Classes {
		n += class.N
		right += class.Right
	}
	for _, bin := range t.Bins {
		inBins += bin.N
		rightInBins += bin.Right
	}
	if n != t.Scores.N || right != t.Scores.Right || inBins != n || rightInBins != right {
		c.damaged("%d rows, %d right; of the classes %d, %d, in bins %d, %d", t.Scores.N, t.Scores.Right, n, right, inBins, rightInBins)
		return
	}
	if t.Confusion == nil {
		return
	}
	if k := len(t.Classes); t.Confusion.K != k {
		c.damaged("a confusion of %d classes beside %d", t.Confusion.K, k)
		return
	}
	for j, class := range t.Classes {
		labelled := 0
		for _, count := range t.Confusion.Counts[j*t.Confusion.K : (j+1)*t.Confusion.K] {
			labelled += int(count)
		}
		if labelled != class.N {
			c.damaged("class %d has %d rows, its confusion %d", j, class.N, labelled)
			return
		}
	}
}

func (s *ClassBins) code(c *coder) {
	c.int(&s.n)
	c.int(&s.bins)
	slice(c, &s.Bins, 1, func(bins *Bins) { bins.code(c) })
	slice(c, &s.sums, 8, c.float)
	slice(c, &s.rests, 8, c.float)
	slice(c, &s.labelled, 1, c.int)
	if !c.reading || c.err != nil {
		return
	}
	if s.K = len(s.Bins); s.K < 1 || len(s.sums) != s.K || len(s.rests) != s.K || len(s.labelled) != s.K || s.bins < 1 || s.bins > MaxBins {
		c.damaged("class bins of %d, %d and %d classes, %d bins each", s.K, len(s.sums), len(s.labelled), s.bins)
		return
	}
	n := 0
	for j, bins := range s.Bins {
		n += s.labelled[j]
		rows, right := 0, 0
		for _, bin := range bins {
			rows += bin.N
			right += bin.Right
		}
		switch {
		case len(bins) == 0:
			s.Bins[j] = nil
		case len(bins) != s.bins:
			c.damaged("class %d has %d bins, want %d", j, len(bins), s.bins)
		}
		if rows > s.n || right > s.labelled[j] || !(s.sums[j] >= 0 && s.sums[j] <= float64(s.n)*(1+1e-6)) || s.sums[j]+s.rests[j] != s.sums[j] {
			c.damaged("class %d: %d of %d rows in bins, %d right of %d, probabilities of %v", j, rows, s.n, right, s.labelled[j], s.sums[j])
		}
	}
	if n != s.n {
		c.damaged("%d rows, of which %d are labelled", s.n, n)
	}
}

func (h *Histogram) code(c *coder) {
	slice(c, &h.Edges, 8, c.float)
	slice(c, &h.Counts, 1, c.int)
	c.int(&h.N)
	c.float(&h.Sum)
	if !c.reading || c.err != nil {
		return
	}
	if len(h.Counts) == 0 || len(h.Edges) != len(h.Counts)+1 {
		c.damaged("%d edges of %d bins", len(h.Edges), len(h.Counts))
		return
	}
	for i, edge := range h.Edges {
		if math.IsNaN(edge) || math.IsInf(edge, 0) || i > 0 && !(edge > h.Edges[i-1]) {
			c.damaged("edge %d is %v", i, edge)
			return
		}
	}
	n := 0
	for _, count := range h.Counts {
		n += count
	}
	if n != h.N {
		c.damaged("%d values, of which %d are in bins", h.N, n)
	}
}

func (q *Quantities) code(c *coder) {
	c.int(&q.Undefined)
	for _, pair := range []*Pair{&q.Z, &q.P, &q.LogP, &q.NLL} {
		for _, h := range []**Histogram{&pair.True, &pair.Other} {
			if c.reading {
				*h = new(Histogram)
			}
			(*h).code(c)
		}
	}
}

// read sets *dst to what the bytes hold. It leaves *dst as it is where they are damaged or of another format.
func read[T any](dst *T, data []byte, name string, fields func(*T, *coder)) error {
	var from T
	err := unmarshal(data, name, func(c *coder) { fields(&from, c) })
	if err == nil {
		*dst = from
	}
	return err
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *Scores) MarshalBinary() ([]byte, error) { return marshal("scores1", s.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (s *Scores) UnmarshalBinary(data []byte) error {
	return read(s, data, "scores1", (*Scores).code)
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (c *Classes) MarshalBinary() ([]byte, error) { return marshal("classes1", c.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (c *Classes) UnmarshalBinary(data []byte) error {
	return read(c, data, "classes1", (*Classes).code)
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (b *Bins) MarshalBinary() ([]byte, error) { return marshal("bins1", b.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (b *Bins) UnmarshalBinary(data []byte) error { return read(b, data, "bins1", (*Bins).code) }

// MarshalBinary implements encoding.BinaryMarshaler.
func (c *Confusion) MarshalBinary() ([]byte, error) { return marshal("confusion1", c.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (c *Confusion) UnmarshalBinary(data []byte) error {
	return read(c, data, "confusion1", (*Confusion).code)
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (t *Table) MarshalBinary() ([]byte, error) { return marshal("table1", t.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (t *Table) UnmarshalBinary(data []byte) error { return read(t, data, "table1", (*Table).code) }

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *ClassBins) MarshalBinary() ([]byte, error) { return marshal("classbins1", s.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (s *ClassBins) UnmarshalBinary(data []byte) error {
	return read(s, data, "classbins1", (*ClassBins).code)
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (q *Quantities) MarshalBinary() ([]byte, error) { return marshal("quantities1", q.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (q *Quantities) UnmarshalBinary(data []byte) error {
	return read(q, data, "quantities1", (*Quantities).code)
}

// MarshalBinary implements encoding.BinaryMarshaler. The bytes hold every labelled row, or the counts beyond Limit rows.
func (r *Ranking) MarshalBinary() ([]byte, error) { return marshal("ranking1", r.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (r *Ranking) UnmarshalBinary(data []byte) error {
	return read(r, data, "ranking1", (*Ranking).code)
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (t *Totals) MarshalBinary() ([]byte, error) { return marshal("totals1", t.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (t *Totals) UnmarshalBinary(data []byte) error { return read(t, data, "totals1", (*Totals).code) }
