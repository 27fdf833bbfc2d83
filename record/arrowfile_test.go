package record

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// libraryType is a column's type in Arrow's library.
func libraryType(c column) arrow.DataType {
	switch c.kind {
	case kindInt64:
		return arrow.PrimitiveTypes.Int64
	case kindInt32:
		return arrow.PrimitiveTypes.Int32
	case kindUint8:
		return arrow.PrimitiveTypes.Uint8
	case kindFloat:
		return arrow.PrimitiveTypes.Float32
	case kindHalf:
		return arrow.FixedWidthTypes.Float16
	case kindText:
		return arrow.BinaryTypes.String
	case kindBytes:
		return &arrow.FixedSizeBinaryType{ByteWidth: c.width}
	}
	return arrow.FixedSizeListOfNonNullable(int32(c.width), libraryType(column{kind: c.item()}))
}

// writeByLibrary is what writeArrow does, by Arrow's library.
func writeByLibrary(file io.Writer, columns []column, values [][]byte, n int) error {
	var fields []arrow.Field
	var arrays []arrow.Array
	for i, c := range columns {
		if values[i] == nil {
			continue
		}
		dataType := libraryType(c)
		fields = append(fields, arrow.Field{Name: c.name, Type: dataType})
		buffers := []*memory.Buffer{nil, memory.NewBufferBytes(values[i])}
		if c.kind == kindText {
			buffers = append(buffers, memory.NewBufferBytes(values[i+1]))
		}
		data := array.NewData(dataType, n, buffers, nil, 0, 0)
		if c.isList() {
			child := array.NewData(libraryType(column{kind: c.item()}), n*c.width, buffers, nil, 0, 0)
			data = array.NewData(dataType, n, buffers[:1], []arrow.ArrayData{child}, 0, 0)
		}
		arrays = append(arrays, array.MakeFromData(data))
	}
	schema := arrow.NewSchema(fields, nil)
	w, err := ipc.NewFileWriter(file, ipc.WithSchema(schema))
	if err != nil {
		return err
	}
	if err := w.Write(array.NewRecordBatch(schema, arrays, int64(n))); err != nil {
		return err
	}
	return w.Close()
}

// What is written is byte for byte what Arrow's library writes of the same columns, and it is read back.
func TestArrowFilesAreTheLibrarys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	kinds := []kind{kindInt64, kindInt32, kindFloat, kindBytes, kindFloats, kindHalves, kindInts, kindFlags}
	for round := range 300 {
		n := []int{0, 1, 2, 7, 64, rng.IntN(300)}[rng.IntN(6)]
		var columns []column
		var values [][]byte
		for range 1 + rng.IntN(5) {
			c := column{name: "long name of a column, é"[:rng.IntN(24)], kind: kinds[rng.IntN(len(kinds))], width: 1 + rng.IntN(20), optional: rng.IntN(4) == 0}
			c.name = fmt.Sprint(c.name, len(columns))
			bytesOfColumn := make([]byte, int64(n)*c.rowBytes())
			for i := range bytesOfColumn {
				bytesOfColumn[i] = byte(rng.Uint32())
			}
			if c.optional && rng.IntN(2) == 0 && len(columns) > 0 {
				bytesOfColumn = nil
			}
			columns, values = append(columns, c), append(values, bytesOfColumn)
			if want := libraryType(c).String(); fmt.Sprint(c) != want {
				t.Errorf("a column of %v, the library says %s", c, want)
			}
		}
		if round%3 == 0 {
			texts := make([]string, n)
			for i := range texts {
				texts[i] = "é \n<b>🙂"[:[]int{0, 2, 3, 7, 11}[rng.IntN(5)]]
			}
			offsets, text := textBytes(texts)
			columns, values = append(columns, column{name: "text", kind: kindText}), append(values, offsets, text)
		}
		var want bytes.Buffer
		if err := writeByLibrary(&want, columns, values, n); err != nil {
			t.Fatal(err)
		}
		got := encodeArrow(columns, values, n)
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("round %d: %d rows of %v: %d bytes, the library writes %d", round, n, columns, len(got), want.Len())
		}
		read, err := decodeArrow(got, columns, n)
		if err != nil {
			t.Fatal(err)
		}
		for i := range values {
			if !bytes.Equal(read[i], values[i]) {
				t.Fatalf("round %d: column %v is not read back", round, columns[i])
			}
		}
		if len(columns) == 2 && len(values) == 2 && columns[0].kind == kindInt64 && values[0] != nil && values[1] != nil {
			f := frameArrow(columns, values[0], n)
			if framed := slices.Concat(f.head, f.ids, values[1], f.tail); !bytes.Equal(framed, got) {
				t.Fatalf("round %d: the frame around %v is not the file's", round, columns[1])
			}
		}
	}
}

// encodeArrow is the file of arrowParts.
func encodeArrow(columns []column, values [][]byte, n int) []byte {
	return bytes.Join(arrowParts(columns, values, n), nil)
}
