package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Element is a type whose arrays are written.
type Element interface {
	float32 | float64 | int32 | int64 | uint8
}

// Write writes values, row-major of the given shape, as an .npy array (version 1.0). It panics where the shape does not hold
// them.
func Write[T Element](w io.Writer, values []T, shape ...int) error {
	if size, ok := product(shape, 1); !ok || size != len(values) {
		panic(fmt.Sprintf("npy: Write: %d values, want shape %v", len(values), shape))
	}
	if err := WriteHeader[T](w, shape...); err != nil {
		return err
	}
	return WriteValues(w, values)
}

// WriteHeader begins an array whose values are written by WriteValues, part by part.
func WriteHeader[T Element](w io.Writer, shape ...int) error {
	descr := map[any]string{float32(0): "<f4", float64(0): "<f8", int32(0): "<i4", int64(0): "<i8", uint8(0): "|u1"}[any(T(0))]
	return writeHeader(w, descr, shape)
}

// WriteValues writes the next values of an array.
func WriteValues[T Element](w io.Writer, values []T) error {
	// In parts, so that the encoding costs no memory of the array's size.
	for len(values) > 0 {
		part := values[:min(len(values), 1<<16)]
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			return err
		}
		values = values[len(part):]
	}
	return nil
}

// WriteStrings writes an array [N] of texts, each as wide as the longest.
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
	// The data begin at a multiple of 64 bytes, to be mapped.
	const alignment = 64
	length := len(magic) + 4 + len(header) + 1
	header += strings.Repeat(" ", (alignment-length%alignment)%alignment) + "\n"
	head := binary.LittleEndian.AppendUint16([]byte(magic+"\x01\x00"), uint16(len(header)))
	_, err := w.Write(append(head, header...))
	return err
}
