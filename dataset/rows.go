package dataset

import (
	"fmt"
	"os"
	"slices"
)

// Rows are new samples, turned block by block into what the network takes, as the training rows were. A text file's are read as
// they are asked for, so that it may have any size.
type Rows struct {
	Counts   Counts // what they held that the training rows did not, up to the last block
	pipeline *Pipeline
	err      error
	first    int // rows before those at hand
	n, at    int // rows at hand, and how many of them were handed out
	source   *source
	tables   blocks
	prepared *prepared // of a table
	texts    func(row int) []byte
	array    *array
	tokens   tokenizer
	counted  counted
	block    Block
}

// Block is some rows, one behind the other. It holds until the next one is read.
type Block struct {
	First, N int
	Features []float32 // [N,Inputs]; nil for texts
	Tokens   []int32
	Offsets  []int32   // [N+1]
	Weights  []float32 // of each token; nil for a pipeline without
}

// Read returns how many rows were handed out.
func (r *Rows) Read() int { return r.first + r.at }

// Err returns what kept Next from reading on, nil at the end of the rows.
func (r *Rows) Err() error { return r.err }

// Close gives up the file.
func (r *Rows) Close() error {
	switch {
	case r.array != nil:
		return r.array.Close()
	case r.source != nil:
		return r.source.Close()
	}
	return nil
}

// Open reads a file of new rows: a table that has the columns of the training data, in any order, or an array, IDX file or
// folder of the same shape.
func (p *Pipeline) Open(path string) (*Rows, error) {
	o := Options{
		Path: path, Delimiter: p.Delimiter, Quote: p.Quote, Encoding: p.Encoding, Header: p.Header, Missing: p.Missing, Target: p.Target,
		oneColumn: p.alone(), optional: p.optional(), like: p,
	}
	ofTables := p.Kind == KindTable || p.Kind == KindText
	other := func() error {
		return fmt.Errorf("%s is of another kind than what the model was trained on, %s", path, p.Kind)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if p.Kind == KindText {
			for _, col := range p.Columns {
				if col.Type == Text {
					t, err := looseTexts(path, col.Name, o)
					if err != nil {
						return nil, err
					}
					return p.ofTable(t)
				}
			}
		}
		if ofTables {
			return nil, other()
		}
		files, err := looseFiles(path, isImage)
		if err != nil {
			return nil, err
		}
		a := &array{path: path, n: len(files)}
		if err := a.decode(files, o, p); err != nil {
			return nil, err
		}
		return p.ofArray(a)
	}
	s, err := openSource(path, o)
	if err != nil {
		return nil, err
	}
	if ofTables && s.format.rows != nil {
		return p.ofBlocks(s, o)
	}
	defer s.Close()
	switch {
	case s.format.arrays != nil:
		a, err := openArray(s, o, "", false)
		if err != nil {
			return nil, err
		}
		if ofTables {
			defer a.Close()
			return p.ofVectors(a)
		}
		return p.ofArray(a)
	case !ofTables:
		return nil, other()
	}
	t, err := s.format.table(s, o)
	if err != nil {
		return nil, err
	}
	return p.ofTable(t)
}

// ofBlocks reads a table as its rows are asked for.
func (p *Pipeline) ofBlocks(s *source, o Options) (*Rows, error) {
	tables, err := s.format.rows(s, o)
	if err != nil {
		s.Close()
		return nil, err
	}
	r := &Rows{pipeline: p, source: s, tables: tables}
	if r.readOn(); r.err != nil {
		r.Close()
		return nil, r.err
	}
	return r, nil
}

// Fields takes rows in memory, [rows][columns] of text under named columns.
func (p *Pipeline) Fields(names []string, rows [][]string) (*Rows, error) {
	if p.Kind != KindTable && p.Kind != KindText {
		return nil, fmt.Errorf("the model was trained on %s, not on named columns", p.Kind)
	}
	t := &table{path: "rows", names: names, numbers: true, written: true, starts: make([]uint32, 0, len(rows)*(len(names)+1))}
	for i, row := range rows {
		if len(row) != len(names) {
			return nil, fmt.Errorf("row %d has %s, there are %d columns", i+1, plural(len(row), "field"), len(names))
		}
		for _, field := range row {
			t.starts = append(t.starts, uint32(len(t.data)))
			t.data = append(append(t.data, field...), 0)
			if len(t.data) > maxTable {
				return nil, fmt.Errorf("more than %d bytes of rows: give them in several calls", maxTable)
			}
		}
		t.starts = append(t.starts, uint32(len(t.data)))
	}
	return p.ofTable(t)
}

// Vectors takes features in memory, [N,Inputs], as the network takes them.
func (p *Pipeline) Vectors(features []float32) (*Rows, error) {
	if p.Inputs == 0 || len(features)%p.Inputs != 0 {
		return nil, fmt.Errorf("%d values are no rows of %d features", len(features), p.Inputs)
	}
	a := &array{path: "vectors", n: len(features) / p.Inputs, shape: []int{p.Inputs}, floats: features}
	if err := a.checkFinite(); err != nil {
		return nil, err
	}
	return &Rows{pipeline: p, n: a.n, array: a}, nil
}

func (p *Pipeline) ofTable(t *table) (*Rows, error) {
	r := &Rows{pipeline: p}
	if err := r.take(t); err != nil {
		return nil, err
	}
	return r, nil
}

// readOn puts the next rows of a text file at hand, none at its end.
func (r *Rows) readOn() {
	r.first, r.n, r.at = r.first+r.n, 0, 0
	t, err := r.tables.next()
	if err == nil && t != nil {
		err = r.take(t)
	}
	r.err = err
}

// take puts the rows of a table at hand.
func (r *Rows) take(t *table) error {
	p := r.pipeline
	read, err := p.readAll(t)
	if err != nil {
		return err
	}
	r.n = t.rows()
	if p.Kind == KindText {
		if r.texts == nil {
			r.tokens = tokenizer{Ngrams: *p.Tokens}
		}
		r.texts = p.texts(read)
	} else {
		r.prepared = p.prepare(read, r.n)
	}
	return nil
}

// vectors is how many values a row has that p takes as a table's columns: the target is none.
func (p *Pipeline) vectors() int {
	columns := len(p.Columns)
	if slices.ContainsFunc(p.Columns, func(col Column) bool { return col.Name == p.Target }) {
		columns--
	}
	return columns
}

// ofVectors takes an array as the table that it is in training.
func (p *Pipeline) ofVectors(a *array) (*Rows, error) {
	columns := p.vectors()
	a.widen(columns)
	if len(a.shape) != 1 || a.width() != columns {
		return nil, fmt.Errorf("%s has samples of shape %v, the model was trained on %s", a.path, a.shape, plural(columns, "column"))
	}
	a.labels = nil
	return p.ofTable(a.asTable(""))
}

func (p *Pipeline) ofArray(a *array) (*Rows, error) {
	if p.Shape == nil {
		a.widen(p.Inputs)
	}
	want := []int{p.Inputs}
	if p.Shape != nil {
		want = []int{p.Shape.Height, p.Shape.Width, p.Shape.Channels}
	}
	shape := a.shape
	if p.Shape != nil && len(shape) == 2 {
		shape = append(slices.Clone(shape), 1)
	}
	if !slices.Equal(shape, want) {
		a.Close()
		return nil, fmt.Errorf("%s has samples of shape %v, the model was trained on %v", a.path, shape, want)
	}
	a.floats = featuresOf(a)
	return &Rows{pipeline: p, n: a.n, array: a}, nil
}

// Next returns the next rows, at most n of them; nil at the end, and where a row cannot be read: Err says which it is.
func (r *Rows) Next(n int) *Block {
	if r.at == r.n && r.tables != nil && r.err == nil {
		r.readOn()
	}
	n = min(n, r.n-r.at)
	if n <= 0 || r.err != nil {
		return nil
	}
	from, to := r.at, r.at+n
	r.at = to
	b := &r.block
	b.First, b.N = r.first+from, n
	inputs := r.pipeline.Inputs
	switch {
	case r.array != nil:
		b.Features = r.array.floats[from*inputs : to*inputs]
	case r.texts != nil:
		c := &r.counted
		c.buckets, c.offsets = c.buckets[:0], append(c.offsets[:0], 0)
		for i := from; i < to; i++ {
			r.tokens.add(c, r.texts(i))
		}
		t := tokens{b.Tokens[:0], append(b.Offsets[:0], 0), b.Weights[:0]}
		r.tokens.weigh(&t, c)
		b.Tokens, b.Offsets, b.Weights = t.ids, t.offsets, t.weights
	default:
		b.Features = slices.Grow(b.Features[:0], n*inputs)[:n*inputs]
		clear(b.Features)
		r.pipeline.features(b.Features, r.prepared, from, to, &r.Counts)
	}
	return b
}
