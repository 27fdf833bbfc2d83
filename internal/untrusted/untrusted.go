// Package untrusted opens Arrow and Parquet files that may be hostile.
//
// The Arrow library trusts a file: a hostile one can make it panic, nest a schema without end, or allocate memory without end. This package checks the
// schema before the library reads it, and bounds messages and buffers. The library can still panic; the caller must catch that with Catch. The readers
// that are used here start no goroutine, in which a panic could not be caught.
package untrusted

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

const (
	// ArrowFile is what an Arrow file begins with; the stream in it begins as ArrowStream does.
	ArrowFile = "ARROW1\x00\x00"
	// ArrowStream stands before the length of each message.
	ArrowStream = "\xff\xff\xff\xff"
	// MaxMessage is the most bytes of a message's header. A header of 10,000 columns takes a tenth of it.
	MaxMessage = 16 << 20
)

// Catch, when it is deferred, turns a panic into an error in *err, which says that what cannot be read.
func Catch(err *error, what string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s cannot be read: %v", what, r)
	}
}

// Arrow opens an Arrow file or stream, which is read from its beginning within limit bytes of memory. A file is a stream with a footer; the footer is
// not used, so that everything is checked in the order in which it is read. The reader must be released.
func Arrow(raw []byte, limit int64) (*ipc.Reader, error) {
	stream, isFile := bytes.CutPrefix(raw, []byte(ArrowFile))
	if isFile && !bytes.HasSuffix(raw, []byte(ArrowFile[:6])) {
		return nil, errors.New("it is cut short: an Arrow file ends as it begins")
	}
	schema, in := stream, io.Reader(bytes.NewReader(stream))
	if isFile && !bytes.HasPrefix(stream, []byte(ArrowStream)) {
		var err error
		if schema, in, err = byFooter(raw); err != nil {
			return nil, err
		}
	}
	if err := checkSchema(schema); err != nil {
		return nil, err
	}
	memory := NewMemory(limit)
	messages := ipc.NewMessageReader(&checkedStream{in: in}, ipc.WithAllocator(memory), ipc.WithMetadataSizeLimit(MaxMessage), ipc.WithBodySizeLimit(int64(len(raw))))
	return ipc.NewReaderFromMessageReader(messages, ipc.WithAllocator(memory))
}

// Parquet opens a Parquet file, which is read within limit bytes of memory. The reader must be closed.
func Parquet(raw []byte, limit int64) (*pq.Reader, error) {
	return pq.NewParquetReader(bytes.NewReader(raw), pq.WithReadProps(parquet.NewReaderProperties(NewMemory(limit))))
}

// byFooter makes a stream of a file that is none, as Polars writes them: the schema stands at the beginning without its length, and dictionaries
// behind the rows that need them. The footer says where each begins. No byte of the file is read twice.
func byFooter(raw []byte) (schema []byte, stream io.Reader, err error) {
	const magic, dictionariesField, batchesField, blockSize = 6, 8, 10, 24
	end := int64(len(raw) - magic - 4)
	damaged := errors.New("its footer is damaged, or it was written before Arrow 0.15: write it anew with a later version")
	if end < int64(len(ArrowFile)) {
		return nil, nil, damaged
	}
	start := end - int64(binary.LittleEndian.Uint32(raw[end:]))
	if start < int64(len(ArrowFile)) || end-start < 8 {
		return nil, nil, damaged
	}
	footer := flatbuffers.Table{Bytes: raw[start:end], Pos: flatbuffers.GetUOffsetT(raw[start:end])}
	begin, left := start, start // of the first block; bytes that no block has
	var blocks []io.Reader
	for _, place := range []flatbuffers.VOffsetT{dictionariesField, batchesField} {
		first, n := vector(&footer, place)
		for i := range n {
			block := first + flatbuffers.UOffsetT(blockSize*i)
			at, header, body := footer.GetInt64(block), int64(footer.GetInt32(block+8)), footer.GetInt64(block+16)
			if at < int64(len(ArrowFile)) || header < 0 || body < 0 || body > left-header || at > start-header-body {
				return nil, nil, damaged
			}
			begin, left = min(begin, at), left-header-body
			blocks = append(blocks, bytes.NewReader(raw[at:at+header+body]))
		}
	}
	schema = raw[len(ArrowFile):begin]
	if len(schema) > MaxMessage {
		return nil, nil, damaged
	}
	schema = append(binary.LittleEndian.AppendUint32([]byte(ArrowStream), uint32(len(schema))), schema...)
	return schema, io.MultiReader(append([]io.Reader{bytes.NewReader(schema)}, blocks...)...), nil
}

// checkedStream looks at the header of each message before the library reads it.
type checkedStream struct {
	in    io.Reader
	held  []byte // of a message's length and header, what was not read yet
	body  int64  // bytes of the message's body that were not read yet
	error error  // that of the next read
}

// Read hands out what stands in the stream.
func (s *checkedStream) Read(p []byte) (n int, err error) {
	if len(s.held) == 0 && s.body == 0 {
		if s.error == nil {
			s.error = s.next()
		}
		if len(s.held) == 0 {
			return 0, s.error
		}
	}
	if len(s.held) > 0 {
		n = copy(p, s.held)
		s.held = s.held[n:]
		return n, nil
	}
	n, err = s.in.Read(p[:min(int64(len(p)), s.body)])
	s.body -= int64(n)
	return n, err
}

// next holds the length and the header of the next message. The library makes room for what the header counts before it looks for it.
func (s *checkedStream) next() error {
	start := make([]byte, 8)
	if n, err := io.ReadFull(s.in, start); err != nil {
		s.held = start[:n]
		return err
	}
	size := binary.LittleEndian.Uint32(start[4:])
	if string(start[:4]) != ArrowStream || size == 0 { // the end
		s.held = start
		return io.EOF
	}
	if size < 8 || size > MaxMessage {
		return fmt.Errorf("a message has a header of %d bytes: the file is damaged", size)
	}
	raw := append(start, make([]byte, size)...)
	if _, err := io.ReadFull(s.in, raw[8:]); err != nil {
		return fmt.Errorf("the file is cut short: %w", err)
	}
	header := raw[8:]
	const kindField, headerField, bodyField, notesField = 6, 8, 10, 12
	message := flatbuffers.Table{Bytes: header, Pos: flatbuffers.GetUOffsetT(header)}
	w := schemaWalk{bytes: 16*len(header) + 1<<16}
	if err := w.notes(&message, notesField); err != nil {
		return err
	}
	if at := message.Offset(headerField); at != 0 {
		content := flatbuffers.Table{Bytes: header, Pos: message.Indirect(flatbuffers.UOffsetT(at) + message.Pos)}
		if err := checkBatch(&content, message.GetByteSlot(kindField, 0)); err != nil {
			return err
		}
	}
	s.held, s.body = raw, max(0, message.GetInt64Slot(bodyField, 0))
	return nil
}

// checkBatch refuses a batch of rows, or of a dictionary's values, with columns of more buffers than the batch has.
func checkBatch(batch *flatbuffers.Table, kind byte) error {
	const dictionaryKind, rowsKind, dataField, buffersField, countsField = 2, 3, 6, 8, 12
	switch kind {
	case dictionaryKind:
		at := batch.Offset(dataField)
		if at == 0 {
			return nil
		}
		batch = &flatbuffers.Table{Bytes: batch.Bytes, Pos: batch.Indirect(flatbuffers.UOffsetT(at) + batch.Pos)}
	case rowsKind:
	default:
		return nil
	}
	_, buffers := vector(batch, buffersField)
	first, n := vector(batch, countsField)
	for i := range n {
		count := batch.GetInt64(first + flatbuffers.UOffsetT(8*i))
		if count < 0 || count > int64(buffers) {
			return fmt.Errorf("a column of %d buffers, where all have %d: the file is damaged", count, buffers)
		}
		buffers -= int(count)
	}
	return nil
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

// Memory is an allocator for the Arrow library that panics when more is asked for than its limit leaves.
type Memory struct {
	memory.GoAllocator
	left int64
}

// NewMemory returns an allocator with a limit in bytes.
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

// Reallocate returns size bytes that begin with those of old.
func (m *Memory) Reallocate(size int, old []byte) []byte {
	m.take(max(size, 0))
	atomic.AddInt64(&m.left, int64(len(old)))
	return m.GoAllocator.Reallocate(size, slices.Clip(old))
}

// Free returns the bytes of old to the limit.
func (m *Memory) Free(old []byte) {
	atomic.AddInt64(&m.left, int64(len(old)))
	m.GoAllocator.Free(old)
}

// The library's Snappy and Zstandard make room for as much as a page says that it unpacks to, gigabytes in a file of some bytes. Where the library
// knows the size, no more is unpacked.
func init() {
	snappyCodec, err := compress.GetCodec(compress.Codecs.Snappy)
	if err != nil {
		panic(err)
	}
	zstdCodec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		panic(err)
	}
	errSize := errors.New("a page unpacks to another size than it says")
	compress.RegisterCodec(compress.Codecs.Snappy, bounded{snappyCodec, func(dst, src []byte) ([]byte, error) {
		if n, err := snappy.DecodedLen(src); err != nil || n > len(dst) {
			return nil, errSize
		}
		return snappy.Decode(dst, src)
	}})
	inflate := sync.OnceValue(func() *zstd.Decoder {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err)
		}
		return decoder
	})
	compress.RegisterCodec(compress.Codecs.Zstd, bounded{zstdCodec, func(dst, src []byte) ([]byte, error) {
		return inflate().DecodeAll(src, dst[:0:len(dst)])
	}})
}

// bounded is a codec that unpacks no more than there is room for.
type bounded struct {
	compress.Codec
	decode func(dst, src []byte) ([]byte, error)
}

// DecodeWithError unpacks src into dst, which has its size; into a new slice where dst is nil.
func (b bounded) DecodeWithError(dst, src []byte) ([]byte, error) {
	if dst == nil {
		return compress.Decode(b.Codec, dst, src)
	}
	return b.decode(dst, src)
}

// Decode is DecodeWithError, and panics where that is an error.
func (b bounded) Decode(dst, src []byte) []byte {
	all, err := b.DecodeWithError(dst, src)
	if err != nil {
		panic(err)
	}
	return all
}
