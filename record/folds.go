package record

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// FoldsDir is where a run keeps its folds: a run of its own, in the same format, whose logits are out of fold. It holds the
// split that the run trains on; each sample's logits are those of the one network, of several, that never saw it.
const FoldsDir = "folds"

// Folds opens the folds of a run, nil where it has none. Those of another run are damage. Close what it returns.
func (r *Run) Folds() (*Run, error) {
	err := checkFolder(r.root, FoldsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var root folder
	if err == nil {
		root, err = r.root.OpenFolder(FoldsDir)
	}
	if err != nil {
		return nil, r.damage(FoldsDir, -1, "", err)
	}
	folds, err := keep(root, filepath.Join(r.dir, FoldsDir))
	if errors.Is(err, fs.ErrNotExist) {
		err = r.damage(FoldsDir, -1, "", errors.New(FoldsDir+"/"+manifestFile+" is missing"))
	}
	if err == nil && folds.manifest.PartOf != r.manifest.ID {
		folds.Close()
		err = r.damage(FoldsDir, -1, "", errOtherRun)
	}
	if err != nil {
		return nil, err
	}
	return folds, nil
}
