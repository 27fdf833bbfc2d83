package kernel

import "fmt"

// Layout says which operands of a product are stored transposed.
type Layout uint8

// The layouts of a product C [m,n].
const (
	NN Layout = iota // C = A B, of A [m,k] and B [k,n]
	NT               // C = A Bᵀ, of A [m,k] and B [n,k]
	TN               // C = Aᵀ B, of A [k,m] and B [k,n]
)

// Epilogue says what is done to a product before it is stored, in this order: it is added to what C holds, a bias is added to each column,
// and a ReLU is applied.
type Epilogue[T Float] struct {
	Bias       []T  // [n], or nil for none
	ReLU       bool // whether a ReLU is applied
	Accumulate bool // whether the product is added to what C holds, rather than stored in its place
}

// MatMul computes C [m,n] from A and B, which are stored as layout says, and then does what e says. c must overlap neither. NaN and infinities
// have the effect that arithmetic gives them. It panics where a length does not fit m, n and k.
func MatMul[T Float](layout Layout, c, a, b []T, m, n, k int, e Epilogue[T]) {
	if m < 0 || n < 0 || k < 0 || layout > TN {
		panic(fmt.Sprintf("kernel: MatMul: layout %d, m %d, n %d, k %d", layout, m, n, k))
	}
	checkLen("MatMul", "c", len(c), m*n)
	checkLen("MatMul", "a", len(a), m*k)
	checkLen("MatMul", "b", len(b), n*k)
	if e.Bias != nil {
		checkLen("MatMul", "Bias", len(e.Bias), n)
	}
	if c32, ok := any(c).([]float32); ok && active.lanes > 0 && m > 0 && n > 0 && k > 0 {
		bias, _ := any(e.Bias).([]float32)
		matMul32(layout, c32, any(a).([]float32), any(b).([]float32), m, n, k,
			Epilogue[float32]{Bias: bias, ReLU: e.ReLU, Accumulate: e.Accumulate})
		return
	}
	if !e.Accumulate {
		clear(c)
	}
	switch layout {
	case NN:
		for i := range m {
			for p, v := range a[i*k : (i+1)*k] {
				addScaled(c[i*n:(i+1)*n], v, b[p*n:(p+1)*n])
			}
		}
	case NT:
		for i := range m {
			row := a[i*k : (i+1)*k]
			for j := range n {
				c[i*n+j] += dot(row, b[j*k:(j+1)*k])
			}
		}
	case TN:
		for p := range k {
			for i, v := range a[p*m : (p+1)*m] {
				addScaled(c[i*n:(i+1)*n], v, b[p*n:(p+1)*n])
			}
		}
	}
	if e.Bias == nil && !e.ReLU {
		return
	}
	for i := range m {
		row := c[i*n : (i+1)*n]
		for j := range e.Bias {
			row[j] += e.Bias[j]
		}
		if e.ReLU {
			ReLU(row, row)
		}
	}
}

// addScaled adds v·x to dst.
func addScaled[T Float](dst []T, v T, x []T) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += v * x[i]
	}
}

// dot returns the scalar product of a and b. It keeps four partial sums, which a processor adds side by side.
func dot[T Float](a, b []T) T {
	b = b[:len(a)]
	var s0, s1, s2, s3 T
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}
