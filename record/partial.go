package record

import (
	"errors"
	"fmt"
	"slices"
)

// Part is some rows of a split at an epoch.
type Part struct {
	IDs    []int64   // [n], the id of each row's sample
	Labels []int32   // [n], the label of each row, Ignored for none; nil where each row has the label of its sample
	Logits []float32 // [n,Columns], row-major
}

// errEarlierFormat is the error of writing parts to a run whose format has none.
var errEarlierFormat = errors.New("the run is of an earlier format, whose epochs hold all samples: give Create a manifest of FormatVersion 3")

// AppendPart takes over rows of a split at an epoch, of any samples of the split in any order. The epoch appears with Commit. The run must have format 3.
// A second row of the same sample, as of those with which a sampler fills its last batch, is left out and counted.
func (w *Writer) AppendPart(epoch int, split string, p Part) error {
	i, err := w.mayWrite(epoch, split)
	if err == nil {
		err = w.begin(epoch)
	}
	var rows rowsBlock
	logits := p.Logits
	if err == nil {
		rows, logits, err = w.newRows(i, p)
	}
	if err != nil {
		return w.refused(epoch, err)
	}
	if len(rows.ids) > 0 {
		w.enqueue(epoch, i, logits, rows, false, nil)
	}
	return nil
}

// AddSamples adds samples to a split that grows. It must be called before the first rows of the samples, and at most once for a split at an epoch.
func (w *Writer) AddSamples(epoch int, split string, s Samples) error {
	i, err := w.mayWrite(epoch, split)
	if err == nil {
		err = w.begin(epoch)
	}
	if err == nil {
		err = w.checkSamples(i, &s)
	}
	if err != nil {
		return w.refused(epoch, err)
	}
	if len(s.IDs) == 0 {
		return nil
	}
	s = Samples{slices.Clone(s.IDs), slices.Clone(s.Labels), slices.Clone(s.CleanLabels), slices.Clone(s.Targets), slices.Clone(s.Previews), slices.Clone(s.Texts)}
	w.samples[i].add(&s)
	w.hasRow[i] = append(w.hasRow[i], make([]bool, len(s.IDs))...)
	w.enqueue(epoch, i, nil, rowsBlock{samples: &s}, false, nil)
	return nil
}

// Commit commits an epoch that AppendPart or AddSamples began, or an epoch without rows, as Write does. how says, by split, how the rows were measured.
// The rows of a split that it does not name were measured after the epoch.
func (w *Writer) Commit(epoch int, how map[string]Measured) error {
	_, err := w.mayWrite(epoch, w.manifest.Splits[0].Name)
	all := make([]Measured, len(w.manifest.Splits))
	for split, measured := range how {
		i := w.manifest.split(split)
		if i < 0 && err == nil {
			err = fmt.Errorf("no split %q", split)
		}
		if err == nil {
			err = measured.validate()
			all[i] = measured
		}
	}
	if err == nil {
		err = w.begin(epoch)
	}
	if err != nil {
		return w.refused(epoch, err)
	}
	w.enqueue(epoch, 0, nil, rowsBlock{}, true, all)
	return nil
}

// begin begins an epoch that is written in parts, unless it was begun before. An epoch that cannot be written now is an error.
func (w *Writer) begin(epoch int) error {
	switch {
	case w.parts == nil:
		return errEarlierFormat
	case w.logitsGiven != nil && w.hasRow == nil:
		return fmt.Errorf("epoch %d was begun by Append, and is not whole yet", *w.last)
	case w.logitsGiven != nil && epoch != *w.last:
		return fmt.Errorf("epoch %d is not committed yet", *w.last)
	case w.logitsGiven != nil:
		return nil
	case w.last != nil && epoch <= *w.last:
		return fmt.Errorf("epoch %d is written already", *w.last)
	}
	n := len(w.manifest.Splits)
	w.last, w.logitsGiven, w.hasRow, w.repeated, w.before = &epoch, make([]int, n), make([][]bool, n), make([]int, n), make([]int, n)
	for i := range w.hasRow {
		w.before[i] = w.rows(i)
		w.hasRow[i] = make([]bool, w.rows(i))
	}
	w.begun <- struct{}{}
	return nil
}

// newRows returns the rows of a part whose samples have no row at this epoch yet, and their logits.
func (w *Writer) newRows(i int, p Part) (rows rowsBlock, logits []float32, err error) {
	n, k, known := len(p.IDs), w.manifest.Columns, &w.samples[i]
	switch {
	case len(p.Logits) != n*k:
		return rows, nil, fmt.Errorf("split %q: %d logits for %d ids × %d columns", w.manifest.Splits[i].Name, len(p.Logits), n, k)
	case p.Labels != nil && len(p.Labels) != n:
		return rows, nil, fmt.Errorf("split %q: %d labels for %d ids", w.manifest.Splits[i].Name, len(p.Labels), n)
	}
	if err := validLabels(p.Labels, &w.manifest); err != nil {
		return rows, nil, fmt.Errorf("split %q: %w", w.manifest.Splits[i].Name, err)
	}
	rows = rowsBlock{ids: make([]int64, 0, n), labels: make([]int32, 0, n), places: make([]int32, 0, n), ownLabels: p.Labels != nil}
	for row, id := range p.IDs {
		place, ok := known.place(id)
		if !ok || int(place) < w.before[i] && !w.manifest.Splits[i].Followed() {
			return rows, nil, fmt.Errorf("split %q: row %d is of id %d, which is no sample of it", w.manifest.Splits[i].Name, row, id)
		}
		rows.ids, rows.places = append(rows.ids, id), append(rows.places, place)
	}
	kept, copied := 0, false
	logits = p.Logits
	for row, place := range rows.places {
		if w.hasRow[i][place] {
			w.repeated[i]++
			if !copied {
				logits, copied = slices.Clone(p.Logits), true // the caller's slice must not be changed
			}
			continue
		}
		w.hasRow[i][place] = true
		label := known.labels[place]
		if p.Labels != nil {
			label = p.Labels[row]
		}
		rows.ids[kept], rows.places[kept], rows.labels = p.IDs[row], place, append(rows.labels, label)
		if kept != row {
			copy(logits[kept*k:(kept+1)*k], p.Logits[row*k:(row+1)*k])
		}
		kept++
	}
	rows.ids, rows.places = rows.ids[:kept], rows.places[:kept]
	return rows, logits[:kept*k], nil
}

// checkSamples returns an error where samples cannot be added to the i-th split.
func (w *Writer) checkSamples(i int, s *Samples) error {
	split, known := w.manifest.Splits[i], &w.samples[i]
	err := s.validate(&w.manifest, len(s.IDs))
	switch {
	case !split.Grows():
		err = errors.New("its samples are fixed")
	case w.rows(i) > w.before[i]:
		err = errors.New("it has further samples at this epoch already")
	case err == nil && len(known.ids) > 0 && ((s.CleanLabels != nil) != known.clean || s.hasPreviews() != known.previews):
		err = errors.New("the columns are not those of the samples before")
	case err == nil && int64(len(known.ids)+len(s.IDs)) > maxValues/int64(w.manifest.Columns):
		err = errors.New("too many samples")
	}
	for row, id := range s.IDs {
		if _, twice := known.place(id); twice && err == nil {
			err = fmt.Errorf("row %d: id %d is there already", row, id)
		}
	}
	if err != nil {
		return fmt.Errorf("samples of split %q: %w", split.Name, err)
	}
	return nil
}
