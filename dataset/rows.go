package dataset

import (
	"fmt"
	"os"
	"slices"
)

// Rows are new samples, turned block by block into what the network takes, as the training rows were.
type Rows struct {
	Counts   Counts // what they held that the training rows did not, up to the last block
	pipeline *Pipeline
	n, at    int
	prepared *prepared // of a table
	texts    func(row int) []byte
	array    *array
	tokens   tokenizer
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

// Len returns the number of rows in all.
func (r *Rows) Len() int { return r.n }

// Close gives up the file.
func (r *Rows) Close() error {
	if r.array == nil {
		return nil
	}
	return r.array.Close()
}

// Open reads a file of new rows: a table that has the columns of the training data, in any order, or an array, IDX file or
// folder of the same shape.
func (p *Pipeline) Open(path string) (*Rows, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	o := Options{Path: path, Delimiter: p.Delimiter, Header: p.Header, Missing: p.Missing, Target: p.Target}
	kind := kindOf(path, info)
	if (p.Kind == KindTable || p.Kind == KindText) != (kind == kindText || kind == kindParquet) {
		return nil, fmt.Errorf("%s is of another kind than what the model was trained on, %s", path, p.Kind)
	}
	switch kind {
	case kindFolder:
		files, err := looseFiles(path)
		if err != nil {
			return nil, err
		}
		a := &array{path: path, n: len(files)}
		if err := a.decode(files, o, p); err != nil {
			return nil, err
		}
		return p.ofArray(a)
	case kindArray:
		a, err := openArray(path, o, "", false)
		if err != nil {
			return nil, err
		}
		return p.ofArray(a)
	}
	t, err := readTable(path, o)
	if err != nil {
		return nil, err
	}
	return p.ofTable(t)
}

// Fields takes rows in memory, [rows][columns] of text under named columns.
func (p *Pipeline) Fields(names []string, rows [][]string) (*Rows, error) {
	if p.Kind != KindTable && p.Kind != KindText {
		return nil, fmt.Errorf("the model was trained on %s, not on named columns", p.Kind)
	}
	t := &table{path: "rows", names: names, numbers: true, starts: make([]uint32, 0, len(rows)*(len(names)+1))}
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
	read, err := p.readAll(t)
	if err != nil {
		return nil, err
	}
	r := &Rows{pipeline: p, n: t.rows()}
	if p.Kind == KindText {
		r.tokens, r.texts = tokenizer{Ngrams: *p.Tokens}, p.texts(read)
		return r, nil
	}
	r.prepared = p.prepare(read, r.n)
	return r, nil
}

func (p *Pipeline) ofArray(a *array) (*Rows, error) {
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
	return &Rows{pipeline: p, n: a.n, array: a}, nil
}

// Next returns the next rows, at most n of them, nil at the end.
func (r *Rows) Next(n int) *Block {
	n = min(n, r.n-r.at)
	if n <= 0 {
		return nil
	}
	b := &r.block
	b.First, b.N = r.at, n
	r.at += n
	inputs := r.pipeline.Inputs
	switch {
	case r.array != nil:
		b.Features = r.array.floats[b.First*inputs : r.at*inputs]
	case r.texts != nil:
		t := tokens{b.Tokens[:0], append(b.Offsets[:0], 0), b.Weights[:0]}
		for i := b.First; i < r.at; i++ {
			r.tokens.add(&t, r.texts(i))
		}
		r.tokens.weigh(&t)
		b.Tokens, b.Offsets, b.Weights = t.ids, t.offsets, t.weights
	default:
		b.Features = slices.Grow(b.Features[:0], n*inputs)[:n*inputs]
		clear(b.Features)
		r.pipeline.features(b.Features, r.prepared, b.First, r.at, &r.Counts)
	}
	return b
}
