package analysis

import (
	"hash/maphash"
	"math"
	"slices"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// evidence is what findings are decided from, whose memory does not grow with the number of epochs times samples: the pass that the
// curves take over the logits, one for the dynamics of train and val, and a second look at three epochs: the first, the best and
// the last.
type evidence struct {
	manifest  *record.Manifest
	curves    *Curves
	classes   int
	validated bool
	timeline  []moment                 // the epochs where training and, if there is one, validation can be read
	samples   map[string]splitSamples  // by split
	detail    map[string]map[int][]row // by split and epoch: every sample at the best and the last epoch
	shared    []sharedSample           // samples of the training set that another split has again
	dynamics  map[string]*Dynamics     // of train and val, where there is validation
	suspects  []Suspect                // the training samples whose labels are most likely wrong
	kept      []int                    // epochs of which there is a checkpoint, rising
	unlike    bool                     // the recorded values are no logits: what is said of confidence means nothing
}

// moment is an epoch of the timeline.
type moment struct {
	epoch      int
	train, val seen
}

// seen is what there is to see of a split at an epoch.
type seen struct {
	SplitScores
	confidence  float64 // mean of the largest p
	saturated   float64 // share of the rows with 1 − p < saturation
	surelyWrong int     // of them, those that are not right
	offset      float64 // mean of all logits
	rise        float64 // mean over the rows of largest logit − mean logit
	lse         float64 // mean
	largest     float64 // |z|
	spread      float64 // largest difference of two logits of a row
	probs       bool    // every row is in [0,1] and, unless it is one column, sums to 1
	logProbs    bool    // every row has LSE 0
	distinct    bool    // not every value is the same
}

// splitSamples are the samples of a split and how often its labels name each class.
type splitSamples struct {
	*record.Samples
	support  []int
	labelled int
}

// row is a labelled sample at an epoch; argmax -1 where its logits have no softmax.
type row struct {
	label, argmax int32
	nll, top      float32 // top: the largest p at the temperature that fits validation
}

// sharedSample is a sample of the training set that is in another split too.
type sharedSample struct {
	split     string
	id, again int64
	picture   bool // the same preview; else the same logits
	near      bool // the preview is not the same byte for byte, but near
}

const (
	saturation = 1e-6 // float32 resolves p no closer to 1 than 6e-8; below 1e-6 the gradient has no more than four bits left
	sumsTo     = 1e-3 // what float16 leaves of a sum of 1
)

// gather reads the run.
func (a *Analyzer) gather() (*evidence, error) {
	curves, err := a.Curves()
	if err != nil {
		return nil, err
	}
	m := a.run.Manifest()
	e := &evidence{
		manifest: m, curves: curves, classes: len(m.Classes),
		samples: map[string]splitSamples{}, detail: map[string]map[int][]row{}, dynamics: map[string]*Dynamics{},
	}
	for _, split := range m.Splits {
		s, err := a.samplesOf(split.Name)
		if err != nil {
			return nil, err
		}
		with := splitSamples{Samples: s, support: make([]int, e.classes)}
		for _, label := range s.Labels {
			if label >= 0 {
				with.support[label]++
				with.labelled++
			}
		}
		e.samples[split.Name] = with
	}
	if e.kept, err = a.run.Checkpoints(); err != nil {
		return nil, err
	}
	e.validated = slices.ContainsFunc(curves.Epochs, func(s EpochScores) bool { return has(s, "val") })
	epochs := make([]int, len(curves.Epochs)) // a run that is recorded may have more by now
	for i, s := range curves.Epochs {
		epochs[i] = s.Epoch
	}
	scores, err := a.scoresOf(epochs)
	if err != nil {
		return nil, err
	}
	for i, s := range curves.Epochs {
		if has(s, "train") && (has(s, "val") || !e.validated) {
			at := moment{epoch: s.Epoch, train: scores[i].seen["train"], val: scores[i].seen["val"]}
			at.train.SplitScores, at.val.SplitScores = s.Splits["train"], s.Splits["val"]
			e.timeline = append(e.timeline, at)
		}
	}
	if len(e.timeline) == 0 {
		return e, nil
	}
	for _, epoch := range e.chosen() {
		if err := a.detailOf(e, e.moment(epoch)); err != nil {
			return nil, err
		}
	}
	if e.validated {
		for _, split := range []string{"train", "val"} {
			if e.dynamics[split], err = a.Dynamics(split); err != nil {
				return nil, err
			}
		}
		e.suspects, _ = rankSuspects(e.dynamics["train"], max(m.Columns, 2))
		e.suspects = e.suspects[:min(len(e.suspects), maxEvidence)]
	}
	return e, a.findShared(e)
}

// look takes in the logits of a split, block by block.
type look struct {
	at    seen // sums, where it has means
	n     int
	first float32
	begun bool
}

func newLook() *look { return &look{at: seen{probs: true, logProbs: true}} }

// add looks at the rows of b, whose statistics are known. Rows that have no softmax are left out.
func (l *look) add(b summary.Batch, stats []kernel.Stat) {
	if !l.begun && len(b.Logits) > 0 {
		l.first, l.begun = b.Logits[0], true
		l.at.logProbs = b.Columns > 1
	}
	at := &l.at
	for i := range stats {
		r := &stats[i]
		z := b.Logits[i*b.Columns : (i+1)*b.Columns]
		low, high, sum := float32(r.Least), float32(r.Largest), total(z)
		distinct := low != l.first || high != l.first
		if b.Columns == 1 || !finite(sum) { // the statistics of one column are those of two logits
			low, high, sum, distinct = extent(z, l.first)
		}
		at.distinct = at.distinct || distinct
		if math.IsNaN(r.LSE) {
			at.probs, at.logProbs = false, false
			continue
		}
		l.n++
		at.confidence += r.PMax
		at.lse += r.LSE
		if 1-r.PMax < saturation {
			at.saturated++
			if label := b.Labels[i]; label >= 0 && r.Argmax != label {
				at.surelyWrong++
			}
		}
		mean := sum / float64(b.Columns)
		at.offset += mean
		at.rise += float64(high) - mean
		at.largest = max(at.largest, math.Abs(float64(low)), math.Abs(float64(high)))
		at.spread = max(at.spread, float64(high)-float64(low))
		at.probs = at.probs && low >= -sumsTo && high <= 1+sumsTo && (b.Columns == 1 || math.Abs(sum-1) <= sumsTo)
		at.logProbs = at.logProbs && math.Abs(r.LSE) <= sumsTo
	}
}

// seen is what was seen, without the scores.
func (l *look) seen() seen {
	s := l.at
	for _, sum := range []*float64{&s.confidence, &s.saturated, &s.offset, &s.rise, &s.lse} {
		*sum /= float64(l.n)
	}
	s.probs, s.logProbs = s.probs && l.n > 0, s.logProbs && l.n > 0
	return s
}

// total is the sum of z: four sums side by side do not wait for one another.
func total(z []float32) float64 {
	var sums [4]float64
	for ; len(z) >= 4; z = z[4:] {
		sums[0] += float64(z[0])
		sums[1] += float64(z[1])
		sums[2] += float64(z[2])
		sums[3] += float64(z[3])
	}
	for _, v := range z {
		sums[0] += float64(v)
	}
	return sums[0] + sums[1] + (sums[2] + sums[3])
}

// extent returns the smallest and the largest finite value of z, the sum of its finite values, and whether any differs from
// first.
func extent(z []float32, first float32) (low, high float32, sum float64, distinct bool) {
	low, high = float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range z {
		distinct = distinct || v != first
		if v-v != 0 {
			continue
		}
		low, high = min(low, v), max(high, v)
		sum += float64(v)
	}
	return low, high, sum, distinct
}

// mended returns the temperature that makes a split's NLL lowest and that NLL, or T = 1 where no finite one does.
func (s seen) mended() (t, nll float64) {
	if s.Parts == nil || s.Parts.Verdict != calibrate.Converged {
		return 1, float64(s.NLL)
	}
	return float64(s.Parts.Temperature), float64(s.Parts.Ranking)
}

// best is the moment with the lowest validation NLL, or the last one without validation.
func (e *evidence) best() moment { return e.moment(e.curves.Story.BestRecorded) }

// moment is that of an epoch, the last where there is none.
func (e *evidence) moment(epoch int) moment {
	for _, m := range e.timeline {
		if m.epoch == epoch {
			return m
		}
	}
	return e.last()
}

func (e *evidence) first() moment { return e.timeline[0] }
func (e *evidence) last() moment  { return e.timeline[len(e.timeline)-1] }

// chosen are the epochs of the first, the best and the last moment, each once.
func (e *evidence) chosen() []int {
	epochs := []int{e.first().epoch, e.best().epoch, e.last().epoch}
	slices.Sort(epochs)
	return slices.Compact(epochs)
}

// at is the split that findings about generalisation are decided on: validation where there is one.
func (e *evidence) at() string {
	if e.validated {
		return "val"
	}
	return "train"
}

// learned reports whether the network does better at an epoch than naming the most frequent class each time, beyond the 95 %
// interval of its accuracy.
func (e *evidence) learned(m moment) bool {
	l, s := m.of(e.at()), e.samples[e.at()]
	low, _ := wilson(l.right(), l.defined())
	return low > float64(slices.Max(s.support))/float64(s.labelled)
}

func (m moment) of(split string) seen {
	if split == "val" {
		return m.val
	}
	return m.train
}

// detailOf keeps how each sample of train and val does at a moment.
func (a *Analyzer) detailOf(e *evidence, m moment) error {
	temperature, _ := m.val.mended()
	for _, split := range []string{"train", "val"} {
		s, ok := e.samples[split]
		if !ok || split == "val" && !e.validated {
			continue
		}
		rows := make([]row, len(s.Labels))
		for i, label := range s.Labels {
			rows[i] = row{label: label, argmax: -1}
		}
		err := a.add(m.epoch, split, s.Samples, func(b summary.Batch) {
			b.Rows(func(r summary.Row) {
				sum := 0.0
				for _, z := range r.Z {
					sum += math.Exp((z - r.Z[r.Argmax]) / temperature)
				}
				rows[r.Index] = row{label: int32(r.Label), argmax: int32(r.Argmax), nll: float32(-r.LogP[r.Label]), top: float32(1 / sum)}
			})
		})
		if err != nil {
			return err
		}
		if e.detail[split] == nil {
			e.detail[split] = map[int][]row{}
		}
		e.detail[split][m.epoch] = rows
	}
	return nil
}

// findShared looks for samples of the training set in other splits: the same preview or, where there are none, the same
// logits at the first, the best and the last epoch, up to a thousandth of what samples differ by.
//
// Previews that are not the same but near count where there are a few.
//
// What occurs twice in the training set itself (blank pictures) is not looked for.
func (a *Analyzer) findShared(e *evidence) error {
	train, ok := e.samples["train"]
	if !ok {
		return nil
	}
	previews := e.manifest.Preview != nil && train.Previews != nil
	hashes := map[string][]uint64{}
	for _, split := range e.manifest.Splits {
		hashes[split.Name] = make([]uint64, split.N)
		if previews {
			size, samples := e.manifest.Preview.Size(), e.samples[split.Name]
			for i := range min(split.N, len(samples.Previews)/size) {
				hashes[split.Name][i] = maphash.Bytes(hashSeed, samples.Previews[i*size:(i+1)*size])
			}
		}
	}
	if !previews {
		values := 0 // a row hashed holds; few are alike by chance
		for _, epoch := range e.chosen() {
			step := 0.0
			err := a.read(epoch, "train", func(logits []float32) { step = deviation(logits, e.manifest.Columns) * 1e-3 })
			if err != nil {
				return err
			}
			if step == 0 {
				continue
			}
			values += max(e.manifest.Columns-1, 1)
			for _, split := range e.manifest.Splits {
				err := a.read(epoch, split.Name, func(logits []float32) {
					hashRows(hashes[split.Name], logits, e.manifest.Columns, step)
				})
				if err != nil {
					return err
				}
			}
		}
		if values < 4 {
			return nil
		}
	}
	same := make(map[uint64]bool, len(hashes["train"]))
	for _, h := range hashes["train"] {
		same[h] = true
	}
	for _, split := range e.manifest.Splits {
		if split.Name == "train" {
			continue
		}
		for _, pair := range again(hashes["train"], hashes[split.Name]) {
			e.shared = append(e.shared, sharedSample{split: split.Name, id: train.IDs[pair[0]], again: e.samples[split.Name].IDs[pair[1]], picture: previews})
		}
		if !previews {
			continue
		}
		other := e.samples[split.Name]
		nearby := near(train.Previews, other.Previews, e.manifest.Preview, func(j int) bool { return !same[hashes[split.Name][j]] })
		if len(nearby) < fewNear {
			continue
		}
		for _, pair := range nearby {
			e.shared = append(e.shared, sharedSample{split: split.Name, id: train.IDs[pair[0]], again: other.IDs[pair[1]], picture: true, near: true})
		}
	}
	return nil
}

var hashSeed = maphash.MakeSeed()

// deviation is the standard deviation of logits [N,columns] over the samples, the root mean square over the columns; finite
// values alone, of at most some thousand rows.
func deviation(logits []float32, columns int) float64 {
	const most = 4096
	rows := len(logits) / columns
	step := max(rows/most, 1)
	n, mean, squares := 0.0, make([]float64, columns), make([]float64, columns)
	for i := 0; i < rows; i += step {
		z := logits[i*columns : (i+1)*columns]
		if slices.ContainsFunc(z, func(v float32) bool { return v-v != 0 }) {
			continue
		}
		n++
		for j, v := range z { // Welford, Technometrics 4, 1962
			d := float64(v) - mean[j]
			mean[j] += d / n
			squares[j] += d * (float64(v) - mean[j])
		}
	}
	if n < 2 {
		return 0
	}
	sum := 0.0
	for _, s := range squares {
		sum += s
	}
	return math.Sqrt(sum / (n - 1) / float64(columns))
}

// hashRows mixes each row of logits, rounded to step, into its hash.
func hashRows(hashes []uint64, logits []float32, columns int, step float64) {
	for i := range hashes {
		h := hashes[i]
		for _, v := range logits[i*columns : (i+1)*columns] {
			h = (h ^ uint64(int64(math.Round(float64(v)/step)))) * 0x9E3779B97F4A7C15 // Fibonacci hashing, Knuth, TAOCP 6.4
			h ^= h >> 29
		}
		hashes[i] = h
	}
}

// again returns the pairs (i,j) for which train[i] = other[j] and no other of train is the same.
func again(train, other []uint64) (pairs [][2]int) {
	const twice = -1
	at := make(map[uint64]int, len(train))
	for i, h := range train {
		if _, known := at[h]; known {
			i = twice
		}
		at[h] = i
	}
	for j, h := range other {
		if i, ok := at[h]; ok && i != twice {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}
