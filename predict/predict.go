// Package predict applies a trained run to new data: the network of its best checkpoint, the pipeline that made features of its training
// rows, and its calibrator where it has one.
package predict

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
)

// Options say how a class is chosen. The zero value chooses the most probable one.
type Options struct {
	Sample  bool          // whether the class is drawn from the probabilities, as Sampler says
	Sampler logit.Sampler // its Temperature divides the logits, also where Sample is false; 0 stands for 1
	Seed    uint64        // of what is drawn: the same rows in the same order are given the same classes
	Top     int           // how many of the most probable classes a Prediction lists; 0 stands for 1
}

// Validate returns an error for the first option that is out of range.
func (o Options) Validate() error {
	if o.Top < 0 {
		return fmt.Errorf("a list of %d classes: give 0 or more", o.Top)
	}
	return o.Sampler.Validate()
}

// Model is a trained network with what belongs to it. Several goroutines may use it; they take turns.
type Model struct {
	Options
	Classes    []string              // the names of the classes
	Epoch      int                   // the epoch of the checkpoint
	Pipeline   *dataset.Pipeline     // makes features of rows
	Calibrator *calibrate.Calibrator // nil where the run has none; the caller may set it to nil to predict without it

	mu   sync.Mutex
	net  *nn.Network[float32]
	head nn.Head
}

// Candidate is a class and its probability.
type Candidate struct {
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
}

// Prediction is the result for one row. A row without a softmax, whose features are not finite, has no Label.
type Prediction struct {
	Row         int         `json:"row"`         // the number of the row, counted from 0
	Label       string      `json:"label"`       // the class that was chosen
	Probability float64     `json:"probability"` // its probability, by the calibrator and at the temperature
	Labels      []string    `json:"labels"`      // Label alone; for a sigmoid head all classes with a probability of 0.5 or more
	Top         []Candidate `json:"top"`         // the Options.Top most probable classes, the most probable first
	Logits      []float32   `json:"logits"`      // [K], or one for a binary head; as the network gives them, without calibrator and temperature
}

// Open reads the run in dir: its best checkpoint, its pipeline, and its calibrator if it has one. The error is ErrNoCheckpoint where the run
// has none; a file that is damaged or is another run's is an error too.
func Open(dir string) (*Model, error) {
	run, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	m := &Model{Classes: run.Manifest().Classes}
	if m.net, m.head, m.Epoch, err = Network(run, "best"); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if m.head.Classes() != len(m.Classes) {
		return nil, fmt.Errorf("%s: the checkpoint has %d classes, the run %d", dir, m.head.Classes(), len(m.Classes))
	}
	raw, err := run.File(dataset.PipelineFile)
	if err != nil {
		return nil, fmt.Errorf("%s does not say how its rows became features: %w", dir, err)
	}
	if m.Pipeline, err = dataset.ParsePipeline(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := m.fits(); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m.Calibrator, err = calibrate.LoadFrom(run)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("%w; fit it again with logitscope calibrate, or remove it", err)
	case m.Calibrator.Columns != m.head.Columns():
		return nil, fmt.Errorf("%s: its calibrator is of %d logits a row, the model has %d: calibrate again", dir, m.Calibrator.Columns, m.head.Columns())
	}
	return m, nil
}

// fits returns an error where the pipeline is another run's: what it makes of a row is not what the network takes.
func (m *Model) fits() error {
	p := m.Pipeline
	ids := 0
	if p.Tokens != nil {
		ids = p.Tokens.IDs()
	}
	features, wanted := m.net.Inputs()
	switch {
	case !slices.Equal(p.Classes, m.Classes):
		return fmt.Errorf("%s is of another run: its classes are not the run's", dataset.PipelineFile)
	case ids != wanted || p.Inputs != features:
		return fmt.Errorf("%s is of another run: it makes %d features and ids below %d of a row, the model takes %d and %d",
			dataset.PipelineFile, p.Inputs, ids, features, wanted)
	}
	return nil
}

// Open opens a file of new rows, to be read as the training rows were. The caller closes the Rows.
func (m *Model) Open(path string) (*dataset.Rows, error) { return m.Pipeline.Open(path) }

// File predicts every row of a file of the kind of the training data: a table with its columns, an array, or images.
func (m *Model) File(path string) ([]Prediction, error) {
	rows, err := m.Open(path)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return m.all(rows)
}

// Fields predicts rows of a table in memory. rows is [rows][columns]: the text of each field, in the order of the columns' names.
func (m *Model) Fields(names []string, rows [][]string) ([]Prediction, error) {
	r, err := m.Pipeline.Fields(names, rows)
	if err != nil {
		return nil, err
	}
	return m.all(r)
}

// Vectors predicts rows of features [N,D] in memory, as the training array had them.
func (m *Model) Vectors(features []float32) ([]Prediction, error) {
	r, err := m.Pipeline.Vectors(features)
	if err != nil {
		return nil, err
	}
	return m.all(r)
}

// all returns the predictions of all rows.
func (m *Model) all(rows *dataset.Rows) ([]Prediction, error) {
	var all []Prediction
	err := m.Each(rows, func(block []Prediction) error {
		all = append(all, block...)
		return nil
	})
	return all, err
}

// blockRows is the number of rows that go through the network at a time.
const blockRows = 1024

// Each calls do with the predictions of rows, in order and some at a time. It returns the error of do or of reading the rows.
func (m *Model) Each(rows *dataset.Rows, do func([]Prediction) error) error {
	return m.each(rows, m.source(), 0, do)
}

// source returns the generator that classes are drawn from.
func (m *Model) source() *rand.Rand { return rand.New(rand.NewPCG(m.Seed, 0)) }

// each is Each for rows that are preceded by before others.
func (m *Model) each(rows *dataset.Rows, rng *rand.Rand, before int, do func([]Prediction) error) error {
	if c := m.Calibrator; c != nil && c.Epoch != nil && *c.Epoch != m.Epoch {
		return fmt.Errorf("the calibrator was fitted on the logits of epoch %d, the weights are those of epoch %d: calibrate with --epoch %d if that is recorded, or predict with --uncalibrated",
			*c.Epoch, m.Epoch, m.Epoch)
	}
	if err := m.Validate(); err != nil {
		return err
	}
	if m.Sample && m.head.Kind().MultiLabel() {
		return errors.New("a model of several labels a sample has no one class to draw: take its labels, those of probability 0.5 or more")
	}
	columns, k := m.head.Columns(), len(m.Classes)
	probs := make([]float32, blockRows*k)
	for b := rows.Next(blockRows); b != nil; b = rows.Next(blockRows) {
		z := make([]float32, b.N*columns) // not used again, because the predictions keep parts of it
		m.mu.Lock()
		m.net.Logits(z, nn.Batch[float32]{N: b.N, Features: b.Features, Tokens: b.Tokens, Offsets: b.Offsets, Weights: b.Weights})
		m.mu.Unlock()
		block := make([]Prediction, b.N)
		picked := m.decide(probs[:b.N*k], z, rng)
		for i := range block {
			block[i] = m.prediction(before+b.First+i, z[i*columns:(i+1)*columns], probs[i*k:(i+1)*k], picked[i])
		}
		if err := do(block); err != nil {
			return err
		}
	}
	return rows.Err()
}

// decide writes the probabilities of each row of logits z [N,Columns] to probs [N,K], and returns the class that is chosen for each row.
func (m *Model) decide(probs, z []float32, rng *rand.Rand) []int32 {
	k, columns := len(m.Classes), m.head.Columns()
	scaled := slices.Clone(z)
	if m.Calibrator != nil {
		m.Calibrator.Apply(scaled, z)
	}
	sampler := m.Sampler
	if sampler.Temperature == 0 {
		sampler.Temperature = 1
	}
	switch m.head.Kind() {
	case logit.HeadBinary:
		both := make([]float32, 2*len(z))
		for i, v := range scaled {
			both[2*i+1] = v
		}
		scaled = both
	case logit.HeadSigmoid:
		both := make([]float32, 2*len(z)) // each class against its absence
		for i, v := range scaled {
			both[2*i+1] = v
		}
		logit.Temperature(both, both, sampler.Temperature)
		logit.Softmax(both, both, 2)
		for i := range probs {
			probs[i] = both[2*i+1]
		}
		picked := make([]int32, len(z)/columns)
		logit.Argmax(picked, scaled, k)
		return picked
	}
	picked := make([]int32, len(scaled)/k)
	if m.Sample {
		logit.Sample(picked, nil, nil, scaled, k, sampler, rng)
	} else {
		logit.Argmax(picked, scaled, k)
	}
	logit.Temperature(scaled, scaled, sampler.Temperature)
	logit.Softmax(probs, scaled, k)
	return picked
}

// prediction returns the prediction of a row with logits z and probabilities probs, for which the class picked was chosen.
func (m *Model) prediction(row int, z, probs []float32, picked int32) Prediction {
	p := Prediction{Row: row, Logits: z}
	if picked >= 0 {
		p.Label, p.Probability = m.Classes[picked], float64(probs[picked])
		p.Labels = []string{p.Label}
	}
	for _, class := range largest(probs, min(max(m.Top, 1), len(probs))) {
		p.Top = append(p.Top, Candidate{m.Classes[class], float64(probs[class])})
	}
	if m.head.Kind().MultiLabel() {
		p.Labels = nil
		for class, x := range probs {
			if x >= 0.5 {
				p.Labels = append(p.Labels, m.Classes[class])
			}
		}
	}
	return p
}

// largest returns the n classes with the largest probabilities in descending order; of equal ones the lower class comes first.
func largest(probs []float32, n int) []int {
	best := make([]int, 0, n+1)
	for class, x := range probs {
		if len(best) == n && !(x > probs[best[n-1]]) {
			continue
		}
		place := len(best)
		for place > 0 && x > probs[best[place-1]] {
			place--
		}
		best = slices.Insert(best, place, class)
		best = best[:min(len(best), n)]
	}
	return best
}
