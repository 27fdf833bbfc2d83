package convert

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/internal/files"
)

// The names of columns, and of the members of objects, that tell what a row is. Case does not matter.
var (
	idNames    = []string{"id", "guid", "index", "sample_id", "sample", "idx"}
	labelNames = []string{"label", "labels", "gold", "target", "y", "class"}
	logitName  = regexp.MustCompile(`(?i)^(?:logits?|scores?|outputs?|probs?|logprobs?|z)(?:[:._ ](.*)|([0-9]+))$`)
	dynamics   = regexp.MustCompile(`^logits_epoch_([0-9]+)$`)
)

// bareNumbers are numbers that JSON has not, behind what stands before a value.
var bareNumbers = regexp.MustCompile(`([\[,:]\s*)(NaN|-?Infinity)\b`)

// columnsOf says what the columns of a table are, each an index or -1.
type columnsOf struct {
	epoch, split, id, label int
	logits                  []int
	classes                 []string // as the logits' columns are called; nil where they are only numbered
}

// tellColumns tells the columns of a table by their names. taken reports whether a column may hold a logit. Where no column is called
// as a logit is, all that are left are.
func tellColumns(names []string, mayBe func(i int) bool) (columnsOf, error) {
	c := columnsOf{epoch: -1, split: -1, id: -1, label: -1}
	var called []string
	var left []int
	for i, name := range names {
		lower := strings.ToLower(strings.TrimSpace(name))
		at := &c.epoch
		switch {
		case lower == "epoch":
		case lower == "split":
			at = &c.split
		case slices.Contains(idNames, lower):
			at = &c.id
		case slices.Contains(labelNames, lower):
			at = &c.label
		case lower == "label_name" || lower == "clean_label":
			continue
		case lower == "targets":
			return c, errors.New("it has a column targets: logits of samples with several classes each are not imported")
		default:
			if match := logitName.FindStringSubmatch(strings.TrimSpace(name)); match != nil && mayBe(i) {
				c.logits, called = append(c.logits, i), append(called, match[1]+match[2])
			} else if mayBe(i) {
				left = append(left, i)
			}
			continue
		}
		if *at >= 0 {
			return c, fmt.Errorf("columns %s and %s both tell the same: leave one out", names[*at], name)
		}
		*at = i
	}
	if c.logits == nil {
		for _, i := range left {
			c.logits, called = append(c.logits, i), append(called, names[i])
		}
	}
	if c.logits == nil {
		return c, fmt.Errorf("no column holds logits: it has %s; call them logit:CLASS", strings.Join(names[:min(len(names), 12)], ", "))
	}
	if slices.ContainsFunc(called, func(name string) bool { _, err := strconv.Atoi(name); return err != nil }) {
		c.classes = called
	}
	return c, nil
}

var csvReader = reader{
	name: "csv", ends: []string{".csv", ".tsv"},
	text: "a row a sample, with a header: epoch, split, id, label (a class or its name) and a column a class, called logit:CLASS or as the class",
	open: openCSV,
}

func openCSV(path string, _ *ImportOptions) (*input, error) {
	begin := func() (*os.File, *csv.Reader, []string, error) {
		file, _, err := files.Open(path)
		if err != nil {
			return nil, nil, nil, err
		}
		buffered := bufio.NewReaderSize(file, 1<<20)
		if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
			buffered.Discard(3)
		}
		in := csv.NewReader(buffered)
		in.ReuseRecord = true
		if head, _ := buffered.Peek(4096); !bytes.ContainsRune(firstLine(head), ',') {
			for _, other := range "\t;" {
				if bytes.ContainsRune(firstLine(head), other) {
					in.Comma = other
				}
			}
		}
		header, err := in.Read()
		if err != nil {
			file.Close()
			if err == io.EOF {
				err = errors.New("it is empty")
			}
			return nil, nil, nil, err
		}
		if strings.Contains(strings.Join(header, ""), "\r") {
			file.Close()
			return nil, nil, nil, errors.New(`its lines end in carriage returns alone: write it with line feeds (tr '\r' '\n')`)
		}
		return file, in, slices.Clone(header), nil
	}
	file, _, header, err := begin()
	if err != nil {
		return nil, err
	}
	file.Close()
	if !slices.ContainsFunc(header, func(name string) bool { _, err := strconv.ParseFloat(name, 64); return err != nil }) {
		return nil, errors.New("its first row is numbers: name the columns, as epoch, split, id, label and logit:CLASS, or give the numbers as .npy")
	}
	c, err := tellColumns(header, func(int) bool { return true })
	if err != nil {
		return nil, err
	}
	return &input{classes: c.classes, close: func() error { return nil }, each: func(ctx context.Context, use func(*rows) error) error {
		file, in, _, err := begin()
		if err != nil {
			return err
		}
		defer file.Close()
		for {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			r, err := c.block(in, header)
			if err != nil || r.n == 0 {
				return err
			}
			if err := use(r); err != nil {
				return err
			}
		}
	}}, nil
}

func firstLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return line
}

// block reads the next rows, none at the end.
func (c *columnsOf) block(in *csv.Reader, header []string) (*rows, error) {
	r := &rows{columns: len(c.logits)}
	for r.n < blockRows(r.columns) {
		fields, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		at := fmt.Sprintf("line %d", line)
		if r.n == 0 {
			r.first = at
		}
		r.n++
		if c.epoch >= 0 {
			epoch, err := strconv.ParseInt(strings.TrimSpace(fields[c.epoch]), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: epoch %q is no whole number", at, fields[c.epoch])
			}
			r.epochs = append(r.epochs, epoch)
		}
		if c.split >= 0 {
			r.splits = append(r.splits, strings.Clone(fields[c.split]))
		}
		if c.id >= 0 {
			r.names = append(r.names, strings.Clone(fields[c.id]))
		}
		if c.label >= 0 {
			r.labelNames = append(r.labelNames, strings.Clone(fields[c.label]))
		}
		for _, i := range c.logits {
			z, err := number(fields[i])
			if err != nil {
				return nil, fmt.Errorf("%s: column %s: %w", at, header[i], err)
			}
			r.wide = append(r.wide, z)
		}
	}
	return r, nil
}

func number(text string) (float64, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return math.NaN(), nil
	}
	z, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%.40q is not a number", text)
	}
	return z, nil
}

var linesReader = reader{
	name: "jsonl", ends: []string{".jsonl", ".ndjson"},
	text: `an object a line: logits (a list), label (a class or its name), id, epoch, split; and training dynamics of Dataset Cartography: guid, logits_epoch_0, gold`,
	open: openLines,
}

const maxLine = 64 << 20 // bytes of a line: those of 256,000 logits take a tenth

func openLines(path string, _ *ImportOptions) (*input, error) {
	file, _, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	file.Close()
	return &input{close: func() error { return nil }, each: func(ctx context.Context, use func(*rows) error) error {
		file, _, err := files.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(make([]byte, 1<<16), maxLine)
		r, number := &rows{}, 0
		flush := func() error {
			if r.n == 0 {
				return nil
			}
			if err := cmp.Or(context.Cause(ctx), r.check()); err != nil {
				return err
			}
			err := use(r)
			r = &rows{}
			return err
		}
		for lines.Scan() {
			number++
			text := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte("\ufeff")))
			if len(text) == 0 {
				continue
			}
			if r.n == 0 {
				r.first = fmt.Sprintf("line %d", number)
			}
			if err := r.addObject(text); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			if r.n >= blockRows(r.columns) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("line %d: %w", number+1, err)
		}
		return flush()
	}}, nil
}

// addObject adds a row that is a JSON object.
func (r *rows) addObject(text []byte) error {
	var members map[string]json.RawMessage
	err := json.Unmarshal(text, &members)
	if err != nil && bareNumbers.Match(text) { // as Python writes them
		err = json.Unmarshal(bareNumbers.ReplaceAll(text, []byte(`$1"$2"`)), &members)
	}
	if err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	r.n++
	logits, label, labelName := 0, int64(-1), ""
	for name, raw := range members {
		lower := strings.ToLower(name)
		match := dynamics.FindStringSubmatch(name)
		var err error
		switch {
		case lower == "epoch":
			var epoch int64
			err = json.Unmarshal(raw, &epoch)
			r.epochs = append(r.epochs, epoch)
		case lower == "split":
			var split string
			err = json.Unmarshal(raw, &split)
			r.splits = append(r.splits, split)
		case slices.Contains(idNames, lower):
			var id int64
			var text string
			if id, text, err = either(raw); text != "" {
				r.names = append(r.names, text)
			} else {
				r.ids = append(r.ids, id)
			}
		case slices.Contains(labelNames, lower):
			if string(raw) != "null" {
				if label, labelName, err = either(raw); labelName != "" {
					label = -1
				}
			}
		case lower == "logits" || lower == "logprobs" || lower == "probs" || lower == "scores" || match != nil:
			if logits++; logits > 1 {
				return errors.New("it has two lists of logits: leave one out")
			}
			var list floats
			if err = json.Unmarshal(raw, &list); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if r.n == 1 {
				r.columns = len(list)
			}
			if len(list) != r.columns {
				return fmt.Errorf("%d logits, where the rows before have %d", len(list), r.columns)
			}
			r.wide = append(r.wide, list...)
			if match != nil {
				epoch, err := strconv.ParseInt(match[1], 10, 64)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				r.epochs = append(r.epochs, epoch+1) // they count from 0, and epoch 0 is the untrained network here
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if logits == 0 {
		return errors.New("it has no list called logits")
	}
	r.labels, r.labelNames = append(r.labels, label), append(r.labelNames, labelName)
	return nil
}

// check holds that every row tells the same, and leaves of the labels the kind that there is.
func (r *rows) check() error {
	for what, n := range map[string]int{"epoch": len(r.epochs), "split": len(r.splits), "id": len(r.ids) + len(r.names)} {
		if n != 0 && n != r.n {
			return fmt.Errorf("from %s on: some of %d rows have a member %s, and some have none, or two", r.first, r.n, what)
		}
	}
	numbers := slices.ContainsFunc(r.labels, func(v int64) bool { return v != -1 })
	texts := slices.ContainsFunc(r.labelNames, func(v string) bool { return v != "" })
	if len(r.ids) > 0 && len(r.names) > 0 || numbers && texts {
		return fmt.Errorf("from %s on: ids, or labels, are numbers in some rows and text in others", r.first)
	}
	if !texts {
		r.labelNames = nil
	}
	if texts || !numbers && !texts {
		r.labels = nil
	}
	return nil
}

// either reads a whole number, or a text.
func either(raw json.RawMessage) (number int64, text string, err error) {
	if err := json.Unmarshal(raw, &number); err == nil {
		return number, "", nil
	}
	if err := json.Unmarshal(raw, &text); err != nil || text == "" {
		return 0, "", fmt.Errorf("%.40s is neither a whole number nor text", raw)
	}
	return 0, text, nil
}

// floats is a list of numbers in JSON, of which those that are not finite are text.
type floats []float64

// UnmarshalJSON implements json.Unmarshaler.
func (f *floats) UnmarshalJSON(raw []byte) error {
	var plain []float64
	if err := json.Unmarshal(raw, &plain); err == nil && !bytes.Contains(raw, []byte("null")) {
		*f = plain
		return nil
	}
	var mixed []any
	if err := json.Unmarshal(raw, &mixed); err != nil {
		return errors.New("want a list of numbers")
	}
	*f = make([]float64, len(mixed))
	for i, v := range mixed {
		switch v := v.(type) {
		case float64:
			(*f)[i] = v
		case nil:
			(*f)[i] = math.NaN()
		case string:
			z, err := number(v)
			if err != nil {
				return fmt.Errorf("logit %d: %w", i, err)
			}
			(*f)[i] = z
		default:
			return fmt.Errorf("logit %d is %v: want a number", i, v)
		}
	}
	return nil
}
