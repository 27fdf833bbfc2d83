package dataset

import (
	"bufio"
	"bytes"
	"fmt"

	"github.com/logitscope/logitscope/internal/files"
)

// textColumn is the name of the column that holds the texts of a folder.
const textColumn = "text"

// textFolder reads a folder that holds a folder of texts for each class, as a table of texts and classes.
func textFolder(path string, o Options) (*table, error) {
	classes, names, codes, err := listFolder(path, isDocument)
	if err != nil {
		return nil, err
	}
	t := &table{path: path, names: []string{textColumn, labelColumn}, countRows: true}
	for i, name := range names {
		if err := t.addText(name, o); err != nil {
			return nil, err
		}
		t.addField([]byte(classes[codes[i]]))
		t.starts = append(t.starts, uint32(len(t.data)))
	}
	return t, nil
}

// looseTexts reads the texts of a folder, or of the folders in it, as a table of one column.
func looseTexts(path, column string, o Options) (*table, error) {
	names, err := looseFiles(path, isDocument)
	if err != nil {
		return nil, err
	}
	t := &table{path: path, names: []string{column}, countRows: true}
	for _, name := range names {
		if err := t.addText(name, o); err != nil {
			return nil, err
		}
		t.starts = append(t.starts, uint32(len(t.data)))
	}
	return t, nil
}

// addText adds the content of a file as a field.
func (t *table) addText(path string, o Options) error {
	if err := o.ended(); err != nil {
		return err
	}
	raw, err := files.Read(path, o.maxBytes())
	if err != nil {
		return err
	}
	s := &source{path: path, in: bufio.NewReaderSize(bytes.NewReader(raw), headSize), size: int64(len(raw)), limit: o.maxBytes(), encoding: o.Encoding}
	if err := s.decode(); err != nil {
		return err
	}
	text, err := s.all()
	if err != nil {
		return err
	}
	one := table{path: path, data: text}
	if err := one.checkText(false); err != nil {
		return err
	}
	if int64(len(t.data)+len(text)) > min(o.maxBytes(), maxTable-1) {
		return fmt.Errorf("%s holds more than %d bytes of texts", t.path, o.maxBytes())
	}
	t.addField(text)
	return nil
}

// addField adds a field to the last row.
func (t *table) addField(f []byte) {
	t.starts = append(t.starts, uint32(len(t.data)))
	t.data = append(append(t.data, f...), 0)
}
