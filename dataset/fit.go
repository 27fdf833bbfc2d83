package dataset

import (
	"errors"
	"fmt"
)

// setKind makes p one of texts where a text column stands alone.
func (p *Pipeline) setKind() {
	texts, others := 0, 0
	for _, col := range p.Columns {
		switch col.Type {
		case Text:
			texts++
		case Numeric, Categorical:
			others++
		}
	}
	p.Kind = KindTable
	if texts == 1 && others == 0 {
		p.Kind, p.Tokens = KindText, DefaultNgrams()
	}
}

// fit learns from the given training rows what turns values into features.
func (p *Pipeline) fit(read []values, rows []int32) error {
	if p.Kind == KindText {
		return nil
	}
	_ = inParallel(len(p.Columns), func(i int) error {
		p.Columns[i].fit(read[i], rows)
		return nil
	})
	p.Inputs = 0
	for _, col := range p.Columns {
		p.Inputs += col.Features
	}
	if p.Inputs == 0 {
		return errors.New("no column says anything: every feature is constant, missing or left out")
	}
	return nil
}

// transform gives the features [rows,Inputs] of what was read, or its tokens and offsets.
func (p *Pipeline) transform(read []values, rows int, counts *Counts) (features []float32, tokens, offsets []int32, err error) {
	if p.Kind == KindText {
		for i, col := range p.Columns {
			if col.Type == Text {
				tokens, offsets, err = p.Tokens.tokenize(rows, read[i].texts)
			}
		}
		return nil, tokens, offsets, err
	}
	features = make([]float32, rows*p.Inputs)
	p.features(features, p.prepare(read, rows), 0, rows, counts)
	return features, nil, nil, nil
}

// Schema describes the columns, a line each: name, type, features and what is to be said of it.
func (p *Pipeline) Schema() [][4]string {
	lines := make([][4]string, 0, len(p.Columns))
	for _, col := range p.Columns {
		said := col.Note
		switch {
		case said == "" && col.Type == Categorical && col.Buckets > 0:
			said = fmt.Sprintf("more than %d categories, hashed", maxLevels)
		case said == "" && col.Type == Categorical:
			said = fmt.Sprintf("%d categories, the most frequent %q", len(col.Levels), first(col.Levels))
		case said == "" && col.Type == Numeric && col.Features == 0:
			said = "all alike: left out"
		case said == "" && col.Type == Numeric:
			said = fmt.Sprintf("mean %.4g, deviation %.4g", col.Mean, col.Scale)
		}
		if col.Missing > 0 {
			said += fmt.Sprintf(", %d missing", col.Missing)
		}
		features := fmt.Sprint(col.Features)
		if p.Kind == KindText && col.Type == Text {
			features = "n-grams"
		}
		lines = append(lines, [4]string{col.Name, col.Type, features, said})
	}
	return lines
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
