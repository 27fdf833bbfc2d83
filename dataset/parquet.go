package dataset

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/logitscope/logitscope/internal/untrusted"
)

func init() {
	register(format{
		name: "Parquet", endings: []string{".parquet", ".pq"}, magic: startsWith("PAR1"),
		reads: columnsRead,
		table: func(s *source, o Options) (*table, error) {
			raw, err := s.all()
			if err != nil {
				return nil, err
			}
			return parseParquet(s.path, raw, o)
		},
	})
}

const columnsRead = "columns of numbers, decimals, booleans, text, dates and times (as CSV has them: a moment in a zone as UTC), also in structures, as `a.b`; null is a missing value. Lists, maps and bytes are left out by name"

// parseParquet reads columns as a table of their text, null as a missing value. Columns that cannot be read are left out by name.
//
// A hostile file can make the library panic or ask for memory without end. So the columns are read one at a time by its lowest layer, which
// starts no goroutine; every panic is caught and becomes an error; and an allocator of our own panics where the file asks for more memory than
// its size justifies.
func parseParquet(path string, raw []byte, o Options) (t *table, err error) {
	defer untrusted.Catch(&err, path)
	limit := min(o.maxBytes(), freeBytes+maxInflate*int64(len(raw)))
	reader, err := untrusted.Parquet(raw, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer reader.Close()
	rows, columns := reader.NumRows(), reader.MetaData().Schema.NumColumns()
	if rows < 1 || columns < 1 {
		return nil, fmt.Errorf("%s has no rows", path)
	}
	if rows > limit || int64(columns) > limit/rows {
		return nil, fmt.Errorf("%s says it has %d rows of %d columns, too many for a file of %d bytes", path, rows, columns, len(raw))
	}
	c := &textColumns{path: path, rows: int(rows), bytesLeft: limit}
	if noted := reader.MetaData().KeyValueMetadata().FindValue("pandas"); noted != nil {
		c.pandas = *noted
	}
	for i := range columns {
		column := reader.MetaData().Schema.Column(i)
		if column.MaxRepetitionLevel() > 0 {
			c.add(column.ColumnPath()[0], unreadList)
			continue
		}
		f := c.add(column.Path(), "")
		if o.Types[column.Path()] == Ignore {
			continue
		}
		for g := range reader.NumRowGroups() {
			chunk, err := reader.RowGroup(g).Column(i)
			if err == nil {
				err = f.read(chunk, column, c.bytesLeft)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: column %s: %w; --types %s=ignore leaves it out", path, column.Path(), err, quoted(column.Path()))
			}
			if f.unread != "" {
				break
			}
		}
		if f.unread == "" && len(f.ends) != c.rows {
			return nil, fmt.Errorf("%s: column %s has %d values for %d rows", path, column.Path(), len(f.ends), c.rows)
		}
		if c.bytesLeft -= int64(len(f.text)); c.bytesLeft < 0 {
			return nil, fmt.Errorf("%s holds more than %d bytes of values", path, limit)
		}
	}
	return c.table()
}

const parquetBatch = 1024

// read appends the values of one chunk as its logical type says.
func (f *columnText) read(chunk pq.ColumnChunkReader, column *schema.Column, limit int64) error {
	logical, levels := column.LogicalType(), int(column.MaxDefinitionLevel())
	switch chunk := chunk.(type) {
	case *pq.BooleanColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, strconv.AppendBool, levels, limit)
	case *pq.Int32ColumnChunkReader:
		text := wholeNumber(logical)
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v int32) []byte {
			if i, ok := logical.(schema.IntLogicalType); ok && !i.IsSigned() {
				return strconv.AppendUint(b, uint64(uint32(v)), 10)
			}
			return text(b, int64(v))
		}, levels, limit)
	case *pq.Int64ColumnChunkReader:
		text := wholeNumber(logical)
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v int64) []byte {
			if i, ok := logical.(schema.IntLogicalType); ok && !i.IsSigned() {
				return strconv.AppendUint(b, uint64(v), 10)
			}
			return text(b, v)
		}, levels, limit)
	case *pq.Int96ColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v parquet.Int96) []byte { return appendTime(b, v.ToTime(), false) }, levels, limit)
	case *pq.Float32ColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v float32) []byte { return strconv.AppendFloat(b, float64(v), 'g', -1, 32) }, levels, limit)
	case *pq.Float64ColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'g', -1, 64) }, levels, limit)
	case *pq.ByteArrayColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v parquet.ByteArray) []byte { return f.bytes(b, v, logical) }, levels, limit)
	case *pq.FixedLenByteArrayColumnChunkReader:
		return readValues(f, chunk.HasNext, chunk.ReadBatch, func(b []byte, v parquet.FixedLenByteArray) []byte { return f.bytes(b, v, logical) }, levels, limit)
	}
	f.unread = fmt.Sprintf("its type, %v, is not read", chunk.Type())
	return nil
}

// wholeNumber returns the function that appends a whole number of a logical type as text.
func wholeNumber(logical schema.LogicalType) func([]byte, int64) []byte {
	switch l := logical.(type) {
	case schema.DateLogicalType:
		return appendDate
	case schema.TimestampLogicalType:
		return func(b []byte, v int64) []byte {
			t := time.UnixMilli(v)
			switch l.TimeUnit() {
			case schema.TimeUnitMicros:
				t = time.UnixMicro(v)
			case schema.TimeUnitNanos:
				t = time.Unix(0, v)
			}
			return appendTime(b, t, l.IsAdjustedToUTC())
		}
	case schema.TimeLogicalType:
		unit := map[schema.TimeUnitType]int64{schema.TimeUnitMillis: 1e6, schema.TimeUnitMicros: 1e3}[l.TimeUnit()]
		return func(b []byte, v int64) []byte { return appendClock(b, v*max(unit, 1)) }
	case schema.DecimalLogicalType:
		return func(b []byte, v int64) []byte { return appendDecimal(b, big.NewInt(v), int(l.Scale())) }
	}
	return func(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }
}

// bytes appends bytes of a logical type. Bytes that are not text mark the whole column as unread.
func (f *columnText) bytes(b, v []byte, logical schema.LogicalType) []byte {
	switch l := logical.(type) {
	case schema.DecimalLogicalType:
		return appendDecimal(b, bigSigned(v), int(l.Scale()))
	case schema.Float16LogicalType:
		if len(v) == 2 {
			return strconv.AppendFloat(b, float64(float16.FromLEBytes(v).Float32()), 'g', -1, 32)
		}
	case schema.UUIDLogicalType:
		return hex.AppendEncode(b, v)
	case schema.BSONLogicalType, schema.IntervalLogicalType:
		f.unread = unreadBytes
		return b
	}
	if !utf8.Valid(v) || bytes.IndexByte(v, 0) >= 0 {
		f.unread = unreadBytes
		return b
	}
	return append(b, v...)
}

// readValues appends the values of one chunk as text, nothing for a null.
func readValues[T any](f *columnText, more func() bool, batch func(int64, []T, []int16, []int16) (int64, int, error),
	text func([]byte, T) []byte, maxLevel int, limit int64,
) error {
	values, levels := make([]T, parquetBatch), make([]int16, parquetBatch)
	for more() && f.unread == "" {
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
			if int64(len(f.text)) > min(limit, maxTable) { // a value of a dictionary may occur any number of times
				return fmt.Errorf("more than %d bytes of values", limit)
			}
			f.ends = append(f.ends, uint32(min(len(f.text), maxTable)))
		}
		if int64(len(f.ends)) > limit {
			return fmt.Errorf("more than %d bytes of values", limit)
		}
	}
	return nil
}
