package convert

import (
	"context"
	"io"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

var parquetFormat = Format{
	Name: "parquet", Endings: []string{".parquet"},
	Text: "a row a sample and epoch, which Spark, DuckDB, Polars and pandas read: epoch int32, split, id int64, label int32 (−100: none), label_name, clean_label int32, text where samples have one, logits list<float>; targets list<int32> with several labels a sample",
	file: writeParquet,
}

// writeParquet uses the library's lowest layer, since the layer above links an RPC framework into the program. A row group holds one split of
// one epoch, or a part of it that fits into memory.
func writeParquet(w io.Writer, s *selection) (err error) {
	root, err := s.parquetSchema()
	if err != nil {
		return err
	}
	out, err := pq.NewParquetWriterWithError(struct{ io.Writer }{w}, root, // the struct hides the Close that w may have
		pq.WithWriterProps(parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd))))
	if err != nil {
		return err
	}
	rows := max(1, min(1<<20, (64<<20)/(4*s.manifest.Columns)))
	err = s.each(func(epoch int, of split, logits []float32) error {
		for start := 0; start < len(of.IDs); start += rows {
			group, err := out.AppendRowGroupChecked()
			if err != nil {
				return err
			}
			g := &groupWriter{ctx: s.ctx, group: group}
			s.writeGroup(g, epoch, of, logits, start, min(start+rows, len(of.IDs)))
			if g.err != nil {
				return g.err
			}
			if err := group.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func (s *selection) parquetSchema() (*schema.GroupNode, error) {
	var fields schema.FieldList
	var failed error
	leaf := func(name string, kind parquet.Type, logical schema.LogicalType) schema.Node {
		node, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Required, logical, kind, 0, -1)
		if err != nil {
			failed = err
		}
		return node
	}
	list := func(name string, element schema.Node) schema.Node {
		repeated, err := schema.NewGroupNode("list", parquet.Repetitions.Repeated, schema.FieldList{element}, -1)
		if err != nil {
			failed = err
			return nil
		}
		node, err := schema.NewGroupNodeLogical(name, parquet.Repetitions.Required, schema.FieldList{repeated}, schema.ListLogicalType{}, -1)
		if err != nil {
			failed = err
		}
		return node
	}
	int32s, int64s := schema.NewIntLogicalType(32, true), schema.NewIntLogicalType(64, true)
	fields = append(fields,
		leaf("epoch", parquet.Types.Int32, int32s),
		leaf("split", parquet.Types.ByteArray, schema.StringLogicalType{}),
		leaf("id", parquet.Types.Int64, int64s),
		leaf("label", parquet.Types.Int32, int32s),
		leaf("label_name", parquet.Types.ByteArray, schema.StringLogicalType{}))
	if s.hasCleanLabels() {
		fields = append(fields, leaf("clean_label", parquet.Types.Int32, int32s))
	}
	if s.hasTexts() {
		fields = append(fields, leaf("text", parquet.Types.ByteArray, schema.StringLogicalType{}))
	}
	if s.hasTargets() {
		fields = append(fields, list("targets", leaf("element", parquet.Types.Int32, int32s)))
	}
	fields = append(fields, list("logits", leaf("element", parquet.Types.Float, schema.NoLogicalType{})))
	if failed != nil {
		return nil, failed
	}
	return schema.NewGroupNode("logits", parquet.Repetitions.Required, fields, -1)
}

// hasTargets reports whether a sample may have several labels.
func (s *selection) hasTargets() bool { return s.manifest.Head.MultiLabel() }

// writeGroup writes rows [start,end) of a split of an epoch, column by column.
func (s *selection) writeGroup(g *groupWriter, epoch int, of split, logits []float32, start, end int) {
	n, k := end-start, s.manifest.Columns
	numbers := make([]int32, n)
	for i := range numbers {
		numbers[i] = int32(epoch)
	}
	g.int32s(numbers)
	g.texts(n, func(int) string { return of.name })
	g.int64s(of.IDs[start:end])
	g.int32s(of.Labels[start:end])
	g.texts(n, func(i int) string { return s.labelText(of, start+i) })
	if s.hasCleanLabels() {
		clean := of.CleanLabels
		if clean == nil {
			clean = of.Labels
		}
		g.int32s(clean[start:end])
	}
	if s.hasTexts() {
		g.texts(n, func(i int) string { return of.text(start + i) })
	}
	if s.hasTargets() {
		classes := len(s.manifest.Classes)
		targets := make([]int32, 0, n*classes)
		for _, has := range of.Targets[start*classes : end*classes] {
			targets = append(targets, int32(has))
		}
		g.lists(classes, func(column pq.ColumnChunkWriter, definitions, repetitions []int16, from, to int) error {
			_, err := column.(*pq.Int32ColumnChunkWriter).WriteBatch(targets[from:to], definitions, repetitions)
			return err
		}, len(targets))
	}
	part := logits[start*k : end*k]
	g.lists(k, func(column pq.ColumnChunkWriter, definitions, repetitions []int16, from, to int) error {
		_, err := column.(*pq.Float32ColumnChunkWriter).WriteBatch(part[from:to], definitions, repetitions)
		return err
	}, len(part))
}

// groupWriter writes the columns of a row group in order. After an error it writes nothing more, and keeps the error.
type groupWriter struct {
	ctx   context.Context
	group pq.SerialRowGroupWriter
	err   error
}

func (g *groupWriter) column(write func(column pq.ColumnChunkWriter) error) {
	if g.err != nil {
		return
	}
	column, err := g.group.NextColumn()
	if err == nil {
		err = write(column)
	}
	if err == nil {
		err = column.Close()
	}
	g.err = err
}

func (g *groupWriter) int32s(values []int32) {
	g.column(func(column pq.ColumnChunkWriter) error {
		_, err := column.(*pq.Int32ColumnChunkWriter).WriteBatch(values, nil, nil)
		return err
	})
}

func (g *groupWriter) int64s(values []int64) {
	g.column(func(column pq.ColumnChunkWriter) error {
		_, err := column.(*pq.Int64ColumnChunkWriter).WriteBatch(values, nil, nil)
		return err
	})
}

func (g *groupWriter) texts(n int, text func(i int) string) {
	g.column(func(column pq.ColumnChunkWriter) error {
		values := make([]parquet.ByteArray, n)
		for i := range values {
			values[i] = parquet.ByteArray(text(i))
		}
		_, err := column.(*pq.ByteArrayColumnChunkWriter).WriteBatch(values, nil, nil)
		return err
	})
}

// lists writes a column of total lists of equal length. write writes the values of lists [from,to).
func (g *groupWriter) lists(length int, write func(column pq.ColumnChunkWriter, definitions, repetitions []int16, from, to int) error, total int) {
	g.column(func(column pq.ColumnChunkWriter) error {
		rows := max(1, (1<<16)/length)
		definitions, repetitions := make([]int16, rows*length), make([]int16, rows*length)
		for i := range definitions {
			definitions[i] = 1
			if i%length > 0 {
				repetitions[i] = 1 // belongs to the list before
			}
		}
		for from := 0; from < total; from += rows * length {
			to := min(from+rows*length, total)
			if err := context.Cause(g.ctx); err != nil {
				return err
			}
			if err := write(column, definitions[:to-from], repetitions[:to-from], from, to); err != nil {
				return err
			}
		}
		return nil
	})
}
