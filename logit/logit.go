// Package logit turns logits into what they mean: temperature, softmax, log-softmax, log-sum-exp, and a pick of a class.
//
// Logits are rows: z [N,K] is a slice of N·K values, row-major, and N is len(z)/k. Results go to dst, the first argument,
// which may be z itself where it has the same shape. Nothing is allocated. Lengths that do not fit panic, naming the
// argument and the shape.
//
// A logit of −Inf masks its class: its probability is exactly 0. A row that holds NaN or +Inf, or −Inf alone, has no
// softmax: it gives NaN, and that row alone.
package logit

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Float is the element type of logits. Sums are taken in float64 for float64, and within 2 ulp of that for float32.
type Float interface{ float32 | float64 }

// None is the class picked from a row that has no softmax.
const None = -1

// Temperature writes z/t to dst [N,K]. Above 1 it flattens the softmax of the result, below 1 it sharpens it; softmax(z/t)
// nears the argmax as t falls to 0. It panics unless t is finite and above 0.
func Temperature[T Float](dst, z []T, t float64) {
	if !(t > 0 && t <= math.MaxFloat64) {
		panic(fmt.Sprintf("logit: Temperature: t = %v is not finite and above 0", t))
	}
	checkLen("Temperature", "dst", len(dst), len(z))
	for i, v := range z {
		dst[i] = T(float64(v) / t)
	}
}

// Softmax writes p = exp(z − LSE(z)) of each row to dst [N,K]: probabilities that sum to 1.
func Softmax[T Float](dst, z []T, k int) { kernel.Softmax(dst, z, k, 1) }

// LogSoftmax writes log p = z − LSE(z) of each row to dst [N,K]. It is computed from the logits, never as the logarithm of
// a softmax, which loses every probability below the smallest float.
func LogSoftmax[T Float](dst, z []T, k int) { kernel.LogSoftmax(dst, z, k, 1) }

// LogSumExp writes LSE(z) = log Σ exp(z) of each row to dst [N], computed as m + log Σ exp(z − m), m the row's largest
// logit, so that nothing overflows.
func LogSumExp[T Float](dst, z []T, k int) { kernel.LogSumExp(dst, z, k, 1) }

// SoftmaxBackward writes to dst [N,K] the gradient of a function of p = softmax(z) with respect to z, from its gradient
// with respect to p: p·(gradProbs − Σ p·gradProbs), row by row. A masked class, p = 0, has gradient 0. dst may be either
// argument.
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

// LogSoftmaxBackward writes to dst [N,K] the gradient of a function of log p = logSoftmax(z) with respect to z, from its
// gradient with respect to log p: gradLogProbs − p·Σ gradLogProbs, row by row. dst may be either argument.
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

// Argmax writes the class of each row's largest logit to dst [N], the lowest class on a tie, and None for a row that has
// no softmax.
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
