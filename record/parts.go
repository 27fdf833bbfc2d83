package record

import (
	"bufio"
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// partBytes is the number of bytes of a split that a Writer of format 3 holds in memory before it writes them as a part.
const partBytes = 24 << 20

// mostOpen is the number of written files of a split from which on they are synced together.
const mostOpen = 32

// writtenSamples is what a Writer of format 3 knows of a split's samples.
type writtenSamples struct {
	ids             []int64
	labels          []int32
	clean, previews bool            // whether the samples have clean labels and previews
	places          map[int64]int32 // the place of each sample by its id; nil until it is needed
}

func (k *writtenSamples) add(s *Samples) {
	if len(k.ids) == 0 {
		k.clean, k.previews = s.CleanLabels != nil, s.hasPreviews()
	}
	if k.places != nil {
		for i, id := range s.IDs {
			k.places[id] = int32(len(k.ids) + i)
		}
	}
	k.ids, k.labels = append(k.ids, s.IDs...), append(k.labels, s.Labels...)
}

// place returns the place of a sample by its id, and whether the split has the sample.
func (k *writtenSamples) place(id int64) (int32, bool) {
	if k.places == nil {
		k.places = make(map[int64]int32, len(k.ids))
		for i, id := range k.ids {
			k.places[id] = int32(i)
		}
	}
	place, known := k.places[id]
	return place, known
}

// rowsBlock describes the rows of a block of format 3.
type rowsBlock struct {
	ids       []int64
	labels    []int32
	ownLabels bool     // the labels are not those of the samples
	places    []int32  // the places of the samples; nil where they ascend
	samples   *Samples // samples that came with the epoch, in place of rows
}

// splitParts writes a split of an epoch in parts. It is kept from one epoch to the next, so that its memory is used again.
type splitParts struct {
	w        *Writer
	split    int
	encoding encoding
	columns  []column // the columns of the encoding
	stats    bool     // whether row statistics are kept
	most     int      // the largest number of rows in a part

	n         int // the number of rows in memory
	ids       []int64
	labels    []int32
	ownLabels bool
	places    []int32
	values    [][]byte // the bytes of each of columns
	rowStats  []RowStat
	statMaker statScratch
	info      epochSplit
	samples   *Samples
	open      []*openFile // the files that are written and not synced yet
}

func (w *Writer) newParts(split int) *splitParts {
	m := &w.manifest
	p := &splitParts{w: w, split: split, encoding: m.encodingOf(split), stats: m.keepsStats(split)}
	p.columns = p.encoding.columns(m)
	p.values = make([][]byte, len(p.columns))
	return p
}

// reset begins an epoch.
func (p *splitParts) reset() {
	row := int64(8 + 4 + 48)
	for _, c := range p.columns {
		row += c.rowBytes()
	}
	p.most = int(max(1, p.w.partBytes/row))
	p.info, p.samples = epochSplit{Name: p.w.manifest.Splits[p.split].Name}, nil
	p.clear()
}

func (p *splitParts) clear() {
	p.n, p.ownLabels = 0, false
	p.ids, p.labels, p.places, p.rowStats = p.ids[:0], p.labels[:0], p.places[:0], p.rowStats[:0]
	for i := range p.values {
		p.values[i] = p.values[i][:0]
	}
}

// add takes over the rows of a block, and writes a part where that is full.
func (p *splitParts) add(folder string, b *block) error {
	if b.rows.samples != nil {
		p.samples = b.rows.samples
		return nil
	}
	z, k := view[float32](b.logits), p.w.manifest.Columns
	rows := b.rows
	for len(rows.ids) > 0 {
		if p.n > 0 && (p.n >= p.most || rows.ownLabels != p.ownLabels) {
			if err := p.flush(folder); err != nil {
				return err
			}
		}
		n := min(len(rows.ids), p.most-p.n)
		p.take(rows, z[:n*k], n)
		z, rows.ids, rows.labels = z[n*k:], rows.ids[n:], rows.labels[n:]
		if rows.places != nil {
			rows.places = rows.places[n:]
		}
	}
	return nil
}

func (p *splitParts) take(rows rowsBlock, z []float32, n int) {
	k := p.w.manifest.Columns
	if p.n == 0 {
		p.makeRoom()
	}
	p.n, p.ownLabels = p.n+n, rows.ownLabels
	p.ids, p.labels = append(p.ids, rows.ids[:n]...), append(p.labels, rows.labels[:n]...)
	if rows.places != nil {
		p.places = append(p.places, rows.places[:n]...)
	}
	p.info.Overflowed += p.encoding.encode(p.values, z, k)
	if p.stats {
		p.rowStats = p.statMaker.appendStats(p.rowStats, z, k, rows.labels[:n])
	}
}

// makeRoom allocates room for the rows of a whole part, because slices that grow step by step would take up to twice the memory.
func (p *splitParts) makeRoom() {
	rows := min(p.most, max(p.w.manifest.Splits[p.split].N, 1))
	p.ids, p.labels = slices.Grow(p.ids, rows), slices.Grow(p.labels, rows)
	for i, c := range p.columns {
		p.values[i] = slices.Grow(p.values[i], rows*int(c.rowBytes()))
	}
	if p.stats {
		p.rowStats = slices.Grow(p.rowStats, rows)
	}
}

// flush writes the rows in memory as the next part.
func (p *splitParts) flush(folder string) error {
	if p.n == 0 {
		return nil
	}
	if len(p.info.Parts) == maxParts {
		return fmt.Errorf("split %q: more than %d parts", p.info.Name, maxParts)
	}
	p.sort()
	base := []column{{name: "id", kind: kindInt64}, {name: "label", kind: kindInt32}}
	head := [][]byte{bytesOf(p.ids), nil}
	if p.ownLabels {
		head[1] = bytesOf(p.labels)
	}
	part := partInfo{N: p.n}
	write := func(is **content, stats bool, columns []column, values [][]byte) error {
		name := folder + "/" + partFile(p.info.Name, len(p.info.Parts), stats)
		f, err := p.writeArrow(name, append(slices.Clip(base), columns...), append(slices.Clip(head), values...), p.n)
		if f != nil {
			p.open = append(p.open, f)
			*is = f.content()
		}
		return err
	}
	if len(p.columns) > 0 {
		if err := write(&part.Rows, false, p.columns, p.values); err != nil {
			return err
		}
	}
	if p.stats {
		if err := write(&part.Stats, true, statColumns, statValues(p.rowStats)); err != nil {
			return err
		}
	}
	p.info.N += p.n
	p.info.Parts = append(p.info.Parts, part)
	p.clear()
	if len(p.open) >= mostOpen {
		return p.sync()
	}
	return nil
}

// sort sorts the rows in memory into the order of their samples.
func (p *splitParts) sort() {
	if len(p.places) == 0 || slices.IsSorted(p.places) {
		return
	}
	order := make([]int, p.n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p.places[a], p.places[b]) })
	p.ids, p.labels = inOrder(p.ids, order, 1), inOrder(p.labels, order, 1)
	if p.stats {
		p.rowStats = inOrder(p.rowStats, order, 1)
	}
	for i, c := range p.columns {
		p.values[i] = inOrder(p.values[i], order, int(c.rowBytes()))
	}
}

// inOrder returns values, of which width belong to each row, with the rows in the given order.
func inOrder[T any](values []T, order []int, width int) []T {
	sorted := make([]T, 0, len(values))
	for _, i := range order {
		sorted = append(sorted, values[i*width:(i+1)*width]...)
	}
	return sorted
}

// writeArrow writes an Arrow file and returns it, to be synced together with others.
func (p *splitParts) writeArrow(name string, columns []column, values [][]byte, n int) (*openFile, error) {
	f, err := p.w.root.Create(name)
	if err != nil {
		return nil, err
	}
	summed := &openFile{file: f}
	buffer := bufio.NewWriterSize(summed, 64<<10)
	err = cmp.Or(writeArrow(buffer, columns, values, n), buffer.Flush())
	return summed, err
}

// content returns the size and checksum of a file that has been written.
func (f *openFile) content() *content { return &content{f.size, fmt.Sprintf("%08x", f.sum)} }

// sync syncs and closes the files that are written. It does so with all at once, because a disk needs little more time for several than for one.
func (p *splitParts) sync() error {
	errs := make([]error, len(p.open))
	var wait sync.WaitGroup
	for i, f := range p.open {
		wait.Go(func() { errs[i] = cmp.Or(f.Sync(), f.Close()) })
	}
	wait.Wait()
	p.open = nil
	return cmp.Or(errs...)
}

// drop closes the open files of an epoch that will not be completed.
func (p *splitParts) drop() {
	for _, f := range p.open {
		f.Close()
	}
	p.open = nil
}

// finish writes the rows and the samples of the split that are still in memory, and returns what the epoch holds of the split.
func (p *splitParts) finish(folder string, how Measured) (epochSplit, error) {
	err := p.flush(folder)
	p.info.Measured = how
	if s := p.samples; err == nil && s != nil {
		m := &p.w.manifest
		var f *openFile
		if f, err = p.writeArrow(folder+"/"+samplesFile(p.info.Name), sampleColumns(m), s.values(m), len(s.IDs)); f != nil {
			p.open = append(p.open, f)
			p.info.Samples = &grownFile{len(s.IDs), *f.content()}
		}
	}
	if err == nil {
		err = p.sync()
	}
	return p.info, err
}
