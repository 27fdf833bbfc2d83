// Package kernel holds the loops that everything else is made of: rows of logits, matrix products, element-wise steps and
// optimisers. Each routine's portable Go version is its definition; faster ones for float32 are held against it.
//
// Matrices are row-major. A slice that is written comes first and is named dst or for what it will hold; it may be one of
// the inputs where the comment says so, and overlaps in part with none. Wrong lengths and labels out of range are
// programmers' errors: they panic with a message that names function, argument and shape. Nothing here allocates, and the
// same input gives the same bits whatever GOMAXPROCS.
package kernel

import "fmt"

// Float is the element type. float64 runs the portable code always: it is the reference.
type Float interface{ float32 | float64 }

// Ignored is the label of a sample that takes no part in a loss: its NLL is 0 and its gradient exactly 0, whatever its
// logits hold.
const Ignored = -100

// rowsOf returns N of z [N,K].
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
