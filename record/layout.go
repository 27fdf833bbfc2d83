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

// A rule says how files of one kind are verified.
type rule struct {
	pattern  string // matches the path of a file in the run, as in path.Match
	sealed   int64  // for JSON with a seal of its own, the largest number of bytes; else 0
	named    string // the sealed file that holds the size and CRC-32C of the file; "" for none
	required bool   // whether a run, or the folder that the file is in, is incomplete without it
}

// layout lists the files that a run may hold. The first pattern that matches counts. Readers read files by these
// rules only. Check verifies all files that are listed, and names all others that it finds.
var layout = []rule{
	{pattern: manifestFile, sealed: maxManifestBytes, required: true},
	{pattern: endFile, sealed: maxEndBytes},
	{pattern: figuresFile, sealed: maxFiguresBytes},
	{pattern: CalibrationFile, sealed: maxCalibrationBytes},
	{pattern: lockName}, // is locked and never read
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

// maxFileBytes bounds a file that the caller of Create gives to the run, which is read whole too.
const maxFileBytes = 1 << 30

// ruleOf returns the rule of a file. It panics for a path that a run has no place for: callers build paths from the constants of this package and from
// names that were validated.
func ruleOf(name string) rule {
	for _, r := range layout {
		if ok, err := path.Match(r.pattern, name); ok && err == nil {
			return r
		}
	}
	panic("record: no rule for " + name)
}

// owner is the part of a sealed file that names the run which it belongs to.
type owner struct {
	Run string `json:"run,omitempty"` // the ID of the run; "" for a run of an older version, which has none
}

func (o owner) ownerID() string { return o.Run }

var errOtherRun = errors.New("it is of another run")

// sealed reads a sealed file of the run into v. A file of another run is an error.
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

// sealAs seals v as a file of a run. It is an error where the file would have more bytes than readers accept.
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

// openRegular opens a regular file and returns its size. It is an error where the file, or a folder that it is in, is a link, or where it is a pipe.
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

// checkFolder returns an error unless name, and every parent in it, is a folder. A link is none, wherever it leads.
func checkFolder(d folder, name string) error {
	for end, c := range name + "/" {
		if c != '/' || name == "." {
			continue
		}
		info, err := d.Lstat(name[:end])
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return &fs.PathError{Op: "open", Path: name[:end], Err: fmt.Errorf("%s is not a folder", path.Base(name[:end]))}
		}
	}
	return nil
}

// readFolder lists a folder. A link is an error, as in checkFolder.
func readFolder(d folder, name string) ([]fs.DirEntry, error) {
	if err := checkFolder(d, name); err != nil {
		return nil, err
	}
	return d.ReadDir(name)
}

// item is a file that the run has, or must have.
type item struct {
	name   string       // the path of the file in the run
	verify func() error // returns the damage of the file, nil for none
}

// inventory lists the files of the run by the layout. Each is verified by the functions that read it. The files beside a
// damaged epoch.json or checkpoint.json are not known, and are left out.
func (r *Run) inventory(ctx context.Context) []item {
	var items []item
	add := func(name string, verify func() error) {
		if ruleOf(name).required || r.has(name) {
			items = append(items, item{name, verify})
		}
	}
	add(manifestFile, func() error { return nil }) // the manifest and the lock were verified when the run was opened
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

// checkpointItems lists the files of the checkpoints that are there, and of those that end.json names.
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
		gone := func() bool { return r.State() == StateRunning && !r.has(folder) } // its writer removed it for a newer checkpoint
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

// has reports whether the run has a file or a folder of that path. It is true where that cannot be told.
func (r *Run) has(name string) bool {
	_, err := r.root.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// rowItems lists the files that an epoch.json names.
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
		// All parts are opened together, because no id may be in two of them. Where that fails, each file is verified by itself.
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

// names reports whether err is the damage of the file.
func (r *Run) names(err error, name string) bool {
	damage := (*Damage)(nil)
	return errors.As(err, &damage) && damage.Path == r.damage(name, -1, "", err).Path
}

// checkGrown puts together the samples of the splits that grow and returns the damage of the named file that this meets, nil for none.
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

// checkFile verifies the size and the checksum of a file.
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

// checkRows opens and closes the rows of a split at an epoch, which verifies them.
func (r *Run) checkRows(ctx context.Context, epoch int, split string) error {
	rows, err := r.Rows(ctx, epoch, split)
	if err != nil {
		return err
	}
	return rows.Close()
}

// strays returns the files in the run's folders that are not known, and apart from them the unfinished files, which have temporary names.
func (r *Run) strays(known map[string]bool) (strays, unfinished []string, err error) {
	folders := map[string]bool{samplesDir: true, epochsDir: true, checkpointsDir: true}
	for name := range known {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	var walk func(folder string) error
	walk = func(folder string) error {
		entries, err := readFolder(r.root, folder)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a reader of its files reports that they are missing
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
				if err := walk(name); err != nil {
					return err
				}
			case !known[name] && !folders[name] && name != FoldsDir:
				strays = append(strays, name)
			}
		}
		return nil
	}
	return strays, unfinished, walk(".")
}
