// Package logit computes what logits mean: softmax, log-softmax and log-sum-exp at a temperature, their gradients, statistics of rows,
// and picks of classes.
//
// Logits come in rows: z [N,K] is a slice of N·K values, row-major, and N is len(z)/k. Results are written to the first argument, which may
// be z itself where it has the same shape. Nothing is allocated. Lengths that do not fit are the caller's mistake and panic, with a
// message that names the argument and the shape.
//
// A logit of −Inf masks its class: the class's probability is exactly 0. A row that has a NaN or +Inf, or nothing but −Inf, has no softmax:
// its results are NaN, and no other row's are.
package logit

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Float is the element type of logits. Sums are computed in float64 for float64, and to within 2 ulp of that for float32.
type Float interface{ float32 | float64 }

// None is the class that Argmax and Sample give for a row that has no softmax.
const None = -1

// Temperature writes z/t to dst [N,K]. A t above 1 flattens the softmax of the result, a t below 1 sharpens it; softmax(z/t) approaches
// the one-hot vector of the argmax as t approaches 0. It panics unless t is finite and above 0.
func Temperature[T Float](dst, z []T, t float64) {
	if !(t > 0 && t <= math.MaxFloat64) {
		panic(fmt.Sprintf("logit: Temperature: t = %v is not finite and above 0", t))
	}
	checkLen("Temperature", "dst", len(dst), len(z))
	for i, v := range z {
		dst[i] = T(float64(v) / t)
	}
}

// Softmax writes p = exp(z − LSE(z)) of each row to dst [N,K]: probabilities that sum to 1 in each row.
func Softmax[T Float](dst, z []T, k int) { kernel.Softmax(dst, z, k, 1) }

// LogSoftmax writes log p = z − LSE(z) of each row to dst [N,K]. It is computed from the logits, not as the logarithm of a softmax, which
// would lose every probability below the smallest float.
func LogSoftmax[T Float](dst, z []T, k int) { kernel.LogSoftmax(dst, z, k, 1) }

// LogSumExp writes LSE(z) = log Σ exp(z) of each row to dst [N]. It is computed as m + log Σ exp(z − m), m being the row's largest logit,
// so that nothing overflows.
func LogSumExp[T Float](dst, z []T, k int) { kernel.LogSumExp(dst, z, k, 1) }

// SoftmaxBackward writes to dst [N,K] the gradient of a function with respect to z, given its gradient gradProbs [N,K] with respect to
// probs [N,K] = softmax(z): p·(gradProbs − Σ p·gradProbs) in each row. The gradient of a masked class, p = 0, is 0. dst may be gradProbs
// or probs.
func SoftmaxBackward[T Float](dst, gradProbs, probs []T, k int) {
	n := rowsOf("SoftmaxBackward", "probs", probs, k)
	checkLen("SoftmaxBackward", "gradProbs", len(gradProbs), n*k)
	checkLen("SoftmaxBackward", "dst", len(dst), n*k)
	for i := range n {
		p, g, out := probs[i*k:(i+1)*k], gradProbs[i*k:(i+1)*k], dst[i*k:(i+1)*k]
		inner := 0.0
		for j, v := range p {
			if v != 0 {
				inner += float64(v) * float64(g[j])
			}
		}
		for j, v := range p {
			if v == 0 {
				out[j] = 0
				continue
			}
			out[j] = T(float64(v) * (float64(g[j]) - inner))
		}
	}
}

// LogSoftmaxBackward writes to dst [N,K] the gradient of a function with respect to z, given its gradient gradLogProbs [N,K] with respect
// to logProbs [N,K] = log softmax(z): gradLogProbs − p·Σ gradLogProbs in each row. dst may be gradLogProbs or logProbs.
func LogSoftmaxBackward[T Float](dst, gradLogProbs, logProbs []T, k int) {
	n := rowsOf("LogSoftmaxBackward", "logProbs", logProbs, k)
	checkLen("LogSoftmaxBackward", "gradLogProbs", len(gradLogProbs), n*k)
	checkLen("LogSoftmaxBackward", "dst", len(dst), n*k)
	for i := range n {
		logP, g, out := logProbs[i*k:(i+1)*k], gradLogProbs[i*k:(i+1)*k], dst[i*k:(i+1)*k]
		sum := 0.0
		for _, v := range g {
			sum += float64(v)
		}
		for j, v := range logP {
			out[j] = T(float64(g[j]) - math.Exp(float64(v))*sum)
		}
	}
}

// Argmax writes the class of each row's largest logit to dst [N]: of several, the lowest class, and None for a row that has no softmax.
func Argmax[T Float](dst []int32, z []T, k int) {
	n := rowsOf("Argmax", "z", z, k)
	checkLen("Argmax", "dst", len(dst), n)
	for i := range n {
		dst[i] = argmax(z[i*k : (i+1)*k])
	}
}

func argmax[T Float](row []T) int32 {
	best := int32(0)
	for j, v := range row {
		if v > row[best] {
			best = int32(j)
		}
		if v != v {
			return None
		}
	}
	if math.IsInf(float64(row[best]), 0) {
		return None
	}
	return best
}

// rowsOf returns the number of rows of k values, and panics where the values are no whole rows.
func rowsOf[T Float](function, argument string, rows []T, k int) int {
	if k < 1 || len(rows)%k != 0 {
		panic(fmt.Sprintf("logit: %s: %s holds %d values, want rows of K = %d", function, argument, len(rows), k))
	}
	return len(rows) / k
}

func checkLen(function, argument string, have, want int) {
	if have != want {
		panic(fmt.Sprintf("logit: %s: %s holds %d values, want %d", function, argument, have, want))
	}
}
