// Package planted writes runs with a fault that is known, for tests of what must find it, and healthy ones.
//
// A sample of class y has x = m·[k = y] + ε_k, ε standard normal: then z = m·x is exactly calibrated, whatever m. Training
// is z = scale(t)·m·x with a scale that rises to 1 and a little more on the label of a training sample; each fault bends one
// of these.
package planted

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// Run is what is planted; Healthy gives the values from which a fault departs. Times are epoch/Epochs, in (0,1].
type Run struct {
	Classes, Train, Val, Epochs int
	Signal                      float64                 // m: how far the classes are apart
	Scale                       func(t float64) float64 // of the logits; 1 is calibrated
	Memory                      func(t float64) float64 // added to the logit of a training sample's label
	Forgetting                  func(t float64) float64 // noise added to x in validation: the ranking gets worse
	Offset                      func(t float64) float64 // added to every logit
	WrongLabels                 float64                 // share of the training labels that name a wrong class
	WrongToo                    bool                    // and of validation's
	Ratio                       float64                 // of the most frequent class to the rarest
	Confused                    float64                 // share of the samples of classes 0 and 1 that look like both
	Dead                        int                     // class whose logit stays low, -1 for none
	Leaked                      int                     // validation samples that are training samples
	Previews                    bool                    // a random picture for each sample; leaked ones have their own again
	Changed                     Change                  // what was done to a leaked one's
	Every                       int                     // which epochs are recorded: those that it divides
	Kept                        []int                   // epochs of which there is a checkpoint
	Output                      func(z []float32)       // what is recorded instead of the logits of a sample
	Head                        logit.Head              // record's; "" for softmax. Binary takes two classes; of sigmoid, a sample has one of the classes
	Unit                        string                  // what the number of an epoch counts; "" for epochs
	Wander                      float64                 // how far the weights stray from the best ones, as steps of training make them do
}

// side of a picture, in pixels of one channel.
const side = 8

// Change makes another picture [side,side] of one.
type Change func(picture []byte, rng *rand.Rand)

// Noise changes every value by at most most.
func Noise(most int) Change {
	return func(picture []byte, rng *rand.Rand) {
		for i, v := range picture {
			picture[i] = byte(min(max(int(v)+rng.IntN(2*most+1)-most, 0), 255))
		}
	}
}

// Moved moves a picture by a pixel to the right and down; what comes into sight is random.
func Moved(picture []byte, rng *rand.Rand) {
	for i := len(picture) - 1; i >= 0; i-- {
		if i/side > 0 && i%side > 0 {
			picture[i] = picture[i-side-1]
		} else {
			picture[i] = byte(rng.IntN(256))
		}
	}
}

// Mirrored has left and right change places.
func Mirrored(picture []byte, _ *rand.Rand) {
	for row := range slices.Chunk(picture, side) {
		slices.Reverse(row)
	}
}

// Healthy returns a run without a fault.
func Healthy() Run {
	return Run{
		Classes: 10, Train: 1000, Val: 500, Epochs: 20, Signal: 3.5, Ratio: 1, Dead: -1, Every: 1,
		Scale:      func(t float64) float64 { return 1 - math.Exp(-5*t) },
		Memory:     func(t float64) float64 { return 0.3 * t },
		Forgetting: func(float64) float64 { return 0 },
		Offset:     func(float64) float64 { return 0 },
	}
}

// Softmax makes z its softmax.
func Softmax(z []float32) {
	largest, sum := math.Inf(-1), 0.0
	for _, v := range z {
		largest = max(largest, float64(v))
	}
	for _, v := range z {
		sum += math.Exp(float64(v) - largest)
	}
	for j, v := range z {
		z[j] = float32(math.Exp(float64(v)-largest) / sum)
	}
}

// sample is what a sample's logits are made of.
type sample struct {
	x, noise []float64 // [K]
	label    int
}

// Planted is a run's samples, and its logits epoch by epoch.
type Planted struct {
	Manifest record.Manifest
	Samples  map[string]record.Samples

	run        Run
	prior      []float64
	train, val []sample
	strays     [][]float64 // [K,K] of each epoch: what is added to the weights
}

// Plant makes the run of a seed. Weights wander in the same way whatever the number of samples.
func (r Run) Plant(seed uint64) *Planted {
	rng := rand.New(rand.NewPCG(seed, 0x706c616e746564))
	p := &Planted{run: r, prior: make([]float64, r.Classes)}
	total := 0.0
	for k := range p.prior {
		p.prior[k] = math.Pow(r.Ratio, -float64(k)/float64(max(r.Classes-1, 1)))
		total += p.prior[k]
	}
	for k := range p.prior {
		p.prior[k] /= total
	}
	train, clean := r.samples(r.Train, p.prior, rng)
	val, _ := r.samples(r.Val, p.prior, rng)
	if r.WrongLabels > 0 {
		for i := range train {
			r.mislabel(&train[i], rng)
		}
		for i := range val {
			if r.WrongToo {
				r.mislabel(&val[i], rng)
			}
		}
	} else {
		clean = nil
	}
	p.train, p.val = train, val
	p.Manifest = record.Manifest{Head: record.HeadSoftmax, Columns: r.Classes, PlannedEpochs: r.Epochs, Seed: seed, Unit: r.Unit}
	for k := range r.Classes {
		p.Manifest.Classes = append(p.Manifest.Classes, fmt.Sprintf("class %d", k))
	}
	p.Samples = map[string]record.Samples{record.TrainSplit: table(train, 0), record.ValSplit: table(val, r.Train)}
	if clean != nil {
		s := p.Samples[record.TrainSplit]
		s.CleanLabels = clean
		p.Samples[record.TrainSplit] = s
	}
	if r.Previews {
		p.preview(rng)
	}
	for i := range r.Leaked {
		p.Samples[record.ValSplit].Labels[i] = int32(train[i].label)
	}
	p.recast()
	if r.Wander > 0 {
		p.stray(rand.New(rand.NewPCG(seed, 0x77616e646572)))
	}
	return p
}

// recast gives manifest and samples the form of the run's head.
func (p *Planted) recast() {
	switch p.run.Head {
	case record.HeadBinary:
		p.Manifest.Head, p.Manifest.Columns = record.HeadBinary, 1
	case record.HeadSigmoid:
		p.Manifest.Head = record.HeadSigmoid
		for name, s := range p.Samples {
			s.Targets = make([]uint8, len(s.Labels)*p.run.Classes)
			labels := s.Labels
			s.Labels, s.CleanLabels = make([]int32, len(labels)), nil
			for i, label := range labels {
				s.Targets[i*p.run.Classes+int(label)] = 1
				s.Labels[i] = record.Ignored
			}
			p.Samples[name] = s
		}
	}
}

// cast turns logits of a softmax into those of the run's head, of the same probabilities: the log-odds of class 1, or of each class.
func (p *Planted) cast(logits []float32) []float32 {
	k := p.run.Classes
	switch p.run.Head {
	case record.HeadBinary:
		cast := make([]float32, len(logits)/k)
		for i := range cast {
			cast[i] = logits[2*i+1] - logits[2*i]
		}
		return cast
	case record.HeadSigmoid:
		cast := make([]float32, len(logits))
		for i := range cast {
			others := 0.0
			largest := math.Inf(-1)
			row := logits[i/k*k:][:k]
			for j, v := range row {
				if j != i%k {
					largest = max(largest, float64(v))
				}
			}
			for j, v := range row {
				if j != i%k {
					others += math.Exp(float64(v) - largest)
				}
			}
			cast[i] = float32(float64(logits[i]) - largest - math.Log(others))
		}
		return cast
	}
	return logits
}

// preview gives each sample a random picture, and leaked ones that of their training sample, changed.
func (p *Planted) preview(rng *rand.Rand) {
	p.Manifest.Preview = &record.Preview{Kind: "image", Height: side, Width: side, Channels: 1, Max: 255}
	for _, name := range []string{record.TrainSplit, record.ValSplit} {
		s := p.Samples[name]
		for range len(s.IDs) * side * side {
			s.Previews = append(s.Previews, byte(rng.IntN(256)))
		}
		p.Samples[name] = s
	}
	leaked := p.Samples[record.ValSplit].Previews[:side*side*p.run.Leaked]
	copy(leaked, p.Samples[record.TrainSplit].Previews)
	for picture := range slices.Chunk(leaked, side*side) {
		if p.run.Changed != nil {
			p.run.Changed(picture, rng)
		}
	}
}

// stray draws what is added to the weights at each epoch: a walk that is pulled back, so that it strays no further in the end.
func (p *Planted) stray(rng *rand.Rand) {
	const kept = 0.8 // from one epoch to the next
	n := p.run.Classes * p.run.Classes
	at := make([]float64, n)
	for i := range at {
		at[i] = p.run.Wander * rng.NormFloat64()
	}
	for range p.run.Epochs {
		for i := range at {
			at[i] = kept*at[i] + p.run.Wander*math.Sqrt(1-kept*kept)*rng.NormFloat64()
		}
		p.strays = append(p.strays, slices.Clone(at))
	}
}

// Epoch returns the logits of each split at an epoch from 1 on.
func (p *Planted) Epoch(epoch int) map[string][]float32 {
	r, t := p.run, float64(epoch)/float64(p.run.Epochs)
	var stray []float64
	if p.strays != nil {
		stray = p.strays[epoch-1]
	}
	logits := map[string][]float32{
		record.TrainSplit: r.logits(p.train, p.prior, t, r.Memory(t), 0, stray),
		record.ValSplit:   r.logits(p.val, p.prior, t, 0, r.Forgetting(t), stray),
	}
	copy(logits[record.ValSplit][:r.Leaked*r.Classes], logits[record.TrainSplit])
	for name, z := range logits {
		logits[name] = p.cast(z)
	}
	return logits
}

// Write records the run in the directory dir, which must not exist. The same seed gives the same bytes but for the time.
func (r Run) Write(dir string, seed uint64) error {
	p := r.Plant(seed)
	w, err := record.Create(dir, p.Manifest, p.Samples)
	if err != nil {
		return err
	}
	for epoch := r.Every; epoch <= r.Epochs; epoch += r.Every {
		if err := w.Write(epoch, p.Epoch(epoch)); err != nil {
			return err
		}
	}
	for _, epoch := range r.Kept {
		if err := w.Checkpoint(epoch, nil, r.Kept...); err != nil {
			return err
		}
	}
	return w.Close(record.StateComplete)
}

func (r Run) samples(n int, prior []float64, rng *rand.Rand) (all []sample, labels []int32) {
	for range n {
		label, u := 0, rng.Float64()
		for u > prior[label] && label < r.Classes-1 {
			u -= prior[label]
			label++
		}
		s := sample{label: label}
		for range r.Classes {
			s.x, s.noise = append(s.x, rng.NormFloat64()), append(s.noise, rng.NormFloat64())
		}
		s.x[label] += r.Signal
		if label < 2 && rng.Float64() < r.Confused {
			s.x[1-label] += r.Signal
		}
		all, labels = append(all, s), append(labels, int32(label))
	}
	return all, labels
}

// mislabel gives a share of the samples a wrong label.
func (r Run) mislabel(s *sample, rng *rand.Rand) {
	if rng.Float64() < r.WrongLabels {
		s.label = (s.label + 1 + rng.IntN(r.Classes-1)) % r.Classes
	}
}

func table(samples []sample, firstID int) (s record.Samples) {
	for i, one := range samples {
		s.IDs, s.Labels = append(s.IDs, int64(firstID+i)), append(s.Labels, int32(one.label))
	}
	return s
}

// logits of the samples at time t.
func (r Run) logits(samples []sample, prior []float64, t, memory, forgetting float64, stray []float64) []float32 {
	logits := make([]float32, len(samples)*r.Classes)
	scale, offset := r.Scale(t), r.Offset(t)
	x := make([]float64, r.Classes)
	for i, s := range samples {
		row := logits[i*r.Classes : (i+1)*r.Classes]
		for k := range x {
			x[k] = s.x[k] + forgetting*s.noise[k]
		}
		for k := range row {
			z := r.Signal*x[k] + math.Log(prior[k])
			if stray != nil {
				for j, v := range x {
					z += stray[k*r.Classes+j] * v
				}
			}
			row[k] = float32(scale*z + offset)
		}
		row[s.label] += float32(memory)
		if r.Dead >= 0 {
			row[r.Dead] = float32(offset - 10*scale)
		}
		if r.Output != nil {
			r.Output(row)
		}
	}
	return logits
}
