package npy

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/mmap"
	"github.com/logitscope/logitscope/internal/unzip"
)

// Names returns the names of the arrays in an .npz archive, in the archive's order, without the ending .npy.
func Names(path string) ([]string, error) {
	var names []string
	err := withMembers(path, func(members []*zip.File) error {
		for _, m := range members {
			names = append(names, arrayName(m))
		}
		return nil
	})
	return names, err
}

// Info is what the header of an array in an archive says.
type Info struct {
	Name  string
	Shape []int
	Type  string // the type of the elements, as in Array; "" where the array cannot be read
}

// List returns what the headers of the arrays in an .npz archive say, in the archive's order. No array's data is read.
func List(path string) ([]Info, error) {
	var infos []Info
	err := withMembers(path, func(members []*zip.File) error {
		for _, m := range members {
			info := Info{Name: arrayName(m)}
			if a, err := headerOf(m); err == nil {
				info.Shape, info.Type = a.Shape, a.Type
			}
			infos = append(infos, info)
		}
		return nil
	})
	return infos, err
}

// headerOf returns the array of an archive's member without its data.
func headerOf(m *zip.File) (*Array, error) {
	if err := unzip.Check(m); err != nil {
		return nil, err
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head, err := io.ReadAll(io.LimitReader(r, 12+maxHeader))
	if err != nil {
		return nil, err
	}
	a, _, err := readHeader(head)
	return a, err
}

// OpenZip opens the array with this name of an .npz archive, and reads it into memory. The caller must Close it.
func OpenZip(path, name string) (a *Array, err error) {
	err = withMembers(path, func(members []*zip.File) error {
		i := slices.IndexFunc(members, func(m *zip.File) bool { return arrayName(m) == name })
		if i < 0 {
			return fmt.Errorf("no array %q: it has %s", name, namesOf(members))
		}
		data, err := unzip.Contents(members[i])
		if err != nil {
			return fmt.Errorf("array %q: %w", name, err)
		}
		a, err = Decode(path+":"+name, data)
		return err
	})
	return a, err
}

// withMembers maps an archive, checks its members and hands them to use. Errors begin with the path.
func withMembers(path string, use func(members []*zip.File) error) error {
	file, unmap, err := mmap.Open(path)
	if err != nil {
		return err
	}
	defer unmap()
	members, err := unzip.List(bytes.NewReader(file), int64(len(file)))
	if err == nil {
		err = onceEach(members)
	}
	if err == nil {
		err = use(members)
	}
	if err != nil && !strings.HasPrefix(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// namesOf lists in words the arrays of an archive, of more than 20 the first 20.
func namesOf(members []*zip.File) string {
	const most = 20
	var names []string
	for _, m := range members[:min(len(members), most)] {
		names = append(names, fmt.Sprintf("%q", arrayName(m)))
	}
	switch {
	case len(members) == 0:
		return "none"
	case len(members) > most:
		names = append(names, fmt.Sprintf("and %d more", len(members)-most))
	}
	return strings.Join(names, ", ")
}

// arrayName returns the name by which NumPy loads a member.
func arrayName(m *zip.File) string { return strings.TrimSuffix(m.Name, ".npy") }

// onceEach returns an error where two members have one name, since some readers take the first of them and others the last. To NumPy
// "x" and "x.npy" are one name.
func onceEach(members []*zip.File) error {
	names := make(map[string]bool, len(members))
	for _, m := range members {
		name := arrayName(m)
		if names[name] {
			return fmt.Errorf("array %q is there twice: write the archive again, with a name for each", name)
		}
		names[name] = true
	}
	return nil
}
