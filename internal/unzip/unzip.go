// Package unzip reads zip archives that may be hostile. Before memory is taken for members, it checks the size of the directory, the number of members,
// the sizes that they unpack to, and that they do not overlap.
package unzip

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bounds on an archive, far above what real ones need.
const (
	maxDirectory = 8 << 20 // the most bytes of the directory that are read
	maxMembers   = 4096
	freeInflated = 64 << 20 // bytes that any compressed member may unpack to
	maxRatio     = 200      // a larger one may unpack to so many times its packed size
)

// Magic is what an archive with members begins with. Empty is what an archive without members begins with.
const (
	Magic = "PK\x03\x04"
	Empty = "PK\x05\x06"
)

// List returns the members of an archive of size bytes. Members that share bytes, with which a small file can unpack to any size, are an error.
func List(file io.ReaderAt, size int64) ([]*zip.File, error) {
	r := &bounded{r: file, left: maxDirectory}
	archive, err := zip.NewReader(r, size)
	if r.left < 0 {
		return nil, fmt.Errorf("its directory has more than %d bytes", maxDirectory)
	}
	if err != nil {
		return nil, fmt.Errorf("it is no zip archive that can be read, or cut short: %w", err)
	}
	if len(archive.File) > maxMembers {
		return nil, fmt.Errorf("%d members: want at most %d", len(archive.File), maxMembers)
	}
	r.left = size * 8 // the bytes that reading the members may take in all
	type span struct{ start, end int64 }
	spans := make([]span, len(archive.File))
	names := make(map[string]bool, len(archive.File))
	for i, m := range archive.File {
		if names[m.Name] {
			return nil, fmt.Errorf("member %q is there twice: pack it again, with a name for each", m.Name)
		}
		names[m.Name] = true
		start, err := m.DataOffset()
		if err != nil || start > size || m.CompressedSize64 > uint64(size-start) {
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

// Check returns an error for a member whose compression is unknown, or that gives an unpacked size far above its packed size.
func Check(m *zip.File) error {
	size, packed := m.UncompressedSize64, m.CompressedSize64
	switch {
	case m.Flags&1 != 0:
		return errors.New("it is encrypted: unpack it first")
	case m.Method != zip.Store && m.Method != zip.Deflate:
		return fmt.Errorf("it is packed by method %d, which is not read (deflate is): unpack it first", m.Method)
	case m.Method == zip.Store && size != packed || size > max(freeInflated, maxRatio*packed):
		return fmt.Errorf("%d bytes that are said to unpack to %d: more than %d times as many", packed, size, maxRatio)
	}
	return nil
}

// Contents returns the unpacked bytes of a member. Bytes that do not match their CRC-32 are an error.
func Contents(m *zip.File) ([]byte, error) {
	if err := Check(m); err != nil {
		return nil, err
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// Check has bounded the size by that of the archive.
	data := make([]byte, m.UncompressedSize64)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("it is cut short: %w", err)
	}
	// Reading the end compares the checksum.
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
