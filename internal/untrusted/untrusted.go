// Package untrusted opens Arrow and Parquet files that strangers wrote.
//
// The library takes a file's word: a hostile one makes it panic, nests a schema without end, or asks for memory without end. What is opened here
// has its schema walked before the library sees it, and messages and buffers bounded. The library's own panics come through, and the caller must
// catch them (Catch): its readers that are used here start no goroutine.
package untrusted

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	flatbuffers "github.com/google/flatbuffers/go"
)

const (
	// ArrowFile is what an Arrow file begins with; the stream in it begins as ArrowStream does.
	ArrowFile = "ARROW1\x00\x00"
	// ArrowStream stands before the length of each message.
	ArrowStream = "\xff\xff\xff\xff"
	// MaxMessage bounds a message's header: those of 10,000 columns take a tenth.
	MaxMessage = 16 << 20
)

// Catch makes a panic of the library's an error of the function that defers it. It says that what cannot be read.
func Catch(err *error, what string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s cannot be read: %v", what, r)
	}
}

// Arrow opens an Arrow file or a stream for reading from its beginning, within limit bytes of memory. A file is a stream with a footer,
// which is left aside: what comes first is checked first. Release what it returns.
func Arrow(raw []byte, limit int64) (*ipc.Reader, error) {
	stream, isFile := bytes.CutPrefix(raw, []byte(ArrowFile))
	if isFile && !bytes.HasSuffix(raw, []byte(ArrowFile[:6])) {
		return nil, errors.New("it is cut short: an Arrow file ends as it begins")
	}
	if err := checkSchema(stream); err != nil {
		return nil, err
	}
	memory := NewMemory(limit)
	messages := ipc.NewMessageReader(bytes.NewReader(stream), ipc.WithAllocator(memory), ipc.WithMetadataSizeLimit(MaxMessage), ipc.WithBodySizeLimit(int64(len(raw))))
	return ipc.NewReaderFromMessageReader(messages, ipc.WithAllocator(memory))
}

// Parquet opens a Parquet file within limit bytes of memory. Close what it returns.
func Parquet(raw []byte, limit int64) (*pq.Reader, error) {
	return pq.NewParquetReader(bytes.NewReader(raw), pq.WithReadProps(parquet.NewReaderProperties(NewMemory(limit))))
}

// checkSchema walks the fields of the first message, which say what the columns are. Each may lie in several others, so that a
// small message can stand for a schema of any size.
func checkSchema(stream []byte) error {
	header := stream
	if !bytes.HasPrefix(header, []byte(ArrowStream)) {
		return errors.New("it was written before Arrow 0.15: write it anew with a later version")
	}
	header = header[4:]
	if len(header) < 8 {
		return errors.New("the file is cut short")
	}
	size := binary.LittleEndian.Uint32(header)
	if size < 8 || size > MaxMessage || int(size) > len(header)-4 {
		return fmt.Errorf("its schema takes %d bytes: the file is damaged, or cut short", size)
	}
	header = header[4 : 4+size]
	message := flatbuffers.Table{Bytes: header, Pos: flatbuffers.GetUOffsetT(header)}
	const headerField = 8
	at := message.Offset(headerField)
	if at == 0 {
		return errors.New("it has no schema")
	}
	schema := flatbuffers.Table{Bytes: header, Pos: message.Indirect(flatbuffers.UOffsetT(at) + message.Pos)}
	const fieldsField, notesField = 6, 8
	w := schemaWalk{fields: 100_000, bytes: 16*len(header) + 1<<16}
	if err := w.notes(&schema, notesField); err != nil {
		return err
	}
	return w.walk(&schema, fieldsField, 0)
}

// schemaWalk bounds what a schema makes of its bytes: how many fields, and bytes of names and notes, are left. All of them may lie in the
// same place, and a vector says its own length.
type schemaWalk struct{ fields, bytes int }

var errSchemaTooLarge = errors.New("its schema has more than 100,000 fields, fields deeper than 32 in one another, or names and notes of many times its size: the file is damaged, or made to take memory")

// walk takes the vector of fields at a place of a table, and those in them.
func (w *schemaWalk) walk(t *flatbuffers.Table, place flatbuffers.VOffsetT, depth int) error {
	const nameField, typeField, childrenField, notesField, deepest = 4, 10, 14, 16, 32
	first, n := vector(t, place)
	if w.fields -= n; w.fields < 0 || n < 0 || depth > deepest {
		return errSchemaTooLarge
	}
	for i := range n {
		field := flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(first + flatbuffers.UOffsetT(4*i))}
		if err := w.take(&field, nameField); err != nil {
			return err
		}
		if err := w.notes(&field, notesField); err != nil {
			return err
		}
		if at := field.Offset(typeField); at != 0 {
			kind := flatbuffers.Table{Bytes: t.Bytes, Pos: field.Indirect(flatbuffers.UOffsetT(at) + field.Pos)}
			if err := w.timeZone(&field, &kind); err != nil {
				return err
			}
		}
		if err := w.walk(&field, childrenField, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// notes takes the vector of keys and values at a place of a table.
func (w *schemaWalk) notes(t *flatbuffers.Table, place flatbuffers.VOffsetT) error {
	const keyField, valueField, entry = 4, 6, 32 // bytes that an entry takes in memory
	first, n := vector(t, place)
	if w.bytes -= entry * n; w.bytes < 0 || n < 0 {
		return errSchemaTooLarge
	}
	for i := range n {
		note := flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(first + flatbuffers.UOffsetT(4*i))}
		for _, place := range []flatbuffers.VOffsetT{keyField, valueField} {
			if err := w.take(&note, place); err != nil {
				return err
			}
		}
	}
	return nil
}

// timeZone takes the text that a field's type may have: a timestamp alone has one.
func (w *schemaWalk) timeZone(field, kind *flatbuffers.Table) error {
	const kindField, timestampType, zoneField = 8, 10, 6
	if at := field.Offset(kindField); at == 0 || field.GetByte(flatbuffers.UOffsetT(at)+field.Pos) != timestampType {
		return nil
	}
	return w.take(kind, zoneField)
}

// take takes the text at a place of a table.
func (w *schemaWalk) take(t *flatbuffers.Table, place flatbuffers.VOffsetT) error {
	if _, n := vector(t, place); n > 0 {
		w.bytes -= n
	}
	if w.bytes < 0 {
		return errSchemaTooLarge
	}
	return nil
}

// vector returns where the vector, or the text, at a place of a table begins, and its length: 0 where there is none.
func vector(t *flatbuffers.Table, place flatbuffers.VOffsetT) (first flatbuffers.UOffsetT, n int) {
	at := flatbuffers.UOffsetT(t.Offset(place))
	if at == 0 {
		return 0, 0
	}
	return t.Vector(at), t.VectorLen(at)
}

// Memory is an allocator of the library's that panics where more is asked for than is left.
type Memory struct {
	memory.GoAllocator
	left int64
}

// NewMemory returns an allocator of so many bytes.
func NewMemory(limit int64) *Memory { return &Memory{left: limit} }

func (m *Memory) take(n int) {
	if atomic.AddInt64(&m.left, -int64(n)) < 0 || n < 0 {
		panic("it asks for more memory than it can be worth")
	}
}

// Allocate returns size bytes.
func (m *Memory) Allocate(size int) []byte {
	m.take(size)
	return m.GoAllocator.Allocate(size)
}

// Reallocate resizes old, and gives back what it held.
func (m *Memory) Reallocate(size int, old []byte) []byte {
	m.take(max(size, 0))
	atomic.AddInt64(&m.left, int64(len(old)))
	return m.GoAllocator.Reallocate(size, slices.Clip(old))
}

// Free gives back what old held.
func (m *Memory) Free(old []byte) {
	atomic.AddInt64(&m.left, int64(len(old)))
	m.GoAllocator.Free(old)
}
