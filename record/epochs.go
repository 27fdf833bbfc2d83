package record

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
)

// block is some logits of a split at an epoch on their way to the disk, which follow those of the blocks before it.
type block struct {
	epoch, split int
	logits       []byte     // little-endian float32
	rows         rowsBlock  // what else is known of the rows, in format 3
	last         bool       // whether the epoch is complete with this block
	how          []Measured // in the last block of format 3: how the rows of each split were measured; nil for after the epoch
	of           []int      // in the last block of format 3: the number of samples of each split
	repeated     []int      // in the last block of format 3: the number of rows of each split that were left out
}

// Bounds on what may wait for the disk before Write and Append wait too.
const (
	inFlight   = 2       // the number of epochs
	blocks     = 16      // the number of blocks
	blockBytes = 4 << 20 // the number of bytes of a block
	blocks3    = 6       // the number of blocks in format 3, in which the parts that are being filled wait too

	// Of an epoch of more than largeEpoch bytes, most must wait for the disk anyway. Its blocks are small, so that they are still in the processor's
	// cache when they are summed and written.
	largeEpoch = 256 << 20
	smallBlock = 512 << 10
)

// epochBytes returns the number of bytes of the logits of an epoch.
func (m *Manifest) epochBytes() (bytes int64) {
	for _, split := range m.Splits {
		bytes += 4 * int64(split.N) * int64(m.Columns)
	}
	return bytes
}

// Write takes over the logits of an epoch and returns; another goroutine commits them. logits has, for every
// split, N rows of Columns values, row-major, in the order of the samples. It is copied, and may change when Write returns.
// epoch must be at least 0 and above the epoch before. Write waits while two epochs are still on their way to the disk.
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

// checkWhole returns an error unless logits has all logits of every split.
func (w *Writer) checkWhole(logits map[string][]float32) error {
	if w.logitsGiven != nil {
		return fmt.Errorf("epoch %d is not whole yet", *w.last)
	}
	for i, split := range w.manifest.Splits {
		values, ok := logits[split.Name]
		if !ok {
			return fmt.Errorf("no logits of split %q", split.Name)
		}
		if n := w.rows(i); len(values) != n*w.manifest.Columns {
			return fmt.Errorf("split %q: %d logits, want %d samples × %d columns", split.Name, len(values), n, w.manifest.Columns)
		}
	}
	if len(logits) != len(w.manifest.Splits) {
		return fmt.Errorf("logits of %d splits, want %d", len(logits), len(w.manifest.Splits))
	}
	return nil
}

// Append is Write in pieces: it takes over the logits of the next samples of one split, as whole rows. The splits may come in any order. Once all rows
// of all splits are given, the epoch is committed; before, readers do not see it. So an epoch need not fit into memory: at most 64 MiB of it wait for
// the disk. In format 3 at most 24 MiB wait, and for each split the part that is being filled, which is up to 24 MiB as well.
func (w *Writer) Append(epoch int, split string, logits []float32) error {
	i, err := w.mayWrite(epoch, split)
	if err == nil {
		err = w.checkPart(epoch, i, split, logits)
	}
	if err != nil {
		return w.refused(epoch, err)
	}
	if w.logitsGiven == nil {
		if w.last != nil && *w.last == epoch { // the epoch is complete already, and these are the 0 rows of a split without samples
			return nil
		}
		w.last, w.logitsGiven = &epoch, make([]int, len(w.manifest.Splits))
		w.begun <- struct{}{}
	}
	var rows rowsBlock
	if w.parts != nil {
		k := w.manifest.Columns
		first, end := w.logitsGiven[i]/k, (w.logitsGiven[i]+len(logits))/k
		rows.ids, rows.labels = w.samples[i].ids[first:end], w.samples[i].labels[first:end]
	}
	w.logitsGiven[i] += len(logits)
	w.enqueue(epoch, i, logits, rows, w.isWhole(), nil)
	return nil
}

// mayWrite returns the index of a split. It returns the writer's first error where there is one, and an error for a closed run, an epoch out of range or
// a split that the run does not have.
func (w *Writer) mayWrite(epoch int, split string) (i int, err error) {
	if err := w.error(); err != nil {
		return 0, err
	}
	i = w.manifest.split(split)
	switch {
	case w.closed:
		return 0, errors.New("the run is closed")
	case epoch < 0 || epoch > maxEpoch:
		return 0, fmt.Errorf("want 0 to %d", maxEpoch)
	case i < 0:
		return 0, fmt.Errorf("no split %q", split)
	}
	return i, nil
}

// refused adds the epoch and the run to an error of what the caller gave. It returns the writer's own error as it is.
func (w *Writer) refused(epoch int, err error) error {
	if err == w.error() {
		return err
	}
	return fmt.Errorf("write epoch %d of %s: %w", epoch, w.dir, err)
}

// enqueue hands rows of a split to the goroutine that writes them, as blocks, which hold whole rows in format 3. Where last is true, the epoch is
// committed after them.
func (w *Writer) enqueue(epoch, split int, logits []float32, rows rowsBlock, last bool, how []Measured) {
	step := w.blockBytes / 4
	if k := w.manifest.Columns; w.parts != nil {
		step = max(1, step/k) * k
	}
	for {
		b := <-w.free
		part := logits[:min(len(logits), step)]
		logits = logits[len(part):]
		if b.logits = b.logits[:0]; cap(b.logits) < 4*len(part) {
			b.logits = make([]byte, 4*len(part))
		}
		b.logits = b.logits[:4*len(part)]
		putNumbers(b.logits, part)
		b.epoch, b.split, b.last = epoch, split, last && len(logits) == 0
		b.rows = rows.next(len(part) / w.manifest.Columns)
		if b.last {
			w.finishEpoch(b, how)
		}
		w.queue <- b
		if len(logits) == 0 {
			return
		}
	}
}

// finishEpoch completes the last block of an epoch.
func (w *Writer) finishEpoch(b *block, how []Measured) {
	b.how, b.of, b.repeated = how, nil, w.repeated
	for i := range w.samples {
		b.of = append(b.of, len(w.samples[i].ids))
	}
	w.logitsGiven, w.hasRow, w.repeated = nil, nil, nil
	w.mu.Lock()
	w.queued = b.epoch
	w.mu.Unlock()
	w.pending.Add(1)
}

// next removes the first n rows from r and returns them.
func (r *rowsBlock) next(n int) rowsBlock {
	first := *r
	if r.ids != nil {
		first.ids, first.labels = r.ids[:n], r.labels[:n]
		r.ids, r.labels = r.ids[n:], r.labels[n:]
	}
	if r.places != nil {
		first.places, r.places = r.places[:n], r.places[n:]
	}
	return first
}

// checkPart returns an error where logits cannot be the next logits of the i-th split at an epoch.
func (w *Writer) checkPart(epoch, i int, split string, logits []float32) error {
	have := 0
	switch {
	case w.hasRow != nil:
		return fmt.Errorf("epoch %d was begun by AppendPart, and goes on so until Commit", *w.last)
	case w.logitsGiven != nil && epoch != *w.last:
		return fmt.Errorf("epoch %d is not whole yet", *w.last)
	case w.logitsGiven == nil && w.last != nil && (epoch < *w.last || epoch == *w.last && len(logits) > 0):
		return fmt.Errorf("epoch %d is written already", *w.last)
	case w.logitsGiven != nil:
		have = w.logitsGiven[i]
	}
	if want := w.rows(i) * w.manifest.Columns; len(logits)%w.manifest.Columns != 0 || len(logits) > want-have {
		return fmt.Errorf("split %q: %d logits behind %d, want %d samples × %d columns in all", split, len(logits), have, w.rows(i), w.manifest.Columns)
	}
	return nil
}

// rows returns the number of rows that a complete epoch has of the i-th split.
func (w *Writer) rows(i int) int {
	if w.parts != nil {
		return len(w.samples[i].ids)
	}
	return w.manifest.Splits[i].N
}

// isWhole reports whether all logits of the epoch were given.
func (w *Writer) isWhole() bool {
	for i := range w.manifest.Splits {
		if w.logitsGiven[i] < w.rows(i)*w.manifest.Columns {
			return false
		}
	}
	return true
}

// Flush waits until every epoch that was given completely is committed, which means that its files and the folders that hold them are synced.
func (w *Writer) Flush() error {
	w.pending.Wait()
	return w.error()
}

// WriteEpoch calls Write and Flush. It returns when the epoch is committed.
func (w *Writer) WriteEpoch(epoch int, logits map[string][]float32) error {
	if err := w.Write(epoch, logits); err != nil {
		return err
	}
	return w.Flush()
}

// writeBlocks writes queued blocks until the queue is closed. Once an epoch has failed, it writes nothing more.
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

// writeBlock writes a block after those before it, and commits the epoch where it is complete with the block. open is the epoch that is being
// written, nil between two epochs. writeBlock returns the epoch that is being written then.
func (w *Writer) writeBlock(open *openEpoch, b *block) (*openEpoch, error) {
	if open == nil {
		open = &openEpoch{w: w, number: b.epoch}
		if err := open.begin(); err != nil {
			return open, err
		}
	}
	if err := open.add(b); err != nil || !b.last {
		return open, err
	}
	if err := open.commit(b); err != nil {
		return open, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed++
	w.lastCommitted = b.epoch
	w.progress.Broadcast()
	return nil, nil
}

// openEpoch is an epoch that is being written to a temporary folder.
type openEpoch struct {
	w      *Writer
	number int
	files  []*openFile // the file of each split in formats 1 and 2; format 3 writes parts
}

// openFile is a file that is being written, with its size and its CRC-32C so far.
type openFile struct {
	file
	size int64
	sum  uint32
}

// write writes data in pieces that are still in the processor's cache once they are summed.
func (f *openFile) write(data []byte) error {
	for len(data) > 0 {
		some := data[:min(len(data), smallBlock)]
		if _, err := f.Write(some); err != nil {
			return err
		}
		data = data[len(some):]
	}
	return nil
}

// Write writes data, and brings the size and the checksum up to date.
func (f *openFile) Write(data []byte) (int, error) {
	f.size += int64(len(data))
	f.sum = crc32.Update(f.sum, castagnoli, data)
	return f.file.Write(data)
}

// folder returns the path of the temporary folder that the epoch is written to.
func (e *openEpoch) folder() string { return epochsDir + "/" + tmpPrefix + epochName(e.number) }

func (e *openEpoch) begin() error {
	if err := e.w.root.Mkdir(e.folder()); err != nil {
		return err
	}
	if e.w.parts != nil {
		for _, p := range e.w.parts {
			p.reset()
		}
		return nil
	}
	for i, split := range e.w.manifest.Splits {
		f, err := e.w.root.Create(e.folder() + "/" + split.Name + ".arrow")
		if err != nil {
			return err
		}
		e.files = append(e.files, &openFile{file: f})
		for _, part := range [][]byte{e.w.frames[i].head, e.w.frames[i].ids} {
			if err := e.files[i].write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// add writes a block after those before it.
func (e *openEpoch) add(b *block) error {
	if e.w.parts != nil {
		return e.w.parts[b.split].add(e.folder(), b)
	}
	return e.files[b.split].write(b.logits)
}

// commit completes the files, syncs them and renames the epoch's folder into place. It syncs all files at once, because a disk needs little more time
// for several than for one.
func (e *openEpoch) commit(last *block) error {
	info := epochJSON{owner: e.w.owner(), Epoch: e.number, Index: e.w.committed}
	if e.w.parts != nil {
		return e.commitParts(info, last)
	}
	for i, split := range e.w.manifest.Splits {
		f := e.files[i]
		if err := f.write(e.w.frames[i].tail); err != nil {
			return err
		}
		info.Splits = append(info.Splits, epochSplit{Name: split.Name, N: split.N, content: content{f.size, fmt.Sprintf("%08x", f.sum)}})
	}
	data, err := sealAs(epochsDir+"/"+epochName(e.number)+"/"+epochFile, info)
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

// commitParts is commit for format 3.
func (e *openEpoch) commitParts(info epochJSON, last *block) error {
	info.Splits = make([]epochSplit, len(e.w.parts))
	errs := make([]error, len(e.w.parts))
	var wait sync.WaitGroup
	for i, p := range e.w.parts {
		wait.Go(func() {
			how := Measured{}
			if last.how != nil {
				how = last.how[i]
			}
			info.Splits[i], errs[i] = p.finish(e.folder(), how)
			info.Splits[i].Of = last.of[i]
			if last.repeated != nil {
				info.Splits[i].Repeated = last.repeated[i]
			}
		})
	}
	wait.Wait()
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	data, err := sealAs(epochPath(e.number, epochFile), info)
	if err != nil {
		return err
	}
	if err := writeFile(e.w.root, e.folder()+"/"+epochFile, data); err != nil {
		return err
	}
	return e.w.settle(epochsDir, epochName(e.number), nil)
}

// drop frees the space of an epoch that will not be completed. Readers ignore files that it cannot remove.
func (e *openEpoch) drop() {
	if e == nil {
		return
	}
	for _, f := range e.files {
		f.Close()
	}
	for _, p := range e.w.parts {
		p.drop()
	}
	e.w.root.RemoveAll(e.folder())
}
