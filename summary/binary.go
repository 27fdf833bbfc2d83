package summary

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What is counted on one machine is merged on another. An accumulator's bytes are a name that ends in its version, then its fields
// in order: counts as varints, sums as float64, little-endian, lengths before what they are of.

// coder writes fields, or reads them where it was given bytes: each accumulator names its fields once.
type coder struct {
	out     []byte
	in      []byte
	reading bool
	err     error
}

var errBytes = errors.New("summary: the bytes are cut short or damaged")

func marshal(name string, fields func(*coder)) ([]byte, error) {
	c := &coder{out: []byte(name)}
	fields(c)
	return c.out, nil
}

func unmarshal(data []byte, name string, fields func(*coder)) error {
	if len(data) < len(name) || string(data[:len(name)]) != name {
		return fmt.Errorf("summary: the bytes are no %s", name)
	}
	c := &coder{in: data[len(name):], reading: true}
	fields(c)
	if c.err == nil && len(c.in) > 0 {
		c.err = errBytes
	}
	return c.err
}

func (c *coder) count(v *uint64) {
	if !c.reading {
		c.out = binary.AppendUvarint(c.out, *v)
		return
	}
	value, n := binary.Uvarint(c.in)
	if n <= 0 || c.err != nil {
		c.err = errBytes
		return
	}
	*v, c.in = value, c.in[n:]
}

func (c *coder) int(v *int) {
	u := uint64(*v)
	if c.count(&u); u > math.MaxInt {
		c.err = errBytes
		return
	}
	*v = int(u)
}

func (c *coder) float(v *float64) {
	if !c.reading {
		c.out = binary.LittleEndian.AppendUint64(c.out, math.Float64bits(*v))
		return
	}
	if len(c.in) < 8 || c.err != nil {
		c.err = errBytes
		return
	}
	*v, c.in = math.Float64frombits(binary.LittleEndian.Uint64(c.in)), c.in[8:]
}

// slice codes the length of s and then each element, of at least so many bytes each.
func slice[T any](c *coder, s *[]T, bytes int, element func(*T)) {
	n := len(*s)
	c.int(&n)
	if c.reading {
		if c.err != nil || n > len(c.in)/bytes {
			c.err = errBytes
			return
		}
		*s = make([]T, n)
	}
	for i := range *s {
		element(&(*s)[i])
	}
}

func (s *Scores) code(c *coder) {
	for _, count := range []*int{&s.N, &s.Undefined, &s.Right, &s.Top5} {
		c.int(count)
	}
	for _, sum := range s.sums() {
		c.float(sum)
	}
	for _, edge := range []*float64{&s.Z.Low, &s.Z.High, &s.LogP.Low, &s.LogP.High} {
		c.float(edge)
	}
}

func (b *Bin) code(c *coder) {
	c.int(&b.N)
	c.int(&b.Right)
	c.float(&b.Probability)
}

func (b *Bins) code(c *coder) { slice(c, (*[]Bin)(b), 10, func(bin *Bin) { bin.code(c) }) }

func (t *Table) code(c *coder) {
	t.Scores.code(c)
	slice(c, (*[]Class)(&t.Classes), 19, func(class *Class) {
		c.int(&class.N)
		c.int(&class.Predicted)
		c.int(&class.Right)
		c.float(&class.NLL)
		c.float(&class.PTrue)
	})
	t.Bins.code(c)
	var counts []int64
	if t.Confusion != nil {
		counts = t.Confusion.Counts
	}
	slice(c, &counts, 1, func(n *int64) {
		v := int(*n)
		c.int(&v)
		*n = int64(v)
	})
	if k := len(t.Classes); c.reading && c.err == nil {
		t.Confusion = nil
		if len(counts) > 0 {
			t.Confusion = &Confusion{k, counts}
		}
		if len(counts) != 0 && (k > MaxConfusion || len(counts) != k*k) {
			c.err = errBytes
		}
	}
}

func (s *ClassBins) code(c *coder) {
	c.int(&s.n)
	c.int(&s.bins)
	slice(c, &s.Bins, 1, func(bins *Bins) { bins.code(c) })
	slice(c, &s.low, 8, c.float)
	slice(c, &s.of, 1, c.int)
	if s.K = len(s.Bins); len(s.low) != s.K || len(s.of) != s.K || s.bins < 1 || s.bins > MaxBins {
		c.err = errBytes
		return
	}
	for j, bins := range s.Bins {
		if len(bins) == 0 {
			s.Bins[j] = nil
		} else if len(bins) != s.bins {
			c.err = errBytes
		}
	}
}

func (h *Histogram) code(c *coder) {
	slice(c, &h.Edges, 8, c.float)
	slice(c, &h.Counts, 1, c.int)
	c.int(&h.N)
	c.float(&h.Sum)
	if len(h.Counts) == 0 || len(h.Edges) != len(h.Counts)+1 {
		c.err = errBytes
		return
	}
	for i, edge := range h.Edges {
		if math.IsNaN(edge) || math.IsInf(edge, 0) || i > 0 && !(edge > h.Edges[i-1]) {
			c.err = errBytes
		}
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

// code writes the counts that are not 0, each after how many bins lie between it and the one before.
func (s *Sketch) code(c *coder) {
	type entry struct{ gap, n uint64 }
	var entries []entry
	last := -1
	for i := range s.counts {
		if n := s.counts[binOf(i)]; n > 0 {
			entries = append(entries, entry{uint64(i - last), n})
			last = i
		}
	}
	slice(c, &entries, 2, func(e *entry) {
		c.count(&e.gap)
		c.count(&e.n)
	})
	if !c.reading || c.err != nil {
		return
	}
	*s = Sketch{}
	if len(entries) > 0 {
		s.counts = make([]uint64, sketchBins)
	}
	at := -1
	for _, e := range entries {
		if e.gap == 0 || e.gap > sketchBins || at+int(e.gap) >= sketchBins || e.n == 0 {
			c.err = errBytes
			return
		}
		at += int(e.gap)
		s.counts[binOf(at)] = e.n
		s.N += e.n
	}
}

func (s *Quantiles) code(c *coder) {
	for _, sketch := range []*Sketch{&s.ZTrue, &s.ZOther, &s.LogPTrue, &s.LogPOther} {
		sketch.code(c)
	}
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *Scores) MarshalBinary() ([]byte, error) { return marshal("scores1", s.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (s *Scores) UnmarshalBinary(data []byte) error { return unmarshal(data, "scores1", s.code) }

// MarshalBinary implements encoding.BinaryMarshaler.
func (t *Table) MarshalBinary() ([]byte, error) { return marshal("table1", t.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (t *Table) UnmarshalBinary(data []byte) error { return unmarshal(data, "table1", t.code) }

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *ClassBins) MarshalBinary() ([]byte, error) { return marshal("classbins2", s.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (s *ClassBins) UnmarshalBinary(data []byte) error { return unmarshal(data, "classbins2", s.code) }

// MarshalBinary implements encoding.BinaryMarshaler.
func (q *Quantities) MarshalBinary() ([]byte, error) { return marshal("quantities1", q.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (q *Quantities) UnmarshalBinary(data []byte) error {
	return unmarshal(data, "quantities1", q.code)
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *Quantiles) MarshalBinary() ([]byte, error) { return marshal("quantiles1", s.code) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (s *Quantiles) UnmarshalBinary(data []byte) error { return unmarshal(data, "quantiles1", s.code) }
