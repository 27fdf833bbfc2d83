package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/logitscope/logitscope/internal/mmap"
	"github.com/logitscope/logitscope/internal/untrusted"
	"github.com/logitscope/logitscope/record"
)

var parquetReader = reader{
	name: "parquet", begins: startsWith("PAR1"), ends: []string{".parquet", ".pq"},
	text: "columns as of CSV, or the logits as one column of lists; float16, float32 and float64",
	open: openParquet,
}

// openParquet uses the library's lowest layer, which starts no goroutine, so that the panic that a damaged file causes can be caught.
func openParquet(path string, o *ImportOptions) (in *input, err error) {
	within := func(use func(*pq.Reader) error) (err error) {
		raw, unmap, err := mmap.Open(path)
		if err != nil {
			return err
		}
		defer unmap()
		defer untrusted.Catch(&err, path)
		reader, err := untrusted.Parquet(raw, freeMemory+maxInflate*int64(len(raw)))
		if err != nil {
			return err
		}
		defer reader.Close()
		return use(reader)
	}
	var told columnsOf
	width := 0 // how many logits a list holds; 0 where every logit has a column of its own
	err = within(func(reader *pq.Reader) error {
		s := reader.MetaData().Schema
		var names []string
		list := -1
		for i := range s.NumColumns() {
			c := s.Column(i)
			names = append(names, c.ColumnPath()[0])
			if c.MaxRepetitionLevel() == 1 && list < 0 && (logitName.MatchString(names[i]+":") || names[i] == "logits") {
				list, names[i] = i, "logits:"
			}
		}
		told, err = findColumns(names, o, func(i int) bool {
			return i == list || list < 0 && s.Column(i).MaxRepetitionLevel() == 0 && numeric(s.Column(i))
		}, func(i int) bool {
			return len(s.Column(i).ColumnPath()) == 1 && s.Column(i).PhysicalType() == parquet.Types.ByteArray
		})
		if err == nil && list >= 0 {
			told.classes = nil
			width, err = widthOf(reader, list)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &input{classes: told.classes, close: func() error { return nil }, each: func(ctx context.Context, use func(*rows) error) error {
		return within(func(reader *pq.Reader) error { return eachOfParquet(ctx, reader, told, width, use) })
	}}, nil
}

func numeric(c *schema.Column) bool {
	switch c.PhysicalType() {
	case parquet.Types.Float, parquet.Types.Double, parquet.Types.Int32, parquet.Types.Int64:
		return true
	}
	return isHalf(c)
}

func isHalf(c *schema.Column) bool {
	_, half := c.LogicalType().(schema.Float16LogicalType)
	return half && c.PhysicalType() == parquet.Types.FixedLenByteArray
}

// widthOf returns how many values the first list of a column has.
func widthOf(reader *pq.Reader, column int) (int, error) {
	if reader.NumRowGroups() == 0 {
		return 0, errors.New("it has no rows")
	}
	l, err := leafOf(reader, 0, column)
	if err != nil {
		return 0, err
	}
	for width := 0; ; {
		n, err := l.read(1 << 12)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return width, nil
		}
		for i := range n {
			if l.repetitions[i] == 0 && width > 0 {
				return width, nil
			}
			width++
		}
	}
}

// eachOfParquet reads the columns of each row group side by side and calls use with blocks of rows.
func eachOfParquet(ctx context.Context, reader *pq.Reader, c columnsOf, width int, use func(*rows) error) error {
	at := 0
	for g := range reader.NumRowGroups() {
		leaves := map[int]*leaf{}
		for _, i := range append([]int{c.epoch, c.split, c.id, c.label, c.text}, c.logits...) {
			if i < 0 {
				continue
			}
			var err error
			if leaves[i], err = leafOf(reader, g, i); err != nil {
				return err
			}
		}
		columns := max(width, len(c.logits))
		left := int(reader.RowGroup(g).NumRows())
		for left > 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			r := &rows{n: min(left, blockRows(c.rowCost(columns))), first: fmt.Sprintf("row %d", at), columns: columns}
			if err := r.ofLeaves(leaves, c, width); err != nil {
				return err
			}
			if err := use(r); err != nil {
				return err
			}
			left -= r.n
			at += r.n
		}
	}
	return nil
}

// ofLeaves reads the next r.n rows from the columns.
func (r *rows) ofLeaves(leaves map[int]*leaf, c columnsOf, width int) (err error) {
	if c.epoch >= 0 {
		if r.epochs, _, err = leaves[c.epoch].integersOrTexts(r.n); err != nil || r.epochs == nil {
			return errors.Join(err, errors.New("the column of epochs: want whole numbers"))
		}
	}
	if c.split >= 0 {
		if _, r.splits, err = leaves[c.split].integersOrTexts(r.n); err != nil || r.splits == nil {
			return errors.Join(err, errors.New("the column of splits: want names, such as train and val"))
		}
	}
	if c.id >= 0 {
		if r.ids, r.names, err = leaves[c.id].integersOrTexts(r.n); err != nil {
			return err
		}
	}
	if c.label >= 0 {
		if r.labels, r.labelNames, err = leaves[c.label].integersOrTexts(r.n); err != nil {
			return err
		}
	}
	if c.text >= 0 {
		if _, r.texts, err = leaves[c.text].integersOrTexts(r.n); err != nil || r.texts == nil {
			return cmp.Or(err, fmt.Errorf("column %s holds numbers: want text", leaves[c.text].name))
		}
		for i, text := range r.texts {
			r.texts[i] = record.CutText(text, record.TextBytes)
		}
	}
	if width > 0 {
		r.wide, err = leaves[c.logits[0]].lists(r.n, width)
		return err
	}
	r.wide = make([]float64, r.n*r.columns)
	for j, i := range c.logits {
		column, err := leaves[i].floats(r.n)
		if err != nil {
			return err
		}
		for row, z := range column {
			r.wide[row*r.columns+j] = z
		}
	}
	return nil
}

// leaf reads a column of a row group.
type leaf struct {
	name                     string
	column                   *schema.Column
	chunk                    pq.ColumnChunkReader
	definitions, repetitions []int16
	read                     func(n int) (levels int, err error) // reads n values, nulls and empty lists among them

	float func(i int) float64 // the i-th of the values read last that are not null
	whole func(i int) int64
	text  func(i int) string
}

func leafOf(reader *pq.Reader, group, i int) (*leaf, error) {
	chunk, err := reader.RowGroup(group).Column(i)
	if err != nil {
		return nil, err
	}
	l := &leaf{column: reader.MetaData().Schema.Column(i), chunk: chunk}
	l.name = l.column.ColumnPath()[0]
	switch chunk := chunk.(type) {
	case *pq.Float32ColumnChunkReader:
		values := readerOf(l, chunk.ReadBatch)
		l.float = func(i int) float64 { return float64((*values)[i]) }
	case *pq.Float64ColumnChunkReader:
		values := readerOf(l, chunk.ReadBatch)
		l.float = func(i int) float64 { return (*values)[i] }
	case *pq.Int32ColumnChunkReader:
		values := readerOf(l, chunk.ReadBatch)
		l.whole = func(i int) int64 { return int64((*values)[i]) }
	case *pq.Int64ColumnChunkReader:
		values := readerOf(l, chunk.ReadBatch)
		l.whole = func(i int) int64 { return (*values)[i] }
	case *pq.BooleanColumnChunkReader:
		values := readerOf(l, chunk.ReadBatch)
		l.whole = func(i int) int64 {
			if (*values)[i] {
				return 1
			}
			return 0
		}
	case *pq.ByteArrayColumnChunkReader:
		values := readerOf(l, chunk.ReadBatch)
		l.text = func(i int) string { return string((*values)[i]) }
	case *pq.FixedLenByteArrayColumnChunkReader:
		values := readerOf(l, chunk.ReadBatch)
		if !isHalf(l.column) {
			return nil, fmt.Errorf("column %s holds bytes: want numbers or text", l.name)
		}
		l.float = func(i int) float64 { return float64(float16.FromLEBytes((*values)[i]).Float32()) }
	default:
		return nil, fmt.Errorf("column %s is of type %v: want numbers or text", l.name, chunk.Type())
	}
	return l, nil
}

// readerOf sets l.read to a call of the library's batch function, and returns where the values of the last call are.
func readerOf[T any](l *leaf, batch func(int64, []T, []int16, []int16) (int64, int, error)) *[]T {
	var values []T
	l.read = func(n int) (int, error) {
		if len(values) < n {
			values, l.definitions, l.repetitions = make([]T, n), make([]int16, n), make([]int16, n)
		}
		levels, read, err := batch(int64(n), values[:n], l.definitions[:n], l.repetitions[:n])
		if l.column.MaxDefinitionLevel() == 0 {
			levels = int64(read)
		}
		if err == nil && int(levels) != n && l.chunk.HasNext() {
			err = errors.New("it ends early")
		}
		return int(levels), err
	}
	return &values
}

// next reads n values and calls use for each with its number i, and with its place among the values that are not null, or -1 for a null.
func (l *leaf) next(n int, use func(i, at int)) error {
	levels, err := l.read(n)
	if err == nil && levels != n {
		err = fmt.Errorf("%d values where %d are due", levels, n)
	}
	if err != nil {
		return fmt.Errorf("column %s: %w", l.name, err)
	}
	at, most := 0, l.column.MaxDefinitionLevel()
	for i := range n {
		if most > 0 && l.definitions[i] < most {
			use(i, -1)
			continue
		}
		use(i, at)
		at++
	}
	return nil
}

// floats returns the next n numbers, NaN for a null.
func (l *leaf) floats(n int) ([]float64, error) {
	value := l.float
	if l.whole != nil {
		value = func(i int) float64 { return float64(l.whole(i)) }
	}
	if value == nil {
		return nil, fmt.Errorf("column %s holds text: want numbers", l.name)
	}
	values := make([]float64, n)
	return values, l.next(n, func(i, at int) {
		if values[i] = math.NaN(); at >= 0 {
			values[i] = value(at)
		}
	})
}

// lists returns the numbers of the next n lists, [n,width].
func (l *leaf) lists(n, width int) ([]float64, error) {
	values, err := l.floats(n * width)
	if err != nil {
		return nil, fmt.Errorf("%w: want lists of %d logits each", err, width)
	}
	for i := range values {
		if (l.repetitions[i] == 0) != (i%width == 0) {
			return nil, fmt.Errorf("column %s: the lists differ in length: want %d logits in each, as in the first", l.name, width)
		}
	}
	return values, nil
}

// integersOrTexts returns the next n whole numbers, −1 for a null, or the next n texts, "" for a null.
func (l *leaf) integersOrTexts(n int) (numbers []int64, texts []string, err error) {
	switch {
	case l.whole != nil:
		numbers = make([]int64, n)
		err = l.next(n, func(i, at int) {
			if numbers[i] = -1; at >= 0 {
				numbers[i] = l.whole(at)
			}
		})
	case l.text != nil:
		texts = make([]string, n)
		err = l.next(n, func(i, at int) {
			if at >= 0 {
				texts[i] = l.text(at)
			}
		})
	default:
		err = fmt.Errorf("column %s holds fractions: want whole numbers or text", l.name)
	}
	return numbers, texts, err
}
