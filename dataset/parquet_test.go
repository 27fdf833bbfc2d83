package dataset

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	build "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// parquetOf writes a file of n rows: a number with nulls, an integer, a word, whether it is even, a list where asked.
func parquetOf(t testing.TB, n int, codec compress.Compression, list bool) []byte {
	t.Helper()
	fields := []arrow.Field{
		{Name: "weight", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "age", Type: arrow.PrimitiveTypes.Int32},
		{Name: "even", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "kind", Type: arrow.BinaryTypes.String},
	}
	if list {
		fields = append(fields, arrow.Field{Name: "tags", Type: arrow.ListOf(arrow.PrimitiveTypes.Int32)})
	}
	schema := arrow.NewSchema(fields, nil)
	b := build.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range n {
		if i%5 == 0 {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*build.Float64Builder).Append(float64(i) / 8)
		}
		b.Field(1).(*build.Int32Builder).Append(int32(-i * i % 97))
		b.Field(2).(*build.BooleanBuilder).Append(i%2 == 0)
		b.Field(3).(*build.StringBuilder).Append([]string{"cat", "\"dog\"", "eel"}[i*7%3])
		if list {
			b.Field(4).(*build.ListBuilder).Append(true)
		}
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithCompression(codec), parquet.WithMaxRowGroupLength(int64(n)/2+1)), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParquet(t *testing.T) {
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Zstd} {
		got, err := parseParquet("x.parquet", parquetOf(t, 3000, codec, false), Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows := fields(got)
		if !slices.Equal(got.names, []string{"weight", "age", "even", "kind"}) || len(rows) != 3000 {
			t.Fatalf("columns %q, %d rows", got.names, len(rows))
		}
		if !slices.Equal(rows[0], []string{"", "0", "true", "cat"}) || rows[1][3] != `"dog"` || !slices.Equal(rows[2999], []string{"374.875", "-64", "false", "eel"}) {
			t.Errorf("%v: rows %q … %q", codec, rows[0], rows[2999])
		}
	}
	path := file(t, "x.parquet", string(parquetOf(t, 300, compress.Codecs.Snappy, false)))
	d, err := Load(t.Context(), Options{Path: path, ValFraction: 0.2}, stream(1))
	if err != nil || d.Columns != 5 || len(d.Classes) != 3 {
		t.Errorf("%+v, %v", d, err)
	}
	if got, err := parseParquet("x", parquetOf(t, 10, compress.Codecs.Snappy, true), Options{}); err != nil || got.unread["tags"] == "" || got.rows() != 10 {
		t.Errorf("a list is left out by name: %v", err)
	}
}

// Whatever byte is changed and wherever the file is cut, there is an error or a table, no panic, and no memory beyond the bound.
func TestDamagedParquet(t *testing.T) {
	whole := parquetOf(t, 200, compress.Codecs.Snappy, false)
	rng := rand.New(rand.NewPCG(3, 3))
	var before, after runtime.MemStats
	try := func(raw []byte) {
		runtime.ReadMemStats(&before)
		_, _ = parseParquet("x", raw, Options{})
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 2*uint64(freeBytes) {
			t.Errorf("%d bytes were allocated for a file of %d", got, len(raw))
		}
	}
	for i := range len(whole) {
		raw := slices.Clone(whole)
		raw[i] ^= byte(1 + rng.IntN(255))
		try(raw)
	}
	for i := 0; i < len(whole); i += 7 {
		try(whole[:i])
	}
}

func FuzzParquet(f *testing.F) {
	f.Add(parquetOf(f, 4, compress.Codecs.Uncompressed, false))
	f.Add(parquetOf(f, 4, compress.Codecs.Snappy, true))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseParquet("x", raw, Options{MaxBytes: 1 << 24})
		if err == nil && len(fields(got)) != got.rows() {
			t.Error("rows are missing")
		}
	})
}
