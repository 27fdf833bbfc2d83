package kernel

import "math"

const maxFloat64 = math.MaxFloat64

// Softmax writes softmax(z/temperature) of each row of z [N,K] to dst [N,K], which may be z. A logit of −Inf gives exactly 0. A row that holds NaN
// or +Inf, or nothing but −Inf, has no softmax, and NaN is written to all its places. It panics unless temperature is finite and above 0.
func Softmax[T Float](dst, z []T, k int, temperature float64) {
	rowsOf("Softmax", z, k)
	checkLen("Softmax", "dst", len(dst), len(z))
	checkTemperature("Softmax", temperature)
	if !shareRows(softmaxPart, dst, z, k, temperature, nil, nil, 0) {
		softmax(dst, z, k, temperature, false)
	}
}

// softmax is Softmax by the caller's thread. Where stream is set, dst is written past the caches.
func softmax[T Float](dst, z []T, k int, temperature float64, stream bool) {
	z32, ok := any(z).([]float32)
	if ok && softmaxAcross(any(dst).([]float32), z32, k, temperature) {
		return
	}
	for i := range len(z) / k {
		row, out := z[i*k:(i+1)*k], dst[i*k:(i+1)*k]
		if row32, ok := any(row).([]float32); ok && softmax32(any(out).([]float32), row32, temperature, stream) {
			continue
		}
		softmaxRow(out, row, temperature)
	}
}

// softmaxRow is Softmax of a row, by the portable code.
func softmaxRow[T Float](dst, row []T, temperature float64) {
	largest, sum := portableSum(row, temperature)
	for j, v := range row {
		dst[j] = T(math.Exp(shifted(v, largest, temperature)) / sum)
	}
}

// LogSoftmax writes log softmax(z/temperature) of each row of z [N,K] to dst [N,K], which may be z. It computes z/T − LSE(z/T), never the
// logarithm of a softmax. A logit of −Inf gives −Inf. A row that has no softmax gives NaN in all its places.
func LogSoftmax[T Float](dst, z []T, k int, temperature float64) {
	rowsOf("LogSoftmax", z, k)
	checkLen("LogSoftmax", "dst", len(dst), len(z))
	checkTemperature("LogSoftmax", temperature)
	if !shareRows(logSoftmaxPart, dst, z, k, temperature, nil, nil, 0) {
		logSoftmax(dst, z, k, temperature)
	}
}

func logSoftmax[T Float](dst, z []T, k int, temperature float64) {
	z32, ok := any(z).([]float32)
	if ok && logSoftmaxAcross(any(dst).([]float32), z32, k, temperature) {
		return
	}
	for i := range len(z) / k {
		row, out := z[i*k:(i+1)*k], dst[i*k:(i+1)*k]
		if row32, ok := any(row).([]float32); ok && logSoftmax32(any(out).([]float32), row32, temperature) {
			continue
		}
		logSoftmaxRow(out, row, temperature)
	}
}

func logSoftmaxRow[T Float](dst, row []T, temperature float64) {
	largest, sum := portableSum(row, temperature)
	logSum := math.Log(sum)
	for j, v := range row {
		dst[j] = T(shifted(v, largest, temperature) - logSum)
	}
}

// LogSumExp writes log Σ exp(z/temperature) of each row of z [N,K] to dst [N], NaN for a row that has no softmax.
func LogSumExp[T Float](dst, z []T, k int, temperature float64) {
	n := rowsOf("LogSumExp", z, k)
	checkLen("LogSumExp", "dst", len(dst), n)
	checkTemperature("LogSumExp", temperature)
	if !shareRows(logSumExpPart, dst, z, k, temperature, nil, nil, 0) {
		logSumExp(dst, z, k, temperature)
	}
}

func logSumExp[T Float](dst, z []T, k int, temperature float64) {
	z32, ok := any(z).([]float32)
	if ok && logSumExpAcross(any(dst).([]float32), z32, k, temperature) {
		return
	}
	for i := range dst {
		row := z[i*k : (i+1)*k]
		if row32, ok := any(row).([]float32); ok {
			if lse, ok := logSumExp32(row32, temperature); ok {
				dst[i] = T(lse)
				continue
			}
		}
		dst[i] = logSumExpRow(row, temperature)
	}
}

func logSumExpRow[T Float](row []T, temperature float64) T {
	largest, sum := portableSum(row, temperature)
	return T(float64(largest)/temperature + math.Log(sum))
}

// CrossEntropy writes the NLL, LSE(z) − z[label], of each row of z [N,K] to nll [N], and unless grad [N,K] is nil the gradient
// (softmax(z) − onehot(label))·scale to grad, which may be z. An Ignored row has an NLL of 0 and a gradient of 0, whatever it holds. Every other
// label must be in [0,K), which is not checked here, since a caller needs CountLabels for scale, and that tells.
func CrossEntropy[T Float](nll, grad, z []T, labels []int32, k int, scale T) {
	n := rowsOf("CrossEntropy", z, k)
	checkLen("CrossEntropy", "nll", len(nll), n)
	checkLen("CrossEntropy", "labels", len(labels), n)
	if grad != nil {
		checkLen("CrossEntropy", "grad", len(grad), len(z))
	}
	if !shareRows(crossEntropyPart, grad, z, k, 1, nll, labels, scale) {
		crossEntropies(nll, grad, z, labels, k, scale, false)
	}
}

// crossEntropies is CrossEntropy by the caller's thread. Where stream is set, grad is written past the caches.
func crossEntropies[T Float](nll, grad, z []T, labels []int32, k int, scale T, stream bool) {
	z32, ok := any(z).([]float32)
	if ok && crossEntropyAcross(any(nll).([]float32), any(grad).([]float32), z32, labels, k, float32(scale)) {
		return
	}
	for i, label := range labels {
		row := z[i*k : (i+1)*k]
		if label == Ignored {
			nll[i] = 0
			if grad != nil {
				clear(grad[i*k : (i+1)*k])
			}
			continue
		}
		var out []T
		if grad != nil {
			out = grad[i*k : (i+1)*k]
		}
		if row32, ok := any(row).([]float32); ok {
			if own, ok := crossEntropy32(any(out).([]float32), row32, int(label), float32(scale), stream); ok {
				nll[i] = T(own)
				continue
			}
		}
		nll[i] = crossEntropy(out, row, int(label), scale)
	}
}

// crossEntropy is CrossEntropy of a row, by the portable code. The label's class is kept out of the sum over the others, so that neither a small
// NLL nor a small gradient is a difference of numbers near 1.
func crossEntropy[T Float](grad, row []T, label int, scale T) (nll T) {
	largest := greatest(row)
	others := 0.0
	for j, v := range row {
		if j != label {
			others += math.Exp(shifted(v, largest, 1))
		}
	}
	exponent := shifted(row[label], largest, 1)
	sum := others + math.Exp(exponent)
	if ratio := others / sum; ratio < 0.5 {
		nll = T(-math.Log1p(-ratio))
	} else {
		nll = T(math.Log(sum) - exponent)
	}
	if grad == nil {
		return nll
	}
	for j, v := range row {
		grad[j] = T(math.Exp(shifted(v, largest, 1)) / sum * float64(scale))
	}
	grad[label] = T(-others / sum * float64(scale))
	return nll
}

// portableSum returns the largest logit of a row and Σ exp((z − largest)/temperature), which is in [1,K], or NaN where the row has no softmax. The
// sum is in float64, in the order of the classes.
func portableSum[T Float](row []T, temperature float64) (largest T, sum float64) {
	largest = greatest(row)
	for _, v := range row {
		sum += math.Exp(shifted(v, largest, temperature))
	}
	return largest, sum
}

// shifted returns (v − largest)/temperature in float64. There the difference of two float32 cannot overflow, and that of two float64 overflows to
// −Inf, whose exponential is right. Inf − Inf is NaN, which marks a row that has no softmax.
func shifted[T Float](v, largest T, temperature float64) float64 {
	return (float64(v) - float64(largest)) / temperature
}

// greatest returns the largest element of a row. It returns NaN where the first element is NaN, and passes over any other NaN.
func greatest[T Float](row []T) T {
	largest := row[0]
	for _, v := range row[1:] {
		if v > largest {
			largest = v
		}
	}
	return largest
}
