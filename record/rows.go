package record

import (
	"context"
	"errors"
	"fmt"
	"sort"
)

// blockValues is the number of logits in a Block, which is 2 MiB of float32. Where a row has more, a Block is one row.
const blockValues = 512 << 10

// RowsInfo says what an epoch holds of a split.
type RowsInfo struct {
	Split string
	N     int // the number of rows
	Of    int // the number of samples that may have a row: of the split, or of this epoch where each has its own; more than N where only some were recorded
	Measured
	Overflowed int  // the number of finite logits that are kept as infinities, because they are beyond the range of the encoding
	Repeated   int  // the number of rows that were given a second time, and left out
	Dense      bool // whether all logits of every row are kept
	Stats      bool // whether statistics of every row are kept
}

// Rows are the rows of one split at one epoch, open for reading. Their files are verified and mapped: where the encoding allows, a Block is a
// view of a file. Several goroutines may read them at once.
type Rows struct {
	RowsInfo
	columns int
	decode  func(dst []float32, values [][]byte) []float32 // the encoding's; nil where the files hold the logits as float32
	work    bool                                           // whether Blocks have statistics worked out from the logits, in place of the logits
	parts   []rowsPart
	before  int     // the number of samples of the split before the first that may have a row
	index   []int32 // the place of each row's sample; nil where the rows are those of the samples in their order
	labels  []int32 // the labels of the samples; nil where their file is damaged
	unmaps  []func() error
}

// A Block is some consecutive rows of a split at an epoch. It must not be written to.
type Block struct {
	First  int       // the number of its first row among all rows
	IDs    []int64   // [n], the ids of the samples
	Index  []int32   // [n], the place of each row's sample in Samples; nil where the places are First, First+1, …
	Labels []int32   // [n], the label of each row, or Ignored; nil where the samples of the split are damaged
	Logits []float32 // [n,Columns], raw logits; nil where they were not asked for or are not kept
	Stats  []RowStat // [n]; nil where they are not kept
}

// Sample returns the place in Samples of the sample of the block's row i.
func (b *Block) Sample(i int) int {
	if b.Index == nil {
		return b.First + i
	}
	return int(b.Index[i])
}

// Rows opens what is kept of the rows of a split at an epoch. It verifies the checksums of the files, and that the ids are those of the
// split's samples. Where a file is damaged it returns an error of type *Damage; other splits and epochs stay readable. It stops when ctx
// ends, and returns the context's error. The caller closes the Rows.
func (r *Run) Rows(ctx context.Context, epoch int, split string) (*Rows, error) {
	return r.openRows(ctx, epoch, split, true, true)
}

// Stats is Rows for a caller who needs the statistics alone: its Blocks have Stats and no Logits. Where no statistics are kept they are worked
// out from the logits as Blocks are read. Where the head has no softmax it returns an error of type *NotKeptError.
func (r *Run) Stats(ctx context.Context, epoch int, split string) (*Rows, error) {
	if !r.manifest.Head.AcrossColumns() {
		return nil, &NotKeptError{KeptStats, epoch, split, "they are of a softmax, and the head is " + string(r.manifest.Head)}
	}
	return r.openRows(ctx, epoch, split, false, true)
}

// Close unmaps the files. No Block of the rows may be used afterwards.
func (r *Rows) Close() error {
	errs := make([]error, len(r.unmaps))
	for i, unmap := range r.unmaps {
		errs[i] = unmap()
	}
	r.parts, r.index, r.labels, r.unmaps = nil, nil, nil, nil
	return errors.Join(errs...)
}

// Whole reports whether every sample of the split has a row.
func (r *Rows) Whole() bool { return r.N == r.Of }

// Sample returns the place in Samples of the sample of row i.
func (r *Rows) Sample(i int) int {
	if r.index == nil {
		return i
	}
	return int(r.index[i])
}

// Each calls use with all rows, block by block and in order. It stops at the first error of use and when ctx ends, and returns that error. A
// Block is valid until use returns.
func (r *Rows) Each(ctx context.Context, use func(Block) error) error {
	step := max(1, blockValues/r.columns)
	var work scratch
	for i := range r.parts {
		p := &r.parts[i]
		for at := 0; at < p.n; at += step {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := use(r.block(p, at, min(at+step, p.n), &work)); err != nil {
				return err
			}
		}
	}
	return nil
}

// At returns the n rows from row first on. The Block is valid until Close. At panics where there are fewer rows.
func (r *Rows) At(first, n int) Block {
	if first < 0 || n < 0 || n > r.N-first {
		panic(fmt.Sprintf("record: Rows.At: %d rows from row %d on, of %d", n, first, r.N))
	}
	if n == 0 {
		return Block{First: first}
	}
	i := sort.Search(len(r.parts), func(i int) bool { return r.parts[i].first+r.parts[i].n > first })
	p := &r.parts[i]
	if at := first - p.first; n <= p.n-at {
		return r.block(p, at, at+n, &scratch{})
	}
	all := Block{First: first, IDs: make([]int64, 0, n)}
	var s scratch
	for end := first + n; first < end; i++ {
		p = &r.parts[i]
		b := r.block(p, first-p.first, min(p.n, end-p.first), &s)
		if all.Logits == nil && b.Logits != nil {
			all.Logits = make([]float32, 0, n*r.columns)
		}
		all.IDs, all.Labels = append(all.IDs, b.IDs...), append(all.Labels, b.Labels...)
		all.Logits, all.Stats = append(all.Logits, b.Logits...), append(all.Stats, b.Stats...)
		first += len(b.IDs)
	}
	if r.index != nil {
		all.Index = r.index[all.First:first:first]
	}
	return all
}

// scratch is memory for a Block, which is used again for the next one.
type scratch struct {
	labels []int32
	logits []float32
	stats  []RowStat
	values [][]byte
	work   statScratch
}

// block returns rows of a part.
func (r *Rows) block(p *rowsPart, at, end int, s *scratch) Block {
	first, last := p.first+at, p.first+end
	b := Block{First: first, IDs: p.ids[at:end:end]}
	if r.index != nil {
		b.Index = r.index[first:last:last]
	}
	switch {
	case p.labels != nil:
		b.Labels = p.labels[at:end:end]
	case r.labels != nil && b.Index == nil:
		b.Labels = r.labels[first:last:last]
	case r.labels != nil:
		s.labels = s.labels[:0]
		for _, i := range b.Index {
			s.labels = append(s.labels, r.labels[i])
		}
		b.Labels = s.labels
	}
	switch {
	case p.logits != nil:
		b.Logits = p.logits[at*r.columns : end*r.columns : end*r.columns]
	case r.decode != nil && p.values != nil:
		s.values = s.values[:0]
		for i, v := range p.values {
			s.values = append(s.values, v[int64(at)*p.widths[i]:int64(end)*p.widths[i]])
		}
		s.logits = r.decode(s.logits[:0], s.values)
		b.Logits = s.logits
	}
	switch {
	case p.stats != nil:
		s.stats = p.stats.append(s.stats[:0], at, end)
		b.Stats = s.stats
	case r.work && b.Labels != nil:
		s.stats = s.work.appendStats(s.stats[:0], b.Logits, r.columns, b.Labels)
		b.Stats, b.Logits = s.stats, nil
	}
	return b
}

// Logits are the logits of one split at one epoch, for a caller who needs all of them at once. They may be views of a mapped file, and must not
// be written to, nor read after Close.
type Logits struct {
	IDs    []int64   // [N], as in Samples
	Values []float32 // [N,Columns]
	rows   *Rows
}

// Close unmaps the files. IDs and Values are nil afterwards.
func (l *Logits) Close() error {
	rows := l.rows
	l.IDs, l.Values, l.rows = nil, nil, nil
	if rows == nil {
		return nil
	}
	return rows.Close()
}

// Logits opens the logits of all samples of a split at an epoch, in the order of the samples. It returns an error of type *NotKeptError unless
// every sample has a row and all its logits are kept. Rows needs the memory of one block only, and reads also what is not complete. The
// caller closes the Logits.
func (r *Run) Logits(epoch int, split string) (*Logits, error) {
	rows, err := r.openRows(context.Background(), epoch, split, true, false)
	if err != nil {
		return nil, err
	}
	switch {
	case !rows.Dense:
		err = &NotKeptError{KeptLogits, epoch, split, "its rows are of another encoding"}
	case !rows.Whole():
		err = &NotKeptError{KeptRows, epoch, split, fmt.Sprintf("it has %d of %d", rows.N, rows.Of)}
	}
	if err != nil {
		rows.Close()
		return nil, err
	}
	b := rows.At(0, rows.N)
	if rows.index != nil {
		b = rows.inOrder(b)
	}
	return &Logits{b.IDs, b.Logits, rows}, nil
}

// inOrder returns the rows of b, which are all rows, in the order of the samples.
func (r *Rows) inOrder(b Block) Block {
	k := r.columns
	to := Block{IDs: make([]int64, r.N), Logits: make([]float32, r.N*k)}
	for i, place := range b.Index {
		at := int(place) - r.before
		to.IDs[at] = b.IDs[i]
		copy(to.Logits[at*k:(at+1)*k], b.Logits[i*k:])
	}
	return to
}
