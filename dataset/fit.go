package dataset

import (
	"fmt"
	"strings"

	"github.com/logitscope/logitscope/internal/parallel"
)

// setKind makes p a pipeline of texts where a text column is the only one, and of tables otherwise.
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

// fit learns from the given training rows how values become features.
func (p *Pipeline) fit(read []values, rows []int32) error {
	parallel.Each(len(p.Columns), func(i int) { p.Columns[i].fit(read[i], rows) })
	p.Inputs = 0
	for _, col := range p.Columns {
		p.Inputs += col.Features
	}
	if p.Inputs == 0 {
		return fmt.Errorf("no column says anything: %s", p.sayNothing())
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

// Schema describes the columns, one line each: name, type, number of features, and a remark.
func (p *Pipeline) Schema() [][4]string {
	lines := make([][4]string, 0, len(p.Columns))
	for _, col := range p.Columns {
		remark := ""
		switch {
		case col.Type == Categorical && col.Buckets > 0:
			remark = fmt.Sprintf("more than %d categories, hashed", maxLevels)
		case col.Type == Categorical:
			remark = fmt.Sprintf("%d categories, the most frequent %q", len(col.Levels), firstOrEmpty(col.Levels))
		case col.Type == Numeric && col.Features == 0:
			remark = "all alike: left out"
		case col.Type == Numeric:
			remark = fmt.Sprintf("mean %.4g, deviation %.4g", col.Mean, col.Scale)
		}
		remark = joinNotes(remark, col.Note)
		if col.Missing > 0 {
			remark += fmt.Sprintf(", %d missing", col.Missing)
		}
		features := fmt.Sprint(col.Features)
		if p.Kind == KindText && col.Type == Text {
			features = "n-grams"
		}
		lines = append(lines, [4]string{col.Name, col.Type, features, remark})
	}
	return lines
}

func firstOrEmpty(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// sayNothing says of each column why it becomes no feature.
func (p *Pipeline) sayNothing() string {
	const most = 5
	var reasons []string
	left := 0
	for _, col := range p.Columns {
		why := col.Note
		switch {
		case col.Name == p.Target:
			continue
		case col.Type != Ignore && col.Missing > 0:
			why = "every value is missing"
		case col.Type != Ignore:
			why = "every value is the same"
		}
		if len(reasons) == most {
			left++
			continue
		}
		reasons = append(reasons, fmt.Sprintf("of column %s %s", col.Name, why))
	}
	if left > 0 {
		reasons = append(reasons, fmt.Sprintf("and %s more", plural(left, "column")))
	}
	return strings.Join(reasons, ", ")
}
