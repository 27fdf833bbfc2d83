package train

import (
	"errors"
	"fmt"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// Split is a named part of the data: N samples, with features or texts. Training neither copies nor changes its slices: Features may be a
// mapped file, and several splits may have their samples in the same slices.
type Split struct {
	Name     string
	Features []float32 // [M,Width], of M rows; nil where samples are texts
	Width    int       // the number of features of a sample; 0 stands for len(Features)/N
	Tokens   []int32   // the tokens of all M texts, one text behind the other
	Offsets  []int32   // [M+1]: text i is Tokens[Offsets[i]:Offsets[i+1]]; nil where samples have features
	Weights  []float32 // [len(Tokens)], the weights of the tokens; nil where they all weigh the same: see nn.EmbeddingBag
	Rows     []int32   // [N]: the row of Features, or the text, that each sample is; nil where sample i is row i
	Labels   []int32   // [N]: classes (0 and 1 for a binary head), or loss.Ignored for a sample without a label
	// Soft [N,Columns] are the targets of the logits where they are not labels, for a sigmoid head or distillation; else nil. Where they
	// are given, samples without a label are trained on too.
	Soft []float32
	// Input says what a sample's features and tokens are: the size of an image, the number of buckets. That of the first split counts.
	Input nn.InputShape
	IDs   []int64 // [N], the numbers that messages call samples by; nil counts from 0
}

// N returns the number of samples.
func (s *Split) N() int { return len(s.Labels) }

// row returns the row of Features, or the text, that sample i is.
func (s *Split) row(i int) int {
	if s.Rows != nil {
		return int(s.Rows[i])
	}
	return i
}

// features returns the features [Width] of sample i, as a view.
func (s *Split) features(i int) []float32 {
	start := s.row(i) * s.Width
	return s.Features[start : start+s.Width]
}

// spread returns the features of at most so many samples, evenly over all of them.
func (s *Split) spread(most int) []float32 {
	n := min(s.N(), most)
	features := make([]float32, 0, n*s.Width)
	for i := range n {
		features = append(features, s.features(i*s.N()/n)...)
	}
	return features
}

// text returns the range of Tokens that sample i has.
func (s *Split) text(i int) (from, to int32) {
	row := s.row(i)
	return s.Offsets[row], s.Offsets[row+1]
}

// input returns the shape of a sample.
func (s *Split) input() nn.InputShape {
	input := s.Input
	input.Features = s.Width
	return input
}

// id returns the number that messages call sample i by.
func (s *Split) id(i int) int64 {
	if s.IDs != nil {
		return s.IDs[i]
	}
	return int64(i)
}

// complete sets Width where it is 0, and returns the first thing that is wrong with the split, or nil.
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

// checkSplits completes the splits, and returns the first thing that is wrong with one of them or between them, or nil.
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
