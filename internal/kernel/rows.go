package kernel

import "math"

const maxFloat64 = math.MaxFloat64

// Softmax writes softmax(z/temperature) of each row of z [N,K] to dst [N,K], which may be z. A −Inf logit gives exactly
// 0; a row with NaN or +Inf, or of −Inf alone, gives NaN in all its places. Panics unless temperature is finite and > 0.
func Softmax[T Float](dst, z []T, k int, temperature float64) {
	rowsOf("Softmax", z, k)
	checkLen("Softmax", "dst", len(dst), len(z))
	checkTemperature("Softmax", temperature)
	if !shareRows(softmaxPart, dst, z, k, temperature, nil, nil, 0) {
		softmax(dst, z, k, temperature, false)
	}
}

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

func softmaxRow[T Float](dst, row []T, temperature float64) {
	largest, sum := portableSum(row, temperature)
	for j, v := range row {
		dst[j] = T(math.Exp(shifted(v, largest, temperature)) / sum)
	}
}

// LogSoftmax writes log softmax(z/temperature) of each row of z [N,K] to dst [N,K], which may be z: z/T − LSE(z/T), never
// the logarithm of a softmax. A −Inf logit gives −Inf; rows that have no softmax give NaN.
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

// LogSumExp writes log Σ exp(z/temperature) of each row of z [N,K] to dst [N]. Rows that have no softmax give NaN.
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

// CrossEntropy writes NLL = LSE(z) − z[label] of each row of z [N,K] to nll [N], and where grad [N,K] is not nil its
// gradient (softmax(z) − onehot(label))·scale; grad may be z. An Ignored row has NLL 0 and gradient 0, whatever it holds.
// Every other label is in [0,K): CountLabels tells, and the caller, who wants the number for scale, has asked it.
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

// crossEntropy is CrossEntropy of a row. The true class is kept out of the sum of the others, so that neither a small loss
// nor a small gradient is a difference of numbers near 1.
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

// portableSum returns the largest logit of a row and Σ exp((z − largest)/temperature), in [1, K]; NaN where the row has no
// softmax. The sum of a row is taken in order and in float64.
func portableSum[T Float](row []T, temperature float64) (largest T, sum float64) {
	largest = greatest(row)
	for _, v := range row {
		sum += math.Exp(shifted(v, largest, temperature))
	}
	return largest, sum
}

// shifted is (v − largest)/temperature in float64, where the difference of two float32 cannot overflow and that of two
// float64 overflows to −Inf, which is right. Inf − Inf is NaN and so marks the rows that have no softmax.
func shifted[T Float](v, largest T, temperature float64) float64 {
	return (float64(v) - float64(largest)) / temperature
}

// greatest returns the largest element of a row, or its first where that is NaN; another NaN is passed over.
func greatest[T Float](row []T) T {
	largest := row[0]
	for _, v := range row[1:] {
		if v > largest {
			largest = v
		}
	}
	return largest
}
