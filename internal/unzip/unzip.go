// Package unzip reads zip archives that are trusted in nothing: their directory, the number of their members, what those unpack
// to and whether they overlap are checked before memory is taken for them.
package unzip

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bounds on an archive, far above what is met.
const (
	maxDirectory = 8 << 20 // bytes read to list it
	maxMembers   = 4096
	freeInflated = 64 << 20 // a compressed member may always grow to this, and beyond it
	maxRatio     = 200      // to so many times its size
)

// Magic is what an archive of at least one member begins with; Empty is what one of none begins with.
const (
	Magic = "PK\x03\x04"
	Empty = "PK\x05\x06"
)

// List returns the members of an archive of size bytes. Those that share bytes, by which a small file unpacks without end, are
// refused.
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
	r.left = size * 8 // for what follows: the members themselves
	type span struct{ start, end int64 }
	spans := make([]span, len(archive.File))
	names := make(map[string]bool, len(archive.File))
	for i, m := range archive.File {
		if names[m.Name] {
			return nil, fmt.Errorf("member %q is there twice: pack it again, with a name for each", m.Name)
		}
		names[m.Name] = true
		start, err := m.DataOffset()
		if err != nil || m.CompressedSize64 > uint64(size-start) {
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

// Check refuses a member that cannot be unpacked, or that says to unpack to far more than it holds.
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

// Contents returns the bytes of a member, checked against their CRC-32.
func Contents(m *zip.File) ([]byte, error) {
	if err := Check(m); err != nil {
		return nil, err
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// The size was bounded by what the archive holds.
	data := make([]byte, m.UncompressedSize64)
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
