// Package kernel holds the loops that everything else is made of: those over rows of logits, matrix products, element-wise steps and
// optimisers. The portable Go code of a function is its definition. Tests hold the faster code for float32 against it.
//
// Matrices are row-major. A slice that is written comes first among the arguments, and is named dst or for what it will hold. It may be one
// of the inputs only where the comment says so, and must not overlap a part of one. A wrong length and a label out of range are errors of
// the program that calls: they panic with a message that names function, argument and shape. Memory that a call needs for itself is kept for
// the next one, so that calls hardly ever allocate. The same input gives the same bits whatever GOMAXPROCS is.
package kernel

import "fmt"

// Float is the type of the elements. float64 always runs the portable code, and is the reference for float32.
type Float interface{ float32 | float64 }

// Ignored is the label of a sample that takes no part in a loss. Its NLL is 0 and its gradient exactly 0, whatever its logits are.
const Ignored = -100

// rowsOf returns the number N of rows of z [N,K]. It panics where z does not hold whole rows.
func rowsOf[T Float](function string, z []T, k int) int {
	if k < 1 || len(z)%k != 0 {
		panic(fmt.Sprintf("kernel: %s: z holds %d values, want rows of K = %d", function, len(z), k))
	}
	return len(z) / k
}

func checkLen(function, argument string, have, want int) {
	if have != want {
		panic(fmt.Sprintf("kernel: %s: %s holds %d values, want %d", function, argument, have, want))
	}
}

func checkTemperature(function string, temperature float64) {
	if !(temperature > 0 && temperature <= maxFloat64) {
		panic(fmt.Sprintf("kernel: %s: temperature %v is not finite and above 0", function, temperature))
	}
}

func checkLabels(function string, labels []int32, k int) {
	if _, wrong := CountLabels(labels, k); wrong >= 0 {
		panic(fmt.Sprintf("kernel: %s: label %d of row %d is not in [0, %d)", function, labels[wrong], wrong, k))
	}
}

// CountLabels returns how many labels are not Ignored, and the row of the first that is neither that nor in [0,k), or −1.
func CountLabels(labels []int32, k int) (counted, wrong int) {
	done, ignored := labelsIn(labels, k)
	counted, wrong = done-ignored, -1
	for i, label := range labels[done:] {
		if label == Ignored {
			continue
		}
		counted++
		if uint(label) >= uint(k) && wrong < 0 {
			wrong = done + i
		}
	}
	return counted, wrong
}
