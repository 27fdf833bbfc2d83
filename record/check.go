package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Report is what Check found in a run. Its slices are never nil.
type Report struct {
	Run     string   `json:"run"`             // the name in the manifest; "" where the manifest is damaged
	State   string   `json:"state"`           // the state of the run; "" where the manifest is damaged
	Epochs  int      `json:"epochs"`          // the number of epochs that are there
	Files   int      `json:"files"`           // the number of files that were verified
	Damaged []Damage `json:"damaged"`         // the files that are damaged or missing
	Missing []Gap    `json:"missing"`         // the gaps where committed epochs are gone
	Notes   []string `json:"notes"`           // what is odd but no damage, such as leftovers of a killed writer and foreign files
	Folds   *Report  `json:"folds,omitempty"` // the report of the run in RUN/folds; nil where there is none
}

// OK reports whether nothing of the run and of its folds is damaged or missing.
func (r *Report) OK() bool {
	return len(r.Damaged) == 0 && len(r.Missing) == 0 && (r.Folds == nil || r.Folds.OK())
}

// Check verifies every file of the run in dir and of its folds: their checksums, their structure, and that no committed epoch is gone. The report holds
// what it finds. An error means that dir is no run or a run of a newer format, or that ctx ended, which stops the reading.
func Check(ctx context.Context, dir string) (Report, error) {
	root, err := openRun(dir)
	if err != nil {
		return Report{}, err
	}
	defer root.Close()
	report, err := check(ctx, root, dir)
	if err == nil {
		err = report.checkFolds(ctx, root, dir)
	}
	return report, err
}

// checkFolds checks the run in the folder of a run's folds.
func (r *Report) checkFolds(ctx context.Context, root folder, dir string) error {
	run, err := open(root, dir)
	if err != nil {
		return nil // the report has this damage already
	}
	folds, err := run.Folds()
	if damage := (*Damage)(nil); err != nil && !errors.As(err, &damage) {
		err = run.damage(FoldsDir, -1, "", err)
	}
	if folds == nil {
		r.add(err)
		return nil
	}
	defer folds.Close()
	report, err := check(ctx, folds.root, folds.dir)
	r.Folds = &report
	return err
}

func check(ctx context.Context, root folder, dir string) (Report, error) {
	report := Report{Files: 1, Damaged: []Damage{}, Missing: []Gap{}, Notes: []string{}}
	r, err := open(root, dir)
	if !report.add(err) {
		return report, err
	}
	if err != nil {
		return report, nil
	}
	report.Run, report.State, report.Epochs, report.Files = r.manifest.Name, r.State(), len(r.Epochs()), 0
	known := map[string]bool{}
	for _, item := range r.inventory(ctx) {
		known[item.name] = true
		if ruleOf(item.name) != ruleOf(lockName) {
			report.Files++
		}
		err := item.verify()
		if ctx.Err() != nil { // the file was not read to its end, so its error is no damage
			return report, ctx.Err()
		}
		if !report.add(err) {
			return report, err
		}
	}
	gaps, damaged := r.gaps()
	report.Missing = append(report.Missing, gaps...)
	for _, err := range damaged {
		report.add(err)
	}
	return report, report.note(r, known)
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

// note adds notes on files in the run's folders that do not belong there, and on what nothing verifies. known holds the files of the run.
func (r *Report) note(run *Run, known map[string]bool) error {
	strays, unfinished, err := run.strays(known)
	if err != nil {
		return err
	}
	for _, name := range strays {
		r.Notes = append(r.Notes, name+" is not part of the run")
	}
	for _, name := range unfinished {
		if r.State != StateRunning {
			r.Notes = append(r.Notes, name+" was not finished, and is ignored")
		}
	}
	if run.manifest.ID == "" {
		r.Notes = append(r.Notes, "the run was written by an older version: its files do not say which run they are of")
	}
	if _, sealed, err := run.Calibration(); err == nil && !sealed {
		r.Notes = append(r.Notes, CalibrationFile+" is not sealed: written by an older version, or by hand")
	}
	overflowed := 0
	for _, epoch := range run.Epochs() {
		splits, _ := run.Epoch(epoch) // an epoch that cannot be read is in the report already
		for _, s := range splits {
			overflowed += s.Overflowed
		}
	}
	if overflowed > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("finite logits are kept as infinite, for they were beyond %s: %d of them", halfEncoding.name, overflowed))
	}
	slices.Sort(r.Notes)
	return nil
}
