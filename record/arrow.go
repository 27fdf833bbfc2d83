package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// kind is the type of a column. There are only the types that a run's files use.
type kind uint8

const (
	kindInt64  kind = iota // int64
	kindInt32              // int32
	kindFloat              // float32
	kindBytes              // fixed_size_binary[width]
	kindFloats             // fixed_size_list<float32>[width]
	kindHalves             // fixed_size_list<float16>[width]
	kindInts               // fixed_size_list<int32>[width]
	kindFlags              // fixed_size_list<uint8>[width]
	kindText               // utf8; the last column of a file, whose values are two slices: the offsets of its rows, and their text
	kindUint8              // uint8; only as the item of a list
	kindHalf               // float16; only as the item of a list
)

// column describes one column of an Arrow file, which has no nulls and whose values follow one another.
type column struct {
	name     string
	kind     kind
	width    int  // the number of elements a row, for kindBytes and the lists; of kindText the bytes of all rows' text, where it is written
	optional bool // whether a file may lack the column
}

// rowBytes returns the number of bytes of one row's value, and of a text that of its offset.
func (c column) rowBytes() int64 {
	switch c.kind {
	case kindInt64:
		return 8
	case kindInt32, kindFloat, kindText:
		return 4
	case kindBytes, kindFlags:
		return int64(c.width)
	case kindHalves:
		return 2 * int64(c.width)
	default:
		return 4 * int64(c.width)
	}
}

// item returns the kind of a list's items, and the kind of the column itself where that is no list.
func (c column) item() kind {
	switch c.kind {
	case kindFloats:
		return kindFloat
	case kindHalves:
		return kindHalf
	case kindInts:
		return kindInt32
	case kindFlags:
		return kindUint8
	}
	return c.kind
}

func (c column) isList() bool { return c.item() != c.kind }

// String returns the column's type as Arrow writes it.
func (c column) String() string {
	if c.isList() {
		return fmt.Sprintf("fixed_size_list<%s: %v>[%d]", itemName, column{kind: c.item()}, c.width)
	}
	if c.kind == kindBytes {
		return fmt.Sprintf("fixed_size_binary[%d]", c.width)
	}
	return map[kind]string{kindInt64: "int64", kindInt32: "int32", kindUint8: "uint8", kindFloat: "float32", kindHalf: "float16", kindText: "utf8"}[c.kind]
}

// logitColumns returns the columns of an epoch's file in formats 1 and 2.
func logitColumns(m *Manifest) []column {
	return []column{{name: "id", kind: kindInt64}, {name: "logits", kind: kindFloats, width: m.Columns}}
}

// sampleColumns returns the columns of a file of samples.
func sampleColumns(m *Manifest) []column {
	columns := []column{{name: "id", kind: kindInt64}, {name: "label", kind: kindInt32}, {name: "clean_label", kind: kindInt32, optional: true}}
	if m.Head.MultiLabel() {
		columns = append(columns, column{name: "targets", kind: kindFlags, width: m.Columns})
	}
	switch {
	case m.hasTexts():
		columns = append(columns, column{name: "preview", kind: kindText, optional: true})
	case m.Preview != nil:
		columns = append(columns, column{name: "preview", kind: kindBytes, width: m.Preview.Size(), optional: true})
	}
	return columns
}

// decodeArrow returns the bytes of each wanted column of a file, as views without a copy, and nil for an optional column that is not
// there. A column of texts has two elements: n+1 offsets that rise from 0 to no more than the length of the other, which is the text. It accepts only what arrowParts and the writers in other languages write for these columns: one uncompressed record
// batch of n rows without nulls, with the columns in the order wanted. Anything else is an error. decodeArrow reads the file's metadata itself, within
// bounds and without allocating by sizes that the file names, because a library that reads all of Arrow has to trust such sizes.
func decodeArrow(file []byte, wanted []column, n int) (values [][]byte, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case errArrow: // reject was called somewhere in the functions below
			values, err = nil, p
		default:
			panic(p)
		}
	}()
	body, batch, schema := openArrow(file)
	present := matchSchema(schema, wanted)
	return sliceBatch(body, batch, wanted, present, n), nil
}

// errArrow says what is wrong with an Arrow file.
type errArrow string

func (e errArrow) Error() string { return string(e) }

// reject panics with an errArrow, which decodeArrow recovers from and returns as an error.
func reject(format string, args ...any) { panic(errArrow(fmt.Sprintf(format, args...))) }

const arrowMagic = "ARROW1"

// openArrow reads the footer at the end of a file and returns the body of its only record batch, the table of that batch and the schema.
func openArrow(file []byte) (body []byte, batch, schema table) {
	const tail = 4 + len(arrowMagic)
	if len(file) < 8+tail || string(file[:6]) != arrowMagic || string(file[len(file)-6:]) != arrowMagic {
		reject("not an Arrow file")
	}
	footerSize := int64(binary.LittleEndian.Uint32(file[len(file)-tail:]))
	footerStart := int64(len(file)-tail) - footerSize
	if footerStart < 8 {
		reject("Arrow footer of %d bytes in a file of %d", footerSize, len(file))
	}
	footer := root(file[footerStart : footerStart+footerSize])
	schema = footer.child(1)
	if footer.vector(2, 24).n != 0 {
		reject("Arrow file with dictionaries")
	}
	blocks := footer.vector(3, 24)
	if blocks.n != 1 {
		reject("Arrow file with %d record batches, want 1", blocks.n)
	}
	offset, metaSize, bodySize := blocks.int64(0, 0), int64(int32(blocks.int64(0, 8))), blocks.int64(0, 16)
	if offset < 8 || metaSize < 8 || bodySize < 0 || offset > footerStart || metaSize > footerStart-offset || bodySize > footerStart-offset-metaSize {
		reject("Arrow record batch outside the file")
	}
	meta := file[offset : offset+metaSize]
	if binary.LittleEndian.Uint32(meta) != math.MaxUint32 {
		reject("Arrow message without a continuation mark")
	}
	if size := int64(binary.LittleEndian.Uint32(meta[4:])); size > metaSize-8 {
		reject("Arrow message of %d bytes in %d", size, metaSize-8)
	}
	message := root(meta[8:])
	if message.uint8(1) != headerBatch || message.int64(3) != bodySize {
		reject("Arrow message is not the record batch that the footer names")
	}
	return file[offset+metaSize : offset+metaSize+bodySize], message.child(2), schema
}

// matchSchema reports for each wanted column whether the schema has it. It rejects a schema with other columns.
func matchSchema(schema table, wanted []column) (present []bool) {
	if schema.int16(0) != 0 {
		reject("big-endian Arrow file")
	}
	fields := schema.vector(1, 4)
	present = make([]bool, len(wanted))
	next := 0
	for i, want := range wanted {
		if next < fields.n && string(fields.table(next).string(0)) == want.name {
			matchType(fields.table(next), want)
			present[i] = true
			next++
		} else if !want.optional {
			reject("no column %q where it should be", want.name)
		}
	}
	if next != fields.n {
		reject("%d columns, of which only the first %d are known", fields.n, next)
	}
	return present
}

// matchType checks that a field has the type wanted, by the type numbers of Arrow's Schema.fbs.
func matchType(field table, want column) {
	isInt := func(field table, bits int32, signed uint8) bool {
		return field.uint8(2) == typeInt && field.child(3).int32(0) == bits && field.child(3).uint8(1) == signed && !field.has(4)
	}
	isFloat := func(field table, precision int16) bool {
		return field.uint8(2) == typeFloat && field.child(3).int16(0) == precision && !field.has(4)
	}
	item := field // the field itself, or the child that describes the items of a list
	if want.isList() {
		children := field.vector(5, 4)
		if field.uint8(2) != typeFixedList || int(field.child(3).int32(0)) != want.width || children.n != 1 {
			reject("column %q is not %v", want.name, want)
		}
		item = children.table(0)
	}
	ok := false
	switch want.kind {
	case kindInt64:
		ok = isInt(item, 64, 1)
	case kindInt32, kindInts:
		ok = isInt(item, 32, 1)
	case kindFlags:
		ok = isInt(item, 8, 0)
	case kindFloat, kindFloats:
		ok = isFloat(item, precisionSingle)
	case kindHalves:
		ok = isFloat(item, precisionHalf)
	case kindText:
		ok = item.uint8(2) == typeUTF8 && !item.has(4)
	case kindBytes:
		ok = item.uint8(2) == typeFixedBinary && int(item.child(3).int32(0)) == want.width
	}
	if !ok {
		reject("column %q is not %v", want.name, want)
	}
}

// sliceBatch cuts each column present out of the body of a record batch.
func sliceBatch(body []byte, batch table, wanted []column, present []bool, n int) [][]byte {
	if batch.int64(0) != int64(n) {
		reject("%d rows, want %d", batch.int64(0), n)
	}
	if batch.has(3) {
		reject("compressed Arrow file")
	}
	nodes, buffers := batch.vector(1, 16), batch.vector(2, 16)
	values := make([][]byte, len(wanted))
	node, buffer := 0, 0
	// takeNode passes over a node, which must be of rows without nulls, and over its validity buffer, which has no meaning then.
	takeNode := func(c column, rows int64) {
		if nodes.int64(node, 0) != rows || nodes.int64(node, 8) != 0 {
			reject("column %q: %d values with %d nulls, want %d with none", c.name, nodes.int64(node, 0), nodes.int64(node, 8), rows)
		}
		node++
		buffer++
	}
	// takeBuffer returns the first size bytes of the next buffer.
	takeBuffer := func(c column, size int64) []byte {
		offset, length := buffers.int64(buffer, 0), buffers.int64(buffer, 8)
		buffer++
		// Writers may count the padding after the values in the length.
		if offset < 0 || length < size || offset > int64(len(body)) || length > int64(len(body))-offset || offset%8 != 0 {
			reject("column %q: %d bytes at %d of a body of %d, want %d", c.name, length, offset, len(body), size)
		}
		return body[offset : offset+size : offset+size]
	}
	for i, c := range wanted {
		if !present[i] {
			if c.kind == kindText {
				values = append(values, nil)
			}
			continue
		}
		takeNode(c, int64(n))
		if c.isList() {
			takeNode(c, int64(n)*int64(c.width))
		}
		if c.kind != kindText {
			values[i] = takeBuffer(c, int64(n)*c.rowBytes())
			continue
		}
		values[i] = takeBuffer(c, (int64(n)+1)*c.rowBytes())
		last := int32(0)
		for row, end := range view[int32](values[i]) {
			if end < last || row == 0 && end != 0 {
				reject("column %q: row %d begins at %d, before the row before it ends", c.name, row, end)
			}
			last = end
		}
		values = append(values, takeBuffer(c, int64(last)))
	}
	return values
}

// table is a flatbuffers table that is read within bounds. Fields count from 0 in the order of Arrow's *.fbs files. An absent
// field reads as zero or as an empty vector.
type table struct {
	data               []byte // the whole message, in which the numbers below are offsets
	at                 int64  // where the table begins
	vtable, vtableSize int64  // where its vtable begins, and the number of bytes of it
}

func root(data []byte) table { return tableAt(data, follow(data, 0)) }

func tableAt(data []byte, at int64) table {
	vtable := at - int64(int32(u32(data, at)))
	t := table{data, at, vtable, int64(u16(data, vtable))}
	if t.vtableSize < 4 {
		reject("broken Arrow metadata")
	}
	return t
}

// field returns the offset of a field in data, 0 where it is absent.
func (t table) field(i int) int64 {
	slot := 4 + 2*int64(i)
	if slot+2 > t.vtableSize {
		return 0
	}
	if offset := int64(u16(t.data, t.vtable+slot)); offset != 0 {
		return t.at + offset
	}
	return 0
}

func (t table) has(i int) bool { return t.field(i) != 0 }

func (t table) uint8(i int) uint8 {
	if at := t.field(i); at != 0 {
		return part(t.data, at, 1)[0]
	}
	return 0
}

func (t table) int16(i int) int16 {
	if at := t.field(i); at != 0 {
		return int16(u16(t.data, at))
	}
	return 0
}

func (t table) int32(i int) int32 {
	if at := t.field(i); at != 0 {
		return int32(u32(t.data, at))
	}
	return 0
}

func (t table) int64(i int) int64 {
	if at := t.field(i); at != 0 {
		return int64(binary.LittleEndian.Uint64(part(t.data, at, 8)))
	}
	return 0
}

func (t table) child(i int) table {
	at := t.field(i)
	if at == 0 {
		reject("broken Arrow metadata: a part is missing")
	}
	return tableAt(t.data, follow(t.data, at))
}

func (t table) string(i int) []byte {
	v := t.vector(i, 1)
	return part(v.data, v.at, int64(v.n))
}

func (t table) vector(i int, elementSize int64) vector {
	at := t.field(i)
	if at == 0 {
		return vector{}
	}
	at = follow(t.data, at)
	n := int64(u32(t.data, at))
	part(t.data, at+4, n*elementSize)
	return vector{t.data, at + 4, elementSize, int(n)}
}

// vector is a flatbuffers vector whose elements are known to lie within data.
type vector struct {
	data        []byte
	at          int64 // where the first element begins
	elementSize int64 // the number of bytes of an element
	n           int   // the number of elements
}

func (v vector) element(i int) int64 {
	if i >= v.n {
		reject("broken Arrow metadata: %d elements where there must be more", v.n)
	}
	return v.at + int64(i)*v.elementSize
}

func (v vector) table(i int) table { return tableAt(v.data, follow(v.data, v.element(i))) }

func (v vector) int64(i int, offset int64) int64 {
	return int64(binary.LittleEndian.Uint64(part(v.data, v.element(i)+offset, 8)))
}

func part(data []byte, at, size int64) []byte {
	if at < 0 || size < 0 || at > int64(len(data)) || size > int64(len(data))-at {
		reject("broken Arrow metadata: it leads outside itself")
	}
	return data[at : at+size]
}

func u16(data []byte, at int64) uint16 { return binary.LittleEndian.Uint16(part(data, at, 2)) }
func u32(data []byte, at int64) uint32 { return binary.LittleEndian.Uint32(part(data, at, 4)) }

func follow(data []byte, at int64) int64 { return at + int64(u32(data, at)) }

// number is a type of the values of a column.
type number interface {
	uint8 | int32 | int64 | float32
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// view returns little-endian bytes as numbers. They are the same memory where the processor and the alignment allow it, else a copy.
func view[T number](data []byte) []T {
	size := int(unsafe.Sizeof(*new(T)))
	n := len(data) / size
	if n == 0 {
		return []T{}
	}
	if littleEndian && uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(size) == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), n)
	}
	numbers := make([]T, n)
	if _, err := binary.Decode(data, binary.LittleEndian, numbers); err != nil {
		panic(err) // cannot happen: data holds n numbers
	}
	return numbers
}

// viewBytes returns numbers as little-endian bytes, never nil. They are the same memory where the processor allows it, else a copy.
func viewBytes[T number](numbers []T) []byte {
	if !littleEndian || len(numbers) == 0 {
		return bytesOf(numbers)
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(numbers))), len(numbers)*int(unsafe.Sizeof(numbers[0])))
}

// putNumbers writes numbers to dst as little-endian bytes. dst must have room for them.
func putNumbers[T number](dst []byte, numbers []T) {
	if len(numbers) == 0 {
		return
	}
	if littleEndian {
		copy(dst, viewBytes(numbers))
	} else if _, err := binary.Encode(dst, binary.LittleEndian, numbers); err != nil {
		panic(err) // cannot happen: the caller made room
	}
}

// bytesOf returns a copy of numbers as little-endian bytes, never nil.
func bytesOf[T number](numbers []T) []byte {
	dst := make([]byte, len(numbers)*int(unsafe.Sizeof(*new(T))))
	putNumbers(dst, numbers)
	return dst
}
