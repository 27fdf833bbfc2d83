package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// knownSamples is what the rows of every epoch are joined with: the ids of a split's samples, which must be theirs, and the labels.
type knownSamples struct {
	ids    []int64
	labels []int32
	last   int // the last epoch that they were looked for in; -1 where there was none
	places map[int64]int32
	// Up to where a file of rows holds nothing but what is the same at every epoch, the ids at its end, and the checksum of that:
	// a file that begins so need not be compared. Zero until it is known.
	end  int64
	head uint32
}

// Samples reads the samples of a split: where these grow, those that are known with the last epoch.
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

// addGrown adds the samples of a split, the i-th, that came with epochs.
func (r *Run) addGrown(s *Samples, i int) (last int, err error) {
	epochs, err := listNumbered(r.root, epochsDir) // there may be more than at the last Refresh
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
			continue // if it brought samples, the epoch after it knows of them
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

// addSamples adds the samples of one file.
func (r *Run) addSamples(s *Samples, name string, epoch int, split string, n int, is content) error {
	m, next := r.Manifest(), &Samples{}
	unmap, err := r.columns(context.Background(), name, is, sampleColumns(m), n, 0, func(_ mappedFile, values [][]byte) {
		next.take(m, values) // copies, so that nobody has to close them
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
	if (s.CleanLabels == nil) != (next.CleanLabels == nil) || (s.Previews == nil) != (next.Previews == nil) {
		return errors.New("its columns are not those of the samples before it")
	}
	all := Samples{
		slices.Concat(s.IDs, next.IDs), slices.Concat(s.Labels, next.Labels), slices.Concat(s.CleanLabels, next.CleanLabels),
		slices.Concat(s.Targets, next.Targets), slices.Concat(s.Previews, next.Previews),
	}
	if err := all.validate(m, len(all.IDs)); err != nil {
		return err
	}
	*s = all
	return nil
}

// knownOf returns what is known of a split's samples at an epoch, false where these are damaged, which is their reader's to say.
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

// setHead keeps how a file of rows begins.
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

func places(ids []int64) map[int64]int32 {
	found := make(map[int64]int32, len(ids))
	for i, id := range ids {
		found[id] = int32(i)
	}
	return found
}
