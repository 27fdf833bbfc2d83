package dataset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Load reads what o describes, divides it into training, validation and test rows, and fits the pipeline on the training
// rows alone. rng decides which row goes where. What had to be guessed is said in Notes, what looks wrong in Warnings.
func Load(o Options, rng *rand.Rand) (*Dataset, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Path == "digits" {
		d, err := Digits()
		if err != nil {
			return nil, err
		}
		return d, d.divideAlone(o, rng)
	}
	info, err := os.Stat(o.Path)
	if err != nil {
		return nil, optionErrorf("no data at %s: give a file, a folder of images or digits: %w", o.Path, errors.Unwrap(err))
	}
	var d *Dataset
	switch kindOf(o.Path, info) {
	case kindFolder:
		d, err = loadArray(o, rng, func(path, _ string, like *Pipeline) (*array, error) { return openFolder(path, o, like) })
	case kindArray:
		d, err = loadArray(o, rng, func(path, labels string, _ *Pipeline) (*array, error) { return openArray(path, o, labels, true) })
	default:
		d, err = loadTable(o, rng)
	}
	if err != nil {
		return nil, err
	}
	d.Name = Name(o.Path)
	return d, nil
}

// Name is what a dataset is called: its file's name without the extensions.
func Name(path string) string {
	name := filepath.Base(filepath.Clean(path))
	if short, _, ok := strings.Cut(name, "."); ok && short != "" {
		name = short
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && isWord(r) || r == '-' {
			return r
		}
		return '-'
	}, name)
}

// divideAlone divides a dataset that came with no other file and no pipeline to fit.
func (d *Dataset) divideAlone(o Options, rng *rand.Rand) error {
	train, val, err := d.divide(o, nil, rng)
	if err != nil {
		return err
	}
	d.Parts = []Part{part("train", train, 0)}
	if len(val) > 0 {
		d.Parts = append(d.Parts, part("val", val, 0))
	}
	return nil
}

// Kinds of file, by their extension.
type fileKind uint8

const (
	kindText fileKind = iota // rows of fields
	kindFolder
	kindArray
	kindParquet
)

func kindOf(path string, info os.FileInfo) fileKind {
	path = strings.ToLower(path)
	switch ext := filepath.Ext(path); {
	case info.IsDir():
		return kindFolder
	case ext == ".npy" || ext == ".npz" || ext == ".safetensors" || isIDX(path):
		return kindArray
	case ext == ".parquet":
		return kindParquet
	}
	return kindText
}

// readTable reads a file as a table, whatever it is packed in.
func readTable(path string, o Options) (*table, error) {
	if strings.HasSuffix(strings.ToLower(path), ".parquet") {
		return readParquet(path, o)
	}
	text, err := readFile(path, o.maxBytes())
	if err != nil {
		return nil, err
	}
	return parseCSV(path, text, o)
}

func loadTable(o Options, rng *rand.Rand) (*Dataset, error) {
	t, err := readTable(o.Path, o)
	if err != nil {
		return nil, err
	}
	target, note, err := o.targetColumn(t)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Pipeline: &Pipeline{
		Kind: KindTable, MultiLabel: o.MultiLabel, Target: t.names[target],
		Delimiter: o.Delimiter, Header: o.Header, Missing: o.Missing,
	}}
	p := d.Pipeline
	if note != "" {
		d.Notes = append(d.Notes, note)
	}
	skip := map[string]string{p.Target: "the target"}
	if o.Group != "" {
		if t.column(o.Group) < 0 {
			return nil, optionErrorf("%s has no column %q to group by: it has %s", o.Path, o.Group, listed(t.names))
		}
		skip[o.Group] = "the groups"
	}
	if o.Text != "" && t.column(o.Text) < 0 {
		return nil, optionErrorf("%s has no column %q to take text from: it has %s", o.Path, o.Text, listed(t.names))
	}
	if err := d.readLabels(t, target, o); err != nil {
		return nil, err
	}
	if p.Columns, err = inferColumns(t, o, skip); err != nil {
		return nil, err
	}
	p.setKind()
	read, err := p.readAll(t)
	if err != nil {
		return nil, err
	}
	trainRows, valRows, err := d.divideTable(t, o, rng)
	if err != nil {
		return nil, err
	}
	d.Parts = []Part{part("train", trainRows, 0)}
	if len(valRows) > 0 {
		d.Parts = append(d.Parts, part("val", valRows, 0))
	}
	if len(trainRows) == 0 {
		return nil, fmt.Errorf("%s: no row has a label", o.Path)
	}
	if p.Kind == KindTable {
		if err := p.fit(read, d.Parts[0].Rows); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Path, err)
		}
	}
	counts := new(Counts)
	if err := d.append(t, read, counts); err != nil {
		return nil, err
	}
	d.checkLeaks(read)
	tables := []*table{t}
	for _, more := range []struct{ name, path string }{{"val", o.Val}, {"test", o.Test}} {
		if more.path == "" {
			continue
		}
		t, counts, err := d.appendFile(more.name, more.path, o)
		if err != nil {
			return nil, err
		}
		for _, w := range counts.Warnings() {
			d.Warnings = append(d.Warnings, more.path+": "+w)
		}
		tables = append(tables, t)
	}
	d.checkDuplicates(tables)
	if p.Kind == KindText {
		texts, err := p.Tokens.weighAll(d.texts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.Path, err)
		}
		d.Tokens, d.Offsets, d.Weights, d.texts = texts.ids, texts.offsets, texts.weights, nil
	}
	return d, nil
}

// readLabels sets d's classes and labels from the target column, and refuses what is no classification.
func (d *Dataset) readLabels(t *table, target int, o Options) error {
	if o.MultiLabel {
		var err error
		if d.Classes, err = targetNames(t, target); err != nil {
			return err
		}
		d.Targets, _ = readTargets(t, target, d.Classes)
		d.Labels = slices.Repeat([]int32{Ignored}, t.rows())
	} else {
		var err error
		if d.Labels, d.Classes, err = readClasses(t, target, o); err != nil {
			return err
		}
	}
	return d.checkLabels(o)
}

// checkLabels counts the classes, refuses what leaves nothing to tell apart, and warns of what is rare.
func (d *Dataset) checkLabels(o Options) error {
	d.Pipeline.Classes = d.Classes
	counts, unlabelled := make([]int, len(d.Classes)), 0
	for i, label := range d.Labels {
		switch {
		case d.Targets != nil:
			for k, on := range d.Targets[i*len(counts) : (i+1)*len(counts)] {
				counts[k] += int(on)
			}
		case label == Ignored:
			unlabelled++
		default:
			counts[label]++
		}
	}
	switch {
	case len(d.Classes) == 0:
		return fmt.Errorf("%s: there is no class at all%s", o.Path, inColumn(d.Pipeline.Target))
	case len(d.Classes) == 1 && !o.MultiLabel:
		return fmt.Errorf("%s: there is one class only%s, %q, in %s: nothing to tell apart",
			o.Path, inColumn(d.Pipeline.Target), d.Classes[0], plural(counts[0], "row"))
	}
	if unlabelled > 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s without a class: left out", plural(unlabelled, "row")))
	}
	var single []string
	for k, n := range counts {
		if n == 1 {
			single = append(single, d.Classes[k])
		}
	}
	if len(single) > 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s of a single sample, which can only be trained on: %s",
			pluralOf(len(single), "class", "classes"), listed(single)))
	}
	return nil
}

func inColumn(name string) string {
	if name == "" {
		return ""
	}
	return " in column " + name
}

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// divideTable chooses training and validation rows; with a file of validation rows all of t is for training.
func (d *Dataset) divideTable(t *table, o Options, rng *rand.Rand) (train, val []int, err error) {
	if o.Val != "" {
		o.ValFraction = 0
	}
	var groups []int32
	if o.Group != "" {
		col := Column{Name: o.Group, Type: Categorical}
		v, err := col.read(t, t.column(o.Group), func([]byte) bool { return false })
		if err != nil {
			return nil, nil, err
		}
		groups = v.codes
	}
	return d.divide(o, groups, rng)
}

// append adds the features or texts of rows that have been read. The first texts are those that the n-grams are fitted on.
func (d *Dataset) append(t *table, read []values, counts *Counts) error {
	p, rows := d.Pipeline, t.rows()
	if p.Kind == KindText {
		texts, err := p.Tokens.tokenize(rows, p.texts(read))
		if err != nil {
			return err
		}
		if d.texts == nil {
			p.Tokens.fit(texts, d.Parts[0].Rows)
		}
		d.texts = append(d.texts, texts...)
		return nil
	}
	if err := p.checkWidth(t); err != nil {
		return err
	}
	features := make([]float32, rows*p.Inputs)
	p.features(features, p.prepare(read, rows), 0, rows, counts)
	d.Columns = p.Inputs
	if d.Features == nil {
		d.Features = features
		return nil
	}
	d.Features = append(d.Features, features...)
	return nil
}

// Bounds on the features of a table: a category of two letters becomes a kilobyte where its column has 255.
const (
	freeFeatures = 256 << 20
	maxWiden     = 64
)

// checkWidth refuses a table whose features would take many times the file.
func (p *Pipeline) checkWidth(t *table) error {
	size := 4 * int64(t.rows()) * int64(p.Inputs)
	if size <= freeFeatures+maxWiden*int64(len(t.data)) {
		return nil
	}
	widest := slices.MaxFunc(p.Columns, func(a, b Column) int { return a.Features - b.Features })
	return fmt.Errorf("%s: %d features of %s take %d MiB, more than %d times the file: column %s alone has %d; leave it out with --types %s=ignore, or join its rare categories",
		t.path, p.Inputs, plural(t.rows(), "row"), size>>20, maxWiden, widest.Name, widest.Features, quoted(widest.Name))
}

// appendFile adds the rows of another file as the part called name.
func (d *Dataset) appendFile(name, path string, o Options) (*table, *Counts, error) {
	p, first := d.Pipeline, d.Len()
	t, err := readTable(path, o)
	if err != nil {
		return nil, nil, err
	}
	target := t.column(p.Target)
	if target < 0 {
		return nil, nil, fmt.Errorf("%s has no column %q: it has %s", path, p.Target, listed(t.names))
	}
	read, err := p.readAll(t)
	if err != nil {
		return nil, nil, err
	}
	counts := new(Counts)
	if err := d.append(t, read, counts); err != nil {
		return nil, nil, err
	}
	labels := slices.Repeat([]int32{Ignored}, t.rows())
	if o.MultiLabel {
		targets, unknown := readTargets(t, target, d.Classes)
		d.Targets = append(d.Targets, targets...)
		counts.Labels = unknown
	} else {
		col := Column{Name: p.Target, Type: Categorical}
		v, err := col.read(t, target, o.missing)
		if err != nil {
			return nil, nil, err
		}
		labels = v.encode(d.Classes)
		for r, label := range labels {
			if label == Ignored && v.codes[r] >= 0 {
				counts.Labels++
			}
		}
	}
	d.Labels = append(d.Labels, labels...)
	var rows []int
	for r, label := range labels {
		if o.MultiLabel || label != Ignored {
			rows = append(rows, first+r)
		}
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("%s: no row has a class that %s has", path, o.Path)
	}
	d.Parts = append(d.Parts, part(name, rows, first))
	return t, counts, nil
}
