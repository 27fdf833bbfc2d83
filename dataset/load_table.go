package dataset

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/logitscope/logitscope/internal/splitname"
)

// readTable reads a file as a table, whatever it is packed in. Arrays of vectors become one, with the labels beside or in their file.
func readTable(path, labels string, o Options) (*table, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return textFolder(path, o)
	}
	s, err := openSource(path, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if s.format.table != nil {
		return s.format.table(s, o)
	}
	a, err := openArray(s, o, labels, true)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if len(a.shape) != 1 {
		return nil, fmt.Errorf("%s holds images of shape %v, which are no table", path, a.shape)
	}
	if o.like == nil || !slices.Contains(o.like.Classes, "-1") {
		a.labels.dropNegative()
	}
	if o.like != nil {
		a.widen(o.like.vectorWidth())
	}
	return a.asTable(o.Target), nil
}

func loadTable(o Options, rng *rand.Rand) (*Dataset, error) {
	t, err := readTable(o.Path, o.Labels, o)
	if err != nil {
		return nil, err
	}
	if t.delimiter != 0 {
		t.dropEmpty()
	}
	target, note, err := o.targetColumn(t)
	if err != nil {
		return nil, err
	}
	if why := t.unread[t.names[target]]; why != "" {
		return nil, fmt.Errorf("%s: column %s cannot be the target: %s", o.Path, t.names[target], why)
	}
	d := &Dataset{Pipeline: &Pipeline{
		Kind: KindTable, MultiLabel: o.MultiLabel, Target: t.names[target],
		Delimiter: o.Delimiter, Quote: o.Quote, Encoding: o.Encoding, Header: o.Header, Missing: o.Missing, KeepNA: o.KeepNA, Version: pipelineVersion,
	}}
	p := d.Pipeline
	if t.delimiter != 0 {
		p.Parted, p.Header = string(t.delimiter), map[bool]string{true: "yes", false: "no"}[t.header]
	}
	d.Notes = append(d.Notes, t.notes...)
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
	if err := o.ended(); err != nil {
		return nil, err
	}
	read, err := p.readAll(t)
	if err == nil {
		err = o.ended()
	}
	if err != nil {
		return nil, err
	}
	trainRows, valRows, err := d.divideTable(t, o, rng)
	if err != nil {
		return nil, err
	}
	d.Parts = []Part{newPart(splitname.Train, trainRows, 0)}
	if len(valRows) > 0 {
		d.Parts = append(d.Parts, newPart(splitname.Val, valRows, 0))
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
	if err := o.ended(); err != nil {
		return nil, err
	}
	tables := []*table{t}
	learned, held := d.labelledRowsOf(d.Parts[0], read, 0), labelledRows{}
	if len(valRows) > 0 {
		held = d.labelledRowsOf(d.Parts[1], read, 0)
	}
	for _, more := range []struct{ name, path, labels string }{{splitname.Val, o.Val, o.ValLabels}, {splitname.Test, o.Test, o.TestLabels}} {
		if more.path == "" {
			continue
		}
		first := d.Len()
		t, read, counts, err := d.appendFile(more.name, more.path, more.labels, o)
		if err != nil {
			return nil, err
		}
		if len(held.rows) == 0 {
			held = d.labelledRowsOf(d.Parts[len(d.Parts)-1], read, first)
		}
		for _, w := range counts.Warnings() {
			d.Warnings = append(d.Warnings, more.path+": "+w)
		}
		tables = append(tables, t)
	}
	d.checkLeaks(learned, held)
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

// readLabels sets d's classes and labels from the target column, and refuses a target that is not a classification.
func (d *Dataset) readLabels(t *table, target int, o Options) error {
	if o.MultiLabel {
		var err error
		if d.Classes, err = targetNames(t, target, o.FoldLabels); err != nil {
			return err
		}
		d.Targets, _ = readTargets(t, target, d.Classes, o.FoldLabels)
		d.Labels = slices.Repeat([]int32{Ignored}, t.rows())
	} else {
		var err error
		if d.Labels, d.Classes, err = readClasses(t, target, o); err != nil {
			return err
		}
	}
	return d.checkLabels(o, t.unlabelled(target, o), func() string { return likelierTarget(t, target, o) })
}

// divideTable chooses training and validation rows. Where validation has a file of its own, all rows of t are for training.
func (d *Dataset) divideTable(t *table, o Options, rng *rand.Rand) (train, val []int, err error) {
	if o.Val != "" {
		o.ValFraction = 0
	}
	var groups []int32
	if o.Group != "" {
		col := Column{Name: o.Group, Type: Categorical}
		v, err := col.read(t, t.column(o.Group), marks{disabled: true})
		if err != nil {
			return nil, nil, err
		}
		groups = v.codes
	}
	return d.divide(o, groups, rng)
}

// append adds the features or texts of the rows of t, whose columns read holds. The n-grams are fitted on the first texts that are added.
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

// checkWidth refuses a table whose features would take many times the file.
func (p *Pipeline) checkWidth(t *table) error {
	size := 4 * int64(t.rows()) * int64(p.Inputs)
	if size <= freeFeatures+maxWiden*t.size() {
		return nil
	}
	widest := slices.MaxFunc(p.Columns, func(a, b Column) int { return a.Features - b.Features })
	return fmt.Errorf("%s: %d features of %s take %d MiB, more than %d times the file: column %s alone has %d; leave it out with --types %s=ignore, or join its rare categories",
		t.path, p.Inputs, plural(t.rows(), "row"), size>>20, maxWiden, widest.Name, widest.Features, quoted(widest.Name))
}

// appendFile adds the rows of another file as the part called name.
func (d *Dataset) appendFile(name, path, labels string, o Options) (*table, []values, *Counts, error) {
	p := d.Pipeline
	o.optional, o.Header, o.like, o.Target = p.optional(), p.Header, p, p.Target
	t, err := readTable(path, labels, o)
	if err != nil {
		return nil, nil, nil, err
	}
	target := t.column(p.Target)
	if target < 0 {
		return nil, nil, nil, fmt.Errorf("%s has no column %q: it has %s", path, p.Target, listed(t.names))
	}
	read, err := p.readAll(t)
	if err != nil {
		return nil, nil, nil, err
	}
	counts := new(Counts)
	if err := d.append(t, read, counts); err != nil {
		return nil, nil, nil, err
	}
	if o.MultiLabel {
		return t, read, counts, d.appendTargets(name, path, t, target, o, counts)
	}
	col := Column{Name: p.Target, Type: Categorical}
	v, err := col.read(t, target, o.marks())
	if err != nil {
		return nil, nil, nil, err
	}
	return t, read, counts, d.appendLabels(name, path, &v, o, counts)
}

// appendTargets adds the lists of classes of a validation or test file, and the part called name of its rows.
func (d *Dataset) appendTargets(name, path string, t *table, target int, o Options, counts *Counts) error {
	first := d.Len()
	targets, unknown := readTargets(t, target, d.Classes, o.FoldLabels)
	if err := o.refuseUnknown(path, unknown, nil, nil); err != nil {
		return err
	}
	d.Targets = append(d.Targets, targets...)
	for _, n := range unknown {
		counts.Labels += n
	}
	d.Labels = append(d.Labels, slices.Repeat([]int32{Ignored}, t.rows())...)
	d.Parts = append(d.Parts, newPart(name, consecutive(first, t.rows()), first))
	return nil
}

// consecutive returns the n whole numbers from first on.
func consecutive(first, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all
}
