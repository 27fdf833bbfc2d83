package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	columns "github.com/apache/arrow-go/v18/arrow/array"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/mmap"
	"github.com/logitscope/logitscope/internal/untrusted"
	"github.com/logitscope/logitscope/record"
)

// The memory in bytes that the Arrow library may use for a file is freeMemory, whatever the file's size, and maxInflate times its size.
const (
	freeMemory = 64 << 20
	maxInflate = 64
)

var arrowReader = reader{
	name: "arrow", begins: startsWith("ARROW1", "\xff\xff\xff\xff"), ends: []string{".arrow", ".arrows", ".ipc", ".feather"},
	text: "a file or a stream with columns as of CSV, or the logits as one column of lists; float16, float32 and float64",
	open: func(path string, o *ImportOptions) (*input, error) { return openArrow([]string{path}, nil, o) },
}

// openArrow opens files that have the same columns as one input, whose rows come file after file.
func openArrow(paths []string, classes []string, o *ImportOptions) (*input, error) {
	var told columnsOf
	each := func(ctx context.Context, path string, use func(arrow.RecordBatch) error) (err error) {
		raw, unmap, err := mmap.Open(path)
		if err != nil {
			return err
		}
		defer unmap()
		defer untrusted.Catch(&err, path)
		reader, err := untrusted.Arrow(raw, freeMemory+maxInflate*int64(len(raw)))
		if err != nil {
			return err
		}
		defer reader.Release()
		first := told.classes
		if told, err = findArrowColumns(reader.Schema().Fields(), o); err != nil {
			return err
		}
		if path != paths[0] && !slices.Equal(told.classes, first) {
			return fmt.Errorf("its logits are of %s, and those of the first file of %s: every file must have the same, in one order", fewOf(told.classes), fewOf(first))
		}
		for {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			batch, err := reader.Read()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			n := batch.NumRows()
			for i, a := range batch.Columns() {
				if int64(a.Len()) != n {
					return fmt.Errorf("column %s has %d values for %d rows", batch.ColumnName(i), a.Len(), n)
				}
			}
			step := int64(blockRows(told.rowCost(told.width(batch)))) // a file may be a single batch
			for from := int64(0); from < n; from += step {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				part := batch.NewSlice(from, min(from+step, n))
				err := use(part)
				part.Release()
				if err != nil {
					return err
				}
			}
		}
	}
	// The first file says what the columns are.
	enough := errors.New("enough")
	for _, path := range paths[:1] {
		if err := each(context.Background(), path, func(arrow.RecordBatch) error { return enough }); err != nil && !errors.Is(err, enough) {
			return nil, err
		}
	}
	if classes == nil {
		classes = told.classes
	}
	return &input{classes: classes, close: func() error { return nil }, each: func(ctx context.Context, use func(*rows) error) error {
		at := 0
		for _, path := range paths {
			err := each(ctx, path, func(batch arrow.RecordBatch) error {
				r, err := rowsOfBatch(batch, told)
				if err == nil && r.n > 0 {
					r.first = fmt.Sprintf("row %d", at)
					at += r.n
					err = use(r)
				}
				return err
			})
			if err != nil {
				if len(paths) > 1 {
					err = fmt.Errorf("%s: %w", filepath.Base(path), err)
				}
				return err
			}
		}
		return nil
	}}, nil
}

// findArrowColumns says what each column holds. Where a column of lists is named as logits are, its lists are all the logits of their rows.
func findArrowColumns(fields []arrow.Field, o *ImportOptions) (columnsOf, error) {
	var names []string
	isText := func(i int) bool { return i < len(fields) && holdsText(fields[i].Type) }
	for _, f := range fields {
		if _, ok := listOf(f.Type); ok && (logitName.MatchString(f.Name+":") || f.Name == "logits") {
			c, err := findColumns(append(namesOf(fields), "logits:"), o, func(i int) bool { return i == len(fields) }, isText)
			if err == nil {
				c.logits, c.classes = []int{slices.IndexFunc(fields, func(g arrow.Field) bool { return g.Name == f.Name })}, nil
			}
			return c, err
		}
		names = append(names, f.Name)
	}
	return findColumns(names, o, func(i int) bool { return arrow.IsFloating(fields[i].Type.ID()) || arrow.IsInteger(fields[i].Type.ID()) }, isText)
}

// holdsText reports whether the values of a type are text.
func holdsText(t arrow.DataType) bool {
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	return t.ID() == arrow.STRING || t.ID() == arrow.LARGE_STRING || t.ID() == arrow.STRING_VIEW
}

func namesOf(fields []arrow.Field) []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return names
}

func listOf(t arrow.DataType) (element arrow.DataType, ok bool) {
	if list, is := t.(arrow.ListLikeType); is && t.ID() != arrow.MAP {
		return list.Elem(), true
	}
	return nil, false
}

// rowsOfBatch reads the columns of a batch.
func rowsOfBatch(batch arrow.RecordBatch, c columnsOf) (*rows, error) {
	n := int(batch.NumRows())
	r := &rows{n: n}
	var err error
	get := func(i int, numbers *[]int64, texts *[]string) {
		if i >= 0 && err == nil {
			if *numbers, *texts, err = integersOrTexts(batch.Column(i)); err != nil {
				err = fmt.Errorf("column %s: %w", batch.ColumnName(i), err)
			}
		}
	}
	var none []string
	var nothing []int64
	get(c.epoch, &r.epochs, &none)
	get(c.split, &nothing, &r.splits)
	get(c.id, &r.ids, &r.names)
	get(c.label, &r.labels, &r.labelNames)
	var numbers []int64
	get(c.text, &numbers, &r.texts)
	switch {
	case err != nil:
		return nil, err
	case numbers != nil:
		return nil, fmt.Errorf("the column %s is numbers: want text", batch.ColumnName(c.text))
	case none != nil:
		return nil, errors.New("the column of epochs is text: want whole numbers")
	case nothing != nil:
		return nil, errors.New("the column of splits is numbers: want names, such as train and val")
	}
	for i, text := range r.texts {
		r.texts[i] = record.CutText(text, record.TextBytes)
	}
	if len(c.logits) == 1 {
		if values, width, ok, err := lists(batch.Column(c.logits[0])); ok || err != nil {
			r.wide, r.columns = values, width
			return r, err
		}
	}
	r.columns = len(c.logits)
	r.wide = make([]float64, n*r.columns)
	for j, i := range c.logits {
		column, err := floatsOf(batch.Column(i))
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", batch.ColumnName(i), err)
		}
		for row, z := range column {
			r.wide[row*r.columns+j] = z
		}
	}
	return r, nil
}

// width returns how many logits the first row of a batch has.
func (c *columnsOf) width(batch arrow.RecordBatch) int {
	if list, ok := batch.Column(c.logits[0]).(columns.ListLike); ok && list.Len() > 0 {
		from, to := list.ValueOffsets(0)
		return int(to - from)
	}
	return len(c.logits)
}

// lists reads a column of lists, all of the same length; ok is false where the column holds no lists.
func lists(a arrow.Array) (values []float64, width int, ok bool, err error) {
	list, ok := a.(columns.ListLike)
	if !ok {
		return nil, 0, false, nil
	}
	if a.Len() == 0 {
		return nil, 1, true, nil
	}
	first, end := list.ValueOffsets(0)
	for i := range a.Len() { // the lists may lie in any order, and among others
		if from, to := list.ValueOffsets(i); !a.IsNull(i) {
			first, end = min(first, from), max(end, to)
		}
	}
	part := columns.NewSlice(list.ListValues(), first, end)
	defer part.Release()
	all, err := floatsOf(part)
	if err != nil {
		return nil, 0, true, err
	}
	for i := range a.Len() {
		from, to := list.ValueOffsets(i)
		from, to = from-first, to-first
		if i == 0 {
			width = int(to - from)
			values = make([]float64, 0, a.Len()*width)
		}
		if a.IsNull(i) || int(to-from) != width || width == 0 {
			return nil, 0, true, fmt.Errorf("row %d has %d logits, and the first %d: want as many in each", i, to-from, width)
		}
		values = append(values, all[from:to]...)
	}
	return values, width, true, nil
}

// floatsOf returns the values of a column of numbers, NaN for a missing one.
func floatsOf(a arrow.Array) ([]float64, error) {
	values := make([]float64, a.Len())
	var at func(i int) float64
	switch a := a.(type) {
	case *columns.Float16:
		at = func(i int) float64 { return float64(a.Value(i).Float32()) }
	case *columns.Float32:
		at = func(i int) float64 { return float64(a.Value(i)) }
	case *columns.Float64:
		at = a.Value
	default:
		whole, _, err := integersOrTexts(a)
		if err != nil || whole == nil {
			return nil, fmt.Errorf("its values are %s: want numbers", a.DataType())
		}
		at = func(i int) float64 { return float64(whole[i]) }
	}
	for i := range values {
		if values[i] = at(i); a.IsNull(i) {
			values[i] = math.NaN()
		}
	}
	return values, nil
}

// integersOrTexts returns the values of a column of whole numbers, −1 for a missing one, or of texts, "" for a missing one.
func integersOrTexts(a arrow.Array) (numbers []int64, texts []string, err error) {
	var number func(i int) int64
	var text func(i int) string
	switch a := a.(type) {
	case *columns.Int8:
		number = func(i int) int64 { return int64(a.Value(i)) }
	case *columns.Int16:
		number = func(i int) int64 { return int64(a.Value(i)) }
	case *columns.Int32:
		number = func(i int) int64 { return int64(a.Value(i)) }
	case *columns.Int64:
		number = a.Value
	case *columns.Uint8:
		number = func(i int) int64 { return int64(a.Value(i)) }
	case *columns.Uint16:
		number = func(i int) int64 { return int64(a.Value(i)) }
	case *columns.Uint32:
		number = func(i int) int64 { return int64(a.Value(i)) }
	case *columns.Uint64:
		number = func(i int) int64 { return int64(min(a.Value(i), math.MaxInt64)) }
	case *columns.Boolean:
		number = func(i int) int64 {
			if a.Value(i) {
				return 1
			}
			return 0
		}
	default:
		text = textOf(a)
	}
	if number == nil && text == nil {
		return nil, nil, fmt.Errorf("its values are %s: want whole numbers or text", a.DataType())
	}
	for i := range a.Len() {
		switch missing := a.IsNull(i); {
		case number != nil && missing:
			numbers = append(numbers, -1)
		case number != nil:
			numbers = append(numbers, number(i))
		default:
			texts = append(texts, strings.Clone(text(i)))
		}
	}
	return numbers, texts, nil
}

// textOf returns a function that returns the text of each row of a column, "" for a missing one; nil where the column holds no text.
func textOf(a arrow.Array) func(i int) string {
	switch a := a.(type) {
	case interface {
		arrow.Array
		Value(i int) string
	}:
		return func(i int) string {
			if a.IsNull(i) {
				return ""
			}
			return a.Value(i)
		}
	case *columns.Dictionary:
		if text := textOf(a.Dictionary()); text != nil {
			return func(i int) string {
				if a.IsNull(i) {
					return ""
				}
				return text(a.GetValueIndex(i))
			}
		}
	}
	return nil
}

var datasetReader = reader{
	name: "a folder of Hugging Face datasets",
	text: "as save_to_disk writes it: columns as of Arrow, the names of its classes; of a DatasetDict each part is a split",
	open: openDataset,
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

const maxJSON = 16 << 20 // bytes of a JSON file of a folder

// openDataset opens a folder as save_to_disk writes it.
func openDataset(path string, o *ImportOptions) (*input, error) {
	var dict struct {
		Splits []string `json:"splits"`
	}
	if err := readJSON(filepath.Join(path, "dataset_dict.json"), &dict); err == nil {
		return openDict(path, dict.Splits, o)
	}
	var state struct {
		Files []struct {
			Name string `json:"filename"`
		} `json:"_data_files"`
	}
	if err := readJSON(filepath.Join(path, "state.json"), &state); err != nil || len(state.Files) == 0 {
		return nil, errors.New("the folder holds no dataset that save_to_disk wrote: name the files in it, as a pattern such as FOLDER/{epoch}_{split}.npz")
	}
	var info struct {
		Features map[string]struct {
			Names []string `json:"names"`
		} `json:"features"`
	}
	if err := readJSON(filepath.Join(path, "dataset_info.json"), &info); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var classes []string
	for name, feature := range info.Features {
		if slices.Contains(labelNames, strings.ToLower(name)) && feature.Names != nil {
			classes = feature.Names
		}
	}
	var paths []string
	for _, f := range state.Files {
		if !filepath.IsLocal(f.Name) {
			return nil, fmt.Errorf("state.json names the file %q, which is outside of the folder", f.Name)
		}
		paths = append(paths, filepath.Join(path, f.Name))
	}
	return openArrow(paths, classes, o)
}

// openDict opens each part of a DatasetDict as a split.
func openDict(path string, splits []string, o *ImportOptions) (*input, error) {
	all := &input{close: func() error { return nil }}
	var parts []*input
	for _, split := range splits {
		if !filepath.IsLocal(split) {
			return nil, fmt.Errorf("dataset_dict.json names the split %q, which is outside of the folder", split)
		}
		in, err := openDataset(filepath.Join(path, split), o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", split, err)
		}
		if parts = append(parts, in); !slices.Equal(parts[0].classes, in.classes) {
			return nil, fmt.Errorf("%s: its classes are %s, and those of %s are %s: every split must have the same, in one order", split, fewOf(in.classes), splits[0], fewOf(parts[0].classes))
		}
		all.classes = in.classes
	}
	all.each = func(ctx context.Context, use func(*rows) error) error {
		for i, in := range parts {
			err := in.each(ctx, func(r *rows) error {
				if r.splits == nil {
					r.splits = []string{splitNamed(splits[i])}
				}
				return use(r)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", splits[i], err)
			}
		}
		return nil
	}
	return all, nil
}

// splitNamed returns the name that a run gives to a split of a data set.
func splitNamed(name string) string {
	if name = strings.ToLower(name); name == "validation" || name == "valid" || name == "dev" || name == "eval" {
		return record.ValSplit
	}
	return name
}

func readJSON(path string, into any) error {
	raw, err := files.Read(path, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}
