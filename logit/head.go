package logit

import (
	"fmt"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Ignored is the label of a row without one: it takes no part in losses and figures (PyTorch's ignore_index).
const Ignored = -100

var _ = [1]struct{}{}[Ignored-kernel.Ignored] // the kernels have the same

// Head says what the columns of a row of logits mean: it is how a classifier ends. Its text is what runs and checkpoints keep.
type Head string

// The heads there are.
const (
	HeadSoftmax Head = "softmax" // one column a class; a sample has exactly one of them
	HeadBinary  Head = "binary"  // one column, the logit of class 1 against class 0: the softmax over the logits [0, z]
	HeadSigmoid Head = "sigmoid" // one column a class, each against its absence: a sample may have several classes, or none
)

// Heads returns every head there is.
func Heads() []Head { return []Head{HeadSoftmax, HeadBinary, HeadSigmoid} }

// Validate says what is wrong with a head of so many columns and classes: a name that is none, or numbers that do not fit it.
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

// Columns returns how many logits a sample has where there are so many classes.
func (h Head) Columns(classes int) int {
	if h == HeadBinary {
		return 1
	}
	return classes
}

// MultiLabel reports whether a sample may have several classes, or none. Such samples have targets [N,K], 0 or 1 for each class, in
// place of a label; what asks for a sample's one class (training dynamics, a confusion matrix, a draw) is not defined for them.
func (h Head) MultiLabel() bool { return h == HeadSigmoid }

// AcrossColumns reports whether probabilities are the softmax across a row's columns, so that the columns sum to 1 and a constant
// added to all of them means nothing. Elsewhere each column is a sigmoid of its own.
func (h Head) AcrossColumns() bool { return h == HeadSoftmax }
