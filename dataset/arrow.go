package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	columns "github.com/apache/arrow-go/v18/arrow/array"

	"github.com/logitscope/logitscope/internal/untrusted"
)

func init() {
	register(format{
		name: "Arrow", endings: []string{".arrow", ".arrows", ".ipc", ".feather"},
		reads: "a file, a stream or Feather (version 2): " + columnsRead,
		magic: func(head []byte) bool {
			return startsWith(untrusted.ArrowFile)(head) || len(head) > 8 && startsWith(untrusted.ArrowStream)(head) && binary.LittleEndian.Uint32(head[4:]) < untrusted.MaxMessage
		},
		table: func(s *source, o Options) (*table, error) {
			raw, err := s.all()
			if err != nil {
				return nil, err
			}
			return parseArrow(s.path, raw, o)
		},
	})
}

// parseArrow reads columns as a table of their text, as parseParquet does.
func parseArrow(path string, raw []byte, o Options) (t *table, err error) {
	defer untrusted.Catch(&err, path)
	limit := min(o.maxBytes(), freeBytes+maxInflate*int64(len(raw)))
	reader, err := untrusted.Arrow(raw, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer reader.Release()
	c := &textColumns{path: path, bytesLeft: limit}
	c.pandas, _ = reader.Schema().Metadata().GetValue("pandas")
	var leaves []arrowLeaf
	for i, field := range reader.Schema().Fields() {
		leaves = arrowLeaves(leaves, c, field, "", []int{i}, o)
	}
	for {
		batch, err := reader.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", path, c.rows+1, err)
		}
		n := int(batch.NumRows())
		if n < 0 || int64(n) > (limit-int64(c.rows))/int64(max(len(c.names), 1)) {
			return nil, fmt.Errorf("%s says it has %d rows, too many for a file of %d bytes", path, n, len(raw))
		}
		for _, leaf := range leaves {
			before := len(leaf.fields.text)
			if err := leaf.read(batch, n, c.bytesLeft); err != nil {
				return nil, fmt.Errorf("%s: column %s: %w", path, leaf.name, err)
			}
			c.bytesLeft -= int64(len(leaf.fields.text) - before)
		}
		c.rows += n
	}
	return c.table()
}

// arrowLeaf is a column of an Arrow file, possibly inside of structures.
type arrowLeaf struct {
	name   string
	place  []int // the index of its top-level field, then of the field in each structure
	fields *columnText
}

// arrowLeaves adds the columns of a field.
func arrowLeaves(leaves []arrowLeaf, c *textColumns, field arrow.Field, prefix string, place []int, o Options) []arrowLeaf {
	name, kind := prefix+field.Name, field.Type
	for {
		extension, ok := kind.(arrow.ExtensionType)
		if !ok {
			break
		}
		kind = extension.StorageType()
	}
	if inside, ok := kind.(*arrow.StructType); ok {
		for i, field := range inside.Fields() {
			leaves = arrowLeaves(leaves, c, field, name+".", append(slices.Clone(place), i), o)
		}
		return leaves
	}
	why := ""
	switch {
	case arrow.IsNested(kind.ID()):
		why = unreadList
	case o.Types[name] == Ignore:
		c.add(name, "")
		return leaves
	}
	fields := c.add(name, why)
	if why == "" {
		leaves = append(leaves, arrowLeaf{name, place, fields})
	}
	return leaves
}

// read appends the fields of the n rows of a batch. More than most bytes of text are an error.
func (l *arrowLeaf) read(batch arrow.RecordBatch, n int, most int64) error {
	in := storage(batch.Column(l.place[0]))
	around := []arrow.Array{in}
	for _, i := range l.place[1:] {
		in = storage(in.(*columns.Struct).Field(i))
		around = append(around, in)
	}
	for _, a := range around {
		if a.Len() != n {
			return fmt.Errorf("%d values for %d rows", a.Len(), n)
		}
	}
	f := l.fields
	most = min(most+int64(len(f.text)), maxTable)
	for r := range n {
		if f.unread == "" && !slices.ContainsFunc(around, func(a arrow.Array) bool { return a.IsNull(r) }) {
			f.arrow(in, r)
		}
		if int64(len(f.text)) > most { // a value of a dictionary may occur any number of times
			return fmt.Errorf("more than %d bytes of values", most)
		}
		f.ends = append(f.ends, uint32(min(len(f.text), maxTable)))
	}
	return nil
}

// storage is what an array of an extension type is stored as.
func storage(a arrow.Array) arrow.Array {
	for {
		extension, ok := a.(columns.ExtensionArray)
		if !ok {
			return a
		}
		a = extension.Storage()
	}
}

// arrow appends value r of in, which is not null. A value of a type that is not read marks the whole column as unread.
func (f *columnText) arrow(in arrow.Array, r int) {
	b := f.text
	switch a := in.(type) {
	case *columns.Boolean:
		b = strconv.AppendBool(b, a.Value(r))
	case *columns.Int8:
		b = strconv.AppendInt(b, int64(a.Value(r)), 10)
	case *columns.Int16:
		b = strconv.AppendInt(b, int64(a.Value(r)), 10)
	case *columns.Int32:
		b = strconv.AppendInt(b, int64(a.Value(r)), 10)
	case *columns.Int64:
		b = strconv.AppendInt(b, a.Value(r), 10)
	case *columns.Uint8:
		b = strconv.AppendUint(b, uint64(a.Value(r)), 10)
	case *columns.Uint16:
		b = strconv.AppendUint(b, uint64(a.Value(r)), 10)
	case *columns.Uint32:
		b = strconv.AppendUint(b, uint64(a.Value(r)), 10)
	case *columns.Uint64:
		b = strconv.AppendUint(b, a.Value(r), 10)
	case *columns.Float16:
		b = strconv.AppendFloat(b, float64(a.Value(r).Float32()), 'g', -1, 32)
	case *columns.Float32:
		b = strconv.AppendFloat(b, float64(a.Value(r)), 'g', -1, 32)
	case *columns.Float64:
		b = strconv.AppendFloat(b, a.Value(r), 'g', -1, 64)
	case *columns.Decimal32:
		b = appendDecimal(b, big.NewInt(int64(a.Value(r))), scaleOf(a.DataType()))
	case *columns.Decimal64:
		b = appendDecimal(b, big.NewInt(int64(a.Value(r))), scaleOf(a.DataType()))
	case *columns.Decimal128:
		b = appendDecimal(b, a.Value(r).BigInt(), scaleOf(a.DataType()))
	case *columns.Decimal256:
		b = appendDecimal(b, a.Value(r).BigInt(), scaleOf(a.DataType()))
	case *columns.Date32:
		b = appendDate(b, int64(a.Value(r)))
	case *columns.Date64:
		b = appendDate(b, int64(a.Value(r))/(24*60*60*1000))
	case *columns.Timestamp:
		kind := a.DataType().(*arrow.TimestampType)
		b = appendTime(b, a.Value(r).ToTime(kind.Unit), kind.TimeZone != "")
	case *columns.Time32:
		b = appendClock(b, int64(a.Value(r))*int64(a.DataType().(*arrow.Time32Type).Unit.Multiplier()))
	case *columns.Time64:
		b = appendClock(b, int64(a.Value(r))*int64(a.DataType().(*arrow.Time64Type).Unit.Multiplier()))
	case *columns.Duration:
		b = strconv.AppendInt(b, int64(a.Value(r)), 10)
	case *columns.String:
		b = f.textual(b, a.Value(r))
	case *columns.LargeString:
		b = f.textual(b, a.Value(r))
	case *columns.StringView:
		b = f.textual(b, a.Value(r))
	case *columns.Binary:
		b = f.textual(b, string(a.Value(r)))
	case *columns.LargeBinary:
		b = f.textual(b, string(a.Value(r)))
	case *columns.BinaryView:
		b = f.textual(b, string(a.Value(r)))
	case *columns.FixedSizeBinary:
		b = f.textual(b, string(a.Value(r)))
	case *columns.Dictionary:
		values, at := storage(a.Dictionary()), a.GetValueIndex(r)
		if _, twice := values.(*columns.Dictionary); twice {
			f.unread = "its values are a dictionary of dictionaries, which is not read"
		} else if !values.IsNull(at) {
			f.arrow(values, at)
		}
		return
	case *columns.Null:
	default:
		f.unread = fmt.Sprintf("its type, %v, is not read", in.DataType())
	}
	f.text = b
}

func scaleOf(kind arrow.DataType) int { return int(kind.(arrow.DecimalType).GetScale()) }

// textual appends text. Bytes that are not UTF-8, or have a zero, mark the whole column as unread.
func (f *columnText) textual(b []byte, v string) []byte {
	if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
		f.unread = unreadBytes
		return b
	}
	return append(b, v...)
}
