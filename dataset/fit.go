package dataset

import (
	"errors"
	"fmt"

	"github.com/logitscope/logitscope/internal/parallel"
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
		p.Kind, p.Tokens = KindText, newNgrams()
	}
}

// fit learns from the given training rows what turns values into features.
func (p *Pipeline) fit(read []values, rows []int32) error {
	parallel.Each(len(p.Columns), func(i int) { p.Columns[i].fit(read[i], rows) })
	p.Inputs = 0
	for _, col := range p.Columns {
		p.Inputs += col.Features
	}
	if p.Inputs == 0 {
		return errors.New("no column says anything: every feature is constant, missing or left out")
	}
	return nil
}

// texts returns the texts of a pipeline of texts.
func (p *Pipeline) texts(read []values) func(row int) []byte {
	for i, col := range p.Columns {
		if col.Type == Text {
			return read[i].texts
		}
	}
	return nil
}

// Schema describes the columns, a line each: name, type, features and what is to be said of it.
func (p *Pipeline) Schema() [][4]string {
	lines := make([][4]string, 0, len(p.Columns))
	for _, col := range p.Columns {
		said := ""
		switch {
		case col.Type == Categorical && col.Buckets > 0:
			said = fmt.Sprintf("more than %d categories, hashed", maxLevels)
		case col.Type == Categorical:
			said = fmt.Sprintf("%d categories, the most frequent %q", len(col.Levels), first(col.Levels))
		case col.Type == Numeric && col.Features == 0:
			said = "all alike: left out"
		case col.Type == Numeric:
			said = fmt.Sprintf("mean %.4g, deviation %.4g", col.Mean, col.Scale)
		}
		said = joined(said, col.Note)
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
