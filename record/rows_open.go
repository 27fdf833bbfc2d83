package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// rowsPart is one part of the rows of a split at an epoch, as views of its mapped files.
type rowsPart struct {
	first, n int // the number of its first row among all rows, and the number of its rows
	ids      []int64
	labels   []int32   // the labels of the rows; nil where they are those of the samples
	logits   []float32 // the logits, where the file holds them as float32; else nil
	values   [][]byte  // the encoding's columns, where it does not; else nil
	widths   []int64   // the number of bytes that a row takes in each of values
	stats    *statViews
}

// rowColumns are the columns of a file of rows.
func rowColumns(m *Manifest, e encoding) []column {
	columns := []column{{name: "id", kind: kindInt64}}
	if m.FormatVersion >= 3 {
		columns = append(columns, column{name: "label", kind: kindInt32, optional: true})
	}
	return append(columns, e.columns(m)...)
}

// statFileColumns are the columns of a file of statistics.
var statFileColumns = append([]column{{name: "id", kind: kindInt64}, {name: "label", kind: kindInt32, optional: true}}, statColumns...)

// setRows sets the part's rows from the values of rowColumns. asIs says that the encoding's only column holds logits as float32.
func (p *rowsPart) setRows(columns []column, values [][]byte, asIs bool) {
	p.ids = view[int64](values[0])
	values, columns = values[1:], columns[1:]
	if columns[0].name == "label" {
		if values[0] != nil {
			p.labels = view[int32](values[0])
		}
		values, columns = values[1:], columns[1:]
	}
	if asIs {
		p.logits = view[float32](values[0])
		return
	}
	p.values = values
	for _, c := range columns {
		p.widths = append(p.widths, c.rowBytes())
	}
}

// setStats sets the part's statistics from the values of statFileColumns.
func (p *rowsPart) setStats(values [][]byte) {
	p.ids, p.labels, p.stats = view[int64](values[0]), nil, viewStats(values[2:])
	if values[1] != nil {
		p.labels = view[int32](values[1])
	}
}

// openRows opens the logits, the statistics or both of a split at an epoch, as far as they are kept.
func (r *Run) openRows(ctx context.Context, epoch int, split string, logits, stats bool) (rows *Rows, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	i := r.manifest.split(split)
	if i < 0 {
		return nil, r.noSplit(split)
	}
	info, err := r.readEpoch(epoch)
	if err != nil {
		return nil, err
	}
	of, e := &info.Splits[i], r.manifest.encodingOf(i)
	rows = &Rows{RowsInfo: of.info(&r.manifest.Splits[i].SplitInfo, e), before: of.before(&r.manifest.Splits[i].SplitInfo), columns: r.manifest.Columns, decode: e.decode}
	if rows.work = !logits && !rows.Stats; rows.work {
		logits = true
	}
	o := opener{
		run: r, ctx: ctx, epoch: epoch, rows: rows, columns: rowColumns(r.Manifest(), e), asIs: e.dense && e.decode == nil,
		wantRows: logits, wantStats: stats && rows.Stats,
	}
	if err := o.open(of); err != nil {
		rows.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return rows, nil
}

// opener is what is known while Rows are opened.
type opener struct {
	run          *Run
	ctx          context.Context
	epoch        int
	rows         *Rows
	columns      []column // the columns of a file of rows
	asIs         bool     // whether the last of them holds the logits as float32
	wantRows     bool     // whether the files of rows are opened
	wantStats    bool     // whether the files of statistics are opened
	knownSamples knownSamples
	places       placer
}

func (o *opener) open(split *epochSplit) error {
	known, compare := o.run.knownOf(split.Name, o.epoch)
	if compare && split.Of > len(known.ids) {
		return o.damage(epochFile, errLostSamples(split.Of, len(known.ids)))
	}
	o.knownSamples, o.rows.labels = known, known.labels
	o.places = placer{run: o.run, split: split.Name, compare: compare, before: o.rows.before}
	if compare {
		o.places.ids = known.ids[o.rows.before:split.Of]
	}
	alone := len(split.Parts) == 1 && split.N == split.Of // the file is as at every such epoch: its ids may be known by their checksum
	for i, is := range split.Parts {
		part := rowsPart{first: o.places.n, n: is.N}
		name := partFile(split.Name, i, false)
		placed := false
		if is.Rows != nil && o.wantRows {
			var err error
			if placed, err = o.openRows(&part, name, *is.Rows, alone); err != nil {
				return o.damage(name, err)
			}
		}
		if is.Stats != nil && o.wantStats {
			name = partFile(split.Name, i, true)
			if err := o.openStats(&part, name, *is.Stats); err != nil {
				return o.damage(name, err)
			}
		}
		if !placed {
			if err := o.places.add(part.ids); err != nil {
				return o.damage(name, err)
			}
		}
		o.rows.parts = append(o.rows.parts, part)
	}
	o.rows.index = o.places.of()
	return nil
}

func (o *opener) damage(name string, err error) error {
	return o.run.damage(epochPath(o.epoch, name), o.epoch, o.rows.Split, err)
}

// openRows opens the file of a part's rows. placed reports whether they are known to be the rows of all samples, in the samples' order.
func (o *opener) openRows(part *rowsPart, name string, is content, alone bool) (placed bool, err error) {
	alone = alone && o.places.compare
	mark := int64(0)
	if alone {
		mark = o.knownSamples.end
	}
	head, end := uint32(0), int64(0)
	unmap, err := o.run.columns(o.ctx, epochPath(o.epoch, name), is, o.columns, part.n, mark, func(f mappedFile, values [][]byte) {
		part.setRows(o.columns, values, o.asIs)
		head, end = f.head, f.endOf(values[0])
	})
	if err != nil {
		return false, err
	}
	o.rows.unmaps = append(o.rows.unmaps, unmap)
	if err := validLabels(part.labels, o.run.Manifest()); err != nil {
		return false, err
	}
	// Where the file begins with the same bytes as one whose ids were compared, they are not compared again.
	if known := &o.knownSamples; alone && !(known.head != 0 && known.end == end && known.head == head) {
		if !slices.Equal(part.ids, o.places.ids) {
			return false, nil
		}
		if known.end == 0 || known.end == end {
			o.run.setHead(o.rows.Split, end, head)
		}
	}
	if alone {
		o.places.n += part.n
	}
	return alone, nil
}

// openStats opens the file of a part's statistics.
func (o *opener) openStats(part *rowsPart, name string, is content) error {
	ids, labels := part.ids, part.labels
	unmap, err := o.run.columns(o.ctx, epochPath(o.epoch, name), is, statFileColumns, part.n, 0, func(_ mappedFile, values [][]byte) {
		part.setStats(values)
	})
	if err != nil {
		return err
	}
	o.rows.unmaps = append(o.rows.unmaps, unmap)
	if ids != nil && !(slices.Equal(ids, part.ids) && slices.Equal(labels, part.labels)) {
		return errors.New("its ids and labels are not those of the rows beside it")
	}
	if err := validLabels(part.labels, o.run.Manifest()); err != nil {
		return err
	}
	return part.stats.validate(o.rows.columns)
}

// placer finds the place of each row's sample among the samples of the split.
type placer struct {
	run     *Run
	split   string
	compare bool    // whether the samples are known
	before  int     // the number of samples of the split before those that may have rows
	ids     []int64 // the ids of the samples that may have rows
	n       int     // the number of rows added so far
	index   []int32 // the place of each row's sample among ids; nil while row i is that of the i-th
	hasRow  []bool  // whether each sample has a row; nil while index is
	places  map[int64]int32
}

func (p *placer) placesOf() map[int64]int32 {
	if p.before == 0 {
		return p.run.placesOf(p.split, p.ids)
	}
	return places(p.ids)
}

// of returns the place of each row's sample among all of the split's; nil where row i is of sample i.
func (p *placer) of() []int32 {
	if p.before == 0 || !p.compare {
		return p.index
	}
	index := p.index
	if index == nil {
		index = make([]int32, p.n)
		for i := range index {
			index[i] = int32(i)
		}
	}
	for i := range index {
		index[i] += int32(p.before)
	}
	return index
}

var errOtherIDs = errors.New("its ids are not those of the samples, in their order")

// add finds the places of the rows of a part. It returns an error for an id that no sample has, for one that came before, and for rows of one
// part that are not in the order of the samples.
func (p *placer) add(ids []int64) error {
	start := p.n
	p.n += len(ids)
	if !p.compare {
		return nil
	}
	if p.index == nil && p.n <= len(p.ids) && slices.Equal(ids, p.ids[start:p.n]) {
		return nil
	}
	if p.index == nil {
		p.index, p.hasRow = make([]int32, start, len(p.ids)), make([]bool, len(p.ids))
		for i := range p.index {
			p.index[i], p.hasRow[i] = int32(i), true
		}
	}
	next := 0 // the place behind the row before
	for _, id := range ids {
		if !(next < len(p.ids) && p.ids[next] == id) {
			if p.places == nil {
				p.places = p.placesOf()
			}
			place, known := p.places[id]
			if !known || int(place) >= len(p.ids) {
				return errOtherIDs
			}
			if int(place) < next {
				return errOtherIDs
			}
			next = int(place)
		}
		if p.hasRow[next] {
			return fmt.Errorf("its row of sample %d is there twice", id)
		}
		p.hasRow[next] = true
		p.index = append(p.index, int32(next))
		next++
	}
	return nil
}
