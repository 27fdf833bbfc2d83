package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

const (
	checkpointsDir = "checkpoints"
	checkpointFile = "checkpoint.json"
)

// File is a file of the caller's own, in a run or in a checkpoint.
type File struct {
	Name string // a name that ValidName accepts and that no file of the run itself has
	Data []byte // the content of the file
}

// checkpointJSON is the content of checkpoint.json.
type checkpointJSON struct {
	owner
	Epoch int       `json:"epoch"`
	Files fileInfos `json:"files"`
}

// Checkpoint writes what training needs to go on after an epoch, as files of any content. A checkpoint appears whole or not at all, and only
// once every epoch up to that one that was given to Write is committed. When it is durable, the checkpoints of other epochs are
// removed, except those in keep. A checkpoint of the epoch that exists already stays as it is.
//
// One goroutine may call Checkpoint while another calls Write and Flush. It must not be called after Close.
func (w *Writer) Checkpoint(epoch int, files []File, keep ...int) error {
	err := w.checkpoint(epoch, files, keep)
	if err != nil {
		err = fmt.Errorf("write checkpoint %d of %s: %w", epoch, w.dir, named(err))
		w.fail(err)
	}
	return err
}

func (w *Writer) checkpoint(epoch int, files []File, keep []int) error {
	if epoch < 0 || epoch > maxEpoch {
		return fmt.Errorf("want 0 to %d", maxEpoch)
	}
	if err := w.makeCheckpoints(); err != nil {
		return err
	}
	if err := w.writeFigures(epoch); err != nil {
		return err
	}
	info := checkpointJSON{owner: w.owner(), Epoch: epoch}
	var all []newFile
	for _, f := range files {
		if err := validFile(f.Name, checkpointFile); err != nil {
			return err
		}
		parts := [][]byte{f.Data}
		info.Files = append(info.Files, fileInfo{f.Name, contentOf(parts)})
		all = append(all, newFile{f.Name, parts})
	}
	data, err := sealAs(checkpointsDir+"/"+epochName(epoch)+"/"+checkpointFile, info)
	if err != nil {
		return err
	}
	all = append(all, newFile{checkpointFile, [][]byte{data}})
	if _, err := w.root.Lstat(checkpointsDir + "/" + epochName(epoch)); errors.Is(err, fs.ErrNotExist) {
		err = w.place(checkpointsDir, epochName(epoch), all, func() error { return w.waitFor(epoch) })
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	old, err := listNumbered(w.root, checkpointsDir)
	if err != nil {
		return err
	}
	old = slices.DeleteFunc(old, func(other int) bool { return other == epoch || slices.Contains(keep, other) })
	return w.removeCheckpoints(old)
}

// removeCheckpoints removes checkpoints. It renames each first, so that a reader never sees one in part.
func (w *Writer) removeCheckpoints(epochs []int) error {
	if len(epochs) == 0 {
		return nil
	}
	for _, epoch := range epochs {
		name := epochName(epoch)
		if err := w.root.Rename(checkpointsDir+"/"+name, checkpointsDir+"/"+tmpPrefix+name); err != nil {
			return err
		}
	}
	if err := w.root.SyncDir(checkpointsDir); err != nil {
		return err
	}
	for _, epoch := range epochs {
		if err := w.root.RemoveAll(checkpointsDir + "/" + tmpPrefix + epochName(epoch)); err != nil {
			return err
		}
	}
	return nil
}

// makeCheckpoints makes the folder of checkpoints where it does not exist.
func (w *Writer) makeCheckpoints() error {
	if _, err := w.root.Lstat(checkpointsDir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := w.root.Mkdir(checkpointsDir); err != nil {
		return err
	}
	return w.root.SyncDir(".")
}

// waitFor waits until all epochs up to the given one that were given to Write are committed, or writing has failed.
func (w *Writer) waitFor(epoch int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && w.lastCommitted < epoch && w.lastCommitted < w.queued {
		w.progress.Wait()
	}
	return w.err
}

func validFile(name string, reserved ...string) error {
	if !ValidName(name) || slices.Contains(reserved, name) {
		return fmt.Errorf("file name %q: want letters, digits, '.', '_' and '-' only, and no name that the run itself uses", name)
	}
	return nil
}

// Checkpoints returns the epochs of which the run has a checkpoint, in rising order.
func (r *Run) Checkpoints() ([]int, error) {
	epochs, err := listNumbered(r.root, checkpointsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, r.damage(checkpointsDir, -1, "", err)
	}
	return epochs, nil
}

// Checkpoint is an open checkpoint. Its files are mapped into memory, which must not be written to, and not be read after Close.
type Checkpoint struct {
	Epoch  int               // the epoch after which the checkpoint was written
	Files  map[string][]byte // the content of each file, by name
	unmaps []func() error
}

// Close releases the memory of Files.
func (c *Checkpoint) Close() error {
	errs := make([]error, len(c.unmaps))
	for i, unmap := range c.unmaps {
		errs[i] = unmap()
	}
	c.Files, c.unmaps = nil, nil
	return errors.Join(errs...)
}

// Checkpoint verifies the checksums of the files of an epoch's checkpoint and opens it. The error is ErrNoCheckpoint where the epoch has none, and a
// *Damage where a file is damaged, or where the run ended with the checkpoint and it is gone. The caller closes what it returns.
func (r *Run) Checkpoint(epoch int) (*Checkpoint, error) {
	folder := checkpointsDir + "/" + epochName(epoch)
	if end, _ := r.readEnd(); !r.has(folder) && !(end != nil && slices.Contains(end.Checkpoints, epoch)) {
		return nil, lacks(ErrNoCheckpoint, "run %s has no checkpoint of epoch %d: %v", r.manifest.Name, epoch, fs.ErrNotExist)
	}
	info, err := r.readCheckpoint(epoch)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Epoch: epoch, Files: map[string][]byte{}}
	for _, f := range info.Files {
		m, err := r.mapped(context.Background(), folder+"/"+f.Name, f.content, 0)
		if err != nil {
			c.Close()
			return nil, r.damage(folder+"/"+f.Name, epoch, "", err)
		}
		c.Files[f.Name] = m.data
		c.unmaps = append(c.unmaps, m.unmap)
	}
	return c, nil
}

func (r *Run) readCheckpoint(epoch int) (*checkpointJSON, error) {
	name := checkpointsDir + "/" + epochName(epoch) + "/" + checkpointFile
	var info checkpointJSON
	_, err := r.sealed(name, &info)
	if err == nil && info.Epoch != epoch {
		err = fmt.Errorf("it is of epoch %d", info.Epoch)
	}
	for _, f := range info.Files {
		if err == nil {
			err = validFile(f.Name, checkpointFile)
		}
	}
	if err != nil {
		return nil, r.damage(name, epoch, "", err)
	}
	return &info, nil
}

// File reads a file that the caller of Create gave to the run. The error is ErrNoFile where the run has no such file.
func (r *Run) File(name string) ([]byte, error) {
	i := slices.IndexFunc(r.manifest.Files, func(f fileInfo) bool { return f.Name == name })
	if i < 0 {
		return nil, lacks(ErrNoFile, "run %s has no %s: %v", r.manifest.Name, name, fs.ErrNotExist)
	}
	want := r.manifest.Files[i].content
	if want.Size > maxFileBytes {
		return nil, r.damage(name, -1, "", fmt.Errorf("%d bytes: want at most %d", want.Size, maxFileBytes))
	}
	m, err := r.mapped(context.Background(), name, want, 0)
	if err != nil {
		return nil, r.damage(name, -1, "", err)
	}
	data := slices.Clone(m.data)
	return data, m.unmap()
}
