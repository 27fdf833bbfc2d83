package kernel

// ColumnMoments adds to first [C] the sum over the rows of u − shiftU, and to second [C] the sum over the rows of (u − shiftU)·(v − shiftV). u and
// v are [R,C], and the shifts are [C]. With u = v and shifts near the columns' means, these are the sums that a variance is computed from
// without a loss of digits.
func ColumnMoments[T Float](first, second []float64, u, v, shiftU, shiftV []T) {
	n := len(first)
	m := rowsOf("ColumnMoments", u, n)
	checkLen("ColumnMoments", "second", len(second), n)
	checkLen("ColumnMoments", "v", len(v), len(u))
	checkLen("ColumnMoments", "shiftU", len(shiftU), n)
	checkLen("ColumnMoments", "shiftV", len(shiftV), n)
	done := 0
	if u32, ok := any(u).([]float32); ok && m > 0 {
		done = columnMoments32(first, second, u32, any(v).([]float32), any(shiftU).([]float32), any(shiftV).([]float32))
	}
	if done == n {
		return
	}
	for at := 0; at < len(u); at += n {
		for j := done; j < n; j++ {
			d := float64(u[at+j] - shiftU[j])
			first[j] += d
			second[j] += d * float64(v[at+j]-shiftV[j])
		}
	}
}

// Blend writes u·a + (v − shift)·b + c to dst, which may be u or v. dst, u and v are [R,C]; a, b, shift and c are [C], the same for each row.
func Blend[T Float](dst, u, v, a, b, shift, c []T) {
	n := len(a)
	m := rowsOf("Blend", dst, n)
	checkLen("Blend", "u", len(u), len(dst))
	checkLen("Blend", "v", len(v), len(dst))
	checkLen("Blend", "b", len(b), n)
	checkLen("Blend", "shift", len(shift), n)
	checkLen("Blend", "c", len(c), n)
	done := 0
	if dst32, ok := any(dst).([]float32); ok && m > 0 {
		done = blend32(dst32, any(u).([]float32), any(v).([]float32), any(a).([]float32), any(b).([]float32), any(shift).([]float32), any(c).([]float32))
	}
	if done == n {
		return
	}
	for at := 0; at < len(dst); at += n {
		for j := done; j < n; j++ {
			dst[at+j] = u[at+j]*a[j] + (v[at+j]-shift[j])*b[j] + c[j]
		}
	}
}
