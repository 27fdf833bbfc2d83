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

	"github.com/logitscope/logitscope/analysis"
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

// find looks for samples of the training set in other splits: the same picture or text; where there are none, the same row, where the run's
// writer compared them; else the same logits at the first, the best and the last epoch, up to a thousandth of what samples differ by.
//
// Pictures that are not the same but near count where there are a few.
//
// Previews and logits that occur twice in the training set itself, such as blank pictures, are not looked for.
func (c *copiesEvidence) find(ctx context.Context, a *analysis.Analyzer, e *evidence) error {
	train, ok := e.samples[record.TrainSplit]
	if !ok {
		return nil
	}
	previews, texts := e.manifest.Preview != nil && train.Previews != nil, train.Texts != nil
	if !previews && !texts {
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
		for i, text := range e.samples[split.Name].Texts {
			if text != "" { // which a sample without a text has
				hashes[split.Name][i] = maphash.String(hashSeed, text)
			}
		}
	}
	if !previews && !texts {
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
	switch {
	case previews:
		by = samePicture
	case texts:
		by = sameText
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
