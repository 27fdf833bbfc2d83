package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// CopiesFile is the file of a run that lists which of its samples are identical to rows of its training set. It exists where the run's writer
// compared the rows.
const CopiesFile = "copies.json"

// Copies is the content of CopiesFile: the samples of other splits that training has too. A run without copies has empty lists.
type Copies struct {
	Repeated float64    `json:"repeated"` // share of the training samples that training has more than once
	Splits   []CopiesOf `json:"splits"`
}

// CopiesOf lists the copies in one split.
type CopiesOf struct {
	Split string     `json:"split"`
	Pairs [][2]int64 `json:"pairs"` // id of the sample, and of the first training sample that is the same
}

// Repeated returns the share of the hashes that occur more than once.
func Repeated(hashes []uint64) float64 {
	times, repeated := make(map[uint64]int, len(hashes)), 0
	for _, h := range hashes {
		times[h]++
	}
	for _, n := range times {
		if n > 1 {
			repeated += n
		}
	}
	return float64(repeated) / float64(max(len(hashes), 1))
}

// FindCopies returns the rows of a split that training has too, compared by their hashes.
func FindCopies(split string, ids []int64, hashes []uint64, trainIDs []int64, train []uint64) CopiesOf {
	first := make(map[uint64]int64, len(train))
	for i, h := range train {
		if _, known := first[h]; !known {
			first[h] = trainIDs[i]
		}
	}
	found := CopiesOf{Split: split, Pairs: [][2]int64{}}
	for i, h := range hashes {
		if id, ok := first[h]; ok {
			found.Pairs = append(found.Pairs, [2]int64{ids[i], id})
		}
	}
	return found
}

// sharedSample is a sample of the training set that is in another split too.
type sharedSample struct {
	split       string
	id, otherID int64
	sameness    sameness
	near        bool // the preview is not the same byte for byte, but near
}

// sameness says in which respect two samples are the same.
type sameness int

const (
	sameLogits sameness = iota
	samePicture
	sameRow
)

// copiesEvidence is the evidence of leakage.
type copiesEvidence struct {
	shared []sharedSample // samples of the training set that another split has again
	effect leakEffect     // what those of one split do to its figures
}

// gatherCopies finds the samples that other splits share with training, and their effect on the figures.
func gatherCopies(ctx context.Context, a *analysis.Analyzer, e *evidence) (any, error) {
	c := new(copiesEvidence)
	if err := c.find(ctx, a, e); err != nil {
		return nil, err
	}
	return c, c.measure(ctx, a, e)
}

// leakEffect is the effect of the shared samples of a split on its figures at the best epoch.
type leakEffect struct {
	split              string
	labelled, copies   int     // labelled samples, and those of them that are shared
	nll, accuracy      float64 // of all
	nllRest, rightRest float64 // without the shared; NaN where none is left
	repeated           float64 // share of training's rows that it has more than once, where rows were compared
	standardErrors     float64 // standard errors that the NLL of the rest is above that of the shared
}

// readCopies reads CopiesFile; found is false where the run has none.
func (c *copiesEvidence) readCopies(a *analysis.Analyzer) (found bool, err error) {
	directory, ok := a.Source().(analysis.Directory)
	if !ok {
		return false, nil
	}
	data, err := directory.File(CopiesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var copies Copies
	if err := json.Unmarshal(data, &copies); err != nil {
		return false, fmt.Errorf("%s: %w", CopiesFile, err)
	}
	c.effect.repeated = copies.Repeated
	for _, copies := range copies.Splits {
		for _, pair := range copies.Pairs {
			c.shared = append(c.shared, sharedSample{split: copies.Split, id: pair[1], otherID: pair[0], sameness: sameRow})
		}
	}
	return true, nil
}

// mostShared returns the split with the most shared samples, the first by name on a tie.
func (c *copiesEvidence) mostShared() string {
	counts := map[string]int{}
	for _, s := range c.shared {
		counts[s.split]++
	}
	most := ""
	for name, n := range counts {
		if most == "" || n > counts[most] || n == counts[most] && name < most {
			most = name
		}
	}
	return most
}

// measure computes the figures of a split at the best epoch, with and without the samples that training has too.
func (c *copiesEvidence) measure(ctx context.Context, a *analysis.Analyzer, e *evidence) error {
	split := c.mostShared()
	samples, ok := e.samples[split]
	if !ok {
		c.shared = nil
		return nil
	}
	shared := map[int64]bool{}
	for _, s := range c.shared {
		if s.split == split {
			shared[s.otherID] = true
		}
	}
	var nll, right, n [2]float64 // of the rest, of the shared
	var squares [2]float64
	perSample := 1
	if samples.Targets != nil {
		perSample = e.manifest.Columns
	}
	counted := map[int]bool{}
	err := a.Read(ctx, e.best().Epoch, split, func(s *analysis.Split) error {
		d := s.Decisions()
		return d.Each(ctx, func(b summary.Batch) error {
			b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
				for i, r := range stats {
					if rows.Labels[i] < 0 || !(math.Abs(r.NLL) <= math.MaxFloat64) {
						continue
					}
					of, at := 0, d.Sample(rows.First+i)
					if shared[samples.IDs[at]] {
						of = 1
						counted[at] = true
					}
					n[of]++
					nll[of] += r.NLL
					squares[of] += r.NLL * r.NLL
					if r.Argmax == rows.Labels[i] {
						right[of]++
					}
				}
			})
			return nil
		})
	})
	if err != nil {
		return err
	}
	variance := func(of int) float64 {
		mean := nll[of] / n[of]
		return max(squares[of]/n[of]-mean*mean, 0) / max(n[of]-1, 1) * float64(perSample)
	}
	all := n[0] + n[1]
	c.effect = leakEffect{
		repeated: c.effect.repeated, split: split, labelled: int(all) / perSample, copies: len(counted), nll: (nll[0] + nll[1]) / all, accuracy: (right[0] + right[1]) / all,
		nllRest: nll[0] / n[0], rightRest: right[0] / n[0],
		standardErrors: (nll[0]/n[0] - nll[1]/n[1]) / math.Sqrt(variance(0)+variance(1)),
	}
	return nil
}

var leakageRule = rule{
	finds:  []Kind{{"leakage", "samples of the training set are in another split, and what that does to its figures"}},
	gather: gatherCopies,
	find:   leakage,
}

// leakage: samples of the training set that another split has again. How grave that is follows from what they do to its figures.
func leakage(e *evidence) *Finding {
	const (
		matters      = 0.05 // of the NLL: what the split's figures are better for the copies
		beyondChance = 2.33 // standard errors: once in a hundred
		few          = 5    // copies: fewer say little of what they do
		natural      = 0.5  // of training's own rows: where so many repeat, rows take few values, and those of new samples repeat too
	)
	c, _ := e.gathered["leakage"].(*copiesEvidence)
	if c == nil || len(c.shared) == 0 {
		return nil
	}
	l := c.effect
	split, n := l.split, len(e.samples[l.split].IDs)
	f := &Finding{ID: "leakage", Level: Warning, Confidence: Certain, Evidence: Evidence{Split: split, Epochs: e.chosenEpochs()}}
	var pairs []string
	var by sameness
	count, nearby := 0, 0
	for _, s := range c.shared {
		if s.split != split {
			continue
		}
		by = s.sameness
		count++
		if s.near {
			nearby++
		}
		f.Evidence.Samples = append(f.Evidence.Samples, s.otherID)
		if len(pairs) < 3 {
			pairs = append(pairs, fmt.Sprintf("%d is %d of training", s.otherID, s.id))
		}
	}
	are := "samples are"
	if count == 1 {
		are = "samples is"
	}
	f.Title = fmt.Sprintf("Leakage: %d of %d %s %s in the training set", count, n, words.Split(split), are)
	list := strings.Join(pairs, ", ")
	switch {
	case by == sameRow:
		f.Evidence.Text = fmt.Sprintf("All columns that the network sees are those of a training sample, to the letter: %s.", list)
		f.Rule = "a row is one of training's, in all columns that the network sees"
	case by == sameLogits:
		f.Confidence = Likely
		f.Evidence.Text = fmt.Sprintf("They have the same logits as a training sample at epochs %s (the run does not hold its rows to compare): %s.", words.Numbers(e.chosenEpochs()), list)
		f.Rule = "the logits of up to three epochs are those of exactly one training sample, within a thousandth of what samples differ by"
	case nearby > 0:
		f.Title += fmt.Sprintf(", %d of them changed a little", nearby)
		f.Evidence.Text = fmt.Sprintf("They have the preview of a training sample, %d of them byte for byte, the others moved by some pixels, mirrored or with noise: %s.", count-nearby, list)
		f.Rule = "a preview, moved and mirrored too, is that of exactly one training sample, up to a 32nd of what two samples differ by"
		if nearby == count {
			f.Confidence = Likely
		}
	default:
		f.Evidence.Text = fmt.Sprintf("They have the same preview as a training sample: %s.", list)
		f.Rule = "a preview is that of exactly one training sample, byte for byte"
	}
	f.Evidence.Figures = []Measure{
		measure("samples shared", count), measure("share", float64(count)/float64(n)), measure("NLL", l.nll), measure("NLL without them", l.nllRest),
		measure("accuracy", l.accuracy), measure("accuracy without them", l.rightRest),
	}
	if nearby > 0 {
		f.Evidence.Figures = append(f.Evidence.Figures, measure("near, not the same", nearby))
	}
	f.Meaning = "The network has seen them while training: where it does better on them than on others, the figures of that split are better than those of new samples."
	f.Try = "Remove copies before splitting, and split by what samples have in common (person, page, document), not sample by sample."
	f.Rule += "; an error where the others' NLL is higher, beyond chance and by 5 % of the figure, to know where one sample alone is shared"
	if l.repeated >= natural {
		f.Level = Info
		f.Title = fmt.Sprintf("%d of %d %s samples are rows that the training set has too, as its own rows repeat", count, n, words.Split(split))
		f.Evidence.Text += fmt.Sprintf(" Of training's own rows %.0f %% are there more than once.", 100*l.repeated)
		f.Meaning = "The columns take few values: a new sample will often be one that training has, and the figures of that split are then fair. Where samples were copied instead, they flatter."
		f.Try = "Nothing, where the data is like this by nature; else remove copies before splitting."
	}
	if math.IsNaN(l.nllRest) {
		if f.Evidence.Text += " None is left without them."; f.Level != Info {
			f.Level = Error
		}
		return f
	}
	f.Evidence.Text += fmt.Sprintf(" At epoch %d NLL is %s with them and %s without, accuracy %.1f and %.1f %%.",
		e.best().Epoch, words.Digits(l.nll), words.Digits(l.nllRest), 100*l.accuracy, 100*l.rightRest)
	switch {
	case f.Level == Info:
	case l.copies >= few && l.standardErrors >= beyondChance && l.nllRest >= (1+matters)*l.nll:
		f.Level = Error
	case count == 1:
		f.Level = Info
	}
	return f
}

// find looks for samples of the training set in other splits: the same preview; where there are none, the same row, where the run's
// writer compared them; else the same logits at the first, the best and the last epoch, up to a thousandth of what samples differ by.
//
// Previews that are not the same but near count where there are a few.
//
// Previews and logits that occur twice in the training set itself, such as blank pictures, are not looked for.
func (c *copiesEvidence) find(ctx context.Context, a *analysis.Analyzer, e *evidence) error {
	train, ok := e.samples[record.TrainSplit]
	if !ok {
		return nil
	}
	previews := e.manifest.Preview != nil && train.Previews != nil
	if !previews {
		found, err := c.readCopies(a)
		if found || err != nil {
			return err
		}
	}
	hashes := map[string][]uint64{}
	for _, split := range e.manifest.Splits {
		hashes[split.Name] = make([]uint64, len(e.samples[split.Name].IDs))
		if previews {
			size, samples := e.manifest.Preview.Size(), e.samples[split.Name]
			for i := range len(samples.Previews) / size {
				hashes[split.Name][i] = maphash.Bytes(hashSeed, samples.Previews[i*size:(i+1)*size])
			}
		}
	}
	if !previews {
		values := 0 // a row hashed holds; few are alike by chance
		for _, epoch := range e.chosenEpochs() {
			step := 0.0
			err := a.Read(ctx, epoch, record.TrainSplit, func(s *analysis.Split) error {
				step = deviation(s) * 1e-3
				return nil
			})
			if err != nil {
				return err
			}
			if step == 0 {
				continue
			}
			values += max(e.manifest.Columns-1, 1)
			for _, split := range e.manifest.Splits {
				err := a.Read(ctx, epoch, split.Name, func(s *analysis.Split) error {
					return s.Each(ctx, func(b summary.Batch) error {
						hashRows(hashes[split.Name], s, b, step)
						return nil
					})
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
	by := sameLogits
	if previews {
		by = samePicture
	}
	same := make(map[uint64]bool, len(hashes[record.TrainSplit]))
	for _, h := range hashes[record.TrainSplit] {
		same[h] = true
	}
	for _, split := range e.manifest.Splits {
		if split.Name == record.TrainSplit {
			continue
		}
		for _, pair := range matches(hashes[record.TrainSplit], hashes[split.Name]) {
			c.shared = append(c.shared, sharedSample{split: split.Name, id: train.IDs[pair[0]], otherID: e.samples[split.Name].IDs[pair[1]], sameness: by})
		}
		if !previews {
			continue
		}
		other := e.samples[split.Name]
		nearby := nearMatches(train.Previews, other.Previews, e.manifest.Preview, func(j int) bool { return !same[hashes[split.Name][j]] })
		if len(nearby) < fewNear {
			continue
		}
		for _, pair := range nearby {
			c.shared = append(c.shared, sharedSample{split: split.Name, id: train.IDs[pair[0]], otherID: other.IDs[pair[1]], sameness: samePicture, near: true})
		}
	}
	return nil
}

var hashSeed = maphash.MakeSeed()

// deviation returns the standard deviation of the logits of a split over the samples, as a root mean square over the columns; finite
// values alone, of at most some thousand rows.
func deviation(s *analysis.Split) float64 {
	const most = 4096
	rows, columns := s.Len(), s.Columns
	step := max(rows/most, 1)
	n, mean, squares := 0.0, make([]float64, columns), make([]float64, columns)
	for i := 0; i < rows; i += step {
		z := s.At(i, 1).Logits
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

// hashRows mixes each row of b, rounded to step, into the hash of its sample.
func hashRows(hashes []uint64, s *analysis.Split, b summary.Batch, step float64) {
	for i := range b.Labels {
		at := s.Sample(b.First + i)
		h := hashes[at]
		for _, v := range b.Logits[i*b.Columns : (i+1)*b.Columns] {
			h = (h ^ uint64(int64(math.Round(float64(v)/step)))) * 0x9E3779B97F4A7C15 // Fibonacci hashing, Knuth, TAOCP 6.4
			h ^= h >> 29
		}
		hashes[at] = h
	}
}

// matches returns the pairs (i,j) for which train[i] = other[j], and no other element of train is the same. A zero, which is no hash, matches
// nothing.
func matches(train, other []uint64) (pairs [][2]int) {
	const ambiguous = -1
	indexOf := make(map[uint64]int, len(train))
	for i, h := range train {
		if _, known := indexOf[h]; known {
			i = ambiguous
		}
		indexOf[h] = i
	}
	for j, h := range other {
		if i, ok := indexOf[h]; ok && i != ambiguous && h != 0 {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}
