package kernel

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// sampleByDefinition sorts a row's classes, cuts the list step by step and returns the probabilities of what is left; slack is
// taken from what top-p wants.
func sampleByDefinition(row []float32, steps []Step, slack float64) map[int32]float64 {
	var order []int32
	for j, v := range row {
		if !math.IsInf(float64(v), -1) {
			order = append(order, int32(j))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(row[b], row[a]) })
	temperature := 1.0
	weights := func() (w []float64, sum float64) {
		for _, j := range order {
			w = append(w, math.Exp((float64(row[j])-float64(row[order[0]]))/temperature))
			sum += w[len(w)-1]
		}
		return w, sum
	}
	for _, s := range steps {
		w, sum := weights()
		kept := 0
		switch s.Do {
		case StepTemperature:
			temperature = s.Value
			continue
		case StepTopK:
			kept = int(min(s.Value, float64(len(order))))
		case StepTopP:
			if s.Value >= 1 {
				continue
			}
			for reached := 0.0; kept == 0 || kept < len(w) && reached < sum*s.Value*(1-slack); kept++ {
				reached += w[kept]
			}
		case StepMinP:
			for kept < len(w) && w[kept] >= s.Value {
				kept++
			}
		}
		order = order[:max(1, kept)]
	}
	w, sum := weights()
	p := make(map[int32]float64, len(order))
	for i, j := range order {
		p[j] = w[i] / sum
	}
	return p
}

// sampled returns the classes that are picked at any of many numbers, with their probabilities.
func sampled(t *testing.T, row []float32, steps []Step, draws int) map[int32]float64 {
	t.Helper()
	p := map[int32]float64{}
	class, before, after, softmax := make([]int32, 1), make([]float64, 1), make([]float64, 1), make([]float64, len(row))
	Softmax(softmax, widen(row), len(row), 1)
	for i := range draws {
		Sample(class, before, after, []float64{(float64(i) + 0.5) / float64(draws)}, row, len(row), steps)
		if class[0] < 0 {
			t.Fatalf("nothing picked, %v, %d classes", steps, len(row))
		}
		p[class[0]] = after[0]
		if !numtest.Near(before[0], softmax[class[0]], 1e-6) {
			t.Errorf("softmax of class %d is %v, want %v", class[0], before[0], softmax[class[0]])
		}
	}
	return p
}

// The values that llama.cpp's tests/test-sampling.cpp has for its samplers.
func TestSampleLikeLlama(t *testing.T) {
	row := make([]float32, 4)
	for i := range row {
		row[i] = float32(math.Log(float64(float32(i+1) / 10)))
	}
	onEveryPath(t, func(t *testing.T) {
		for _, c := range []struct {
			step Step
			want []float64 // of the last classes
		}{
			{Step{StepTemperature, 1}, []float64{0.1, 0.2, 0.3, 0.4}},
			{Step{StepTopK, 1}, []float64{1}},
			{Step{StepTopK, 3}, []float64{0.22222, 0.33333, 0.44444}},
			{Step{StepTopK, 4}, []float64{0.1, 0.2, 0.3, 0.4}},
			{Step{StepTopP, 0}, []float64{1}},
			{Step{StepTopP, 0.7}, []float64{0.428571, 0.571429}},
			{Step{StepTopP, 0.8}, []float64{0.22222, 0.33333, 0.44444}},
			{Step{StepTopP, 1}, []float64{0.1, 0.2, 0.3, 0.4}},
			{Step{StepMinP, 0}, []float64{0.1, 0.2, 0.3, 0.4}},
			{Step{StepMinP, 0.24}, []float64{0.1, 0.2, 0.3, 0.4}},
			{Step{StepMinP, 0.26}, []float64{0.2 / 0.9, 0.3 / 0.9, 0.4 / 0.9}},
			{Step{StepMinP, 0.49}, []float64{0.2 / 0.9, 0.3 / 0.9, 0.4 / 0.9}},
			{Step{StepMinP, 0.51}, []float64{0.3 / 0.7, 0.4 / 0.7}},
			{Step{StepMinP, 0.74}, []float64{0.3 / 0.7, 0.4 / 0.7}},
			{Step{StepMinP, 0.76}, []float64{1}},
			{Step{StepMinP, 1}, []float64{1}},
			{Step{StepMinP, 1.05}, []float64{1}},
		} {
			got := sampled(t, row, []Step{c.step}, 100)
			for i, want := range c.want {
				class := int32(len(row) - len(c.want) + i)
				if p, ok := got[class]; !ok || len(got) != len(c.want) || !(math.Abs(p-want) < 1e-5) {
					t.Errorf("%v: class %d has %v, want %v of %v", c.step, class, p, want, c.want)
				}
			}
		}

		// Its queues: class i of 10,000 weighs i, and what a chain keeps is counted.
		const n = 10000
		long := make([]float32, n)
		for i := range long {
			long[i] = float32(math.Log(float64(i)))
		}
		for _, c := range []struct {
			chain      string
			k          int
			topP, minP float64
		}{
			{"k", n, 1, 1},
			{"k", 1, 1, 1},
			{"p", n, 1, 1},
			{"p", n, 0, 1},
			{"m", n, 1, 1},
			{"m", n, 1, 1e-12},
			{"k", 100, 1, 1},
			{"p", n, 0.0003, 1},
			{"p", n, 0.8, 1},
			{"m", n, 1, 9997.9 / 9999},
			{"m", n, 1, 0.1},
			{"kp", 100, 0.8, 0.1},
			{"km", 100, 0.8, 0.1},
			{"pk", 100, 0.8, 0.1},
			{"pm", 100, 0.8, 0.1},
			{"mk", 100, 0.8, 0.1},
			{"mp", 100, 0.8, 9997.9 / 9999},
			{"mp", 100, 0.8, 0.1},
			{"kpm", 100, 0.8, 0.1},
			{"kmp", 100, 0.8, 0.1},
			{"pkm", 100, 0.8, 0.1},
			{"pmk", 100, 0.8, 0.1},
			{"mkp", 100, 0.8, 0.1},
			{"mpk", 100, 0.8, 0.1},
		} {
			var steps []Step
			first := 1 // class 0 is masked
			for _, s := range c.chain {
				switch s {
				case 'k':
					steps = append(steps, Step{StepTopK, float64(c.k)})
					first = max(first, n-c.k)
				case 'p':
					steps = append(steps, Step{StepTopP, c.topP})
					sum := n*(n-1)/2 - first*(first-1)/2
					target := int(math.Ceil(float64(float32(c.topP)) * float64(sum)))
					reached := n - 1
					at := n - 1
					for reached < target {
						at--
						reached += at
					}
					first = at
				case 'm':
					steps = append(steps, Step{StepMinP, c.minP})
					first = min(max(first, int(math.Floor(c.minP*n)), 1), n-1)
				}
			}
			sum := float64(n*(n-1)/2 - first*(first-1)/2)
			for class, p := range sampled(t, long, steps, 20) {
				if want := float64(class) / sum; int(class) < first || !(math.Abs(p-want) <= 1e-6*want) {
					t.Errorf("%+v: class %d has %v, want %v: from class %d on", c, class, p, want, first)
				}
			}
		}
	})
}

func randomSteps(seed uint64, k int) []Step {
	rng := seeded(seed)
	all := []Step{
		{StepTemperature, math.Exp(rng.NormFloat64())}, {StepTopK, float64(1 + rng.IntN(k))}, {StepTopP, rng.Float64()}, {StepMinP, rng.Float64() * rng.Float64() / 4},
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:rng.IntN(len(all)+1)]
}

// checkSample holds Sample against the definition. Where rounding decides whether a class is kept either set will do.
func checkSample(t *testing.T, row []float32, steps []Step, draws int) {
	t.Helper()
	got := sampled(t, row, steps, draws)
	var err string
	for _, slack := range []float64{topPSlack, 2 * topPSlack, 0} {
		want := sampleByDefinition(row, steps, slack)
		err = ""
		for class, p := range got {
			if w, ok := want[class]; !ok || !(math.Abs(p-w) <= 2e-6*w+1e-30) {
				err = fmt.Sprintf("%v of %d classes: class %d is drawn at %v, want %v", steps, len(row), class, p, w)
			}
		}
		if len(got) == 1 && len(want) > 1 && !(slices.Max(slices.Collect(maps.Values(want))) > 1-2/float64(draws)) {
			err = fmt.Sprintf("%v of %d classes: %v alone is drawn, want %v", steps, len(row), got, want)
		}
		if err == "" {
			return
		}
	}
	t.Error(err)
}

func TestSampleOnEveryPath(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	onEveryPath(t, func(t *testing.T) {
		for seed := range uint64(100) {
			rng := seeded(seed)
			k := 1 + rng.IntN(600)
			row := normal(rng, k)
			scale := float32(math.Exp(2 * rng.NormFloat64()))
			for j := range row {
				switch row[j] *= scale; rng.IntN(10) {
				case 0:
					row[j] = float32(rng.IntN(3)) // ties
				case 1:
					if j > 0 {
						row[j] = float32(math.Inf(-1))
					}
				}
			}
			checkSample(t, guarded(t, row, seed%2 == 0), randomSteps(seed, k), 50)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		long := normal(seeded(1), 128256)
		for seed := range uint64(2) {
			checkSample(t, long, randomSteps(seed, len(long)), 5)
		}
	})
}

// Rows that have no softmax give none; rows of one value, of the largest numbers and of subnormal ones give what they should.
func TestSampleOddRows(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	steps := [][]Step{nil, {{StepTopK, 3}}, {{StepTopP, 0.5}}, {{StepMinP, 0.5}}, {{StepTopK, 3}, {StepTopP, 0.5}, {StepMinP, 0.5}, {StepTemperature, 2}}}
	onEveryPath(t, func(t *testing.T) {
		for _, k := range []int{1, 3, 40, 5000} {
			for _, odd := range [][2]float32{{nan, 1}, {inf, 1}, {-inf, -inf}, {nan, -inf}} {
				row := make([]float32, k)
				for at := range row {
					row[at] = odd[1]
				}
				for _, at := range []int{0, k / 2, k - 1} {
					row[at] = odd[0]
					for _, s := range steps {
						class, p := []int32{7}, []float64{7, 7}
						Sample(class, p[:1], p[1:], []float64{0.5}, row, k, s)
						if class[0] != -1 || p[0] == p[0] || p[1] == p[1] {
							t.Errorf("K = %d, %v at %d, %v: class %d of p %v", k, odd[0], at, s, class[0], p)
						}
					}
					row[at] = odd[1]
				}
			}
			for _, v := range []float32{0, 3e38, -3e38, 1e-45, 88} {
				row := make([]float32, k)
				for j := range row {
					row[j] = v
				}
				row[k/2] = max(-3e38, row[k/2]/2)
				for _, s := range steps {
					checkSample(t, row, s, 5)
				}
			}
		}
	})
}

// The bits do not depend on how many threads share the rows.
func TestSampleShared(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		rng := seeded(3)
		const n, k = 60, 5000
		z, u := normal(rng, n*k), make([]float64, n)
		for i := range u {
			u[i] = rng.Float64()
		}
		steps := []Step{{StepTemperature, 0.8}, {StepTopK, 3000}, {StepTopP, 0.9}}
		want, wantP := make([]int32, n), make([]float64, n)
		sampleRows(want, nil, wantP, u, z, k, steps)
		for _, procs := range []int{1, 2, 4} {
			runtime.GOMAXPROCS(procs)
			got, p := make([]int32, n), make([]float64, n)
			Sample(got, nil, p, u, z, k, steps)
			if !slices.Equal(got, want) || !slices.Equal(p, wantP) {
				t.Errorf("GOMAXPROCS=%d gives other picks", procs)
			}
		}
	})
}

func FuzzSample(f *testing.F) {
	f.Add(uint64(1), uint16(40), float32(3))
	f.Add(uint64(2), uint16(4100), float32(0.01))
	f.Fuzz(func(t *testing.T, seed uint64, k16 uint16, scale float32) {
		rng := seeded(seed)
		k := 1 + int(k16)%5000
		row := normal(rng, k)
		for j := range row {
			if row[j] *= scale; !(row[j] >= -math.MaxFloat32 && row[j] <= math.MaxFloat32) {
				row[j] = float32(rng.IntN(3))
			}
		}
		chosen := active
		defer func() { active = chosen }()
		for _, active = range available() {
			checkSample(t, row, randomSteps(seed, k), 5)
		}
	})
}

func BenchmarkSample(b *testing.B) {
	z := normal(seeded(1), 128256)
	class := make([]int32, 1)
	for name, steps := range map[string][]Step{"multinomial": nil, "top-p": {{StepTopP, 0.9}}, "top-k": {{StepTopK, 50}}, "min-p": {{StepMinP, 0.05}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Sample(class, nil, nil, []float64{0.5}, z, len(z), steps)
			}
		})
	}
}
