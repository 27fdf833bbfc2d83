package convert

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

var csvReader = reader{
	name: "csv", ends: []string{".csv", ".tsv"},
	text: "a row a sample, with a header: epoch, split, id, label (a class or its name) and a column a class, called logit:CLASS or as the class; text",
	open: openCSV,
}

func openCSV(path string, o *ImportOptions) (*input, error) {
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
	named := namedLogits(header) // where no column is, one called text may be the class text's logits
	c, err := findColumns(header, o, func(int) bool { return true }, func(int) bool { return named })
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

// block reads the next block of rows, which has no rows at the end of the file.
func (c *columnsOf) block(in *csv.Reader, header []string) (*rows, error) {
	r := &rows{columns: len(c.logits)}
	for r.n < blockRows(c.rowCost(r.columns)) {
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
		if c.text >= 0 {
			r.texts = append(r.texts, strings.Clone(record.CutText(fields[c.text], record.TextBytes)))
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
