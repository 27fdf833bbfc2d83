package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// A rule says how the files of one kind are known to be as they were written.
type rule struct {
	pattern  string // of the path in the run, as path.Match has it
	sealed   int64  // JSON under a seal of its own, of at most so many bytes
	named    string // or: the sealed file that holds its size and CRC-32C
	required bool   // a run, or the folder it is in, is not whole without it
}

// layout is the one list of the files that a run may hold: the first pattern that fits counts. Readers read nothing by another
// rule, Check verifies all that is listed, and names whatever is there beside it.
var layout = []rule{
	{pattern: manifestFile, sealed: maxManifestBytes, required: true},
	{pattern: endFile, sealed: maxEndBytes},
	{pattern: figuresFile, sealed: maxFiguresBytes},
	{pattern: CalibrationFile, sealed: maxCalibrationBytes},
	{pattern: lockName}, // locked, never read
	{pattern: samplesDir + "/*.arrow", named: manifestFile, required: true},
	{pattern: epochsDir + "/*/" + epochFile, sealed: maxEpoch3Bytes, required: true},
	{pattern: epochsDir + "/*/*.arrow", named: epochFile, required: true},
	{pattern: checkpointsDir + "/*/" + checkpointFile, sealed: maxEpochBytes, required: true},
	{pattern: checkpointsDir + "/*/*", named: checkpointFile, required: true},
	{pattern: "*", named: manifestFile, required: true}, // the files that its writer gave it
}

// Bounds on the JSON files of a run, which are read whole.
const (
	maxManifestBytes    = 16 << 20
	maxEpochBytes       = 64 << 10
	maxEndBytes         = 4 << 10
	maxFiguresBytes     = 64 << 20
	maxCalibrationBytes = 256 << 20
)

// maxFileBytes bounds a file that the run's writer gives it, which is read whole too.
const maxFileBytes = 1 << 30

// ruleOf returns the rule of a file. It panics for one that a run has no place for.
func ruleOf(name string) rule {
	for _, r := range layout {
		if ok, err := path.Match(r.pattern, name); ok && err == nil {
			return r
		}
	}
	panic("record: no rule for " + name)
}

// owner is what a sealed file says of the run that it belongs to: its id, "" for one that has none.
type owner struct {
	Run string `json:"run,omitempty"`
}

func (o owner) ownerID() string { return o.Run }

var errOtherRun = errors.New("it is of another run")

// sealed reads a sealed file of the run into v, and refuses one of another run.
func (r *Run) sealed(name string, v interface{ ownerID() string }) ([]byte, error) {
	data, err := readSmall(r.root, name, ruleOf(name).sealed)
	if err == nil {
		err = Unseal(data, v)
	}
	if err == nil && v.ownerID() != r.manifest.ID {
		err = errOtherRun
	}
	return data, err
}

// sealAs seals v as a file of a run, and refuses what the file's reader would refuse.
func sealAs(name string, v any) ([]byte, error) {
	data, err := Seal(v)
	if most := ruleOf(name).sealed; err == nil && int64(len(data)) > most {
		why := ""
		switch name {
		case manifestFile:
			why = ": shorten the names of the classes, or the configuration"
		case figuresFile:
			why = ": keep the figures of fewer epochs"
		case CalibrationFile:
			why = ": calibrate by another method"
		}
		return nil, fmt.Errorf("%s would have %d bytes, and is read up to %d%s", path.Base(name), len(data), most, why)
	}
	return data, err
}

// openRegular opens a regular file in folders: no link, nor a pipe that would never answer.
func openRegular(d folder, name string) (file, int64, error) {
	if err := checkFolder(d, path.Dir(name)); err != nil {
		return nil, 0, err
	}
	info, err := d.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	f, err := d.Open(name)
	return f, info.Size(), err
}

// checkFolder returns an error unless name, and all that it is in, are folders: a link is none, wherever it leads.
func checkFolder(d folder, name string) error {
	for at, c := range name + "/" {
		if c != '/' || name == "." {
			continue
		}
		info, err := d.Lstat(name[:at])
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return &fs.PathError{Op: "open", Path: name[:at], Err: fmt.Errorf("%s is not a folder", path.Base(name[:at]))}
		}
	}
	return nil
}

// readFolder lists a folder that is no link.
func readFolder(d folder, name string) ([]fs.DirEntry, error) {
	if err := checkFolder(d, name); err != nil {
		return nil, err
	}
	return d.ReadDir(name)
}

// item is a file that the run has, or must have.
type item struct {
	name   string
	verify func() error
}

// inventory lists what the run has by the layout, each file with what verifies it: the readers' own functions. The files beside a
// damaged epoch.json or checkpoint.json are not known, and left out.
func (r *Run) inventory(ctx context.Context) []item {
	var items []item
	add := func(name string, verify func() error) {
		if ruleOf(name).required || r.has(name) {
			items = append(items, item{name, verify})
		}
	}
	add(manifestFile, func() error { return nil }) // it was verified when the run was opened, as was the lock
	add(lockName, func() error { return nil })
	for _, split := range r.manifest.Splits {
		name := samplesDir + "/" + split.Name + ".arrow"
		add(name, func() error { return r.addSamples(&Samples{}, name, -1, split.Name, split.N, split.content) })
	}
	for _, epoch := range r.Epochs() {
		info, err := r.readEpoch(epoch)
		add(epochPath(epoch, epochFile), func() error {
			if err != nil {
				return err
			}
			return r.checkGrown(info, epochPath(epoch, epochFile))
		})
		if err == nil {
			items = append(items, r.rowItems(ctx, info)...)
		}
	}
	end, endErr := r.readEnd()
	add(endFile, func() error { return endErr })
	for _, f := range r.manifest.Files {
		add(f.Name, func() error { _, err := r.File(f.Name); return err })
	}
	if end != nil && end.Figures != nil || r.has(figuresFile) {
		items = append(items, item{figuresFile, func() error { _, err := r.Figures(); return err }})
	}
	add(CalibrationFile, func() error { _, _, err := r.Calibration(); return err })
	return append(items, r.checkpointItems(ctx, end)...)
}

// checkpointItems are those of the checkpoints that are there, and of those that end.json names.
func (r *Run) checkpointItems(ctx context.Context, end *endJSON) (items []item) {
	epochs, err := r.Checkpoints()
	if err != nil {
		return []item{{checkpointsDir, func() error { return err }}}
	}
	if end != nil {
		epochs = append(epochs, end.Checkpoints...)
		slices.Sort(epochs)
		epochs = slices.Compact(epochs)
	}
	for _, epoch := range epochs {
		folder := checkpointsDir + "/" + epochName(epoch)
		gone := func() bool { return r.State() == StateRunning && !r.has(folder) } // removed for a newer one meanwhile
		info, err := r.readCheckpoint(epoch)
		if gone() {
			continue
		}
		items = append(items, item{folder + "/" + checkpointFile, func() error { return err }})
		if err != nil {
			continue
		}
		for _, f := range info.Files {
			name := folder + "/" + f.Name
			items = append(items, item{name, func() error {
				m, err := r.mapped(ctx, name, f.content, 0)
				if err == nil {
					return m.unmap()
				}
				if gone() {
					return nil
				}
				return r.damage(name, epoch, "", err)
			}})
		}
	}
	return items
}

func (r *Run) has(name string) bool {
	_, err := r.root.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// rowItems are those of the files that an epoch.json names.
func (r *Run) rowItems(ctx context.Context, info *epochJSON) (items []item) {
	for i := range info.Splits {
		s := &info.Splits[i]
		if s.Samples != nil {
			name := epochPath(info.Epoch, samplesFile(s.Name))
			items = append(items, item{name, func() error {
				if err := r.checkGrown(info, name); err != nil {
					return err
				}
				return r.checkFile(ctx, name, info.Epoch, s.Name, s.Samples.content)
			}})
		}
		// All parts are opened together, for their ids are to differ, and one by one where that fails.
		together := sync.OnceValue(func() error { return r.checkRows(ctx, info.Epoch, s.Name) })
		for p, part := range s.Parts {
			for _, f := range []struct {
				is    *content
				stats bool
			}{{part.Rows, false}, {part.Stats, true}} {
				if f.is == nil {
					continue
				}
				name := epochPath(info.Epoch, partFile(s.Name, p, f.stats))
				items = append(items, item{name, func() error {
					err := together()
					if err == nil || r.names(err, name) {
						return err
					}
					return r.checkFile(ctx, name, info.Epoch, s.Name, *f.is)
				}})
			}
		}
	}
	return items
}

// names reports whether err is the damage of a file.
func (r *Run) names(err error, name string) bool {
	damage := (*Damage)(nil)
	return errors.As(err, &damage) && damage.Path == r.damage(name, -1, "", err).Path
}

// checkGrown returns the damage of a file that is met where the samples of splits that grow are put together.
func (r *Run) checkGrown(info *epochJSON, name string) error {
	for i, split := range r.manifest.Splits {
		if !split.Grows() || info.Splits[i].Of == split.N {
			continue
		}
		if _, err := r.Samples(split.Name); r.names(err, name) {
			return err
		}
	}
	return nil
}

// checkFile verifies that a file is as it was written, and no more.
func (r *Run) checkFile(ctx context.Context, name string, epoch int, split string, is content) error {
	m, err := r.mapped(ctx, name, is, 0)
	if err == nil {
		err = m.unmap()
	}
	if err != nil {
		return r.damage(name, epoch, split, err)
	}
	return nil
}

func (r *Run) checkRows(ctx context.Context, epoch int, split string) error {
	rows, err := r.Rows(ctx, epoch, split)
	if err != nil {
		return err
	}
	return rows.Close()
}

// strays returns what is in the run's folders and is none of the known files.
func (r *Run) strays(known map[string]bool) (strays, unfinished []string, err error) {
	folders := map[string]bool{samplesDir: true, epochsDir: true, checkpointsDir: true}
	for name := range known {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	var look func(folder string) error
	look = func(folder string) error {
		entries, err := readFolder(r.root, folder)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // its files are missed where they are read
		}
		if err != nil {
			return r.damage(folder, -1, "", err)
		}
		for _, entry := range entries {
			name := strings.TrimPrefix(folder+"/"+entry.Name(), "./")
			switch {
			case strings.HasPrefix(entry.Name(), tmpPrefix):
				unfinished = append(unfinished, name)
			case entry.IsDir() && folders[name]:
				if err := look(name); err != nil {
					return err
				}
			case !known[name] && !folders[name] && name != FoldsDir:
				strays = append(strays, name)
			}
		}
		return nil
	}
	return strays, unfinished, look(".")
}
