package logit

import (
	"fmt"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Ignored is the label of a row that has none: the row takes no part in losses and figures. PyTorch calls it ignore_index.
const Ignored = -100

var _ = [1]struct{}{}[Ignored-kernel.Ignored] // does not compile unless the kernels use the same number

// Head says what the columns of a row of logits mean: it is the kind of a classifier's last layer. Runs and checkpoints store its text.
type Head string

// The heads.
const (
	HeadSoftmax Head = "softmax" // one column for each class; a sample has exactly one class
	HeadBinary  Head = "binary"  // a single column, the logit z of class 1 against class 0: the softmax over the logits [0, z]
	HeadSigmoid Head = "sigmoid" // one column for each class, yes against no; a sample may have any number of classes, or none
)

// Heads returns every Head.
func Heads() []Head { return []Head{HeadSoftmax, HeadBinary, HeadSigmoid} }

// Validate returns an error unless h is one of Heads and has that many columns for that many classes.
func (h Head) Validate(columns, classes int) error {
	switch {
	case !slices.Contains(Heads(), h):
		return fmt.Errorf("head %q: want %q, %q or %q", string(h), HeadSoftmax, HeadBinary, HeadSigmoid)
	case h == HeadBinary && (columns != 1 || classes != 2):
		return fmt.Errorf("%d columns for %d classes: a binary head has 1 column and 2 classes", columns, classes)
	case h != HeadBinary && columns != classes:
		return fmt.Errorf("%d columns for %d classes: a %s head has one a class", columns, classes, h)
	}
	return nil
}

// Columns returns the number of logits that a sample has, for a number of classes.
func (h Head) Columns(classes int) int {
	if h == HeadBinary {
		return 1
	}
	return classes
}

// MultiLabel reports whether a sample may have several classes, or none. Samples of such a head have targets [N,K], 0 or 1 for each class,
// in place of a label. What needs the one class of a sample (training dynamics, a confusion matrix) is not defined for them.
func (h Head) MultiLabel() bool { return h == HeadSigmoid }

// AcrossColumns reports whether a row's probabilities are the softmax across its columns: they sum to 1, and adding a constant to all
// logits of a row changes nothing. Otherwise each column's probability is its own sigmoid.
func (h Head) AcrossColumns() bool { return h == HeadSoftmax }
