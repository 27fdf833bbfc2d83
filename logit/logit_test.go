package logit_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// logits draws n rows of k logits, of a scale between 0.01 and 100.
func logits[T logit.Float](rng *rand.Rand, n, k int) []T {
	scale := math.Pow(10, 4*rng.Float64()-2)
	z := make([]T, n*k)
	for i := range z {
		z[i] = T(rng.NormFloat64() * scale)
	}
	return z
}

func TestProperties(t *testing.T) {
	t.Run("float64", func(t *testing.T) { properties[float64](t, 1e-13) })
	t.Run("float32", func(t *testing.T) { properties[float32](t, 4e-6) })
}

func properties[T logit.Float](t *testing.T, tolerance float64) {
	for seed := range uint64(300) {
		rng := seeded(seed)
		n, k := 1+rng.IntN(6), 1+rng.IntN(40)
		z := logits[T](rng, n, k)
		p, logP, lse := make([]T, n*k), make([]T, n*k), make([]T, n)
		logit.Softmax(p, z, k)
		logit.LogSoftmax(logP, z, k)
		logit.LogSumExp(lse, z, k)
		// Adding a power of two times the precision's own step keeps the differences of the logits exact.
		shifted := make([]T, n*k)
		for i, v := range z {
			shifted[i] = T(float32(math.Round(float64(v)*64)/64)) + 8
			z[i] = shifted[i] - 8
		}
		pz, pShifted := make([]T, n*k), make([]T, n*k)
		logit.Softmax(pz, z, k)
		logit.Softmax(pShifted, shifted, k)
		for i := range n {
			sum := 0.0
			for j := range k {
				at := i*k + j
				sum += float64(p[at])
				if !(p[at] >= 0 && p[at] <= 1) || !(logP[at] <= 0) {
					t.Fatalf("seed %d: p = %v, log p = %v", seed, p[at], logP[at])
				}
				if !(math.Abs(math.Exp(float64(logP[at]))-float64(p[at])) <= tolerance) {
					t.Errorf("seed %d: exp(log p) = %v, p = %v", seed, math.Exp(float64(logP[at])), p[at])
				}
				if !(math.Abs(float64(pz[at]-pShifted[at])) <= tolerance) {
					t.Errorf("seed %d: p = %v, shifted by 8 it is %v", seed, pz[at], pShifted[at])
				}
			}
			if !(math.Abs(sum-1) <= tolerance) {
				t.Errorf("seed %d: row %d sums to %v", seed, i, sum)
			}
		}
		inPlace := slices.Clone(z)
		logit.Softmax(inPlace, inPlace, k)
		if !slices.Equal(inPlace, pz) {
			t.Errorf("seed %d: in place softmax differs", seed)
		}
	}
}

// float32 within 2 ulp of math/big's answer on logits of moderate size.
func TestFloat32AgainstBig(t *testing.T) {
	rng := seeded(1)
	for range 200 {
		k := 2 + rng.IntN(20)
		z := make([]float32, k)
		for i := range z {
			z[i] = float32(rng.NormFloat64() * 4)
		}
		sum := new(big.Float).SetPrec(200)
		for _, v := range z {
			sum.Add(sum, bigExp(float64(v)))
		}
		p, logP := make([]float32, k), make([]float32, k)
		logit.Softmax(p, z, k)
		logit.LogSoftmax(logP, z, k)
		lse := bigLog(sum)
		for j, v := range z {
			exact, _ := new(big.Float).Quo(bigExp(float64(v)), sum).Float64()
			if d := numtest.ULP32(p[j], exact); !(d <= 2) {
				t.Errorf("softmax %v is %v ulp from %v", p[j], d, exact)
			}
			want := float64(v) - lse
			// log p near 0 is a difference of near-equal numbers: there the bound is absolute, 2 ulp of 1.
			if d := numtest.ULP32(logP[j], want); !(d <= 2) && !(math.Abs(float64(logP[j])-want) <= 0x1p-22) {
				t.Errorf("log-softmax %v is %v ulp from %v", logP[j], d, want)
			}
		}
	}
}

// bigExp is exp(x) by its series after halving x until it is small, to 200 bits.
func bigExp(x float64) *big.Float {
	const halvings = 20
	small := new(big.Float).SetPrec(300).SetMantExp(big.NewFloat(x).SetPrec(300), -halvings)
	term, sum := big.NewFloat(1).SetPrec(300), big.NewFloat(1).SetPrec(300)
	for i := 1; i < 40; i++ {
		term.Mul(term, small)
		term.Quo(term, big.NewFloat(float64(i)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// bigLog is log(x) as float64, by two Newton steps from float64's own: y + 2(x − e^y)/(x + e^y).
func bigLog(x *big.Float) float64 {
	f, _ := x.Float64()
	y := math.Log(f)
	for range 2 {
		e := bigExp(y)
		correction, _ := new(big.Float).Quo(new(big.Float).Sub(x, e), new(big.Float).Add(x, e)).Float64()
		y += 2 * correction
	}
	return y
}

func TestGradientsByFiniteDifferences(t *testing.T) {
	for seed := range uint64(100) {
		rng := seeded(seed)
		k := 2 + rng.IntN(8)
		z, upstream := make([]float64, k), make([]float64, k)
		for i := range z {
			z[i], upstream[i] = 2*rng.NormFloat64(), rng.NormFloat64()
		}
		for name, f := range map[string]struct {
			forward  func(dst, z []float64, k int)
			backward func(dst, grad, out []float64, k int)
		}{
			"softmax":     {logit.Softmax[float64], logit.SoftmaxBackward[float64]},
			"log-softmax": {logit.LogSoftmax[float64], logit.LogSoftmaxBackward[float64]},
		} {
			out, grad := make([]float64, k), make([]float64, k)
			value := func() float64 {
				f.forward(out, z, k)
				v := 0.0
				for j := range out {
					v += out[j] * upstream[j]
				}
				return v
			}
			value()
			f.backward(grad, upstream, out, k)
			for j := range z {
				const h = 1e-3
				at, numeric := z[j], 0.0
				for _, point := range []struct{ step, weight float64 }{{-2, 1}, {-1, -8}, {1, 8}, {2, -1}} {
					z[j] = at + point.step*h
					numeric += point.weight * value() / (12 * h)
				}
				z[j] = at
				if !(math.Abs(grad[j]-numeric) <= 1e-6*max(math.Abs(numeric), 1e-3)) {
					t.Errorf("seed %d: %s gradient[%d] = %v, finite differences give %v", seed, name, j, grad[j], numeric)
				}
			}
		}
	}
}

func TestArgmax(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		row  []float64
		want int32
	}{
		{[]float64{1, 3, 2}, 1},
		{[]float64{2, 2, 1}, 0},
		{[]float64{-inf, -5, -inf}, 1},
		{[]float64{7}, 0},
		{[]float64{1, nan, 9}, logit.None},
		{[]float64{nan, 1}, logit.None},
		{[]float64{1, 2, nan}, logit.None},
		{[]float64{1, inf}, logit.None},
		{[]float64{-inf, -inf}, logit.None},
		{[]float64{-3e38, 3e38}, 1},
	} {
		got := make([]int32, 1)
		logit.Argmax(got, c.row, len(c.row))
		if got[0] != c.want {
			t.Errorf("argmax of %v is %d, want %d", c.row, got[0], c.want)
		}
		logit.Multinomial(got, c.row, len(c.row), seeded(1))
		if (got[0] == logit.None) != (c.want == logit.None) {
			t.Errorf("multinomial of %v is %d", c.row, got[0])
		}
	}
}

// χ² of 200,000 picks against softmax: 8 degrees of freedom stay below 26.1 in 999 of 1,000 seeds.
func TestMultinomialFollowsSoftmax(t *testing.T) {
	z := []float64{0, 1, -1, 2, 0.5, math.Inf(-1), -2, 1.5, 0.2, 0.1}
	k := len(z)
	p := make([]float64, k)
	logit.Softmax(p, z, k)
	const n = 200000
	rows := slices.Repeat(z, n)
	picks := make([]int32, n)
	logit.Multinomial(picks, rows, k, seeded(2))
	counts := make([]float64, k)
	for _, class := range picks {
		counts[class]++
	}
	if counts[5] != 0 {
		t.Errorf("the masked class was picked %v times", counts[5])
	}
	chi := 0.0
	for j := range counts {
		if p[j] > 0 {
			chi += (counts[j] - n*p[j]) * (counts[j] - n*p[j]) / (n * p[j])
		}
	}
	if !(chi < 26.1) {
		t.Errorf("χ² is %v over 8 degrees of freedom", chi)
	}
	again := make([]int32, n)
	logit.Multinomial(again, rows, k, seeded(2))
	if !slices.Equal(picks, again) {
		t.Error("one seed gave two sets of picks")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	z, dst, lse, picks, probs := make([]float32, 40), make([]float32, 40), make([]float32, 4), make([]int32, 4), make([]float64, 4)
	rng := seeded(1)
	if n := testing.AllocsPerRun(50, func() {
		logit.Temperature(dst, z, 2)
		logit.Softmax(dst, z, 10)
		logit.LogSoftmax(dst, z, 10)
		logit.LogSumExp(lse, z, 10)
		logit.SoftmaxBackward(dst, z, dst, 10)
		logit.Argmax(picks, z, 10)
		logit.Multinomial(picks, z, 10, rng)
		logit.Sample(picks, probs, probs, z, 10, logit.Sampler{Temperature: 2, TopK: 5, TopP: 0.9, MinP: 0.1}, rng)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestPanicsNameTheArgument(t *testing.T) {
	z := make([]float64, 6)
	for _, c := range []struct {
		want string
		call func()
	}{
		{"rows of K = 4", func() { logit.Softmax(z, z, 4) }},
		{"rows of K = 0", func() { logit.LogSoftmax(z, z, 0) }},
		{"dst holds 5 values, want 6", func() { logit.Softmax(z[:5], z, 3) }},
		{"dst holds 3 values, want 2", func() { logit.LogSumExp(z[:3], z, 3) }},
		{"Argmax: dst holds 1 values, want 2", func() { logit.Argmax(make([]int32, 1), z, 3) }},
		{"t = 0", func() { logit.Temperature(z, z, 0) }},
		{"t = NaN", func() { logit.Temperature(z, z, math.NaN()) }},
		{"t = +Inf", func() { logit.Temperature(z, z, math.Inf(1)) }},
		{"gradProbs holds 3 values, want 6", func() { logit.SoftmaxBackward(z, z[:3], z, 3) }},
	} {
		numtest.Panics(t, c.want, c.call)
	}
}

func ExampleSoftmax() {
	z := []float64{2, 1, 0.1} // one row of three logits
	p := make([]float64, 3)
	logit.Softmax(p, z, 3)
	fmt.Printf("%.3f\n", p)
	// Output: [0.659 0.242 0.099]
}

func ExampleTemperature() {
	z := []float64{2, 1, 0.1}
	p := make([]float64, 3)
	for _, t := range []float64{0.5, 1, 5} {
		logit.Temperature(p, z, t)
		logit.Softmax(p, p, 3)
		fmt.Printf("T = %v: %.3f\n", t, p)
	}
	// Output:
	// T = 0.5: [0.864 0.117 0.019]
	// T = 1: [0.659 0.242 0.099]
	// T = 5: [0.400 0.327 0.273]
}

func ExampleLogSoftmax() {
	z := []float64{2000, 1000, 100} // the softmax of the last two is below the smallest float64
	logProbs := make([]float64, 3)
	logit.LogSoftmax(logProbs, z, 3)
	fmt.Println(logProbs)
	// Output: [0 -1000 -1900]
}

func ExampleMultinomial() {
	z := []float64{2, 1, 0.1, 2, 1, 0.1, 2, 1, 0.1} // three rows
	greedy, drawn := make([]int32, 3), make([]int32, 3)
	logit.Argmax(greedy, z, 3)
	logit.Multinomial(drawn, z, 3, rand.New(rand.NewPCG(7, 0)))
	fmt.Println(greedy, drawn)
	// Output: [0 0 0] [2 1 0]
}
