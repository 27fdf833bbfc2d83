package record

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// FoldsDir is where a run keeps its folds: a run of its own, in the same format, whose logits are out of fold. It holds the
// split that the run trains on; each sample's logits are those of the one network, of several, that never saw it.
const FoldsDir = "folds"

// Folds opens the folds of a run, nil where it has none. Close what it returns.
func (r *Run) Folds() (*Run, error) {
	root, err := r.root.OpenFolder(FoldsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, r.damage(FoldsDir, -1, "", err)
	}
	return keep(root, filepath.Join(r.dir, FoldsDir))
}
