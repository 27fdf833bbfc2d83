package record

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Report is what Check found in a run. Its slices are never nil.
type Report struct {
	Run     string   `json:"run"` // the name in the manifest, "" where that is damaged
	State   string   `json:"state"`
	Epochs  int      `json:"epochs"` // epochs that are there
	Files   int      `json:"files"`  // files looked into
	Damaged []Damage `json:"damaged"`
	Missing []Gap    `json:"missing"`
	Notes   []string `json:"notes"`           // what is odd, and no damage: leftovers of a writer that was killed, files of others
	Folds   *Report  `json:"folds,omitempty"` // of RUN/folds, where it is
}

// Gap is a place where committed epochs are gone.
type Gap struct {
	After  int `json:"after"`  // the epoch before the gap, -1 where it is at the beginning
	Before int `json:"before"` // the epoch after it, -1 where it is at the end
	Lost   int `json:"lost"`   // how many
}

func (g Gap) String() string {
	switch {
	case g.Lost == 1 && g.After >= 0 && g.Before == g.After+2:
		return fmt.Sprintf("epoch %d is missing", g.After+1)
	case g.After >= 0 && g.Before == g.After+g.Lost+1:
		return fmt.Sprintf("epochs %d to %d are missing", g.After+1, g.Before-1)
	case g.After < 0 && g.Before < 0:
		return fmt.Sprintf("all %d epochs are missing", g.Lost)
	case g.After < 0:
		return fmt.Sprintf("%d before epoch %d missing", g.Lost, g.Before)
	case g.Before < 0:
		return fmt.Sprintf("%d after epoch %d missing", g.Lost, g.After)
	}
	return fmt.Sprintf("%d between epochs %d and %d missing", g.Lost, g.After, g.Before)
}

// OK reports whether the run is as it was written.
func (r *Report) OK() bool {
	return len(r.Damaged) == 0 && len(r.Missing) == 0 && (r.Folds == nil || r.Folds.OK())
}

// Check verifies every file of the run in dir and of its folds: checksum, structure, and that no epoch committed is gone. What it finds is in
// the report; the error is for a directory that is no run, or one of a newer format.
func Check(dir string) (Report, error) {
	root, err := openRun(dir)
	if err != nil {
		return Report{}, err
	}
	defer root.Close()
	report, err := check(root, dir)
	if err == nil {
		err = report.checkFolds(root, dir)
	}
	return report, err
}

// checkFolds checks the run in the folder of a run's folds.
func (r *Report) checkFolds(root folder, dir string) error {
	dir = filepath.Join(dir, FoldsDir)
	info, err := root.Lstat(FoldsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.IsDir() {
		err = errors.New("it is no folder")
	}
	var folds folder
	if err == nil {
		folds, err = root.OpenFolder(FoldsDir)
	}
	if err != nil {
		r.add(&Damage{dir, -1, "", err.Error()})
		return nil
	}
	defer folds.Close()
	report, err := check(folds, dir)
	if err != nil {
		r.add(&Damage{dir, -1, "", err.Error()})
		return nil
	}
	r.Folds = &report
	return nil
}

func check(root folder, dir string) (Report, error) {
	report := Report{Files: 1, Damaged: []Damage{}, Missing: []Gap{}, Notes: []string{}}
	r, err := open(root, dir)
	if !report.add(err) {
		return report, err
	}
	if err != nil {
		return report, nil
	}
	report.Run, report.State, report.Epochs = r.manifest.Name, r.State(), len(r.Epochs())
	ids := map[string][]int64{} // of each split; nil where they could not be read
	for _, split := range r.manifest.Splits {
		report.Files++
		samples, err := r.Samples(split.Name)
		if !report.add(err) {
			return report, err
		}
		if err == nil {
			ids[split.Name] = samples.IDs
		}
	}
	if err := report.checkEpochs(r, ids); err != nil {
		return report, err
	}
	if err := report.checkFiles(r); err != nil {
		return report, err
	}
	return report, report.note(r)
}

// add adds damage to the report, and returns false for an error that is something else.
func (r *Report) add(err error) bool {
	damage := (*Damage)(nil)
	if errors.As(err, &damage) {
		r.Damaged = append(r.Damaged, *damage)
		return true
	}
	return err == nil
}

func (r *Report) checkEpochs(run *Run, ids map[string][]int64) error {
	after, next := -1, 0 // the epoch before, and the index that the one after it has
	for _, epoch := range run.Epochs() {
		r.Files++
		info, err := run.readEpoch(epoch)
		if !r.add(err) {
			return err
		}
		if err == nil {
			switch lost := info.Index - next; {
			case lost > 0:
				r.Missing = append(r.Missing, Gap{after, epoch, lost})
			case lost < 0:
				r.add(run.damage(epochsDir+"/"+epochName(epoch)+"/"+epochFile, epoch, "", fmt.Errorf("index %d, want %d", info.Index, next)))
			}
			next = info.Index
			for _, split := range run.manifest.Splits {
				r.Files++
				if err := run.checkLogits(epoch, split.Name, ids[split.Name]); !r.add(err) {
					return err
				}
			}
		}
		after = epoch
		next++
	}
	end, err := run.readEnd()
	if !r.add(err) {
		return err
	}
	if end != nil {
		r.Files++
		if end.Epochs > next {
			r.Missing = append(r.Missing, Gap{after, -1, end.Epochs - next})
		}
	}
	return nil
}

// checkFiles looks into the checkpoints and the other files of whoever wrote the run.
func (r *Report) checkFiles(run *Run) error {
	for _, f := range run.manifest.Files {
		r.Files++
		if _, err := run.File(f.Name); !r.add(err) {
			return err
		}
	}
	figures, err := run.Figures()
	if !r.add(err) {
		return err
	}
	if figures != nil || err != nil {
		r.Files++
	}
	epochs, err := run.Checkpoints()
	if !r.add(err) {
		return err
	}
	for _, epoch := range epochs {
		r.Files++
		c, err := run.Checkpoint(epoch)
		if errors.Is(err, fs.ErrNotExist) && r.State == StateRunning {
			continue // removed for a newer one meanwhile
		}
		if !r.add(err) {
			return err
		}
		if c != nil {
			r.Files += len(c.Files)
			c.Close()
		}
	}
	return nil
}

func (r *Run) checkLogits(epoch int, split string, ids []int64) error {
	l, err := r.Logits(epoch, split)
	if err != nil {
		return err
	}
	defer l.Close()
	if ids != nil && !slices.Equal(l.IDs, ids) {
		return r.damage(epochsDir+"/"+epochName(epoch)+"/"+split+".arrow", epoch, split, errors.New("its ids are not those of the samples"))
	}
	return nil
}

// note notes what is in the run's folders and does not belong there.
func (r *Report) note(run *Run) error {
	known := map[string][]string{
		".":        {manifestFile, samplesDir, epochsDir, figuresFile, endFile, lockName, checkpointsDir, "calibration.json", FoldsDir},
		samplesDir: {}, checkpointsDir: {},
	}
	for _, f := range run.manifest.Files {
		known["."] = append(known["."], f.Name)
	}
	if epochs, err := run.Checkpoints(); err == nil {
		for _, epoch := range epochs {
			known[checkpointsDir] = append(known[checkpointsDir], epochName(epoch))
		}
	}
	for _, split := range run.manifest.Splits {
		known[samplesDir] = append(known[samplesDir], split.Name+".arrow")
	}
	inEpoch := append([]string{epochFile}, known[samplesDir]...)
	for _, epoch := range run.Epochs() {
		name := epochsDir + "/" + epochName(epoch)
		known[name] = inEpoch
		known[epochsDir] = append(known[epochsDir], epochName(epoch))
	}
	for folder, names := range known {
		entries, err := run.root.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its files are in the report
		}
		if err != nil {
			return run.damage(folder, -1, "", err)
		}
		for _, entry := range entries {
			name := strings.TrimPrefix(folder+"/"+entry.Name(), "./")
			switch {
			case slices.Contains(names, entry.Name()):
			case !strings.HasPrefix(entry.Name(), tmpPrefix):
				r.Notes = append(r.Notes, name+" is not part of the run")
			case r.State != StateRunning:
				r.Notes = append(r.Notes, name+" was not finished, and is ignored")
			}
		}
	}
	slices.Sort(r.Notes)
	return nil
}
