package record

import (
	"bytes"
	"encoding/binary"
	"io"

	flatbuffers "github.com/google/flatbuffers/go"
)

// This file writes what surrounds the values in an Arrow IPC file, by its specification (https://arrow.apache.org/docs/format/Columnar.html): the
// magic word, the schema and the record batch as flatbuffers messages, and the footer that says where they are. Slots of tables have the numbers that
// fields have in Schema.fbs, Message.fbs and File.fbs. Arrow's own library is not used, because it would be five sixths of a program that records;
// tests compare every byte with what the library writes.

// Numbers of the specification.
const (
	arrowVersion = 4 // V5
	headerSchema = 1
	headerBatch  = 3

	typeInt         = 2
	typeFloat       = 3
	typeUTF8        = 5
	typeFixedBinary = 15
	typeFixedList   = 16

	precisionHalf   = 0
	precisionSingle = 1
)

// itemName is the name that Arrow gives to the items of a list.
const itemName = "item"

// arrowLayout is an Arrow file of one record batch without its columns' values.
type arrowLayout struct {
	head    []byte // the bytes before the first column
	padding []int  // the number of zeros after the values of each column, and of a text after its offsets and after the text
	tail    []byte // the bytes after the last column and its padding
}

// layArrow lays out a file of columns with n rows.
func layArrow(columns []column, n int) arrowLayout {
	const alignment = 8    // each column begins at a multiple of this in the body
	var nodes [][2]int64   // for each field, the number of values and how many of them are null
	var buffers [][2]int64 // for each buffer, its offset in the body and its size
	var l arrowLayout
	body := int64(0)
	put := func(size int64) {
		buffers = append(buffers, [2]int64{body, size})
		l.padding = append(l.padding, int(-size&(alignment-1)))
		body += size + -size&(alignment-1)
	}
	for _, c := range columns {
		nodes, buffers = append(nodes, [2]int64{int64(n), 0}), append(buffers, [2]int64{body, 0}) // an empty validity buffer says that no row is null
		if c.isList() {
			nodes, buffers = append(nodes, [2]int64{int64(n * c.width), 0}), append(buffers, [2]int64{body, 0})
		}
		if c.kind == kindText {
			put((int64(n) + 1) * c.rowBytes())
			put(int64(c.width))
			continue
		}
		put(int64(n) * c.rowBytes())
	}

	var file bytes.Buffer
	file.WriteString(arrowMagic + "\x00\x00")
	b := flatbuffers.NewBuilder(1024)
	writeMessage(&file, finishMessage(b, headerSchema, schemaTable(b, columns), 0))
	batchAt := file.Len()
	b = flatbuffers.NewBuilder(1024)
	writeMessage(&file, finishMessage(b, headerBatch, batchTable(b, n, nodes, buffers), body))
	l.head = bytes.Clone(file.Bytes())

	metadata := file.Len() - batchAt
	file.Reset()
	file.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}) // marks that no message follows
	footer := finishFooter(columns, int64(batchAt), int32(metadata), body)
	file.Write(footer)
	file.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(footer))))
	file.WriteString(arrowMagic)
	l.tail = file.Bytes()
	return l
}

// arrowParts returns an uncompressed Arrow file with one record batch of n rows, as parts that follow one another. values holds the little-endian
// bytes of each column, which become parts without a copy, and of a column of texts both slices. A column whose values are nil is left out.
func arrowParts(columns []column, values [][]byte, n int) [][]byte {
	var present []column
	for i, c := range columns {
		if values[i] != nil {
			if c.kind == kindText {
				c.width = len(values[i+1])
			}
			present = append(present, c)
		}
	}
	l := layArrow(present, n)
	parts, next := [][]byte{l.head}, 0
	for _, v := range values {
		if v != nil {
			parts = append(parts, v, make([]byte, l.padding[next]))
			next++
		}
	}
	return append(parts, l.tail)
}

// writeArrow writes the file that arrowParts returns.
func writeArrow(file io.Writer, columns []column, values [][]byte, n int) error {
	for _, part := range arrowParts(columns, values, n) {
		if len(part) > 0 {
			if _, err := file.Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// frameArrow returns what surrounds the logits in the file that arrowParts returns for ids and logits.
func frameArrow(columns []column, ids []byte, n int) frame {
	l := layArrow(columns, n)
	return frame{l.head, ids, append(make([]byte, l.padding[1]), l.tail...)}
}

// writeMessage writes a message with its size before it, padded to eight bytes.
func writeMessage(file *bytes.Buffer, message []byte) {
	padded := (len(message) + 7) &^ 7
	file.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF})
	file.Write(binary.LittleEndian.AppendUint32(nil, uint32(padded)))
	file.Write(message)
	file.Write(make([]byte, padded-len(message)))
}

func finishMessage(b *flatbuffers.Builder, kind byte, header flatbuffers.UOffsetT, body int64) []byte {
	b.StartObject(5)
	b.PrependInt16Slot(0, arrowVersion, 0)
	b.PrependByteSlot(1, kind, 0)
	b.PrependUOffsetTSlot(2, header, 0)
	b.PrependInt64Slot(3, body, 0)
	b.Finish(b.EndObject())
	return b.FinishedBytes()
}

func schemaTable(b *flatbuffers.Builder, columns []column) flatbuffers.UOffsetT {
	fields := make([]flatbuffers.UOffsetT, len(columns))
	for i, c := range columns {
		fields[i] = fieldTable(b, c)
	}
	list := offsetVector(b, fields)
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, list, 0)
	return b.EndObject()
}

// fieldTable writes the field of a column, which is never null.
func fieldTable(b *flatbuffers.Builder, c column) flatbuffers.UOffsetT {
	name := b.CreateString(c.name)
	var children []flatbuffers.UOffsetT
	if c.isList() {
		children = append(children, fieldTable(b, column{name: itemName, kind: c.item()}))
	}
	number, kind := typeTable(b, c)
	list := offsetVector(b, children)
	b.StartObject(7)
	b.PrependUOffsetTSlot(0, name, 0)
	b.PrependByteSlot(2, number, 0)
	b.PrependUOffsetTSlot(3, kind, 0)
	b.PrependUOffsetTSlot(5, list, 0)
	return b.EndObject()
}

// typeTable writes the table of a column's type. number says which of the tables of types it is.
func typeTable(b *flatbuffers.Builder, c column) (number byte, kind flatbuffers.UOffsetT) {
	integer := func(bits int32, signed bool) (byte, flatbuffers.UOffsetT) {
		b.StartObject(2)
		b.PrependInt32Slot(0, bits, 0)
		b.PrependBoolSlot(1, signed, false)
		return typeInt, b.EndObject()
	}
	float := func(precision int16) (byte, flatbuffers.UOffsetT) {
		b.StartObject(1)
		b.PrependInt16Slot(0, precision, 0)
		return typeFloat, b.EndObject()
	}
	switch c.kind {
	case kindInt64:
		return integer(64, true)
	case kindInt32:
		return integer(32, true)
	case kindUint8:
		return integer(8, false)
	case kindFloat:
		return float(precisionSingle)
	case kindHalf:
		return float(precisionHalf)
	}
	if c.kind == kindText {
		b.StartObject(0)
		return typeUTF8, b.EndObject()
	}
	b.StartObject(1)
	b.PrependInt32Slot(0, int32(c.width), 0)
	if c.kind == kindBytes {
		return typeFixedBinary, b.EndObject()
	}
	return typeFixedList, b.EndObject()
}

func batchTable(b *flatbuffers.Builder, n int, nodes, buffers [][2]int64) flatbuffers.UOffsetT {
	nodeList := pairVector(b, nodes)
	bufferList := pairVector(b, buffers)
	b.StartObject(5)
	b.PrependInt64Slot(0, int64(n), 0)
	b.PrependUOffsetTSlot(1, nodeList, 0)
	b.PrependUOffsetTSlot(2, bufferList, 0)
	return b.EndObject()
}

// finishFooter returns the footer. It says where the only record batch begins, and how many bytes its message and its body have.
func finishFooter(columns []column, at int64, message int32, body int64) []byte {
	b := flatbuffers.NewBuilder(1024)
	schema := schemaTable(b, columns)
	b.StartVector(24, 0, 8)
	dictionaries := b.EndVector(0)
	b.StartVector(24, 1, 8)
	b.Prep(8, 24)
	b.PrependInt64(body)
	b.Pad(4)
	b.PrependInt32(message)
	b.PrependInt64(at)
	batches := b.EndVector(1)
	b.StartObject(5)
	b.PrependInt16Slot(0, arrowVersion, 0)
	b.PrependUOffsetTSlot(1, schema, 0)
	b.PrependUOffsetTSlot(2, dictionaries, 0)
	b.PrependUOffsetTSlot(3, batches, 0)
	b.Finish(b.EndObject())
	return b.FinishedBytes()
}

func offsetVector(b *flatbuffers.Builder, offsets []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	b.StartVector(4, len(offsets), 4)
	for i := len(offsets) - 1; i >= 0; i-- {
		b.PrependUOffsetT(offsets[i])
	}
	return b.EndVector(len(offsets))
}

// pairVector writes a vector of structs of two int64.
func pairVector(b *flatbuffers.Builder, pairs [][2]int64) flatbuffers.UOffsetT {
	b.StartVector(16, len(pairs), 8)
	for i := len(pairs) - 1; i >= 0; i-- {
		b.Prep(8, 16)
		b.PrependInt64(pairs[i][1])
		b.PrependInt64(pairs[i][0])
	}
	return b.EndVector(len(pairs))
}
