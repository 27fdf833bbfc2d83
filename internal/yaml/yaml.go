// Package yaml reads YAML files that may be hostile.
//
// A parser of YAML takes memory and time beyond what a file's size suggests: for nesting, for many keys, for long keys above
// many others, and for anchors that are used again and again. So a file is measured before it is parsed, by its tokens, and
// before it is decoded, by what its aliases stand for.
package yaml

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// Bounds on a file, far above what anyone writes as settings.
const (
	MaxBytes  = 1 << 20
	maxDepth  = 100
	maxTokens = 12_000  // the parser's time grows with the square of a mapping's keys, of which 4,000 take it about half a second
	maxNodes  = 50_000  // with every alias in full
	maxPaths  = 4 << 20 // bytes of the paths of all tokens together, since the parser stores for each token the keys above it
)

// Unmarshal decodes the only document in text into the value that into points to. A key that the value does not have is an error. Fields that the file
// does not name stay as they are.
func Unmarshal(text []byte, into any) error {
	if err := Check(text); err != nil {
		return err
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return err
	}
	documents := file.Docs
	for len(documents) > 0 && documents[len(documents)-1].Body == nil {
		documents = documents[:len(documents)-1] // nothing stands behind a closing --- or ...
	}
	switch len(documents) {
	case 0:
		return nil
	case 1:
	default:
		return fmt.Errorf("it holds %d documents: give one", len(documents))
	}
	e := expansion{sizes: map[string]int{}}
	if _, err := e.size(documents[0].Body); err != nil {
		return err
	}
	return yaml.UnmarshalWithOptions(text, into, yaml.Strict())
}

// level is a list or mapping that contains the current token.
type level struct {
	column int  // the column of its entries; 0 within brackets, where columns have no meaning
	list   bool // whether it is a list written with dashes
	path   int  // bytes of the keys above it
}

// Check returns an error for a file for which the parser would take too much memory or time.
func Check(text []byte) error {
	if len(text) > MaxBytes {
		return fmt.Errorf("it holds %d bytes: want at most %d", len(text), MaxBytes)
	}
	// The scanner may split all of a text into tokens before it returns the first. So it is given the beginning of the text, and then longer and
	// longer beginnings as long as these pass.
	for size := firstBytes; ; size += size / 4 {
		if err := check(text[:min(size, len(text))]); err != nil || size >= len(text) {
			return err
		}
	}
}

const firstBytes = 64 << 10

func check(text []byte) error {
	var s scanner.Scanner
	s.Init(string(text))
	m := measure{}
	for {
		tokens, err := s.Scan()
		for _, t := range tokens {
			if err := m.add(t); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // the end of the text, or an error that the parser reports better
		}
	}
}

// measure counts what the tokens of a file cost the parser.
type measure struct {
	open   []level
	n      int          // tokens so far
	paths  int          // bytes of the paths of these tokens together
	key    int          // bytes of the last key
	before *token.Token // the last token that was not a comment
}

func (m *measure) add(t *token.Token) error {
	at := fmt.Sprintf("line %d", t.Position.Line)
	switch t.Type {
	case token.CommentType:
		return nil
	case token.TagType, token.DirectiveType, token.MappingKeyType:
		return fmt.Errorf("%s: %q is YAML that settings do not need: leave it out", at, strings.TrimSpace(t.Value))
	case token.SequenceStartType, token.MappingStartType:
		m.push(level{})
	case token.SequenceEndType, token.MappingEndType:
		if n := len(m.open); n > 0 && m.open[n-1].column == 0 {
			m.open = m.open[:n-1]
		}
	case token.SequenceEntryType:
		m.entry(t.Position.Column, true)
	case token.MappingValueType:
		if m.before != nil {
			m.key = len(m.before.Value)
			m.entry(m.before.Position.Column, false)
		}
	}
	m.n++
	m.paths += len(t.Value)
	if n := len(m.open); n > 0 {
		m.paths += m.open[n-1].path
	}
	m.before = t
	switch {
	case len(m.open) > maxDepth:
		return fmt.Errorf("%s: lists and mappings within each other more than %d deep", at, maxDepth)
	case m.n > maxTokens:
		return fmt.Errorf("%s: more than %d words and signs up to here: too many for settings", at, maxTokens)
	case m.paths > maxPaths:
		return fmt.Errorf("%s: keys too long for as many values below them", at)
	}
	return nil
}

// entry opens a list or mapping for an entry in this column, unless it is open already, and closes those of columns further right.
func (m *measure) entry(column int, list bool) {
	for n := len(m.open); n > 0; n-- {
		top := m.open[n-1]
		if top.column == 0 {
			return // within brackets, columns have no meaning
		}
		if top.column < column || top.column == column && list && !top.list {
			break
		}
		if top.column == column && top.list == list {
			return
		}
		m.open = m.open[:n-1]
	}
	m.push(level{column: column, list: list})
}

func (m *measure) push(l level) {
	if n := len(m.open); n > 0 {
		l.path = m.open[n-1].path
	}
	l.path += m.key + 1
	m.open = append(m.open, l)
}

// expansion counts the nodes of a document with every alias replaced by what it stands for.
type expansion struct {
	sizes map[string]int // nodes of the value of each anchor; 0 while the value is being counted
	total int
}

var (
	errExpansion = fmt.Errorf("its aliases stand for more than %d values", maxNodes)
	errRecursive = errors.New("an alias stands within what it stands for")
)

// size returns how many nodes a node contains, itself included.
func (e *expansion) size(node ast.Node) (int, error) {
	n := 1
	below := func(nodes ...ast.Node) error {
		for _, node := range nodes {
			more, err := e.size(node)
			if err != nil {
				return err
			}
			n += more
		}
		return nil
	}
	var err error
	switch node := node.(type) {
	case *ast.MappingNode:
		for _, value := range node.Values {
			if err = below(value); err != nil {
				return 0, err
			}
		}
	case *ast.MappingValueNode:
		err = below(node.Key, node.Value)
	case *ast.SequenceNode:
		err = below(node.Values...)
	case *ast.AnchorNode:
		name := node.Name.String()
		e.sizes[name] = 0
		err = below(node.Value)
		e.sizes[name] = n
	case *ast.AliasNode:
		name := node.Value.String()
		size, ok := e.sizes[name]
		switch {
		case !ok:
			return 0, fmt.Errorf("*%s stands for nothing: there is no &%s before it", name, name)
		case size == 0:
			return 0, errRecursive
		}
		n += size
		e.total += size
	}
	e.total++
	if err == nil && max(n, e.total) > maxNodes {
		err = errExpansion
	}
	return n, err
}
