package record

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Named is a file of a run that a sealed file names.
type Named struct {
	Path   string // the path in the run, with slashes
	Size   int64  // the number of bytes
	CRC32C string // eight lower-case hexadecimal digits
}

// NamedIn returns the files that a manifest.json, an epoch.json or a checkpoint.json names, and the ID of the run, for programs that copy runs. name is
// the path of the sealed file in the run, and data is its content, whose seal is verified. A path that is not of such a file is an error. NamedIn does
// not look at the files that are named; the run's readers verify them.
func NamedIn(name string, data []byte) (run string, files []Named, err error) {
	if place, _ := PlaceOf(name); place != SealedPlace {
		return "", nil, fmt.Errorf("%s names no files", name)
	}
	if most := ruleOf(name).sealed; int64(len(data)) > most {
		return "", nil, fmt.Errorf("%s has %d bytes: want at most %d", name, len(data), most)
	}
	add := func(name string, is content) { files = append(files, Named{name, is.Size, is.CRC32C}) }
	if name == manifestFile {
		r := &Run{}
		if err := r.readManifest(data); err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range r.manifest.Splits {
			add(samplesDir+"/"+s.Name+".arrow", s.content)
		}
		for _, f := range r.manifest.Files {
			add(f.Name, f.content)
		}
		return r.manifest.ID, files, nil
	}
	if path.Base(name) == checkpointFile {
		var info checkpointJSON
		if err := Unseal(data, &info); err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		folder := checkpointsDir + "/" + epochName(info.Epoch)
		if folder+"/"+checkpointFile != name {
			return "", nil, fmt.Errorf("%s is of epoch %d", name, info.Epoch)
		}
		for _, f := range info.Files {
			if err := validFile(f.Name, checkpointFile); err != nil {
				return "", nil, fmt.Errorf("%s: %w", name, err)
			}
			add(folder+"/"+f.Name, f.content)
		}
		return info.Run, files, nil
	}
	var info epochJSON
	if err := Unseal(data, &info); err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	if epochPath(info.Epoch, epochFile) != name {
		return "", nil, fmt.Errorf("%s is of epoch %d", name, info.Epoch)
	}
	for _, s := range info.Splits {
		if !validSplit(s.Name) {
			return "", nil, fmt.Errorf("%s names the split %q", name, s.Name)
		}
		if s.Parts == nil && s.CRC32C != "" {
			add(epochPath(info.Epoch, s.Name+".arrow"), s.content)
		}
		for p, part := range s.Parts {
			if part.Rows != nil {
				add(epochPath(info.Epoch, partFile(s.Name, p, false)), *part.Rows)
			}
			if part.Stats != nil {
				add(epochPath(info.Epoch, partFile(s.Name, p, true)), *part.Stats)
			}
		}
		if s.Samples != nil {
			add(epochPath(info.Epoch, samplesFile(s.Name)), s.Samples.content)
		}
	}
	return info.Run, files, nil
}

// OwnerOf verifies the seal of a JSON file and returns the ID of the run that the file belongs to, "" where it names none.
func OwnerOf(data []byte) (string, error) {
	var of owner
	if err := Unseal(data, &of); err != nil {
		return "", err
	}
	return of.Run, nil
}

// A Place says what a file is in a run.
type Place int

// Places of files. A program that copies a run copies the files that a sealed file names first and then the sealed file, with which the run, the epoch or
// the checkpoint appears. The manifest and its files come before all others. Files that may be changed are replaced whole.
const (
	NoPlace      Place = iota // no run has such a file, or it is the lock, which is not copied
	NamedPlace                // a sealed file names the file
	SealedPlace               // the file names others: it is manifest.json, an epoch.json or a checkpoint.json
	MayBeChanged              // the file is figures.json, calibration.json or end.json
)

// PlaceOf returns the place of the file with the given path in a run, and the path of the sealed file that names it. For a SealedPlace that is the file
// itself, and for MayBeChanged and NoPlace it is "". A path that could lead out of the run has no place.
func PlaceOf(name string) (place Place, sealed string) {
	parts := strings.Split(name, "/")
	for _, part := range parts {
		if !ValidName(part) {
			return NoPlace, ""
		}
	}
	folder := strings.Join(parts[:len(parts)-1], "/")
	switch {
	case name == manifestFile:
		return SealedPlace, manifestFile
	case name == figuresFile || name == CalibrationFile || name == endFile:
		return MayBeChanged, ""
	case len(parts) == 1 && validFile(name, ownNames...) == nil, len(parts) == 2 && parts[0] == samplesDir && path.Ext(name) == ".arrow":
		return NamedPlace, manifestFile
	case len(parts) != 3 || !numbered(parts[1]):
		return NoPlace, ""
	case parts[0] == epochsDir && parts[2] == epochFile, parts[0] == checkpointsDir && parts[2] == checkpointFile:
		return SealedPlace, name
	case parts[0] == epochsDir && path.Ext(name) == ".arrow":
		return NamedPlace, folder + "/" + epochFile
	case parts[0] == checkpointsDir:
		return NamedPlace, folder + "/" + checkpointFile
	}
	return NoPlace, ""
}

// numbered reports whether an epoch's folder has the name.
func numbered(name string) bool {
	epoch, err := strconv.Atoi(name)
	return err == nil && epoch >= 0 && epochName(epoch) == name
}
