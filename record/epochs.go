package record

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"sync"
)

// block is a part of an epoch on its way to the disk: some logits of a split, behind those before them.
type block struct {
	epoch, split int
	logits       []byte
	last         bool // the epoch is whole with it
}

// What may wait for the disk before Write and Append wait too: so many epochs, so many bytes.
const (
	inFlight   = 2
	blocks     = 16
	blockBytes = 4 << 20
)

// Write takes over the logits of an epoch and returns; they are committed while the caller goes on. logits has for every
// split N rows of Columns values, row-major, in the order of its samples; it is copied, and free to change when Write returns.
// epoch is at least 0 and above the one before. Write waits where two epochs are still on their way to the disk.
//
// The error may be that of an earlier epoch. Flush tells whether this one is committed.
func (w *Writer) Write(epoch int, logits map[string][]float32) error {
	if err := w.checkWhole(logits); err != nil {
		return fmt.Errorf("write epoch %d of %s: %w", epoch, w.dir, err)
	}
	for _, split := range w.manifest.Splits {
		if err := w.Append(epoch, split.Name, logits[split.Name]); err != nil {
			return err
		}
	}
	return nil
}

// checkWhole says what is missing of an epoch.
func (w *Writer) checkWhole(logits map[string][]float32) error {
	if w.given != nil {
		return fmt.Errorf("epoch %d is not whole yet", *w.last)
	}
	for _, split := range w.manifest.Splits {
		values, ok := logits[split.Name]
		if !ok {
			return fmt.Errorf("no logits of split %q", split.Name)
		}
		if len(values) != split.N*w.manifest.Columns {
			return fmt.Errorf("split %q: %d logits, want %d samples × %d columns", split.Name, len(values), split.N, w.manifest.Columns)
		}
	}
	if len(logits) != len(w.manifest.Splits) {
		return fmt.Errorf("logits of %d splits, want %d", len(logits), len(w.manifest.Splits))
	}
	return nil
}

// Append is Write in parts: it takes over the logits of the next samples of one split, whole rows of them. Once all rows of all
// splits are given, in whatever order the splits come, the epoch is committed; before, it is not there. So an epoch need not fit
// into memory: at most 64 MiB of it wait for the disk.
func (w *Writer) Append(epoch int, split string, logits []float32) error {
	if err := w.error(); err != nil {
		return err
	}
	if w.closed {
		return fmt.Errorf("write epoch %d of %s: the run is closed", epoch, w.dir)
	}
	i := w.manifest.split(split)
	if err := w.checkPart(epoch, i, split, logits); err != nil {
		return fmt.Errorf("write epoch %d of %s: %w", epoch, w.dir, err)
	}
	if w.given == nil {
		if w.last != nil && *w.last == epoch { // which was whole without this split's no rows
			return nil
		}
		w.last, w.given = &epoch, make([]int, len(w.manifest.Splits))
		w.begun <- struct{}{}
	}
	w.given[i] += len(logits)
	whole := w.isWhole()
	for {
		b := <-w.free
		part := logits[:min(len(logits), blockBytes/4)]
		logits = logits[len(part):]
		if b.logits = b.logits[:0]; cap(b.logits) < 4*len(part) {
			b.logits = make([]byte, 4*len(part))
		}
		b.logits = b.logits[:4*len(part)]
		putNumbers(b.logits, part)
		b.epoch, b.split, b.last = epoch, i, whole && len(logits) == 0
		if b.last {
			w.given = nil
			w.mu.Lock()
			w.queued = epoch
			w.mu.Unlock()
			w.pending.Add(1)
		}
		w.queue <- b
		if len(logits) == 0 {
			return nil
		}
	}
}

// checkPart says why logits cannot be the next of a split, the i-th, at an epoch.
func (w *Writer) checkPart(epoch, i int, split string, logits []float32) error {
	have := 0
	switch {
	case epoch < 0 || epoch > maxEpoch:
		return fmt.Errorf("want 0 to %d", maxEpoch)
	case i < 0:
		return fmt.Errorf("no split %q", split)
	case w.given != nil && epoch != *w.last:
		return fmt.Errorf("epoch %d is not whole yet", *w.last)
	case w.given == nil && w.last != nil && (epoch < *w.last || epoch == *w.last && len(logits) > 0):
		return fmt.Errorf("epoch %d is written already", *w.last)
	case w.given != nil:
		have = w.given[i]
	}
	if want := w.manifest.Splits[i].N * w.manifest.Columns; len(logits)%w.manifest.Columns != 0 || len(logits) > want-have {
		return fmt.Errorf("split %q: %d logits behind %d, want %d samples × %d columns in all", split, len(logits), have, w.manifest.Splits[i].N, w.manifest.Columns)
	}
	return nil
}

// isWhole reports whether all logits of the epoch are given.
func (w *Writer) isWhole() bool {
	for i, split := range w.manifest.Splits {
		if w.given[i] < split.N*w.manifest.Columns {
			return false
		}
	}
	return true
}

// Flush waits until every epoch that was given whole is committed: its files and the folders that hold them are synced.
func (w *Writer) Flush() error {
	w.pending.Wait()
	return w.error()
}

// WriteEpoch is Write and Flush: it returns when the epoch is committed.
func (w *Writer) WriteEpoch(epoch int, logits map[string][]float32) error {
	if err := w.Write(epoch, logits); err != nil {
		return err
	}
	return w.Flush()
}

// writeBlocks writes what is queued until the queue is closed, and nothing more once an epoch has failed.
func (w *Writer) writeBlocks() {
	defer close(w.stopped)
	var open *openEpoch
	for b := range w.queue {
		if w.error() == nil {
			var err error
			if open, err = w.writeBlock(open, b); err != nil {
				open.drop()
				open = nil
				w.fail(fmt.Errorf("write epoch %d of %s: %w", b.epoch, w.dir, named(err)))
			}
		}
		last := b.last
		w.free <- b
		if last {
			<-w.begun
			w.pending.Done()
		}
	}
	open.drop()
}

// writeBlock writes a block behind those before it, and commits the epoch that is whole with it. open is the epoch that is not
// whole yet, nil between two of them.
func (w *Writer) writeBlock(open *openEpoch, b *block) (*openEpoch, error) {
	if open == nil {
		open = &openEpoch{w: w, number: b.epoch}
		if err := open.begin(); err != nil {
			return open, err
		}
	}
	if err := open.files[b.split].write(b.logits); err != nil || !b.last {
		return open, err
	}
	if err := open.commit(); err != nil {
		return open, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed++
	w.done = b.epoch
	w.progress.Broadcast()
	return nil, nil
}

// openEpoch is an epoch that is being written, aside.
type openEpoch struct {
	w      *Writer
	number int
	files  []*openFile // of each split
}

// openFile is a file that is being written, with its size and checksum so far.
type openFile struct {
	file
	size int64
	sum  uint32
}

func (f *openFile) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	f.size += int64(len(data))
	f.sum = crc32.Update(f.sum, castagnoli, data)
	_, err := f.Write(data)
	return err
}

// folder is where an epoch is written.
func (e *openEpoch) folder() string { return epochsDir + "/" + tmpPrefix + epochName(e.number) }

func (e *openEpoch) begin() error {
	if err := e.w.root.Mkdir(e.folder()); err != nil {
		return err
	}
	for i, split := range e.w.manifest.Splits {
		f, err := e.w.root.Create(e.folder() + "/" + split.Name + ".arrow")
		if err != nil {
			return err
		}
		e.files = append(e.files, &openFile{file: f})
		if err := e.files[i].write(e.w.frames[i].head); err != nil {
			return err
		}
	}
	return nil
}

// commit completes the files, syncs them all at once, for a disk does that in little more than the time of one, and puts the
// epoch in its place.
func (e *openEpoch) commit() error {
	info := epochJSON{Epoch: e.number, Index: e.w.committed}
	for i, split := range e.w.manifest.Splits {
		f := e.files[i]
		if err := f.write(e.w.frames[i].tail); err != nil {
			return err
		}
		info.Splits = append(info.Splits, splitFile{split, content{f.size, fmt.Sprintf("%08x", f.sum)}})
	}
	data, err := seal(info)
	if err != nil {
		return err
	}
	errs := make([]error, len(e.files)+1)
	var wg sync.WaitGroup
	for i, f := range e.files {
		wg.Go(func() { errs[i] = cmp.Or(f.Sync(), f.Close()) })
	}
	wg.Go(func() { errs[len(e.files)] = writeFile(e.w.root, e.folder()+"/"+epochFile, data) })
	wg.Wait()
	e.files = nil
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	return e.w.settle(epochsDir, epochName(e.number), nil)
}

// drop gives back the room of an epoch that will not be whole; what stays behind is not taken for one.
func (e *openEpoch) drop() {
	if e == nil {
		return
	}
	for _, f := range e.files {
		f.Close()
	}
	e.w.root.RemoveAll(e.folder())
}
