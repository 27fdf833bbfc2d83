package logit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Sampler says how a class is drawn from a row of logits. Its filters TopK, TopP and MinP each keep some of the classes with the largest
// logits, at least one, and of equal logits those of the lower classes; then a class is drawn from those that are kept, by their
// probabilities. The zero Sampler takes the largest logit.
type Sampler struct {
	// Temperature divides the logits. 0 takes the largest logit, whatever the filters.
	Temperature float64
	// TopK keeps the TopK largest logits; 0 keeps all.
	TopK int
	// TopP keeps the fewest of the largest logits whose probabilities sum to at least TopP of the sum before the step, to within the
	// precision of float32. 0 and 1 keep all. Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
	TopP float64
	// MinP keeps the classes whose probability is at least MinP times the largest; 0 keeps all. Nguyen et al., "Turning Up the Heat:
	// Min-p Sampling for Creative and Coherent LLM Outputs", 2025.
	MinP float64
	// Order is the order of the steps, each at most once. It changes the result: a temperature above 1 makes a TopP or MinP behind it
	// keep more. nil stands for temperature, top-k, top-p, min-p, the order of Hugging Face's transformers. TemperatureLast, the order
	// of llama.cpp, filters by the model's own probabilities and then draws at the temperature.
	Order []Step
}

// Step names a step of a Sampler, for its Order.
type Step uint8

// The steps of a Sampler.
const (
	StepTemperature Step = iota
	StepTopK
	StepTopP
	StepMinP
)

// This does not compile unless the kernels number the steps in the same order.
var _ = [1]struct{}{}[StepTemperature-Step(kernel.StepTemperature)|StepTopK-Step(kernel.StepTopK)|StepTopP-Step(kernel.StepTopP)|StepMinP-Step(kernel.StepMinP)]

// TemperatureLast returns the order top-k, top-p, min-p, temperature, for a Sampler's Order.
func TemperatureLast() []Step { return []Step{StepTopK, StepTopP, StepMinP, StepTemperature} }

// Validate returns an error for settings out of range, and for an Order that names a step twice or leaves out a step that is set.
func (s Sampler) Validate() error {
	switch {
	case !(s.Temperature >= 0 && s.Temperature <= math.MaxFloat64):
		return fmt.Errorf("temperature %v is not finite and at least 0", s.Temperature)
	case s.TopK < 0:
		return fmt.Errorf("top-k %d is below 0", s.TopK)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("top-p %v is not in [0, 1]", s.TopP)
	case !(s.MinP >= 0 && s.MinP <= 1):
		return fmt.Errorf("min-p %v is not in [0, 1]", s.MinP)
	}
	if s.Order == nil {
		return nil
	}
	for i, step := range s.Order {
		if step > StepMinP || slices.Contains(s.Order[:i], step) {
			return fmt.Errorf("the order of the sampler's steps, %v, has one twice or one that is none", s.Order)
		}
	}
	for step, on := range s.set() {
		if on && !slices.Contains(s.Order, Step(step)) {
			return fmt.Errorf("the order of the sampler's steps, %v, leaves one out that is set", s.Order)
		}
	}
	return nil
}

// set reports for each Step whether it has an effect.
func (s Sampler) set() [4]bool {
	return [4]bool{s.Temperature != 1 && s.Temperature != 0, s.TopK > 0, s.TopP > 0 && s.TopP < 1, s.MinP > 0}
}

// draw is the memory that Sample needs for some rows at a time.
type draw struct {
	steps [4]kernel.Step
	u     [256]float64 // random numbers in [0,1), one for each row
}

var draws = sync.Pool{New: func() any { return new(draw) }}

// Sample draws a class of each row of z [N,K] as s says and writes it to classes [N]: None for a row that has no softmax. Where they are not
// nil, it writes to before [N] the probability that the drawn class has in softmax(z), and to after [N] the probability with which it was
// drawn. A masked class is never drawn. Each row takes one number from rng, whatever its logits and s are, so that a row's class does not
// depend on the logits of the rows before it. No row is sorted. Sample panics for lengths that do not fit, and where s.Validate returns an
// error.
func Sample[T Float](classes []int32, before, after []float64, z []T, k int, s Sampler, rng *rand.Rand) {
	n := rowsOf("Sample", "z", z, k)
	checkLen("Sample", "classes", len(classes), n)
	if before != nil {
		checkLen("Sample", "before", len(before), n)
	}
	if after != nil {
		checkLen("Sample", "after", len(after), n)
	}
	if err := s.Validate(); err != nil {
		panic("logit: Sample: " + err.Error())
	}
	d := draws.Get().(*draw)
	defer draws.Put(d)
	set, values := s.set(), [4]float64{s.Temperature, float64(s.TopK), s.TopP, s.MinP}
	count := 0
	add := func(step Step) {
		if set[step] {
			d.steps[count] = kernel.Step{Do: kernel.StepKind(step), Value: values[step]}
			count++
		}
	}
	switch {
	case s.Temperature == 0:
		d.steps[0], count = kernel.Step{Do: kernel.StepTopK, Value: 1}, 1
	case s.Order == nil:
		for step := range StepMinP + 1 {
			add(step)
		}
	default:
		for _, step := range s.Order {
			add(step)
		}
	}
	part := func(x []float64, start, end int) []float64 {
		if x == nil {
			return nil
		}
		return x[start:end]
	}
	for start := 0; start < n; start += len(d.u) {
		end := min(start+len(d.u), n)
		u := d.u[:end-start]
		for i := range u {
			u[i] = rng.Float64()
		}
		kernel.Sample(classes[start:end], part(before, start, end), part(after, start, end), u, z[start*k:end*k], k, d.steps[:count])
	}
}

// Multinomial draws a class of each row of z [N,K] with the probabilities softmax(z) and writes it to dst [N]: it is Sample at temperature
// 1, without filters.
func Multinomial[T Float](dst []int32, z []T, k int, rng *rand.Rand) {
	n := rowsOf("Multinomial", "z", z, k)
	checkLen("Multinomial", "dst", len(dst), n)
	Sample(dst, nil, nil, z, k, Sampler{Temperature: 1}, rng)
}
