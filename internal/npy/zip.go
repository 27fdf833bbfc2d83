package npy

import (
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds on an archive, far above what NumPy's users save.
const (
	maxDirectory = 8 << 20 // bytes read to list it
	maxMembers   = 4096
	freeInflated = 64 << 20 // a compressed member may always grow to this, and beyond it
	maxRatio     = 200      // to so many times its size
)

// Names returns the names of the arrays in an .npz archive, in its order, without the ending .npy.
func Names(path string) ([]string, error) {
	var names []string
	err := withMembers(path, func(_ []byte, members []*zip.File) error {
		for _, m := range members {
			names = append(names, strings.TrimSuffix(m.Name, ".npy"))
		}
		return nil
	})
	return names, err
}

// OpenZip opens an array of an .npz archive. It is read into memory; an .npy file is mapped. Close it.
func OpenZip(path, name string) (a *Array, err error) {
	err = withMembers(path, func(file []byte, members []*zip.File) error {
		i := slices.IndexFunc(members, func(m *zip.File) bool { return strings.TrimSuffix(m.Name, ".npy") == name })
		if i < 0 {
			return fmt.Errorf("no array %q", name)
		}
		data, err := contents(members[i])
		if err != nil {
			return fmt.Errorf("array %q: %w", name, err)
		}
		a, err = keep(path+":"+name, data, func() error { return nil })
		return err
	})
	return a, err
}

// withMembers maps an archive and hands its members to use, once they are checked.
func withMembers(path string, use func(file []byte, members []*zip.File) error) error {
	file, unmap, err := mapped(path)
	if err != nil {
		return err
	}
	defer unmap()
	members, err := list(file)
	if err == nil {
		err = use(file, members)
	}
	if err != nil && !strings.HasPrefix(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// list returns the members of an archive. Those that share bytes, by which a small file unpacks without end, are refused.
func list(file []byte) ([]*zip.File, error) {
	r := &bounded{r: bytes.NewReader(file), left: maxDirectory}
	archive, err := zip.NewReader(r, int64(len(file)))
	if r.left < 0 {
		return nil, fmt.Errorf("its directory has more than %d bytes", maxDirectory)
	}
	if err != nil {
		return nil, fmt.Errorf("it is no .npz archive: %w", err)
	}
	if len(archive.File) > maxMembers {
		return nil, fmt.Errorf("%d members: want at most %d", len(archive.File), maxMembers)
	}
	r.left = int64(len(file)) * 8 // for what follows: the members themselves
	type span struct{ start, end int64 }
	spans := make([]span, len(archive.File))
	for i, m := range archive.File {
		start, err := m.DataOffset()
		if err != nil || m.CompressedSize64 > uint64(int64(len(file))-start) {
			return nil, fmt.Errorf("member %q is not within the archive", m.Name)
		}
		spans[i] = span{start, start + int64(m.CompressedSize64)}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(spans); i++ {
		if spans[i].start < spans[i-1].end {
			return nil, errors.New("its members overlap")
		}
	}
	return archive.File, nil
}

// contents returns the bytes of a member, checked against their CRC-32.
func contents(m *zip.File) ([]byte, error) {
	size, packed := m.UncompressedSize64, m.CompressedSize64
	if m.Method == zip.Store && size != packed || size > max(freeInflated, maxRatio*packed) {
		return nil, fmt.Errorf("%d bytes that are said to unpack to %d: more than %d times as many", packed, size, maxRatio)
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// The size was bounded by what the archive holds.
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("it is cut short: %w", err)
	}
	// The end, where the checksum is compared.
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return nil, fmt.Errorf("it is damaged: %w", cmp.Or(err, errors.New("longer than said")))
	}
	return data, nil
}

// bounded is a reader of at most left bytes in all.
type bounded struct {
	r    io.ReaderAt
	left int64
}

func (b *bounded) ReadAt(p []byte, at int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errors.New("too many bytes")
	}
	return b.r.ReadAt(p, at)
}
