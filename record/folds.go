package record

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// FoldsDir is the folder in a run that holds its folds. They are a run in the same format that holds the split which the outer run trains on. Of the
// several networks that were trained, each sample's logits are those of the one that never saw the sample.
const FoldsDir = "folds"

// Folds opens the folds of a run. It returns nil where the run has none. Folds that cannot be read, or that belong to another run, are a *Damage.
// The caller closes what it returns.
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
