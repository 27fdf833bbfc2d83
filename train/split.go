package train

import (
	"errors"
	"fmt"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// Split is a named part of the data. Nothing of it is copied or changed: Features may be a mapped file, and several splits
// may name their samples in one matrix.
type Split struct {
	Name     string
	Features []float32 // [M,Width]; nil where samples are texts
	Width    int       // features a sample; 0 stands for len(Features)/N
	Tokens   []int32   // of all M texts, one behind the other
	Offsets  []int32   // [M+1]: text i is Tokens[Offsets[i]:Offsets[i+1]]
	Weights  []float32 // [len(Tokens)], or nil where a text is the mean of its tokens: nn.EmbeddingBag
	Rows     []int32   // [N]: which row of Features, or text, each sample is; nil where sample i is row i
	Labels   []int32   // [N]: classes, 0 and 1 for a binary head, loss.Ignored for a sample that has none
	// Soft is [N,Columns]: the target of each logit, for several labels a sample or for distillation, else nil. Where it is, it is
	// what is learnt, by samples without a label too.
	Soft []float32
	// Input says more of a sample than Width: the image that its features are, the buckets of its tokens. Of the first split.
	Input nn.InputShape
	IDs   []int64 // [N], for messages; nil counts from 0
}

// N returns the number of samples.
func (s *Split) N() int { return len(s.Labels) }

// row returns where sample i lies in Features or Offsets.
func (s *Split) row(i int) int {
	if s.Rows != nil {
		return int(s.Rows[i])
	}
	return i
}

// features returns the features of sample i, a view.
func (s *Split) features(i int) []float32 {
	at := s.row(i) * s.Width
	return s.Features[at : at+s.Width]
}

// text returns where the tokens of sample i begin and end.
func (s *Split) text(i int) (from, to int32) {
	row := s.row(i)
	return s.Offsets[row], s.Offsets[row+1]
}

// input is the shape of a sample.
func (s *Split) input() nn.InputShape {
	input := s.Input
	input.Features = s.Width
	return input
}

// id returns what messages call sample i.
func (s *Split) id(i int) int64 {
	if s.IDs != nil {
		return s.IDs[i]
	}
	return int64(i)
}

// complete fills in what a split leaves to be derived, and returns the first thing wrong with it.
func (s *Split) complete(head nn.Head) error {
	n := s.N()
	if s.Width == 0 && s.Offsets == nil && s.Rows == nil && n > 0 {
		s.Width = len(s.Features) / n
	}
	rows := 0
	switch {
	case s.Weights != nil && len(s.Weights) != len(s.Tokens):
		return fmt.Errorf("split %s has %d weights for %d tokens", s.Name, len(s.Weights), len(s.Tokens))
	case s.Offsets != nil:
		rows = len(s.Offsets) - 1
		for i := range rows {
			if s.Offsets[i] < 0 || s.Offsets[i+1] < s.Offsets[i] || int(s.Offsets[i+1]) > len(s.Tokens) {
				return fmt.Errorf("split %s: text %d is tokens [%d, %d) of %d", s.Name, i, s.Offsets[i], s.Offsets[i+1], len(s.Tokens))
			}
		}
	case s.Width < 1 || len(s.Features)%s.Width != 0 || s.Rows == nil && len(s.Features) != n*s.Width:
		return fmt.Errorf("split %s has %d feature values for %d samples, want %d each", s.Name, len(s.Features), n, s.Width)
	default:
		rows = len(s.Features) / s.Width
	}
	switch {
	case s.Rows == nil && rows != n:
		return fmt.Errorf("split %s has %d texts for %d samples", s.Name, rows, n)
	case s.Rows != nil && len(s.Rows) != n:
		return fmt.Errorf("split %s names the rows of %d samples, and labels %d", s.Name, len(s.Rows), n)
	case s.IDs != nil && len(s.IDs) != n:
		return fmt.Errorf("split %s has %d ids for %d samples", s.Name, len(s.IDs), n)
	case s.Soft != nil && len(s.Soft) != n*head.Columns():
		return fmt.Errorf("split %s has %d targets for %d samples of %d classes", s.Name, len(s.Soft), n, head.Columns())
	case s.Soft == nil && head.Kind().MultiLabel():
		return fmt.Errorf("split %s has no targets: a sigmoid head needs one a class", s.Name)
	}
	for i, row := range s.Rows {
		if row < 0 || int(row) >= rows {
			return fmt.Errorf("split %s: sample %d is row %d of %d", s.Name, i, row, rows)
		}
	}
	for i, label := range s.Labels {
		if label != loss.Ignored && (label < 0 || int(label) >= head.Classes()) {
			return fmt.Errorf("split %s: label %d of sample %d is not in [0, %d)", s.Name, label, i, head.Classes())
		}
	}
	return nil
}

// checkSplits completes the splits.
func checkSplits(head nn.Head, splits []Split) error {
	if len(splits) == 0 || splits[0].N() == 0 {
		return errors.New("there is no training sample")
	}
	for i := range splits {
		s := &splits[i]
		if s.Width == 0 && s.Rows == nil {
			s.Width = splits[0].Width // so that an empty split has one
		}
		if err := s.complete(head); err != nil {
			return err
		}
		if s.Width != splits[0].Width || (s.Offsets == nil) != (splits[0].Offsets == nil) {
			return fmt.Errorf("split %s has %d features a sample, split %s has %d", s.Name, s.Width, splits[0].Name, splits[0].Width)
		}
	}
	return nil
}
