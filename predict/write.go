package predict

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// The formats of written predictions.
const (
	CSV     = "csv"     // the columns row, label, probability, top_1, probability_1, …, logit:CLASS, …
	JSONL   = "jsonl"   // one Prediction a line
	Parquet = "parquet" // the columns of CSV
)

// Writer writes predictions, some at a time.
type Writer interface {
	Write([]Prediction) error
	Flush() error // writes out what is buffered, where the format allows it
	Close() error // completes what is written, and does not close what it is written to
}

// NewWriter returns a Writer of m's predictions to out, in one of the formats. It returns an error for any other. The caller closes it; out
// stays open.
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

// columns are the columns of CSV and Parquet.
type columns struct {
	names []string
	top   int  // the number of candidates
	many  bool // whether there is a column of several labels
	k     int  // the number of logits
}

// columns returns the columns of the model's predictions.
func (m *Model) columns() columns {
	c := columns{names: []string{"row", "label", "probability"}, top: min(max(m.Top, 1), len(m.Classes)), many: m.head.Kind().MultiLabel(), k: m.head.Columns()}
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

func (w *csvWriter) Close() error { return w.Flush() }

func (w *csvWriter) Flush() error {
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

func (w *jsonWriter) Flush() error { return w.buffered.Flush() }

// parquetWriter writes predictions as groups of rows, each of which is buffered until it is full. It uses the library's lowest layer, because
// the one above would link an RPC framework into the program.
type parquetWriter struct {
	columns
	file  *pq.Writer
	group pq.BufferedRowGroupWriter // nil where it has no row yet
	rows  int                       // the number of rows in the group

	// The values of a column while a block is written.
	texts   []parquet.ByteArray
	numbers []float32
	places  []int64
}

// groupRows is the number of rows in a group.
const groupRows = 1 << 16

func newParquetWriter(out io.Writer, m *Model) (Writer, error) {
	w := &parquetWriter{columns: m.columns()}
	fields := make(schema.FieldList, len(w.names))
	for i, name := range w.names {
		kind, logical := parquet.Types.ByteArray, schema.LogicalType(schema.StringLogicalType{})
		switch {
		case i == 0:
			kind, logical = parquet.Types.Int64, schema.NewIntLogicalType(64, true)
		case w.isNumber(i):
			kind, logical = parquet.Types.Float, schema.NoLogicalType{}
		}
		var err error
		if fields[i], err = schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Required, logical, kind, 0, -1); err != nil {
			return nil, err
		}
	}
	root, err := schema.NewGroupNode("predictions", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		return nil, err
	}
	w.file, err = pq.NewParquetWriterWithError(struct{ io.Writer }{out}, root, // the struct hides out's Close
		pq.WithWriterProps(parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd))))
	return w, err
}

// isNumber reports whether column i holds float32 numbers: probabilities and logits.
func (c *columns) isNumber(i int) bool {
	return strings.HasPrefix(c.names[i], "probability") || i >= len(c.names)-c.k
}

func (w *parquetWriter) Write(block []Prediction) (err error) {
	if w.group == nil {
		if w.group, err = w.file.AppendBufferedRowGroupChecked(); err != nil {
			return err
		}
	}
	field := 0
	w.places = w.places[:0]
	for i := range block {
		w.places = append(w.places, int64(block[i].Row))
	}
	next := func() pq.ColumnChunkWriter {
		column, failed := w.group.Column(field)
		err = cmp.Or(err, failed)
		field++
		return column
	}
	write := func(_ int64, failed error) { err = cmp.Or(err, failed) }
	text := func(value func(p *Prediction) string) {
		w.texts = w.texts[:0]
		for i := range block {
			w.texts = append(w.texts, parquet.ByteArray(value(&block[i])))
		}
		if column, ok := next().(*pq.ByteArrayColumnChunkWriter); ok {
			write(column.WriteBatch(w.texts, nil, nil))
		}
	}
	number := func(value func(p *Prediction) float32) {
		w.numbers = w.numbers[:0]
		for i := range block {
			w.numbers = append(w.numbers, value(&block[i]))
		}
		if column, ok := next().(*pq.Float32ColumnChunkWriter); ok {
			write(column.WriteBatch(w.numbers, nil, nil))
		}
	}
	if column, ok := next().(*pq.Int64ColumnChunkWriter); ok {
		write(column.WriteBatch(w.places, nil, nil))
	}
	text(func(p *Prediction) string { return p.Label })
	number(func(p *Prediction) float32 { return float32(p.Probability) })
	if w.many {
		text(func(p *Prediction) string { return strings.Join(p.Labels, "|") })
	}
	for c := range w.top {
		text(func(p *Prediction) string { return p.Top[c].Label })
		number(func(p *Prediction) float32 { return float32(p.Top[c].Probability) })
	}
	for j := range w.k {
		number(func(p *Prediction) float32 { return p.Logits[j] })
	}
	if w.rows += len(block); w.rows >= groupRows {
		err = cmp.Or(err, w.group.Close())
		w.group, w.rows = nil, 0
	}
	return err
}

// Flush does nothing: a group of rows is written whole.
func (w *parquetWriter) Flush() error { return nil }

func (w *parquetWriter) Close() error {
	var err error
	if w.group != nil {
		err = w.group.Close()
	}
	return cmp.Or(err, w.file.Close())
}
