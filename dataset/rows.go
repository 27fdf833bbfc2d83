package dataset

import (
	"fmt"
	"os"
	"slices"
)

// Rows reads new samples and turns them, block by block, into the input of the network, as the training rows were. Next returns the blocks. A
// text file is read as its blocks are asked for, so that it may have any size.
type Rows struct {
	Counts     Counts // how the rows up to the last block differ from the training rows
	pipeline   *Pipeline
	err        error
	rowsBefore int                  // rows of the file before those in memory
	held       int                  // rows in memory
	handedOut  int                  // rows in memory that Next has returned
	source     *source              // the open file of a table that is read block by block
	blocks     blocks               // the blocks of that table
	prepared   *prepared            // the rows in memory, of a table
	texts      func(row int) []byte // the rows in memory, of texts
	array      *array               // the rows in memory, of an array
	tokens     tokenizer
	counted    bucketCounts
	block      Block
}

// Block is some consecutive rows. It is valid until the next one is read.
type Block struct {
	First    int       // the place of the block's first row in the file, from 0
	N        int       // rows
	Features []float32 // [N,Inputs]; nil for texts
	Tokens   []int32   // of texts: ids of n-grams; those of row i are Tokens[Offsets[i]:Offsets[i+1]]
	Offsets  []int32   // [N+1]
	Weights  []float32 // of each token; nil where the pipeline has no weights
}

// Read returns how many rows Next has returned.
func (r *Rows) Read() int { return r.rowsBefore + r.handedOut }

// Err returns the error that made Next stop, nil where it stopped at the end of the rows.
func (r *Rows) Err() error { return r.err }

// Close closes the file.
func (r *Rows) Close() error {
	switch {
	case r.array != nil:
		return r.array.Close()
	case r.source != nil:
		return r.source.Close()
	}
	return nil
}

// Open reads a file of new rows: a table with the columns of the training data, in any order, or an array, an IDX file or a folder whose
// samples have the same shape. A file that does not fit is an error.
func (p *Pipeline) Open(path string) (*Rows, error) {
	o := Options{
		Path: path, Delimiter: p.Delimiter, Quote: p.Quote, Encoding: p.Encoding, Header: p.Header, Missing: p.Missing, Target: p.Target,
		oneColumn: p.readsOneColumn(), optional: p.optional(), like: p,
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
					return p.rowsOfTable(t)
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
		return p.rowsOfArray(a)
	}
	s, err := openSource(path, o)
	if err != nil {
		return nil, err
	}
	if ofTables && s.format.rows != nil {
		return p.rowsOfBlocks(s, o)
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
			return p.rowsOfVectors(a)
		}
		return p.rowsOfArray(a)
	case !ofTables:
		return nil, other()
	}
	t, err := s.format.table(s, o)
	if err != nil {
		return nil, err
	}
	return p.rowsOfTable(t)
}

// rowsOfBlocks reads a table block by block.
func (p *Pipeline) rowsOfBlocks(s *source, o Options) (*Rows, error) {
	tables, err := s.format.rows(s, o)
	if err != nil {
		s.Close()
		return nil, err
	}
	r := &Rows{pipeline: p, source: s, blocks: tables}
	if r.readBlock(); r.err != nil {
		r.Close()
		return nil, r.err
	}
	return r, nil
}

// Fields takes rows from memory: [rows][columns] of text, as a CSV file would have it, under the given names of columns.
func (p *Pipeline) Fields(names []string, rows [][]string) (*Rows, error) {
	if p.Kind != KindTable && p.Kind != KindText {
		return nil, fmt.Errorf("the model was trained on %s, not on named columns", p.Kind)
	}
	t := &table{path: "rows", names: names, countRows: true, asWritten: true, starts: make([]uint32, 0, len(rows)*(len(names)+1))}
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
	return p.rowsOfTable(t)
}

// Vectors takes features from memory, [N,Inputs], as they go into the network. Values that are not finite are an error.
func (p *Pipeline) Vectors(features []float32) (*Rows, error) {
	if p.Inputs == 0 || len(features)%p.Inputs != 0 {
		return nil, fmt.Errorf("%d values are no rows of %d features", len(features), p.Inputs)
	}
	a := &array{path: "vectors", n: len(features) / p.Inputs, shape: []int{p.Inputs}, floats: features}
	if err := a.checkFinite(); err != nil {
		return nil, err
	}
	return &Rows{pipeline: p, held: a.n, array: a}, nil
}

func (p *Pipeline) rowsOfTable(t *table) (*Rows, error) {
	r := &Rows{pipeline: p}
	if err := r.hold(t); err != nil {
		return nil, err
	}
	return r, nil
}

// readBlock reads the next block of a text file into memory, or nothing at its end.
func (r *Rows) readBlock() {
	r.rowsBefore, r.held, r.handedOut = r.rowsBefore+r.held, 0, 0
	t, err := r.blocks.next()
	if err == nil && t != nil {
		err = r.hold(t)
	}
	r.err = err
}

// hold makes the rows of t those in memory.
func (r *Rows) hold(t *table) error {
	p := r.pipeline
	read, err := p.readAll(t)
	if err != nil {
		return err
	}
	r.held = t.rows()
	if p.Kind == KindText {
		if r.texts == nil {
			r.tokens = tokenizer{Ngrams: *p.Tokens}
		}
		r.texts = p.texts(read)
	} else {
		r.prepared = p.prepare(read, r.held)
	}
	return nil
}

// vectorWidth returns how many values a vector has whose values p takes as the columns of a table. The target is not one of them.
func (p *Pipeline) vectorWidth() int {
	columns := len(p.Columns)
	if slices.ContainsFunc(p.Columns, func(col Column) bool { return col.Name == p.Target }) {
		columns--
	}
	return columns
}

// rowsOfVectors takes an array as a table, as training took it.
func (p *Pipeline) rowsOfVectors(a *array) (*Rows, error) {
	columns := p.vectorWidth()
	a.widen(columns)
	if len(a.shape) != 1 || a.width() != columns {
		return nil, fmt.Errorf("%s has samples of shape %v, the model was trained on %s", a.path, a.shape, plural(columns, "column"))
	}
	a.labels = nil
	return p.rowsOfTable(a.asTable(""))
}

func (p *Pipeline) rowsOfArray(a *array) (*Rows, error) {
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
	return &Rows{pipeline: p, held: a.n, array: a}, nil
}

// Next returns the next block, of at most n rows. It returns nil at the end, and where a row cannot be read: Err tells the two apart.
func (r *Rows) Next(n int) *Block {
	if r.handedOut == r.held && r.blocks != nil && r.err == nil {
		r.readBlock()
	}
	n = min(n, r.held-r.handedOut)
	if n <= 0 || r.err != nil {
		return nil
	}
	from, to := r.handedOut, r.handedOut+n
	r.handedOut = to
	b := &r.block
	b.First, b.N = r.rowsBefore+from, n
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
