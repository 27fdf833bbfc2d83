// Package splitname has the names of the splits that are known by what they are for; others may stand beside them.
package splitname

const (
	Train = "train" // what the network is trained on
	Val   = "val"   // what it is not trained on, and epochs are compared by
	Test  = "test"  // what nothing is decided by
)
