package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Pipeline turns the rows of a file into the input of a network. It is fitted on the training rows alone, is plain JSON, and is kept with the
// model, so that new rows are treated as the training rows were.
type Pipeline struct {
	Kind       string   `json:"kind"`    // table, text, image or vectors
	Classes    []string `json:"classes"` // K names
	MultiLabel bool     `json:"multi_label,omitempty"`
	Target     string   `json:"target,omitempty"`
	Delimiter  string   `json:"delimiter,omitempty"` // as the user gave it
	Quote      string   `json:"quote,omitempty"`
	Encoding   string   `json:"encoding,omitempty"`
	Header     string   `json:"header,omitempty"` // yes or no: whether the training table had one, or what the user gave
	Parted     string   `json:"parted,omitempty"` // the delimiter of the training table, which is tried first on other tables
	Missing    []string `json:"missing,omitempty"`
	KeepNA     bool     `json:"keep_na,omitempty"`
	Version    int      `json:"version,omitempty"` // version of the rules by which fields are read; older pipelines keep theirs
	Inputs     int      `json:"inputs"`            // D features a row; 0 for tokens
	Columns    []Column `json:"columns,omitempty"`
	Tokens     *Ngrams  `json:"tokens,omitempty"` // kind text
	Shape      *Shape   `json:"shape,omitempty"`  // kind image
}

// Shape is the shape of an image as the network takes it, row-major [Height,Width,Channels] of values in [0,1].
type Shape struct {
	Height   int `json:"height"`
	Width    int `json:"width"`
	Channels int `json:"channels"`
}

// Kinds of pipeline: what a sample is.
const (
	KindTable   = "table"
	KindText    = "text"
	KindImage   = "image"
	KindVectors = "vectors"
)

// pipelineVersion is the version of the pipelines that this program fits.
const pipelineVersion = 1

// PipelineFile is the name of the pipeline's file in a run directory.
const PipelineFile = "pipeline.json"

// Bounds on a pipeline's JSON, in which two bytes can stand for a structure of hundreds of bytes in memory.
const (
	maxPipelineBytes = 64 << 20
	maxPipelineParts = 1 << 20
)

// Encode returns p as the JSON that ParsePipeline reads. A pipeline that is too large for ParsePipeline is an error.
func (p *Pipeline) Encode() ([]byte, error) {
	raw, err := json.MarshalIndent(p, "", " ")
	if err == nil {
		err = checkPipelineSize(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	return append(raw, '\n'), nil
}

// checkPipelineSize refuses a pipeline's JSON that is too large.
func checkPipelineSize(raw []byte) error {
	if len(raw) > maxPipelineBytes {
		return fmt.Errorf("%d bytes, and at most %d are read: leave out columns, or those of many levels", len(raw), maxPipelineBytes)
	}
	if n := bytes.Count(raw, []byte("{")); n > maxPipelineParts {
		return fmt.Errorf("%d parts, and at most %d are read: leave out columns", n, maxPipelineParts)
	}
	return nil
}

// ParsePipeline reads the JSON that Encode returns. A pipeline that no fit could have given is an error.
func ParsePipeline(raw []byte) (*Pipeline, error) {
	if err := checkPipelineSize(bytes.TrimSuffix(raw, []byte("\n"))); err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	p := new(Pipeline)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(p)
	if err == nil {
		err = p.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	return p, nil
}

func (p *Pipeline) validate() error {
	if len(p.Classes) < 1 {
		return errors.New("no class")
	}
	if p.Version < 0 || p.Version > pipelineVersion {
		return fmt.Errorf("version %d is newer than this program, which knows up to %d", p.Version, pipelineVersion)
	}
	inputs := 0
	for i := range p.Columns {
		col := &p.Columns[i]
		extra := 0
		if col.indicator() {
			extra = 1
		}
		want := 0
		switch {
		case col.Features == 0:
		case col.Type == Numeric:
			want = 1 + extra
			if !(col.Scale > 0 && col.Scale <= 2*maxNumber && math.Abs(col.Mean) <= maxNumber && math.Abs(col.Median) <= maxNumber) {
				return fmt.Errorf("column %s: mean %v and scale %v", col.Name, col.Mean, col.Scale)
			}
		case col.Type == Text || col.Buckets > 0:
			want = col.Buckets + extra
		default:
			want = len(col.Levels) + extra
		}
		if col.Decimal != "" && col.Decimal != string(point) && col.Decimal != string(comma) {
			return fmt.Errorf("column %s: decimal %q", col.Name, col.Decimal)
		}
		if col.Features != want || !slices.Contains(columnTypes, col.Type) || col.Buckets < 0 || col.Buckets > 1<<20 {
			return fmt.Errorf("column %s: type %q gives %d features", col.Name, col.Type, col.Features)
		}
		inputs += col.Features
	}
	switch p.Kind {
	case KindTable:
		if inputs != p.Inputs || inputs == 0 {
			return fmt.Errorf("%d inputs, but the columns give %d", p.Inputs, inputs)
		}
	case KindText:
		return p.Tokens.validate()
	case KindImage:
		s := p.Shape
		if s == nil || s.Height < 1 || s.Width < 1 || s.Channels < 1 || s.Height > maxSide || s.Width > maxSide || s.Channels > 4 {
			return errors.New("no shape of an image")
		}
	case KindVectors:
		if p.Inputs < 1 {
			return fmt.Errorf("%d inputs", p.Inputs)
		}
	default:
		return fmt.Errorf("kind %q", p.Kind)
	}
	return nil
}

// Counts tells in which respects new rows differ from the training rows.
type Counts struct {
	Missing map[string]int // for columns without missing values in training: how many values are missing; they are imputed
	Unseen  map[string]int // for categorical columns: how many values training did not have; they set no feature
	Labels  int            // labels that training did not have, where the user asked to leave out their rows
}

func (c *Counts) add(to *map[string]int, name string, n int) {
	if n == 0 {
		return
	}
	if *to == nil {
		*to = map[string]int{}
	}
	(*to)[name] += n
}

// Add adds the counts of other rows.
func (c *Counts) Add(other *Counts) {
	for name, n := range other.Missing {
		c.add(&c.Missing, name, n)
	}
	for name, n := range other.Unseen {
		c.add(&c.Unseen, name, n)
	}
	c.Labels += other.Labels
}

// Warnings returns the counts as sentences.
func (c *Counts) Warnings() []string {
	var warnings []string
	for _, name := range sortedKeys(c.Missing) {
		warnings = append(warnings, fmt.Sprintf("column %s: %s missing, though none was in training", name, plural(c.Missing[name], "value")))
	}
	for _, name := range sortedKeys(c.Unseen) {
		warnings = append(warnings, fmt.Sprintf("column %s: %s of categories that training did not have", name, plural(c.Unseen[name], "value")))
	}
	if c.Labels > 0 {
		warnings = append(warnings, fmt.Sprintf("%s of classes that training did not have; left out", plural(c.Labels, "label")))
	}
	return warnings
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
