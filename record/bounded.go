package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// These types are the lists in a run's JSON files. Each is read up to a number of entries only, because a file within its bound on bytes may hold
// millions of entries, each of which takes many times more memory than bytes in the file.
type (
	splitFiles  []splitFile
	fileInfos   []fileInfo
	epochSplits []epochSplit
	partInfos   []partInfo
)

// maxFiles bounds the number of files that a caller gives to a run or to a checkpoint.
const maxFiles = 1 << 16

func (l *splitFiles) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[splitFile](data, maxSplits, "splits")
	return err
}

func (l *fileInfos) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[fileInfo](data, maxFiles, "files")
	return err
}

func (l *epochSplits) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[epochSplit](data, maxSplits, "splits")
	return err
}

func (l *partInfos) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[partInfo](data, maxParts, "parts")
	return err
}

// boundedManifest is manifest.json as it is read: its lists are bounded, and the names of classes are decoded last.
type boundedManifest struct {
	manifestJSON
	Classes  json.RawMessage `json:"classes"`
	Needs    needNames       `json:"needs"`
	Source   *boundedSource  `json:"source"`
	Versions versions        `json:"versions"`
}

type boundedSource struct {
	Source
	Files sourceFiles `json:"files"`
}

type (
	needNames   []string
	sourceFiles []SourceFile
	versions    map[string]string
)

// Bounds on how many entries the lists of a manifest may have.
const (
	maxNeeds       = 64
	maxVersions    = 1 << 10
	maxSourceFiles = 1 << 16
)

// manifest returns what was read as a manifestJSON. It is an error where there are more classes than columns, or more than 2 for one column.
func (b *boundedManifest) manifest() (m manifestJSON, err error) {
	m = b.manifestJSON
	m.Needs, m.Versions = b.Needs, b.Versions
	if b.Source != nil {
		m.Source = &b.Source.Source
		m.Source.Files = b.Source.Files
	}
	if err := checkNames(b.Classes, min(max(m.Columns, 2), maxColumns)); err != nil {
		return m, fmt.Errorf("%w, for %d columns", err, m.Columns)
	}
	if b.Classes == nil {
		return m, nil
	}
	return m, json.Unmarshal(b.Classes, &m.Manifest.Classes)
}

// checkNames returns an error unless data, which is valid JSON, is null or a list of at most most strings. It allocates nothing for them.
func checkNames(data []byte, most int) error {
	if data == nil || string(data) == "null" {
		return nil
	}
	if data[0] != '[' {
		return errors.New("classes are no list")
	}
	n := 0
	for at := 1; data[at] != ']'; at++ {
		switch data[at] {
		case ' ', '\t', '\n', '\r', ',':
			continue
		case '"':
		default:
			return fmt.Errorf("class %d is no text", n)
		}
		if n++; n > most {
			return fmt.Errorf("more than %d classes", most)
		}
		for at++; data[at] != '"'; at++ {
			if data[at] == '\\' {
				at++
			}
		}
	}
	return nil
}

func (l *needNames) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[string](data, maxNeeds, "needs")
	return err
}

func (l *sourceFiles) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[SourceFile](data, maxSourceFiles, "source files")
	return err
}

func (v *versions) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return errors.New("versions are no object")
	}
	*v = versions{}
	for n := 0; d.More(); n++ {
		if n == maxVersions {
			return errManyVersions
		}
		name, err := d.Token()
		if err != nil {
			return err
		}
		var version string
		if err := d.Decode(&version); err != nil {
			return err
		}
		(*v)[name.(string)] = version // the keys of a JSON object are strings
	}
	return nil
}

var errManyVersions = fmt.Errorf("more than %d versions", maxVersions)

// few decodes a JSON list of at most most entries. what names them in errors.
func few[T any](data []byte, most int, what string) (list []T, err error) {
	if string(data) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return nil, fmt.Errorf("%s are no list", what)
	}
	for d.More() {
		if len(list) == most {
			return nil, fmt.Errorf("more than %d %s", most, what)
		}
		var next T
		if err := d.Decode(&next); err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}
