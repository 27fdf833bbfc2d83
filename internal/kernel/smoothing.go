package kernel

import "math"

// smoothedRows is the number of rows that are done at a time. Their means are taken before the gradient is written, which may overwrite the logits.
const smoothedRows = 256

// SmoothedCrossEntropy is CrossEntropy with the targets (1−ε)·onehot(label) + ε/K, where ε is smoothing. The NLL is
// LSE(z) − (1−ε)·z[label] − ε·mean(z), and the gradient (softmax(z) − target)·scale. A row with a logit of −Inf has an NLL of +Inf where ε > 0.
// Labels are as for CrossEntropy.
func SmoothedCrossEntropy[T Float](nll, grad, z []T, labels []int32, k int, scale, smoothing T) {
	n := rowsOf("SmoothedCrossEntropy", z, k)
	checkLen("SmoothedCrossEntropy", "nll", len(nll), n)
	checkLen("SmoothedCrossEntropy", "labels", len(labels), n)
	if grad != nil {
		checkLen("SmoothedCrossEntropy", "grad", len(grad), len(z))
	}
	if !shareRows(smoothedPart, grad, z, k, float64(smoothing), nll, labels, scale) {
		smoothedCrossEntropies(nll, grad, z, labels, k, scale, smoothing)
	}
}

func smoothedPart(r *rows, start, end int) {
	var grad []float32
	if r.dst != nil {
		grad = r.dst[start*r.k : end*r.k]
	}
	smoothedCrossEntropies(r.nll[start:end], grad, r.z[start*r.k:end*r.k], r.labels[start:end], r.k, r.scale, float32(r.temperature))
}

func smoothedCrossEntropies[T Float](nll, grad, z []T, labels []int32, k int, scale, smoothing T) {
	var above [smoothedRows]float64 // how far the label's logit is above the mean of the row's
	for start := 0; start < len(nll); start += smoothedRows {
		end := min(start+smoothedRows, len(nll))
		for i, label := range labels[start:end] {
			if label != Ignored {
				row := z[(start+i)*k : (start+i+1)*k]
				mean := Sum(row) / float64(k)
				above[i] = float64(row[label]) - mean
				if math.IsInf(mean, -1) {
					above[i] = math.Inf(1)
				}
			}
		}
		var out []T
		if grad != nil {
			out = grad[start*k : end*k]
		}
		crossEntropies(nll[start:end], out, z[start*k:end*k], labels[start:end], k, scale, false)
		for i, label := range labels[start:end] {
			if label == Ignored {
				continue
			}
			nll[start+i] = T(float64(nll[start+i]) + float64(smoothing)*above[i])
			if grad != nil {
				row := out[i*k : (i+1)*k]
				share := smoothing * scale / T(k)
				for j := range row {
					row[j] -= share
				}
				row[label] += smoothing * scale
			}
		}
	}
}

// Sum returns the sum of x in float64. It adds up every sixteenth element, and then the sixteen sums, so that every path gives the same bits.
func Sum[T Float](x []T) float64 {
	var sums [16]float64
	done := 0
	if x32, ok := any(x).([]float32); ok {
		done = sum32(x32, &sums)
	}
	for i, v := range x[done:] {
		sums[i%16] += float64(v)
	}
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			sums[i] += sums[i+half]
		}
	}
	return sums[0]
}

// SoftCap writes limit·tanh(z/limit) to dst, which may be z.
func SoftCap[T Float](dst, z []T, limit float64) {
	checkLen("SoftCap", "dst", len(dst), len(z))
	if !shareRows(softCapPart, dst, z, 1, limit, nil, nil, 0) {
		softCap(dst, z, limit)
	}
}

func softCapPart(r *rows, start, end int) { softCap(r.dst[start:end], r.z[start:end], r.temperature) }

func softCap[T Float](dst, z []T, limit float64) {
	for i, v := range z {
		dst[i] = T(limit * math.Tanh(float64(v)/limit))
	}
}

// SoftCapBackward writes the gradient dy·(1 − (y/limit)²) to dx, which may be dy. y is what SoftCap wrote.
func SoftCapBackward[T Float](dx, dy, y []T, limit float64) {
	checkLen("SoftCapBackward", "dx", len(dx), len(y))
	checkLen("SoftCapBackward", "dy", len(dy), len(y))
	for i, v := range y {
		t := float64(v) / limit
		dx[i] = T(float64(dy[i]) * (1 - t*t))
	}
}
