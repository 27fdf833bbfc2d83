package logit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Sampler says how a class is picked from logits. Its filters keep some of the largest logits; the pick is by the probabilities
// of what is kept. At least one class is kept, and of equal logits the lower class first. The zero Sampler picks the largest
// logit.
type Sampler struct {
	// Temperature divides the logits; 0 picks the largest, whatever the filters.
	Temperature float64
	// TopK keeps so many of the largest logits; 0 keeps all.
	TopK int
	// TopP keeps the fewest of the largest logits whose probabilities sum to at least TopP of what was kept before, to within
	// the precision of float32; 0 and 1 keep all. Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
	TopP float64
	// MinP keeps the classes that have at least MinP of the largest probability; 0 keeps all. Nguyen et al., "Turning Up the
	// Heat: Min-p Sampling for Creative and Coherent LLM Outputs", 2025.
	MinP float64
	// Order is the order of the steps, each at most once. It decides what is kept: a temperature above 1 lets a top-p or min-p
	// behind it keep more. nil is temperature, top-k, top-p, min-p, as in Hugging Face's transformers; TemperatureLast, as in
	// llama.cpp, keeps what is probable to the model and then draws from that at the temperature.
	Order []Step
}

// Step is a step of a Sampler.
type Step uint8

// The steps of a Sampler.
const (
	StepTemperature Step = iota
	StepTopK
	StepTopP
	StepMinP
)

// The kernels number the steps in the same order.
var _ = [1]struct{}{}[StepTemperature-Step(kernel.StepTemperature)|StepTopK-Step(kernel.StepTopK)|StepTopP-Step(kernel.StepTopP)|StepMinP-Step(kernel.StepMinP)]

// TemperatureLast is an order of a Sampler's steps: top-k, top-p, min-p, temperature.
func TemperatureLast() []Step { return []Step{StepTopK, StepTopP, StepMinP, StepTemperature} }

// Validate returns an error for settings out of their range, and for an Order that names a step twice or leaves one out that is
// set.
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

// set says which steps do anything.
func (s Sampler) set() [4]bool {
	return [4]bool{s.Temperature != 1 && s.Temperature != 0, s.TopK > 0, s.TopP > 0 && s.TopP < 1, s.MinP > 0}
}

// draw is what some rows at a time are picked with.
type draw struct {
	steps [4]kernel.Step
	u     [256]float64
}

var draws = sync.Pool{New: func() any { return new(draw) }}

// Sample picks a class of each row of z [N,K] as s says, drawn from rng, and writes it to classes [N]; None for a row that has no
// softmax. before [N] and after [N] take the probability of the class picked in softmax(z), and that at which it was picked;
// either may be nil. A masked class is never picked. Each row takes one number from rng, whatever it holds and s says, so that a
// row's pick does not depend on what the rows before it hold. No row is sorted. It panics where s.Validate has an error.
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

// Multinomial picks one class a row with the probabilities softmax(z): Sample at temperature 1.
func Multinomial[T Float](dst []int32, z []T, k int, rng *rand.Rand) {
	n := rowsOf("Multinomial", "z", z, k)
	checkLen("Multinomial", "dst", len(dst), n)
	Sample(dst, nil, nil, z, k, Sampler{Temperature: 1}, rng)
}
