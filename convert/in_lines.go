package convert

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

// bareNumbers matches NaN and infinity as Python writes them into JSON, which has neither, together with the character that stands before.
var bareNumbers = regexp.MustCompile(`([\[,:]\s*)(NaN|-?Infinity)\b`)

var linesReader = reader{
	name: "jsonl", ends: []string{".jsonl", ".ndjson"},
	text: `an object a line: logits (a list), label (a class or its name), id, epoch, split, text; and training dynamics of Dataset Cartography: guid, logits_epoch_0, gold`,
	open: openLines,
}

const maxLine = 64 << 20 // the most bytes of a line; a line of 256,000 logits has a tenth of that

func openLines(path string, o *ImportOptions) (*input, error) {
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
		r, number, texts := &rows{}, 0, false
		flush := func() error {
			if r.n == 0 {
				return nil
			}
			if err := cmp.Or(context.Cause(ctx), r.check()); err != nil {
				return err
			}
			texts = texts || r.texts != nil
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
			if err := r.addObject(text, o); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			if r.n >= blockRows(r.columns+r.textCost()) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("line %d: %w", number+1, err)
		}
		if err := flush(); err != nil || texts || o.skipTexts || o.Text == "" || o.Text == noText {
			return err
		}
		return fmt.Errorf("no object has a member %s, which is to hold the texts", o.Text)
	}}, nil
}

// addObject adds a row that is a JSON object.
func (r *rows) addObject(text []byte, o *ImportOptions) error {
	var members map[string]json.RawMessage
	err := json.Unmarshal(text, &members)
	if err != nil && bareNumbers.Match(text) { // Python writes such JSON
		err = json.Unmarshal(bareNumbers.ReplaceAll(text, []byte(`$1"$2"`)), &members)
	}
	if err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	r.n++
	logits, label, labelName := 0, int64(-1), ""
	sample, told := "", false
	for name, raw := range members {
		lower := strings.ToLower(name)
		match := dynamics.FindStringSubmatch(name)
		var err error
		switch {
		case isTextName(name, o.Text, len(raw) > 0 && raw[0] == '"'):
			if told = !o.skipTexts; !told {
				continue
			}
			if err = json.Unmarshal(raw, &sample); err != nil {
				return fmt.Errorf("%s: it is %.40s: want text", name, raw)
			}
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
			if id, text, err = integerOrText(raw); text != "" {
				r.names = append(r.names, text)
			} else {
				r.ids = append(r.ids, id)
			}
		case slices.Contains(labelNames, lower):
			if string(raw) != "null" {
				if label, labelName, err = integerOrText(raw); labelName != "" {
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
				r.epochs = append(r.epochs, epoch+1) // training dynamics count epochs from 0, and in a run epoch 0 is the untrained network
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
	if told || r.texts != nil {
		r.texts = append(append(r.texts, make([]string, r.n-1-len(r.texts))...), strings.Clone(record.CutText(sample, record.TextBytes)))
	}
	return nil
}

func (r *rows) textCost() int {
	if r.texts == nil {
		return 0
	}
	return record.TextBytes / 4
}

// check returns an error where some rows give a member that others lack. It keeps the labels as numbers or as texts, whichever the rows have.
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

// integerOrText reads a JSON value that is a whole number or a text.
func integerOrText(raw json.RawMessage) (number int64, text string, err error) {
	if err := json.Unmarshal(raw, &number); err == nil {
		return number, "", nil
	}
	if err := json.Unmarshal(raw, &text); err != nil || text == "" {
		return 0, "", fmt.Errorf("%.40s is neither a whole number nor text", raw)
	}
	return 0, text, nil
}

// floats is a JSON list of numbers, in which NaN and infinity are texts.
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
