package record

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Resume opens the run in dir to write more epochs to it. The run may have any state, and its writer may have ended in any way. Resume
// removes what was not committed. It is an error where another writer has the run open, or where epochs are missing.
//
// A Resume that is killed at any moment leaves a run that can be resumed.
func Resume(dir string) (*Writer, error) {
	root, err := openRun(dir)
	if err != nil {
		return nil, err
	}
	w, err := resume(root, dir)
	if err != nil {
		return nil, fmt.Errorf("resume run %s: %w", dir, err)
	}
	return w, nil
}

// resume is Resume for an open folder, which it closes where it fails.
func resume(root folder, dir string) (w *Writer, err error) {
	defer func() {
		if err != nil {
			if w != nil && w.lock != nil {
				w.lock.Close()
			}
			root.Close()
			w = nil
		}
	}()
	r, err := open(root, dir)
	if err != nil {
		return nil, err
	}
	w = startWriter(dir, *r.Manifest())
	w.root = root
	if w.lock, err = lockRun(root); err != nil {
		return w, err
	}
	if err := r.Refresh(); err != nil { // another writer may have committed an epoch before it let go of the lock
		return w, err
	}
	epochs := r.Epochs()
	if n := len(epochs); n > 0 {
		last := epochs[n-1]
		info, err := r.readEpoch(last)
		if err != nil {
			return w, err
		}
		if info.Index != n-1 {
			gaps, _ := r.gaps()
			return w, fmt.Errorf("%d of its epochs are missing: %v", info.Index+1-n, gaps)
		}
		w.last, w.queued, w.lastCommitted, w.committed = &last, last, last, n
	}
	for i, split := range r.manifest.Splits {
		s, err := r.Samples(split.Name)
		if err != nil {
			return w, err
		}
		w.addSplit(i, s)
	}
	w.figures, w.figuresAre, err = r.readFigures()
	w.unwritten = err != nil // a damaged figures.json is written anew
	if err := clearUnfinished(root); err != nil {
		return w, err
	}
	go w.writeBlocks()
	return w, nil
}

// lockRun takes the lock of a run whose writer is gone. It makes the file where it is absent, as in a copy of a run. It tries several times, because
// every reader holds the lock for a moment to find out whether a writer does.
func lockRun(root folder) (file, error) {
	lock, _, err := openRegular(root, lockName)
	if errors.Is(err, fs.ErrNotExist) {
		lock, err = root.Create(lockName)
	}
	if err != nil {
		return nil, err
	}
	for range 20 {
		var ok bool
		if ok, err = lock.Lock(); ok {
			return lock, nil
		}
		if err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	lock.Close()
	return nil, cmp.Or(err, errors.New("another process is writing it"))
}

// clearUnfinished removes the temporary files that an earlier writer left, and end.json.
func clearUnfinished(root folder) error {
	for _, name := range []string{epochsDir, checkpointsDir, "."} {
		entries, err := readFolder(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), tmpPrefix) || name == "." && entry.Name() == endFile {
				if err := root.RemoveAll(name + "/" + entry.Name()); err != nil {
					return err
				}
			}
		}
		if err := root.SyncDir(name); err != nil {
			return err
		}
	}
	return nil
}
