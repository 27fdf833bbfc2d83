package npy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseHeader reads the header of an array, which is the literal of a Python dict:
//
//	{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
//
// It returns an Array without data, or an error for a header with other keys, a damaged one, and a type of elements that is not read.
func parseHeader(text string) (*Array, error) {
	a := &Array{}
	s := scanner{strings.TrimRight(text, " \n\x00")}
	seen := map[string]bool{}
	if !s.take("{") {
		return nil, errHeader
	}
	for !s.take("}") {
		key, ok := s.quoted()
		if !ok || seen[key] || !s.take(":") {
			return nil, errHeader
		}
		seen[key] = true
		var err error
		switch key {
		case "descr":
			err = s.elementType(a)
		case "fortran_order":
			if a.fortran = s.take("True"); !a.fortran && !s.take("False") {
				err = errHeader
			}
		case "shape":
			a.Shape, err = s.tuple()
		default:
			err = fmt.Errorf("its header has a key %q: it is no .npy array that NumPy wrote", key)
		}
		if err != nil {
			return nil, err
		}
		if !s.take(",") && !strings.HasPrefix(s.rest, "}") {
			return nil, errHeader
		}
	}
	if len(seen) != 3 || s.rest != "" {
		return nil, errHeader
	}
	if a.fortran && len(a.Shape) < 2 {
		a.fortran = false // the elements of fewer than two dimensions have one order only
	}
	return a, nil
}

var errHeader = errors.New("its header cannot be read: it is damaged, or no .npy array")

// scanner reads a Python literal from its beginning.
type scanner struct{ rest string } // what has not been read yet

// take passes over token and the spaces around it. It returns false, and passes over nothing, where something else comes next.
func (s *scanner) take(token string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(s.rest, " \t\n"), token)
	if ok {
		s.rest = strings.TrimLeft(rest, " \t\n")
	}
	return ok
}

// quoted reads a string in single or double quotes. It is not ok where something else comes next.
func (s *scanner) quoted() (text string, ok bool) {
	for _, quote := range []string{"'", `"`} {
		if s.take(quote) {
			text, s.rest, ok = strings.Cut(s.rest, quote)
			return text, ok
		}
	}
	return "", false
}

// elementType reads the type of the elements, such as '<f4', and sets the type, kind and byte order of a. The error says why elements of
// another type are not read.
func (s *scanner) elementType(a *Array) error {
	text, ok := s.quoted()
	if !ok {
		return errors.New("it is a structured array: save its fields as arrays of their own")
	}
	if strings.Contains(text, "O") {
		return errors.New("it holds Python objects, which are pickles and never loaded: convert it with .astype and save it again")
	}
	if len(text) >= 3 && strings.IndexByte("<>|=", text[0]) >= 0 {
		size, err := strconv.Atoi(text[2:])
		a.kind, a.big = kind{text[1], size}, text[0] == '>'
		if most := 1 << 20; err == nil && size > 0 && size <= most && (text[1] == 'U' || text[1] == 'S') {
			a.Type = "text"
			if text[1] == 'U' {
				a.kind.size *= 4 // the size in the text counts characters, each of which has 4 bytes of UTF-32
			}
			return nil
		}
		if a.Type, ok = names[a.kind]; err == nil && ok {
			return nil
		}
		if err == nil && a.kind == (kind{'V', 2}) { // NumPy has no name for the bfloat16 of ml_dtypes and JAX
			return fmt.Errorf("its elements are of type %q, two bytes that NumPy has no name for, as of bfloat16: save them with .astype('float32'), or as safetensors", text)
		}
	}
	return fmt.Errorf("its elements are of type %q: want floats of 16, 32 or 64 bits, integers, booleans or text", text)
}

// tuple reads a tuple of lengths, such as (3, 4) or (5,).
func (s *scanner) tuple() ([]int, error) {
	if !s.take("(") {
		return nil, errHeader
	}
	shape := []int{}
	for !s.take(")") {
		end := strings.IndexFunc(s.rest, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 {
			return nil, errHeader
		}
		n, err := strconv.Atoi(s.rest[:end])
		if err != nil {
			return nil, fmt.Errorf("a dimension of %.40s: more than can be addressed", s.rest[:end])
		}
		s.rest = s.rest[end:]
		s.take("L") // Python 2 wrote it behind long integers
		if shape = append(shape, n); len(shape) > maxDims {
			return nil, fmt.Errorf("more than %d dimensions", maxDims)
		}
		if !s.take(",") && !strings.HasPrefix(s.rest, ")") {
			return nil, errHeader
		}
	}
	return shape, nil
}
