package dataset

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	build "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/logitscope/logitscope/internal/untrusted"
)

// manyTypes are two rows of columns of every kind that is met, the second row of nulls where it can be.
func manyTypes() (batch arrow.RecordBatch, names []string, want [][]string) {
	moment := time.Date(2024, 2, 29, 13, 4, 5, 250_000_000, time.UTC)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "u64", Type: arrow.PrimitiveTypes.Uint64},
		{Name: "u32", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "dec", Type: &arrow.Decimal128Type{Precision: 20, Scale: 3}, Nullable: true},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "local", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
		{Name: "zoned", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "Europe/Berlin"}, Nullable: true},
		{Name: "clock", Type: arrow.FixedWidthTypes.Time64us, Nullable: true},
		{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "in", Type: arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int8, Nullable: true}, arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
		{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int32), Nullable: true},
		{Name: "raw", Type: arrow.BinaryTypes.Binary, Nullable: true},
	}, nil)
	b := build.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*build.Uint64Builder).AppendValues([]uint64{1<<64 - 1, 0}, nil)
	b.Field(1).(*build.Uint32Builder).AppendValues([]uint32{1<<32 - 1, 0}, nil)
	b.Field(2).(*build.Decimal128Builder).Append(decimal128.FromI64(-45))
	b.Field(3).(*build.Date32Builder).Append(arrow.Date32FromTime(moment))
	b.Field(4).(*build.TimestampBuilder).Append(arrow.Timestamp(moment.UnixMicro()))
	b.Field(5).(*build.TimestampBuilder).Append(arrow.Timestamp(moment.UnixMilli()))
	b.Field(6).(*build.Time64Builder).Append(arrow.Time64((7*3600 + 8*60 + 9) * 1e6))
	b.Field(7).(*build.BooleanBuilder).Append(true)
	in := b.Field(8).(*build.StructBuilder)
	in.Append(true)
	in.FieldBuilder(0).(*build.Int8Builder).Append(-3)
	in.FieldBuilder(1).(*build.StringBuilder).Append("ü, \"x\"\n")
	b.Field(9).(*build.ListBuilder).Append(true)
	b.Field(10).(*build.BinaryBuilder).Append([]byte{0xff, 0})
	for i := 2; i < schema.NumFields(); i++ {
		b.Field(i).AppendNull()
	}
	return b.NewRecordBatch(), []string{"u64", "u32", "dec", "day", "local", "zoned", "clock", "flag", "in.a", "in.b", "list", "raw"}, [][]string{
		{"18446744073709551615", "4294967295", "-0.045", "2024-02-29", "2024-02-29 13:04:05.25", "2024-02-29 13:04:05.25+00:00", "07:08:09", "true", "-3", "ü, \"x\"\n", "", ""},
		{"0", "0", "", "", "", "", "", "", "", "", "", ""},
	}
}

func arrowFile(t testing.TB, batch arrow.RecordBatch, o ...ipc.Option) string {
	var b bytes.Buffer
	w, err := ipc.NewFileWriter(&b, append(o, ipc.WithSchema(batch.Schema()))...)
	if err == nil {
		err = w.Write(batch)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func arrowStreamOf(t testing.TB, batch arrow.RecordBatch) string {
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(batch.Schema()))
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Columns of every type are the text that a CSV file has of them, from whichever format; what is not read is left out by name.
func TestColumnsOfEveryType(t *testing.T) {
	batch, names, want := manyTypes()
	var p bytes.Buffer
	w, err := pqarrow.NewFileWriter(batch.Schema(), &p, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.Write(batch)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"x.parquet": p.String(), "x.arrow": arrowFile(t, batch), "x.feather": arrowFile(t, batch, ipc.WithLZ4()), "z.feather": arrowFile(t, batch, ipc.WithZstd()),
		"x": arrowStreamOf(t, batch), "x.arrows.gz": gzipped(t, arrowStreamOf(t, batch)),
	} {
		got, err := readTable(file(t, name, body), "", Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(got.names, names) || !slices.EqualFunc(fields(got), want, slices.Equal) || got.unread["list"] == "" || got.unread["raw"] == "" || len(got.unread) != 2 {
			t.Errorf("%s: columns %q, rows %q, unread %v", name, got.names, fields(got), got.unread)
		}
		got, err = readTable(file(t, name, body), "", Options{Types: map[string]string{"dec": Ignore, "in.b": Ignore}})
		if err != nil || got.unread["dec"] != "" || len(got.field(0, 2)) != 0 || len(got.field(0, 9)) != 0 || string(got.field(0, 8)) != "-3" {
			t.Errorf("%s: columns that are ignored: %v", name, err)
		}
		if cut, err := readTable(file(t, name, body[:len(body)-len(body)/3]), "", Options{}); err == nil {
			t.Errorf("%s: %d rows of a file that is cut", name, cut.rows())
		}
	}
}

// A schema whose fields lie in several others would be of any size.
func TestArrowSchemaBomb(t *testing.T) {
	b := flatbuffers.NewBuilder(0)
	vector := func(fields ...flatbuffers.UOffsetT) flatbuffers.UOffsetT {
		b.StartVector(4, len(fields), 4)
		for _, f := range fields {
			b.PrependUOffsetT(f)
		}
		return b.EndVector(len(fields))
	}
	field := flatbuffers.UOffsetT(0)
	for range 31 {
		children := flatbuffers.UOffsetT(0)
		if field != 0 {
			children = vector(field, field)
		}
		b.StartObject(7)
		if children != 0 {
			b.PrependUOffsetTSlot(5, children, 0)
		}
		field = b.EndObject()
	}
	all := vector(field)
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, all, 0)
	schema := b.EndObject()
	b.StartObject(5)
	b.PrependUOffsetTSlot(2, schema, 0)
	b.PrependByteSlot(1, 1, 0)
	b.Finish(b.EndObject())
	header := b.FinishedBytes()
	raw := binary.LittleEndian.AppendUint32([]byte(untrusted.ArrowStream), uint32(len(header)))
	if _, err := parseArrow("x", append(raw, header...), Options{}); err == nil || !strings.Contains(err.Error(), "more than 100,000 fields") {
		t.Errorf("error %v", err)
	}
}

// Whatever byte is changed, there is an error or a table, no panic, and no memory beyond the bound.
func TestDamagedArrow(t *testing.T) {
	batch, _, _ := manyTypes()
	rng := rand.New(rand.NewPCG(3, 3))
	defer func(kept int64) { freeBytes = kept }(freeBytes)
	freeBytes = 4 << 20
	for _, whole := range []string{arrowFile(t, batch, ipc.WithLZ4()), arrowStreamOf(t, batch)} {
		var before, after runtime.MemStats
		for i := range len(whole) {
			raw := []byte(whole)
			raw[i] ^= byte(1 + rng.IntN(255))
			runtime.ReadMemStats(&before)
			_, _ = parseArrow("x", raw, Options{})
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
				t.Errorf("byte %d: %d bytes were allocated for a file of %d", i, got, len(raw))
			}
		}
	}
}

func FuzzArrow(f *testing.F) {
	batch, _, _ := manyTypes()
	f.Add([]byte(arrowFile(f, batch)))
	f.Add([]byte(arrowFile(f, batch, ipc.WithZstd())))
	f.Add([]byte(arrowStreamOf(f, batch)))
	polars, err := os.ReadFile("testdata/formats/polars.arrow")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(polars)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseArrow("x", raw, Options{MaxBytes: 1 << 24})
		if err == nil {
			fields(got)
		}
	})
}
