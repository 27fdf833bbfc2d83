package nn

import (
	"fmt"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Head describes how a network ends: how many logits it gives, and what they mean.
type Head struct {
	kind    logit.Head
	classes int
}

// Softmax is a head with one logit a class; a sample has exactly one class. Its loss is loss.CrossEntropy unless another is set.
func Softmax(classes int) Head { return Head{kind: logit.HeadSoftmax, classes: classes} }

// Binary is a head with a single logit, that of class 1 against class 0. It is the softmax head over the logits [0, z]. Its
// loss is loss.BinaryCrossEntropy.
func Binary() Head { return Head{kind: logit.HeadBinary, classes: 2} }

// Sigmoid is a head with one logit a class; a sample has any number of them, each by a sigmoid of its own (multi-label). Its
// loss is loss.BinaryCrossEntropy, its targets are soft ones [N,K].
func Sigmoid(classes int) Head { return Head{kind: logit.HeadSigmoid, classes: classes} }

// HeadOf is the head of a kind over so many classes.
func HeadOf(kind logit.Head, classes int) Head { return Head{kind: kind, classes: classes} }

// Kind says what the logits mean.
func (h Head) Kind() logit.Head { return h.kind }

// Columns returns the number of logits a sample has: one a class, or a single one for a binary head.
func (h Head) Columns() int { return h.kind.Columns(h.classes) }

// Classes returns the number of classes that a label may name.
func (h Head) Classes() int { return h.classes }

func (h Head) validate() error {
	if h.classes < 2 && !h.kind.MultiLabel() || h.classes < 1 {
		return fmt.Errorf("a head needs at least 2 classes, not %d", h.classes)
	}
	return h.kind.Validate(h.Columns(), h.classes)
}

// lossOf is the loss that a head has where none is set.
func lossOf[T Float](h Head) loss.Loss[T] {
	l, err := loss.ByName[T](loss.Default(h.kind), nil)
	if err != nil {
		panic(err) // a loss without its settings is what it is by default
	}
	return l
}
