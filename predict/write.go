package predict

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Formats of written predictions.
const (
	CSV     = "csv"     // row, label, probability, label_2, probability_2, …, logit:CLASS, …
	JSONL   = "jsonl"   // a Prediction a line
	Parquet = "parquet" // the columns of CSV
)

// Writer writes predictions, block by block.
type Writer interface {
	Write([]Prediction) error
	Close() error
}

// NewWriter returns a Writer of m's predictions in a format. Close it to complete what is written; out stays open.
func NewWriter(out io.Writer, format string, m *Model) (Writer, error) {
	buffered := bufio.NewWriterSize(out, 1<<16)
	switch format {
	case CSV:
		w := &csvWriter{columns: m.columns(), buffered: buffered, csv: csv.NewWriter(buffered)}
		return w, w.csv.Write(w.names)
	case JSONL:
		return &jsonWriter{buffered: buffered, json: json.NewEncoder(buffered)}, nil
	case Parquet:
		return newParquetWriter(out, m)
	}
	return nil, fmt.Errorf("unknown format %q: use %s, %s or %s", format, CSV, JSONL, Parquet)
}

// columns are those of CSV and Parquet.
type columns struct {
	names []string
	top   int // candidates beyond the label
	many  bool
	k     int // logits
}

func (m *Model) columns() columns {
	c := columns{names: []string{"row", "label", "probability"}, top: min(max(m.Top, 1), len(m.Classes)), many: m.head.Name() == "sigmoid", k: m.head.Columns()}
	if c.many {
		c.names = append(c.names, "labels")
	}
	for i := 1; i <= c.top; i++ {
		c.names = append(c.names, fmt.Sprintf("top_%d", i), fmt.Sprintf("probability_%d", i))
	}
	for j := range c.k {
		name := "logit:" + m.Classes[j]
		if c.k == 1 && len(m.Classes) == 2 {
			name = "logit:" + m.Classes[1]
		}
		c.names = append(c.names, name)
	}
	return c
}

type csvWriter struct {
	columns
	buffered *bufio.Writer
	csv      *csv.Writer
	row      []string
}

func (w *csvWriter) Write(block []Prediction) error {
	number := func(v float64, bits int) string { return strconv.FormatFloat(v, 'g', -1, bits) }
	for i := range block {
		p := &block[i]
		w.row = append(w.row[:0], strconv.Itoa(p.Row), p.Label, number(p.Probability, 32))
		if w.many {
			w.row = append(w.row, strings.Join(p.Labels, "|"))
		}
		for _, c := range p.Top {
			w.row = append(w.row, c.Label, number(c.Probability, 32))
		}
		for _, z := range p.Logits {
			w.row = append(w.row, number(float64(z), 32))
		}
		if err := w.csv.Write(w.row); err != nil {
			return err
		}
	}
	return nil
}

func (w *csvWriter) Close() error {
	w.csv.Flush()
	if err := w.csv.Error(); err != nil {
		return err
	}
	return w.buffered.Flush()
}

type jsonWriter struct {
	buffered *bufio.Writer
	json     *json.Encoder
}

func (w *jsonWriter) Write(block []Prediction) error {
	for i := range block {
		if err := w.json.Encode(&block[i]); err != nil {
			return fmt.Errorf("row %d: %w", block[i].Row, err)
		}
	}
	return nil
}

func (w *jsonWriter) Close() error { return w.buffered.Flush() }

type parquetWriter struct {
	columns
	schema *arrow.Schema
	file   *pqarrow.FileWriter
}

func newParquetWriter(out io.Writer, m *Model) (Writer, error) {
	w := &parquetWriter{columns: m.columns()}
	fields := make([]arrow.Field, len(w.names))
	for i, name := range w.names {
		fields[i] = arrow.Field{Name: name, Type: arrow.BinaryTypes.String}
		switch {
		case name == "row":
			fields[i].Type = arrow.PrimitiveTypes.Int64
		case strings.HasPrefix(name, "probability") || i >= len(w.names)-w.k:
			fields[i].Type = arrow.PrimitiveTypes.Float32
		}
	}
	w.schema = arrow.NewSchema(fields, nil)
	var err error
	w.file, err = pqarrow.NewFileWriter(w.schema, struct{ io.Writer }{out}, // which hides Close
		parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd)), pqarrow.DefaultWriterProps())
	return w, err
}

func (w *parquetWriter) Write(block []Prediction) error {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, w.schema)
	defer builder.Release()
	for i := range block {
		p, at := &block[i], 0
		text := func(s string) { builder.Field(at).(*array.StringBuilder).Append(s); at++ }
		number := func(x float32) { builder.Field(at).(*array.Float32Builder).Append(x); at++ }
		builder.Field(at).(*array.Int64Builder).Append(int64(p.Row))
		at++
		text(p.Label)
		number(float32(p.Probability))
		if w.many {
			text(strings.Join(p.Labels, "|"))
		}
		for _, c := range p.Top {
			text(c.Label)
			number(float32(c.Probability))
		}
		for _, z := range p.Logits {
			number(z)
		}
	}
	record := builder.NewRecordBatch()
	defer record.Release()
	return w.file.WriteBuffered(record)
}

func (w *parquetWriter) Close() error { return w.file.Close() }
