package analysis

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// Explanation shows one sample through every stage from logits to gradient. Z, ZOverT, Softmax, LogSoftmax and Gradient have K values, one a class;
// a binary head's single logit z stands as the two logits 0 and z. A value that is not finite is null.
type Explanation struct {
	Run         string   `json:"run"`
	Epoch       int      `json:"epoch"`
	Unit        string   `json:"unit,omitempty"` // what the number of the epoch counts, as in Curves
	Split       string   `json:"split"`
	ID          int64    `json:"id"`
	Label       int32    `json:"label"`
	CleanLabel  *int32   `json:"clean_label"` // the label before noise was planted; null where none was
	Classes     []string `json:"classes"`
	Temperature float64  `json:"temperature"`
	Z           []Number `json:"z"`
	ZOverT      []Number `json:"z_over_t"`
	Softmax     []Number `json:"softmax"`
	LogSoftmax  []Number `json:"log_softmax"`
	NLL         Number   `json:"nll"`            // −log p of the label
	Gradient    []Number `json:"gradient"`       // the gradient of the NLL with respect to z: (p − y)/T
	Argmax      int32    `json:"argmax"`         // -1 where the logits have no softmax
	Rank        int      `json:"rank"`           // the rank of the label's logit, 1 for the largest; 0 without a label or a softmax
	Preview     []byte   `json:"preview"`        // the sample's picture; null where it has none
	Text        string   `json:"text,omitempty"` // the sample's text
	Note        string   `json:"note,omitempty"` // what null stands for, where a value is not finite
	Lacking              // what could not be read of the history, of its dynamics and of the early epochs

	Asks       string        `json:"asks"`       // what the gradient asks for, in words
	History    []Past        `json:"history"`    // the sample at every epoch that can be read
	Early      int           `json:"early"`      // the last of the early epochs, over which EL2N is a mean
	Dynamics   *TraceFigures `json:"dynamics"`   // null without a label
	Neighbours []Neighbour   `json:"neighbours"` // in the split at the epoch: those with the nearest logits, at most eight
}

// ValidTemperature reports whether logits can be divided by t: finite and above 0.
func ValidTemperature(t float64) bool { return t > 0 && t <= math.MaxFloat64 }

// Explain follows the sample with the given id through every stage, at an epoch of a split, with its logits divided by temperature. A temperature that
// ValidTemperature refuses is an error; an epoch, a split or a sample that the run does not have is a *NotFoundError.
func (a *Analyzer) Explain(ctx context.Context, epoch int, split string, id int64, temperature float64) (*Explanation, error) {
	if !ValidTemperature(temperature) {
		return nil, fmt.Errorf("temperature %v: want a finite number above 0", temperature)
	}
	if err := a.checkEpoch(epoch); err != nil {
		return nil, err
	}
	samples, err := a.Samples(split)
	if err != nil {
		return nil, err
	}
	at := slices.Index(samples.IDs, id)
	if at < 0 {
		return nil, noSample(id, split, a.source.Manifest().Name, samples.IDs)
	}
	m := a.source.Manifest()
	var z []float64
	var near []Neighbour
	label := int32(record.Ignored)
	if err := a.Read(ctx, epoch, split, func(s *Split) error {
		row, ok := s.Row(at)
		if !ok {
			return a.notFound("sample %d of %s has no row at epoch %d of %s: %d of %d samples were recorded there", id, split, epoch, m.Name, s.Len(), s.Info().Of)
		}
		b := s.Batch(row, 1)
		z, label = expanded(b.Logits, m.Columns, 0), b.Labels[0]
		near, err = nearest(ctx, s, row)
		return err
	}); err != nil {
		return nil, err
	}
	for i := range near {
		n := &near[i]
		n.ID, n.Label, n.CleanLabel = samples.IDs[n.place], samples.Labels[n.place], CleanLabel(samples, n.place)
		n.Preview, n.Text = Preview(samples, m, n.place), Text(samples, n.place)
	}
	k := len(z)
	e := &Explanation{
		Run: m.Name, Epoch: epoch, Unit: m.Unit, Split: split, ID: id, Label: label, CleanLabel: CleanLabel(samples, at),
		Classes: m.Classes, Temperature: temperature, Preview: Preview(samples, m, at), Text: Text(samples, at),
	}
	scaled, probs, logProbs, grad := make([]float64, k), make([]float64, k), make([]float64, k), make([]float64, k)
	logit.Temperature(scaled, z, temperature)
	logit.Softmax(probs, scaled, k)
	logit.LogSoftmax(logProbs, scaled, k)
	top := make([]int32, 1)
	logit.Argmax(top, scaled, k)
	e.Argmax = top[0]
	e.NLL = Number(math.NaN())
	if y := e.Label; y != record.Ignored {
		for j, p := range probs {
			grad[j] = p / temperature
		}
		grad[y] = (probs[y] - 1) / temperature
		e.NLL = Number(-logProbs[y])
		if e.Argmax != logit.None {
			e.Rank = rank(z, int(y))
		}
	}
	e.Z, e.ZOverT, e.Softmax, e.LogSoftmax, e.Gradient = numbers(z), numbers(scaled), numbers(probs), numbers(logProbs), numbers(grad)
	e.Neighbours, e.Asks = near, e.describeGradient()
	if err := e.addHistory(ctx, a, at); err != nil {
		return nil, err
	}
	switch {
	case e.Argmax == logit.None:
		e.Note = "z/T holds NaN or +Inf, or −Inf alone: it has no softmax; null stands for what is not finite"
	case e.Label == record.Ignored:
		e.Note = "the sample has no label: its NLL is null, its gradient 0"
	case slices.ContainsFunc(logProbs, func(v float64) bool { return math.IsInf(v, 0) }):
		e.Note = "null stands for −Inf: a masked class, of probability 0"
	}
	return e, nil
}

func noSample(id int64, split, run string, ids []int64) error {
	if len(ids) == 0 {
		return &NotFoundError{fmt.Sprintf("no sample %d in split %s of %s: it has none", id, split, run)}
	}
	return &NotFoundError{fmt.Sprintf("no sample %d in split %s of %s: it has %d, with ids from %d to %d",
		id, split, run, len(ids), slices.Min(ids), slices.Max(ids))}
}

// expanded returns the K logits of row i in float64. A binary head's single logit z becomes the two logits 0 and z.
func expanded(values []float32, columns, i int) []float64 {
	if columns == 1 {
		return []float64{0, float64(values[i])}
	}
	z := make([]float64, columns)
	for j, v := range values[i*columns : (i+1)*columns] {
		z[j] = float64(v)
	}
	return z
}

// rank returns the rank of class y by its logit, 1 for the largest. Of two classes with equal logits the lower ranks first, as in argmax.
func rank(z []float64, y int) int {
	r := 1
	for j, v := range z {
		if v > z[y] || v == z[y] && j < y {
			r++
		}
	}
	return r
}

func numbers(values []float64) []Number {
	n := make([]Number, len(values))
	for i, v := range values {
		n[i] = Number(v)
	}
	return n
}

// Hardest lists the samples of a split that have the highest NLL at an epoch.
type Hardest struct {
	Samples []Sample `json:"samples"`
}

// Sample is a sample and what the network predicts for it at an epoch.
type Sample struct {
	ID         int64  `json:"id"`
	Label      int32  `json:"label"`
	CleanLabel *int32 `json:"clean_label"`
	Argmax     int32  `json:"argmax"`
	PTrue      Number `json:"p_true"`
	NLL        Number `json:"nll"`
	Preview    []byte `json:"preview"`
	Text       string `json:"text,omitempty"`

	place int // the place of the sample among the samples of the split
}

// Hardest returns at most limit samples in falling order of their NLL, the lower id first on a tie. Samples without a
// label or without a softmax are left out. A sigmoid head gives an empty list.
func (a *Analyzer) Hardest(ctx context.Context, epoch int, split string, limit int) (*Hardest, error) {
	if err := a.checkEpoch(epoch); err != nil {
		return nil, err
	}
	samples, err := a.Samples(split)
	if err != nil {
		return nil, err
	}
	all := []Sample{}
	if a.source.Manifest().Head.MultiLabel() { // no sample has a single label
		return &Hardest{Samples: all}, nil
	}
	_, err = a.eachStats(ctx, epoch, split, func(b statsBlock) {
		for i := range b.stats {
			r, label := &b.stats[i], b.Labels[i]
			if label == record.Ignored || math.IsNaN(r.LSE) {
				continue
			}
			place := b.number(b.First + i)
			all = append(all, Sample{
				ID: samples.IDs[place], Label: label, Argmax: r.Argmax, PTrue: Number(math.Exp(-r.NLL)), NLL: Number(r.NLL), place: place,
			})
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(x, y Sample) int { return cmp.Or(cmp.Compare(y.NLL, x.NLL), cmp.Compare(x.ID, y.ID)) })
	all = all[:min(max(limit, 0), len(all))]
	for i := range all {
		all[i].CleanLabel = CleanLabel(samples, all[i].place)
		all[i].Preview, all[i].Text = Preview(samples, a.source.Manifest(), all[i].place), Text(samples, all[i].place)
	}
	return &Hardest{Samples: all}, nil
}

// CleanLabel returns the label of the i-th sample before noise was planted, nil where no noise was.
func CleanLabel(samples *record.Samples, i int) *int32 {
	if samples.CleanLabels == nil {
		return nil
	}
	return &samples.CleanLabels[i]
}

// Text returns the i-th sample's text, "" where it has none.
func Text(samples *record.Samples, i int) string {
	if samples.Texts == nil {
		return ""
	}
	return samples.Texts[i]
}

// Preview returns the bytes of the i-th sample's picture, nil where samples have none.
func Preview(samples *record.Samples, m *record.Manifest, i int) []byte {
	if m.Preview == nil || samples.Previews == nil {
		return nil
	}
	size := m.Preview.Size()
	return samples.Previews[i*size : (i+1)*size]
}
