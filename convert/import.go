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

// ImportOptions give what the files do not say themselves.
type ImportOptions struct {
	Split   string         // split of rows that name none; "" stands for val
	First   *int           // number for the first epoch found, by which all others are shifted; nil keeps the numbers, and rows that name no epoch are epoch 1
	Kind    analysis.Scale // what the values are; "" means logits, and is an error where the values look like probabilities
	Labels  string         // path of a file of labels [N], or a pattern of paths; "" where the files of logits have them
	IDs     string         // path of a file of sample ids [N], or a pattern of paths; "" where the files of logits have them
	Text    string         // name of the column with the samples' texts, which are their previews; "" takes a column of text called text, "-" none
	Classes []string       // names of the classes in the order of the logits; nil takes those in the files, or numbers
	// Progress, where it is not nil, is called before each file is read. It gets how many files are done, and how many there are.
	Progress func(done, total int)

	skipTexts bool // whether texts need not be read, as where Import has read them before
}

// Imported describes the run that Import made.
type Imported struct {
	Epochs []int              // the epochs of the run, in order
	Splits []record.SplitInfo // the splits of the run, training first
	K      int                // number of classes
	Notes  []string           // what the user should know, one sentence each: labels or epochs that are missing, how ids were numbered
}

// Import makes a run in dir from logits in files that other programs wrote. The run is written completely or not at all; dir must not exist
// yet. A path may be a pattern, in which {epoch} stands for a number and {split} for a name. Files that contradict each other, such as epochs
// with different samples, are an error that names the file and the row.
//
// The files are read twice, block by block: first to find the samples and epochs and to check the values against ImportOptions.Kind, then to
// write the run. In memory are the samples' ids and labels and, where the rows of an epoch come in another order than in the split's first
// epoch, the logits of that epoch and split. Of texts there are 256 MiB at most: where they have more, less of each is kept.
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

// importer holds what an Import has found so far.
type importer struct {
	ctx     context.Context
	options ImportOptions
	paths   []string
	files   []*logitsFile
	reading *logitsFile // the file that is being read

	classes []string
	told    []string        // the classes that the first file names; nil where it names none
	places  map[string]int  // the number of each class, by its name
	twice   map[string]bool // names that two classes have
	columns int             // logits of a row; 1 for a binary head
	kind    analysis.Scale
	looks   map[analysis.Scale]bool // the scales that the values of every block so far could be of
	splits  []*importedSplit        // in the order in which they were found
	epochs  []int64                 // as the files number them, rising
	shift   int64                   // is added to the files' numbers of epochs
	notes   []string
	preview *record.Preview // the layout of the samples' previews; nil where they have none
	texts   textBudget
	parts   bool // whether an epoch lacks a split, or has other labels than the split's first epoch
}

// importedSplit collects the samples of a split while the files are read.
type importedSplit struct {
	name     string
	ids      []int64
	labels   []int32
	rowOf    map[int64]int    // the row of each id; nil while the ids are 0, 1, 2, …
	numbered map[string]int64 // the number of each id that is text
	epoch    int64            // the epoch that is being read; -1 before the first
	hasRow   []bool           // for each sample, whether the epoch that is being read has had its row
	n        int              // how many rows of this epoch were read
	last     *logitsFile      // the file of the last of them
	shuffled map[int64]bool   // epochs whose rows come in another order than in the first epoch
	relabels map[int64]bool   // epochs in which some samples have other labels than in the first epoch
	labelled bool             // whether an epoch that was read completely gave a label
	previews []byte
	texts    []string       // of the samples up to the last that has one
	started  map[int64]bool // epochs of which rows were read
	numbers  bool           // whether the ids are numbers, not text
}

// each reads all files in order and calls use with blocks of rows, whose epochs and splits are filled in.
func (m *importer) each(use func(r *rows) error) error {
	for i, f := range m.files {
		if m.options.Progress != nil {
			m.options.Progress(i, len(m.files))
		}
		m.reading = f
		in, err := f.open(&m.options)
		if err != nil {
			return err
		}
		at := 0
		if err := m.sameClasses(in.classes); err != nil {
			return f.named(errors.Join(err, in.close(), f.close()))
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
		if err == nil {
			err = f.checkCounts(at)
		}
		if err = cmp.Or(err, in.close(), f.close()); err != nil {
			return f.named(err)
		}
	}
	return nil
}

// survey reads all files once, to find the classes, epochs, splits and samples.
func (m *importer) survey() error {
	m.looks = map[analysis.Scale]bool{analysis.Probs: true, analysis.LogProbs: true}
	if err := m.readClasses(); err != nil {
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

// named puts the file's path before an error, unless the error names a file already: that an epoch is short shows only when a later file is read.
func (f *logitsFile) named(err error) error {
	if e := (*fileError)(nil); errors.As(err, &e) || strings.HasPrefix(err.Error(), f.path) {
		return err
	}
	return &fileError{f.path, err}
}

// fileError is an error in a file.
type fileError struct {
	path string
	err  error
}

func (e *fileError) Error() string { return e.path + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// readClasses reads the number of logits and the classes from the first file. ImportOptions.Classes takes precedence over its classes.
func (m *importer) readClasses() error {
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
	if err = cmp.Or(err, in.close(), first.close()); err != nil {
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

// sameClasses returns an error where a file names other classes, or another order of them, than the first file or ImportOptions.Classes.
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

// lookAtValues strikes the scales that the values of a block cannot be of from m.looks.
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

// eachPart calls use with each range [from,to) of rows that are of one split and one epoch.
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

// location says where row i of a block stands in its file, for errors.
func (r *rows) location(i int) string {
	word, number, ok := strings.Cut(r.first, " ")
	if n, err := strconv.Atoi(number); ok && err == nil {
		return fmt.Sprintf("%s %d", word, n+i)
	}
	return r.first
}

// survey reads rows [from,to) of an epoch. The rows of the split's first epoch are its samples; every other epoch must have the same ones.
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
	s.last = m.reading
	first := len(s.started) == 1
	if !first && s.hasRow == nil {
		s.hasRow = make([]bool, len(s.ids))
	}
	if first && s.n == 0 {
		s.numbers = r.names == nil
		n := to - from + r.more
		s.ids, s.labels = make([]int64, 0, n), make([]int32, 0, n) // which slices.Grow would clear, page by page
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
	if counted && r.labels != nil && r.texts == nil {
		return s.count(m, r, from, to)
	}
	for i := from; i < to; i++ {
		label, err := m.label(r, i)
		if err != nil {
			return err
		}
		if first && r.texts != nil {
			if err := m.keepText(s, r, i, s.n); err != nil {
				return err
			}
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
		if r.texts != nil {
			if err := m.keepText(s, r, i, row); err != nil {
				return err
			}
		}
		if row != s.n {
			s.shuffled[epoch] = true
		}
		s.hasRow[row] = true
		s.n++
	}
	return nil
}

// count reads rows [from,to) of the split's first epoch whose ids are their places and whose labels are numbers, as those of arrays are: there may be a
// hundred million of them.
func (s *importedSplit) count(m *importer, r *rows, from, to int) error {
	k := uint64(len(m.classes))
	for i, v := range r.labels[from:to] {
		label := int32(v)
		if uint64(v) >= k {
			var err error
			if label, err = m.label(r, from+i); err != nil {
				return err
			}
		}
		s.labels = append(s.labels, label)
		s.ids = append(s.ids, int64(s.n))
		s.n++
	}
	return nil
}

func (r *rows) hasLabels() bool { return r.labels != nil || r.labelNames != nil }

// id returns the id of row i: the number in the file, the number given to a text, or else the place of the row in its epoch. A text that is
// not known yet is numbered where fresh is set, and is -1 otherwise.
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

// add adds a sample of the split's first epoch.
func (s *importedSplit) add(id int64, label int32) error {
	n := len(s.ids)
	if s.rowOf == nil && id != int64(n) { // while the ids are 0, 1, 2, … they are their rows, and no index is needed
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

// row returns the row of the sample with an id.
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

// endEpoch returns an error where the epoch that was read lacks a sample of the split.
func (s *importedSplit) endEpoch(m *importer) error {
	if s.epoch >= 0 && s.n != len(s.ids) {
		lacking := slices.Index(s.hasRow, false)
		return s.last.named(fmt.Errorf("split %s has %d of its %d samples at epoch %d: sample %d is not there, and every epoch must have the same", s.name, s.n, len(s.ids), s.epoch, s.ids[lacking]))
	}
	s.labelled = s.labelled || slices.ContainsFunc(s.labels, func(v int32) bool { return v != record.Ignored })
	return nil
}

// label returns the class of row i, or record.Ignored where the row has no label.
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

// fewOf lists the first names, for errors.
func fewOf(names []string) string {
	const most = 6
	text := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		text += ", …"
	}
	return text
}

// checkWhole notes what the user may not expect, and decides the scale of the values, once every file has been read.
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
	if err := m.settleTexts(); err != nil {
		return err
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
	slices.SortStableFunc(m.splits, func(a, b *importedSplit) int { return rank(a.name) - rank(b.name) })
	return nil
}

// rank orders splits: training, validation, then all others.
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

// write writes the run to a temporary folder beside dir, which is renamed to dir once the run is complete.
func (m *importer) write(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if !record.ValidName(filepath.Base(path)) {
		return fmt.Errorf("run name %q: want %s", filepath.Base(path), record.NameRule)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return files.WriteFolder(path, func(dir string) error { return m.writeRun(dir, filepath.Base(path)) })
}

func (m *importer) writeRun(dir, name string) error {
	config := struct {
		Imported []string       `json:"imported"` // the paths and patterns that Import was given
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
	m.options.skipTexts = true
	samples := map[string]record.Samples{}
	for _, s := range m.splits {
		manifest.Splits = append(manifest.Splits, record.SplitInfo{Name: s.name, N: len(s.ids)})
		samples[s.name] = record.Samples{IDs: s.ids, Labels: s.labels, Previews: s.previews, Texts: s.texts}
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
		return cmp.Or(err, w.Close(record.StateFailed)) // Close returns an error of writing once more
	}
	return w.Close(record.StateComplete)
}

// copy reads all files again and writes their logits to w.
func (m *importer) copy(w *record.Writer) error {
	given := map[*importedSplit]int{}
	held := map[*importedSplit][]float32{} // the logits of an epoch whose rows come in another order, until it is complete
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

// copyParts does the work of copy where an epoch lacks a split or has labels of its own. Each row is written with its id, in the order of the file.
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

// addPreviews adds the previews of rows [from,to) of the split's first epoch.
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

// logits returns the values of a block as logits of a row of the run, [n,columns].
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
	// AsLogits gives log(1−p) and log p for a column of probabilities p; their difference is the logit.
	one := make([]float32, r.n)
	for i := range one {
		one[i] = float32(as.Wide[2*i+1] - as.Wide[2*i])
	}
	return one, nil
}

// narrowed rounds to float32.
func narrowed(wide []float64) []float32 {
	narrow := make([]float32, len(wide))
	for i, z := range wide {
		narrow[i] = float32(z)
	}
	return narrow
}
