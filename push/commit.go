package push

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"

	"github.com/logitscope/logitscope/record"
)

// commit writes a sealed file once every file that it names is there, and then renames their folder to its final name.
func (s *Receiver) commit(entry *receiving, u *upload, at, to string) error {
	from := path.Dir(at)
	data, err := s.read(at + partEnd)
	if err != nil {
		return err
	}
	id, files, err := record.NamedIn(u.name, data)
	if err == nil && id != u.id {
		err = fmt.Errorf("%s: it is of another run", u.name)
	}
	if err != nil {
		_ = s.root.Remove(at + partEnd)
		return refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	manifest := u.name == "manifest.json"
	keep := map[string]bool{at + partEnd: true, from: true}
	for _, f := range files {
		place := path.Join(from, f.Path)
		if !manifest {
			place = path.Join(from, path.Base(f.Path))
		}
		info, err := s.root.Stat(place)
		if err != nil || info.Size() != f.Size {
			return refuse(http.StatusConflict, "%s is not there yet: send it before %s", f.Path, u.name)
		}
		if sum, err := s.sum(u.run, f.Path, place); err != nil || sum != f.CRC32C {
			delete(entry.sums, f.Path)
			return refuse(http.StatusConflict, "%s is not what %s names: send it again", f.Path, u.name)
		}
		keep[place], keep[path.Dir(place)] = true, true
	}
	if manifest {
		in, err := s.mkdir(from + "/epochs")
		if err := cmp.Or(err, s.sync(in...)); err != nil {
			return err
		}
		keep[from+"/epochs"] = true
	}
	if err := s.removeOthers(from, keep); err != nil {
		return err
	}
	if err := s.root.Rename(at+partEnd, at); err != nil {
		return err
	}
	var folders []string
	for place := range keep {
		if info, err := s.root.Stat(place); err == nil && info.IsDir() {
			folders = append(folders, place)
		}
	}
	if err := s.settle(at, folders...); err != nil {
		return err
	}
	if !manifest {
		// The sender resumed a run that had ended.
		err := s.root.Remove(u.run + "/end.json")
		if err == nil {
			err = s.sync(u.run)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.root.Rename(from, to); err != nil {
		return err
	}
	if manifest {
		clear(entry.sums)
		if err := entry.lockRun(s, u.run); err != nil {
			return err
		}
	} else {
		for _, f := range files {
			delete(entry.sums, f.Path)
		}
	}
	return s.sync(path.Dir(to))
}

// removeOthers removes from a folder the files that are not in keep: those of a client that gave up, or that sent another run of the same name.
func (s *Receiver) removeOthers(folder string, keep map[string]bool) error {
	var others []string
	err := fs.WalkDir(s.root.FS(), folder, func(at string, d fs.DirEntry, err error) error {
		if err != nil || keep[at] {
			return err
		}
		if others = append(others, at); d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	for _, at := range others {
		err = errors.Join(err, s.root.RemoveAll(at))
	}
	return err
}

// replace replaces a file that may change, once the new one's seal and run are verified.
func (s *Receiver) replace(entry *receiving, u *upload, at string) error {
	data, err := s.read(at + partEnd)
	if err != nil {
		return err
	}
	if id, err := record.OwnerOf(data); err != nil || id != u.id {
		_ = s.root.Remove(at + partEnd)
		if err == nil {
			err = errors.New("it is of another run")
		}
		return refuse(http.StatusUnprocessableEntity, "%s: %v", u.name, err)
	}
	if err := s.settle(at + partEnd); err != nil {
		return err
	}
	if err := s.root.Rename(at+partEnd, path.Join(u.run, u.name)); err != nil {
		return err
	}
	if u.name == "end.json" {
		entry.unlock()
	}
	return s.sync(u.run)
}
