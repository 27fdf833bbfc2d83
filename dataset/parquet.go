package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
)

// readParquet reads flat columns of numbers, booleans and text as a table of their text, null as a missing value.
//
// A hostile file can make the library panic or ask for memory without end. So the columns are read one at a time by its lowest
// layer, which starts no goroutine, every panic is caught and becomes an error, and an allocator of our own panics where
// the file asks for more than it can be worth.
func readParquet(path string, o Options) (*table, error) {
	raw, err := readFile(path, o.maxBytes())
	if err != nil {
		return nil, err
	}
	return parseParquet(path, raw, o.maxBytes())
}

func parseParquet(path string, raw []byte, limit int64) (t *table, err error) {
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, fmt.Errorf("%s is not a Parquet file that can be read: %v", path, r)
		}
	}()
	limit = min(limit, freeBytes+maxInflate*int64(len(raw)))
	reader, err := pq.NewParquetReader(bytes.NewReader(raw), pq.WithReadProps(parquet.NewReaderProperties(&bounded{left: limit})))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer reader.Close()
	schema := reader.MetaData().Schema
	rows := reader.NumRows()
	columns := schema.NumColumns()
	if rows < 1 || columns < 1 {
		return nil, fmt.Errorf("%s has no rows", path)
	}
	if rows > limit || int64(columns) > limit/rows {
		return nil, fmt.Errorf("%s says it has %d rows of %d columns, too many for a file of %d bytes", path, rows, columns, len(raw))
	}
	t = &table{path: path, numbers: true}
	fields := make([]fieldsOf, columns)
	left := limit
	for c := range columns {
		column := schema.Column(c)
		if column.MaxRepetitionLevel() > 0 {
			return nil, fmt.Errorf("%s: column %s is a list: only plain columns are read; write the file without it", path, column.Path())
		}
		t.names = append(t.names, column.Path())
		f := &fields[c]
		for g := range reader.NumRowGroups() {
			chunk, err := reader.RowGroup(g).Column(c)
			if err != nil {
				return nil, fmt.Errorf("%s: column %s: %w", path, column.Path(), err)
			}
			if err := f.read(chunk, int(column.MaxDefinitionLevel()), left); err != nil {
				return nil, fmt.Errorf("%s: column %s: %w", path, column.Path(), err)
			}
		}
		if int64(len(f.ends)) != rows {
			return nil, fmt.Errorf("%s: column %s has %d values for %d rows", path, column.Path(), len(f.ends), rows)
		}
		if left -= int64(len(f.text)); left < 0 {
			return nil, fmt.Errorf("%s holds more than %d bytes of values", path, limit)
		}
	}
	if err := nameColumns(path, t.names); err != nil {
		return nil, err
	}
	return t, t.interleave(fields, int(rows))
}

// interleave lays columns of fields out as rows.
func (t *table) interleave(fields []fieldsOf, rows int) error {
	size := 0
	for _, f := range fields {
		size += len(f.text) + rows
	}
	if size > maxTable {
		return fmt.Errorf("%s holds %d bytes of values: a table may have 4 GiB", t.path, size)
	}
	t.data = make([]byte, 0, size)
	t.starts = make([]uint32, 0, rows*(len(fields)+1))
	for r := range rows {
		for _, f := range fields {
			from := uint32(0)
			if r > 0 {
				from = f.ends[r-1]
			}
			t.starts = append(t.starts, uint32(len(t.data)))
			t.data = append(append(t.data, f.text[from:f.ends[r]]...), 0)
		}
		t.starts = append(t.starts, uint32(len(t.data)))
	}
	return nil
}

// fieldsOf are the values of one column as text, one behind the other.
type fieldsOf struct {
	text []byte
	ends []uint32
}

const parquetBatch = 1024

func (f *fieldsOf) read(chunk pq.ColumnChunkReader, maxLevel int, limit int64) error {
	switch chunk := chunk.(type) {
	case *pq.BooleanColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, strconv.AppendBool, maxLevel, limit)
	case *pq.Int32ColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v int32) []byte { return strconv.AppendInt(b, int64(v), 10) }, maxLevel, limit)
	case *pq.Int64ColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }, maxLevel, limit)
	case *pq.Float32ColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v float32) []byte { return strconv.AppendFloat(b, float64(v), 'g', -1, 32) }, maxLevel, limit)
	case *pq.Float64ColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'g', -1, 64) }, maxLevel, limit)
	case *pq.ByteArrayColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v parquet.ByteArray) []byte { return append(b, v...) }, maxLevel, limit)
	}
	return fmt.Errorf("its type, %v, is not read: numbers, booleans and text are", chunk.Type())
}

// readValues appends the values of one chunk as text, nothing for a null.
func readValues[T any](f *fieldsOf, more func() bool, batch func(int64, []T, []int16, []int16) (int64, int, error),
	text func([]byte, T) []byte, maxLevel int, limit int64,
) error {
	values, levels := make([]T, parquetBatch), make([]int16, parquetBatch)
	for more() {
		n, read, err := batch(parquetBatch, values, levels, nil)
		if err != nil {
			return err
		}
		if n == 0 && read == 0 {
			return errors.New("it ends early")
		}
		if maxLevel == 0 {
			n = int64(read)
		}
		at := 0
		for i := range n {
			if maxLevel == 0 || int(levels[i]) == maxLevel {
				f.text = text(f.text, values[:read][at])
				at++
			}
			f.ends = append(f.ends, uint32(len(f.text)))
		}
		if int64(len(f.text)) > limit || len(f.text) > maxTable || int64(len(f.ends)) > limit {
			return fmt.Errorf("more than %d bytes of values", limit)
		}
	}
	return nil
}

// bounded is an allocator that panics where more than it has left is asked for.
type bounded struct {
	memory.GoAllocator
	left int64
}

func (b *bounded) take(n int) {
	if atomic.AddInt64(&b.left, -int64(n)) < 0 || n < 0 {
		panic("it asks for more memory than it can be worth")
	}
}

// Allocate returns size bytes.
func (b *bounded) Allocate(size int) []byte {
	b.take(size)
	return b.GoAllocator.Allocate(size)
}

// Reallocate resizes old, and gives back what it held.
func (b *bounded) Reallocate(size int, old []byte) []byte {
	b.take(max(size, 0))
	atomic.AddInt64(&b.left, int64(len(old)))
	return b.GoAllocator.Reallocate(size, slices.Clip(old))
}

// Free gives back what old held.
func (b *bounded) Free(old []byte) {
	atomic.AddInt64(&b.left, int64(len(old)))
	b.GoAllocator.Free(old)
}
