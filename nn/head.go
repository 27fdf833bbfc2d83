package nn

import (
	"fmt"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Head describes the last layer of a network: how many logits it computes, and what they mean.
type Head struct {
	kind    logit.Head
	classes int
}

// Softmax returns a head with one logit for each class; a sample has exactly one class. Its loss is loss.CrossEntropy unless Network.Loss
// is set to another.
func Softmax(classes int) Head { return Head{kind: logit.HeadSoftmax, classes: classes} }

// Binary returns a head with a single logit z, that of class 1 against class 0: the softmax head over the logits [0, z]. Its loss is
// loss.BinaryCrossEntropy unless Network.Loss is set to another.
func Binary() Head { return Head{kind: logit.HeadBinary, classes: 2} }

// Sigmoid returns a head with one logit for each class, yes against no; a sample has any number of classes (multi-label). Its loss is
// loss.BinaryCrossEntropy unless Network.Loss is set to another, with the targets in Targets.Soft [N,K].
func Sigmoid(classes int) Head { return Head{kind: logit.HeadSigmoid, classes: classes} }

// HeadOf returns a head of a kind for a number of classes. New returns an error where the two do not fit together.
func HeadOf(kind logit.Head, classes int) Head { return Head{kind: kind, classes: classes} }

// Kind returns what the logits mean.
func (h Head) Kind() logit.Head { return h.kind }

// Columns returns the number of logits that a sample has: one for each class, or 1 for a binary head.
func (h Head) Columns() int { return h.kind.Columns(h.classes) }

// Classes returns the number of classes.
func (h Head) Classes() int { return h.classes }

// validate returns what is wrong with the head, or nil.
func (h Head) validate() error {
	if h.classes < 2 && !h.kind.MultiLabel() || h.classes < 1 {
		return fmt.Errorf("a head needs at least 2 classes, not %d", h.classes)
	}
	return h.kind.Validate(h.Columns(), h.classes)
}

// lossOf returns the loss that a valid head has where none is set.
func lossOf[T Float](h Head) loss.Loss[T] {
	l, err := loss.ByName[T](loss.Default(h.kind), nil)
	if err != nil {
		panic(err) // unreachable: the name is in the catalog, and no setting is given
	}
	return l
}
