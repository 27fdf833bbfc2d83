package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Element is a type of numbers whose arrays are written.
type Element interface {
	float32 | float64 | int32 | int64 | uint8
}

// Write writes values, which are row-major, as an .npy array of the given shape, in version 1.0 of the format. It panics where the shape is
// that of another number of values.
func Write[T Element](w io.Writer, values []T, shape ...int) error {
	if size, ok := product(shape, 1); !ok || size != len(values) {
		panic(fmt.Sprintf("npy: Write: %d values, want shape %v", len(values), shape))
	}
	if err := WriteHeader[T](w, shape...); err != nil {
		return err
	}
	return WriteValues(w, values)
}

// WriteHeader writes what comes before the values of an array of the given shape. WriteValues then writes these, in as many calls as one likes.
func WriteHeader[T Element](w io.Writer, shape ...int) error {
	descr := map[any]string{float32(0): "<f4", float64(0): "<f8", int32(0): "<i4", int64(0): "<i8", uint8(0): "|u1"}[any(T(0))]
	return writeHeader(w, descr, shape)
}

// WriteValues writes the next values of an array.
func WriteValues[T Element](w io.Writer, values []T) error {
	// They are written in parts, since binary.Write encodes what it is given in memory of the same size.
	for len(values) > 0 {
		part := values[:min(len(values), 1<<16)]
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			return err
		}
		values = values[len(part):]
	}
	return nil
}

// WriteStrings writes an array [N] of texts in UTF-32, padded with zeros to the length of the longest.
func WriteStrings(w io.Writer, texts []string) error {
	width := 1
	for _, text := range texts {
		width = max(width, utf8.RuneCountInString(text))
	}
	if err := writeHeader(w, fmt.Sprintf("<U%d", width), []int{len(texts)}); err != nil {
		return err
	}
	for _, text := range texts {
		runes := make([]rune, width)
		copy(runes, []rune(text))
		if err := binary.Write(w, binary.LittleEndian, runes); err != nil {
			return err
		}
	}
	return nil
}

// writeHeader writes what comes before the values of an array. descr is the type of its elements, such as <f4.
func writeHeader(w io.Writer, descr string, shape []int) error {
	var dims strings.Builder
	for _, n := range shape {
		fmt.Fprintf(&dims, "%d, ", n)
	}
	tuple := strings.TrimSuffix(dims.String(), " ")
	if len(shape) > 1 {
		tuple = strings.TrimSuffix(tuple, ",")
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	// The values begin at a multiple of 64 bytes, as NumPy has it, so that a mapped file is aligned for any type.
	const alignment = 64
	length := len(magic) + 4 + len(header) + 1
	header += strings.Repeat(" ", (alignment-length%alignment)%alignment) + "\n"
	head := binary.LittleEndian.AppendUint16([]byte(magic+"\x01\x00"), uint16(len(header)))
	_, err := w.Write(append(head, header...))
	return err
}
