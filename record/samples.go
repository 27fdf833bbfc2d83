package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// knownSamples is what is known of a split's samples. The ids of rows are compared with its ids, and rows have its labels.
type knownSamples struct {
	ids    []int64
	labels []int32
	last   int             // the last epoch whose samples are included; -1 where there was no epoch
	places map[int64]int32 // the place of each sample by its id; nil until it is needed
	// end is the number of bytes at the start of a file of rows, up to the end of the ids, that are the same at every epoch. head is their checksum:
	// the ids of a file that begins with the same bytes need not be compared. Both are 0 until they are known.
	end  int64
	head uint32
}

// Samples reads the samples of a split. In a split that grows, they include those that came with epochs. The error is ErrNoSplit for a split that the run
// does not have, and a *Damage for a damaged file.
func (r *Run) Samples(split string) (*Samples, error) {
	i := r.manifest.split(split)
	if i < 0 {
		return nil, r.noSplit(split)
	}
	f := r.manifest.Splits[i]
	s, last := &Samples{}, -1
	err := r.addSamples(s, samplesDir+"/"+split+".arrow", -1, split, f.N, f.content)
	if err == nil && f.Grows() {
		last, err = r.addGrown(s, i)
	}
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.knownSamples[split]; known == nil || known.last < last {
		r.knownSamples[split] = &knownSamples{ids: s.IDs, labels: s.Labels, last: last}
	}
	return s, nil
}

// addGrown adds the samples of the i-th split that came with epochs to s. It returns the last epoch, -1 for none.
func (r *Run) addGrown(s *Samples, i int) (last int, err error) {
	epochs, err := listNumbered(r.root, epochsDir) // there may be more epochs than at the last Refresh
	if err != nil {
		return -1, r.damage(epochsDir, -1, "", err)
	}
	last = -1
	var unread error
	for _, epoch := range epochs {
		last = epoch
		info, err := r.readEpoch(epoch)
		if err != nil {
			unread = cmp.Or(unread, err)
			continue // where samples came with it, the next epoch has more samples than are known
		}
		of := &info.Splits[i]
		if of.Samples != nil {
			if err := r.addSamples(s, epochPath(epoch, samplesFile(of.Name)), epoch, of.Name, of.Samples.N, of.Samples.content); err != nil {
				return last, err
			}
		}
		if of.Of != len(s.IDs) {
			return last, cmp.Or(unread, error(r.damage(epochPath(epoch, epochFile), epoch, of.Name, errLostSamples(of.Of, len(s.IDs)))))
		}
	}
	return last, nil
}

func errLostSamples(want, have int) error {
	return fmt.Errorf("it is of %d samples, where %d are known: an epoch that brought samples is lost", want, have)
}

// addSamples adds the n samples of a file to s.
func (r *Run) addSamples(s *Samples, name string, epoch int, split string, n int, is content) error {
	m, next := r.Manifest(), &Samples{}
	unmap, err := r.columns(context.Background(), name, is, sampleColumns(m), n, 0, func(_ mappedFile, values [][]byte) {
		next.take(m, values) // this copies them, so that the file can be closed
	})
	if err == nil {
		err = unmap()
	}
	if err == nil {
		err = next.validate(m, n)
	}
	if err == nil && len(s.IDs) > 0 {
		err = s.add(next, m)
	} else {
		*s = *next
	}
	if err != nil {
		return r.damage(name, epoch, split, err)
	}
	return nil
}

// add adds further samples of the same split.
func (s *Samples) add(next *Samples, m *Manifest) error {
	if (s.CleanLabels == nil) != (next.CleanLabels == nil) || s.hasPreviews() != next.hasPreviews() {
		return errors.New("its columns are not those of the samples before it")
	}
	all := Samples{
		slices.Concat(s.IDs, next.IDs), slices.Concat(s.Labels, next.Labels), slices.Concat(s.CleanLabels, next.CleanLabels),
		slices.Concat(s.Targets, next.Targets), slices.Concat(s.Previews, next.Previews), slices.Concat(s.Texts, next.Texts),
	}
	if err := all.validate(m, len(all.IDs)); err != nil {
		return err
	}
	*s = all
	return nil
}

// knownOf returns what is known of a split's samples at an epoch. It returns false where the samples are damaged, which Samples reports.
func (r *Run) knownOf(split string, epoch int) (knownSamples, bool) {
	grows := r.manifest.Splits[r.manifest.split(split)].Grows()
	lookUp := func() (knownSamples, bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if known := r.knownSamples[split]; known != nil && (!grows || known.last >= epoch) {
			return *known, true
		}
		return knownSamples{}, false
	}
	if known, ok := lookUp(); ok {
		return known, true
	}
	if _, err := r.Samples(split); err != nil {
		return knownSamples{}, false
	}
	return lookUp()
}

// setHead stores knownSamples.end and knownSamples.head of a split.
func (r *Run) setHead(split string, end int64, head uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.knownSamples[split]; known != nil {
		known.end, known.head = end, head
	}
}

// placesOf returns the place of each of a split's samples by its id.
func (r *Run) placesOf(split string, ids []int64) map[int64]int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.knownSamples[split]
	if known != nil && len(known.places) >= len(ids) {
		return known.places
	}
	found := places(ids)
	if known != nil && len(known.ids) == len(ids) {
		known.places = found
	}
	return found
}

// places returns the index of each id.
func places(ids []int64) map[int64]int32 {
	found := make(map[int64]int32, len(ids))
	for i, id := range ids {
		found[id] = int32(i)
	}
	return found
}
