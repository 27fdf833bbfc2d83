package convert

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// ImportOptions say what the files do not tell themselves.
type ImportOptions struct {
	Split   string         // of rows that do not name theirs; "" for val
	First   *int           // the number of the first epoch that is found; the others keep their distance. nil: as they are, and 1 of rows that name none
	Kind    analysis.Scale // what the values are; "" for logits, and an error where they look otherwise
	Labels  string         // a file of labels [N], or a pattern of such; "" where they are with the logits
	IDs     string         // likewise of ids
	Classes []string       // in the order of the logits; nil where the files tell, or have numbers
	// Progress, where it is not nil, is called before each file is read with how many of how many are done.
	Progress func(done, total int)
}

// Imported is what came of it.
type Imported struct {
	Epochs []int
	Splits []record.SplitInfo
	K      int      // classes
	Notes  []string // what was found, or done, and should be known
}

// Import makes a run in dir of the logits in files of other programs: the run is there whole or not at all. A path may be a pattern, in
// which {epoch} stands for a number and {split} for a name.
//
// The files are read twice, block by block: once to see which samples and epochs there are and that the values are what they are said to be,
// once to write. What is held is the samples' ids and labels; and the logits of one epoch of a split where its rows stand in another
// order than in its first epoch.
func Import(ctx context.Context, paths []string, dir string, o ImportOptions) (*Imported, error) {
	if _, err := os.Lstat(dir); err == nil {
		return nil, fmt.Errorf("%s is there already: give the name of a run to make", dir)
	}
	found, err := find(paths, o)
	if err != nil {
		return nil, err
	}
	m := &importer{ctx: ctx, options: o, paths: paths, files: found}
	if err := m.survey(); err != nil {
		return nil, err
	}
	return m.result(), m.write(dir)
}

// importer is an import on its way.
type importer struct {
	ctx     context.Context
	options ImportOptions
	paths   []string
	files   []*logitsFile

	classes []string
	told    []string        // as the first file has them; nil where it does not tell
	places  map[string]int  // of the classes, by name
	twice   map[string]bool // names that two classes have
	columns int             // of the run's logits; 1 for a binary head
	kind    analysis.Scale
	looks   map[analysis.Scale]bool // what every block so far looks like
	splits  []*importedSplit        // in the order of their coming
	epochs  []int64
	shift   int64
	notes   []string
	preview *record.Preview // of the samples; nil where they have none
	parts   bool            // an epoch may lack a split, or have labels of its own
}

// importedSplit collects the samples of a split while its file is read.
type importedSplit struct {
	name     string
	ids      []int64
	labels   []int32
	rowOf    map[int64]int // the row of each id
	numbered map[string]int64
	epoch    int64          // the epoch that is being read
	hasRow   []bool         // whether the epoch has a row of each sample
	n        int            // rows of the epoch that were read
	shuffled map[int64]bool // epochs whose rows are in another order
	relabels map[int64]bool // epochs that have other labels for some of the samples
	labelled bool           // the labels are known
	previews []byte
	started  map[int64]bool // epochs that have rows
	numbers  bool           // ids are numbers
}

// each reads all files in order, and hands on rows that tell their epoch and split.
func (m *importer) each(use func(r *rows) error) error {
	for i, f := range m.files {
		if m.options.Progress != nil {
			m.options.Progress(i, len(m.files))
		}
		in, err := f.open(&m.options)
		if err != nil {
			return err
		}
		at := 0
		if err := m.sameClasses(in.classes); err != nil {
			return f.named(errors.Join(err, in.close()))
		}
		err = in.each(m.ctx, func(r *rows) error {
			if err := f.complete(r, at); err != nil {
				return err
			}
			if at += r.n; r.again {
				at = r.place + r.n
			}
			return use(r)
		})
		if err == nil && at == 0 {
			err = errors.New("it has no rows")
		}
		if err = cmp.Or(err, in.close()); err == nil {
			err = f.whole(at)
		}
		if err != nil {
			return f.named(err)
		}
	}
	return nil
}

// survey reads everything once.
func (m *importer) survey() error {
	m.looks = map[analysis.Scale]bool{analysis.Probs: true, analysis.LogProbs: true}
	if err := m.tellClasses(); err != nil {
		return err
	}
	err := m.each(func(r *rows) error {
		if r.columns != m.columns {
			return fmt.Errorf("%s has %d logits, and the files before have %d", r.first, r.columns, m.columns)
		}
		m.lookAtValues(r)
		return m.eachPart(r, func(s *importedSplit, epoch int64, from, to int) error { return s.survey(m, r, epoch, from, to) })
	})
	if err != nil {
		return err
	}
	for _, s := range m.splits {
		if err := s.endEpoch(m); err != nil {
			return err
		}
	}
	return m.checkWhole()
}

// named puts the file's path before an error.
func (f *logitsFile) named(err error) error {
	if strings.HasPrefix(err.Error(), f.path) {
		return err
	}
	return fmt.Errorf("%s: %w", f.path, err)
}

// tellClasses takes the classes of the first file, where nothing else gives them, and the number of its logits.
func (m *importer) tellClasses() error {
	first := m.files[0]
	in, err := first.open(&m.options)
	if err != nil {
		return err
	}
	enough := errors.New("enough")
	err = in.each(m.ctx, func(r *rows) error { m.columns = r.columns; return enough })
	if err == nil {
		err = errors.New("it has no rows")
	}
	if errors.Is(err, enough) {
		err = nil
	}
	if err = errors.Join(err, in.close()); err != nil {
		return first.named(err)
	}
	m.told = slices.Clone(in.classes)
	if m.classes = m.options.Classes; m.classes == nil {
		m.classes = slices.Clone(in.classes)
	}
	k := max(m.columns, 2)
	if m.columns == 1 && len(m.classes) == 1 {
		m.classes = []string{"not " + m.classes[0], m.classes[0]}
	}
	if m.classes == nil {
		for j := range k {
			m.classes = append(m.classes, strconv.Itoa(j))
		}
	}
	m.twice = map[string]bool{}
	m.places = make(map[string]int, len(m.classes))
	for i, name := range m.classes {
		if _, known := m.places[name]; known {
			m.twice[name] = true
			continue
		}
		m.places[name] = i
	}
	if len(m.classes) != k {
		return fmt.Errorf("%d classes for %d logits a row: want %d names", len(m.classes), m.columns, k)
	}
	return nil
}

// sameClasses refuses a file that has the logits in another order than the first, or than it was said to be.
func (m *importer) sameClasses(told []string) error {
	for i, other := range [][]string{m.told, m.options.Classes} {
		if told == nil || other == nil || slices.Equal(told, other) {
			continue
		}
		a, b := slices.Sorted(slices.Values(told)), slices.Sorted(slices.Values(other))
		if slices.Equal(a, b) {
			return fmt.Errorf("its logits are of %s, in this order, and %s was told: every file must have them in one", fewOf(told), fewOf(other))
		}
		if i == 0 {
			return fmt.Errorf("its logits are of %s, and those of the first file of %s: every file must have the same classes", fewOf(told), fewOf(other))
		}
	}
	return nil
}

// lookAtValues narrows down what the values may be, logits or probabilities, by those of a block.
func (m *importer) lookAtValues(r *rows) {
	if !m.looks[analysis.Probs] && !m.looks[analysis.LogProbs] {
		return
	}
	like := analysis.LooksLike(r.batch())
	for _, scale := range []analysis.Scale{analysis.Probs, analysis.LogProbs} {
		m.looks[scale] = m.looks[scale] && like == scale
	}
}

func (r *rows) batch() summary.Batch {
	return summary.Batch{Logits: r.narrow, Wide: r.wide, Labels: make([]int32, r.n), Columns: r.columns, Slack: r.slack}
}

// eachPart takes rows apart by split and epoch.
func (m *importer) eachPart(r *rows, use func(s *importedSplit, epoch int64, from, to int) error) error {
	for from := 0; from < r.n; {
		to, split, epoch := from+1, of(r.splits, from), of(r.epochs, from)
		if len(r.splits) == 1 && len(r.epochs) == 1 {
			to = r.n
		}
		for to < r.n && of(r.splits, to) == split && of(r.epochs, to) == epoch {
			to++
		}
		i := slices.IndexFunc(m.splits, func(s *importedSplit) bool { return s.name == split })
		if i < 0 {
			i = len(m.splits)
			m.splits = append(m.splits, &importedSplit{name: split, epoch: -1, shuffled: map[int64]bool{}, relabels: map[int64]bool{}, started: map[int64]bool{}})
		}
		if len(m.epochs) == 0 || epoch > m.epochs[len(m.epochs)-1] {
			m.epochs = append(m.epochs, epoch)
		} else if !slices.Contains(m.epochs, epoch) || epoch < m.epochs[len(m.epochs)-1] && m.looks != nil {
			return fmt.Errorf("%s is of epoch %d, and rows before are of epoch %d: sort the rows by epoch", r.location(from), epoch, m.epochs[len(m.epochs)-1])
		}
		if err := use(m.splits[i], epoch, from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// location says where in the file row i of a block is.
func (r *rows) location(i int) string {
	word, number, ok := strings.Cut(r.first, " ")
	if n, err := strconv.Atoi(number); ok && err == nil {
		return fmt.Sprintf("%s %d", word, n+i)
	}
	return r.first
}

// survey takes in samples of an epoch: those of the first are the split's, and the others must be the same.
func (s *importedSplit) survey(m *importer, r *rows, epoch int64, from, to int) error {
	if epoch != s.epoch {
		if err := s.endEpoch(m); err != nil {
			return err
		}
		if s.started[epoch] {
			return fmt.Errorf("%s: split %s has rows of epoch %d in two places: sort the rows by epoch", r.location(from), s.name, epoch)
		}
		s.epoch, s.n, s.started[epoch] = epoch, 0, true
		clear(s.hasRow)
	}
	first := len(s.started) == 1
	if !first && s.hasRow == nil {
		s.hasRow = make([]bool, len(s.ids))
	}
	if first && s.n == 0 {
		s.numbers = r.names == nil
		s.ids, s.labels = slices.Grow(s.ids, to-from+r.more), slices.Grow(s.labels, to-from+r.more)
	}
	if s.numbers != (r.names == nil) {
		return fmt.Errorf("%s: the ids of split %s are numbers in some rows and text in others", r.location(from), s.name)
	}
	if r.previews != nil && first {
		if err := m.addPreviews(s, r, from, to); err != nil {
			return err
		}
	}
	counted := first && r.ids == nil && r.names == nil && s.rowOf == nil // ids are the places of the rows
	for i := from; i < to; i++ {
		label, err := m.label(r, i)
		if err != nil {
			return err
		}
		if counted {
			s.ids, s.labels = append(s.ids, int64(s.n)), append(s.labels, label)
			s.n++
			continue
		}
		id := s.id(r, i, first)
		if first {
			if err := s.add(id, label); err != nil {
				return fmt.Errorf("%s: %w", r.location(i), err)
			}
			s.n++
			continue
		}
		row, err := s.row(id)
		if err != nil {
			return fmt.Errorf("%s: %w", r.location(i), err)
		}
		switch {
		case s.hasRow[row]:
			return fmt.Errorf("%s: sample %d of split %s is there twice at epoch %d", r.location(i), id, s.name, epoch)
		case !r.hasLabels():
		case !s.labelled:
			s.labels[row] = label
		case s.labels[row] != label:
			s.relabels[epoch] = true
		}
		if row != s.n {
			s.shuffled[epoch] = true
		}
		s.hasRow[row] = true
		s.n++
	}
	return nil
}

func (r *rows) hasLabels() bool { return r.labels != nil || r.labelNames != nil }

// id is the id of row i: the file's, the number of a text, or the place of the row.
func (s *importedSplit) id(r *rows, i int, fresh bool) int64 {
	switch {
	case r.ids != nil:
		return r.ids[i]
	case r.names == nil:
		return int64(s.n)
	}
	if s.numbered == nil {
		s.numbered = map[string]int64{}
	}
	id, ok := s.numbered[r.names[i]]
	if !ok {
		id = int64(len(s.numbered))
		if !fresh {
			return -1
		}
		s.numbered[r.names[i]] = id
	}
	return id
}

// add adds a sample of the first epoch.
func (s *importedSplit) add(id int64, label int32) error {
	n := len(s.ids)
	if s.rowOf == nil && id != int64(n) { // as long as ids are 0, 1, 2, … their rows need no index
		s.rowOf = make(map[int64]int, n)
		for row, known := range s.ids {
			s.rowOf[known] = row
		}
	}
	if s.rowOf != nil {
		if _, twice := s.rowOf[id]; twice {
			return fmt.Errorf("sample %d of split %s is there twice", id, s.name)
		}
		s.rowOf[id] = n
	} else if id < int64(n) {
		return fmt.Errorf("sample %d of split %s is there twice", id, s.name)
	}
	s.ids, s.labels = append(s.ids, id), append(s.labels, label)
	return nil
}

// row is the row of a sample.
func (s *importedSplit) row(id int64) (int, error) {
	row, ok := int(id), id >= 0 && id < int64(len(s.ids))
	if s.rowOf != nil {
		row, ok = s.rowOf[id]
	}
	if !ok {
		return 0, fmt.Errorf("split %s has a sample %d that its first epoch has not: every epoch must have the same", s.name, id)
	}
	return row, nil
}

// endEpoch holds that the epoch that was read has every sample.
func (s *importedSplit) endEpoch(m *importer) error {
	if s.epoch >= 0 && s.n != len(s.ids) {
		lacking := slices.Index(s.hasRow, false)
		return fmt.Errorf("split %s has %d of its %d samples at epoch %d: sample %d is not there, and every epoch must have the same", s.name, s.n, len(s.ids), s.epoch, s.ids[lacking])
	}
	s.labelled = s.labelled || slices.ContainsFunc(s.labels, func(v int32) bool { return v != record.Ignored })
	return nil
}

// label is the class of row i, record.Ignored where it has none.
func (m *importer) label(r *rows, i int) (int32, error) {
	switch {
	case r.labels != nil:
		v := r.labels[i]
		if v == record.Ignored || v == -1 {
			return record.Ignored, nil
		}
		if v < 0 || v >= int64(len(m.classes)) {
			return 0, fmt.Errorf("%s has the label %d: want 0 to %d, or −100 for none", r.location(i), v, len(m.classes)-1)
		}
		return int32(v), nil
	case r.labelNames != nil:
		name := strings.TrimSpace(r.labelNames[i])
		if name == "" {
			return record.Ignored, nil
		}
		if k, ok := m.places[name]; ok {
			if m.twice[name] {
				return 0, fmt.Errorf("%s has the label %.60q, and two classes are called so: give the labels as numbers", r.location(i), name)
			}
			return int32(k), nil
		}
		if v, err := strconv.Atoi(name); err == nil && (v == record.Ignored || v == -1) {
			return record.Ignored, nil
		} else if err == nil && v >= 0 && v < len(m.classes) {
			return int32(v), nil
		}
		return 0, fmt.Errorf("%s has the label %.60q, which is no class: they are %s; --classes FILE names them, one a line in the order of the logits", r.location(i), name, fewOf(m.classes))
	}
	return record.Ignored, nil
}

func fewOf(names []string) string {
	const most = 6
	text := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		text += ", …"
	}
	return text
}

// checkWhole says what is not as one might expect, and decides what the values are.
func (m *importer) checkWhole() error {
	if m.options.First != nil {
		m.shift = int64(*m.options.First) - m.epochs[0]
	} else if m.epochs[0] == 0 {
		m.notes = append(m.notes, "epoch 0 is taken for the untrained network: --first 1 numbers the epochs from 1")
	}
	for _, s := range m.splits {
		var lacking, relabelled []string
		for _, epoch := range m.epochs {
			switch number := strconv.FormatInt(epoch+m.shift, 10); {
			case !s.started[epoch]:
				lacking = append(lacking, number)
			case s.relabels[epoch]:
				relabelled = append(relabelled, number)
			}
		}
		if lacking != nil {
			m.notes = append(m.notes, fmt.Sprintf("split %s has no rows at %d of %d epochs: %s", s.name, len(lacking), len(m.epochs), fewOf(lacking)))
		}
		if relabelled != nil {
			m.notes = append(m.notes, fmt.Sprintf("the labels of split %s at epochs %s are not those of its first: each epoch keeps its own", s.name, fewOf(relabelled)))
		}
		m.parts = m.parts || lacking != nil || relabelled != nil
		if !slices.ContainsFunc(s.labels, func(v int32) bool { return v != record.Ignored }) {
			m.notes = append(m.notes, fmt.Sprintf("split %s has no label: give --labels", s.name))
		}
		if s.numbered != nil {
			m.notes = append(m.notes, fmt.Sprintf("the ids of split %s are text: its samples are numbered from 0, in the order of its first epoch", s.name))
		}
	}
	if last := m.epochs[len(m.epochs)-1] + m.shift; m.epochs[0]+m.shift < 0 || last > math.MaxInt32 {
		return fmt.Errorf("epochs %d to %d: want 0 to %d", m.epochs[0]+m.shift, last, math.MaxInt32)
	}
	m.kind = m.options.Kind
	if m.kind == "" {
		m.kind = analysis.Logits
		for _, scale := range []analysis.Scale{analysis.Probs, analysis.LogProbs} {
			if m.looks[scale] {
				return fmt.Errorf("every row looks like %s, not logits: say --kind %s, or --kind logits if they are logits all the same", scale, scale)
			}
		}
	}
	m.looks = nil
	// The split that was trained on comes first.
	slices.SortStableFunc(m.splits, func(a, b *importedSplit) int { return rank(a.name) - rank(b.name) })
	return nil
}

func rank(split string) int {
	if i := slices.Index([]string{record.TrainSplit, record.ValSplit}, split); i >= 0 {
		return i
	}
	return 2
}

func (m *importer) result() *Imported {
	result := &Imported{K: len(m.classes), Notes: m.notes}
	for _, epoch := range m.epochs {
		result.Epochs = append(result.Epochs, int(epoch+m.shift))
	}
	for _, s := range m.splits {
		result.Splits = append(result.Splits, record.SplitInfo{Name: s.name, N: len(s.ids)})
	}
	return result
}

// write makes the run aside, and puts it in its place.
func (m *importer) write(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if !record.ValidName(filepath.Base(path)) {
		return fmt.Errorf("run name %q: want letters, digits, '.', '_' and '-' only", filepath.Base(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return files.WriteFolder(path, func(dir string) error { return m.writeRun(dir, filepath.Base(path)) })
}

func (m *importer) writeRun(dir, name string) error {
	config := struct {
		Imported []string       `json:"imported"` // as they were named
		Kind     analysis.Scale `json:"kind"`
	}{m.paths, m.kind}
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	manifest := record.Manifest{Name: name, Classes: m.classes, Head: record.HeadSoftmax, Columns: m.columns, Config: raw, Preview: m.preview}
	if m.parts {
		manifest.FormatVersion = record.FormatVersion
	}
	if m.columns == 1 {
		manifest.Head = record.HeadBinary
	}
	samples := map[string]record.Samples{}
	for _, s := range m.splits {
		manifest.Splits = append(manifest.Splits, record.SplitInfo{Name: s.name, N: len(s.ids)})
		samples[s.name] = record.Samples{IDs: s.ids, Labels: s.labels, Previews: s.previews}
	}
	w, err := record.Create(dir, manifest, samples)
	if err != nil {
		return err
	}
	write := m.copy
	if m.parts {
		write = m.copyParts
	}
	if err := write(w); err != nil {
		return errors.Join(err, w.Close(record.StateFailed))
	}
	return w.Close(record.StateComplete)
}

// copy reads everything again, and hands the logits on.
func (m *importer) copy(w *record.Writer) error {
	given := map[*importedSplit]int{}
	held := map[*importedSplit][]float32{} // of an epoch whose rows come in another order
	for _, s := range m.splits {
		s.epoch = -1
	}
	return m.each(func(r *rows) error {
		logits, err := m.logits(r)
		if err != nil {
			return err
		}
		return m.eachPart(r, func(s *importedSplit, epoch int64, from, to int) error {
			if s.epoch != epoch {
				s.epoch, s.n, given[s] = epoch, 0, 0
				if held[s] = nil; s.shuffled[epoch] {
					held[s] = make([]float32, len(s.ids)*m.columns)
				}
			}
			part := logits[from*m.columns : to*m.columns]
			if held[s] == nil {
				s.n += to - from
				return w.Append(int(epoch+m.shift), s.name, part)
			}
			for i := from; i < to; i++ {
				row, err := s.row(s.id(r, i, false))
				if err != nil {
					return err
				}
				copy(held[s][row*m.columns:(row+1)*m.columns], part[(i-from)*m.columns:])
				s.n++
			}
			if s.n == len(s.ids) {
				return w.Append(int(epoch+m.shift), s.name, held[s])
			}
			return nil
		})
	})
}

// copyParts does so where an epoch may lack a split, or have labels of its own: rows are told by their ids, and stand in any order.
func (m *importer) copyParts(w *record.Writer) error {
	for _, s := range m.splits {
		s.epoch = -1
	}
	open := int64(-1)
	commit := func() error {
		if open < 0 {
			return nil
		}
		return w.Commit(int(open+m.shift), nil)
	}
	err := m.each(func(r *rows) error {
		logits, err := m.logits(r)
		if err != nil {
			return err
		}
		return m.eachPart(r, func(s *importedSplit, epoch int64, from, to int) error {
			if epoch != open {
				if err := commit(); err != nil {
					return err
				}
				open = epoch
			}
			if s.epoch != epoch {
				s.epoch, s.n = epoch, 0
			}
			part := record.Part{Logits: logits[from*m.columns : to*m.columns]}
			for i := from; i < to; i++ {
				part.IDs = append(part.IDs, s.id(r, i, false))
				s.n++
				if s.relabels[epoch] {
					label, err := m.label(r, i)
					if err != nil {
						return err
					}
					part.Labels = append(part.Labels, label)
				}
			}
			return w.AppendPart(int(epoch+m.shift), s.name, part)
		})
	})
	if err != nil {
		return err
	}
	return commit()
}

// addPreviews takes in the previews of a split's first epoch.
func (m *importer) addPreviews(s *importedSplit, r *rows, from, to int) error {
	if m.preview == nil {
		m.preview = r.preview
	}
	if *m.preview != *r.preview || len(s.previews) != len(s.ids)*m.preview.Size() {
		return fmt.Errorf("split %s has previews of %d×%d×%d: want %d×%d×%d, as those before, for every sample", s.name,
			r.preview.Height, r.preview.Width, r.preview.Channels, m.preview.Height, m.preview.Width, m.preview.Channels)
	}
	s.previews = append(s.previews, r.previews[from*m.preview.Size():to*m.preview.Size()]...)
	return nil
}

// logits are the values of a block as the run holds them.
func (m *importer) logits(r *rows) ([]float32, error) {
	if m.kind == analysis.Logits {
		if r.narrow != nil {
			return r.narrow, nil
		}
		return narrowed(r.wide), nil
	}
	as, _, err := analysis.AsLogits(r.batch(), m.kind)
	if err != nil {
		return nil, fmt.Errorf("from %s on: %w", r.first, err)
	}
	if m.columns > 1 {
		return narrowed(as.Wide), nil
	}
	// log(1−p) and log p of one column are one logit.
	one := make([]float32, r.n)
	for i := range one {
		one[i] = float32(as.Wide[2*i+1] - as.Wide[2*i])
	}
	return one, nil
}

func narrowed(wide []float64) []float32 {
	narrow := make([]float32, len(wide))
	for i, z := range wide {
		narrow[i] = float32(z)
	}
	return narrow
}
