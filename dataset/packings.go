package dataset

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow is the largest window of text that a packing may look back on, which is held in memory: xz -9 has it.
const maxWindow = 64 << 20

// zipped is the packing whose members are asked for by name.
var zipped *format

// What a file may be packed by. Each holds one file of any format that is read.
func init() {
	register(format{
		name: "gzip", ends: []string{".gz", ".gzip"}, reads: "the file that is in it", magic: startsWith("\x1f\x8b"),
		unpack: func(in io.Reader) (io.Reader, func(), error) {
			r, err := gzip.NewReader(in)
			return r, nil, err
		},
	})
	register(format{
		name: "bzip2", ends: []string{".bz2"}, reads: "the file that is in it", magic: isBzip2,
		unpack: func(in io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(in), nil, nil },
	})
	register(format{
		name: "Zstandard", ends: []string{".zst", ".zstd"}, reads: "the file that is in it, of a window of 64 MiB at most", magic: isZstandard,
		unpack: func(in io.Reader) (io.Reader, func(), error) {
			r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, nil, err
			}
			return r, r.Close, nil
		},
	})
	register(format{
		name: "xz", ends: []string{".xz"}, reads: "the file that is in it, of a dictionary of 64 MiB at most", magic: startsWith("\xfd7zXZ\x00"),
		unpack: func(in io.Reader) (io.Reader, func(), error) {
			bounded, err := boundedXZ(in)
			if err != nil {
				return nil, nil, err
			}
			end := &ending{in: bounded}
			r, err := xz.NewReader(end)
			return &wholeXZ{r, end}, nil, err
		},
	})
	zipped = register(format{
		name: "zip", ends: []string{".zip"}, reads: "the only file in it, or `FILE.zip:MEMBER`",
		zipped: func([]string) bool { return false }, // its members say what it is
	})
}

// isBzip2 knows the level and what follows it: a first block, or the end of an empty file.
func isBzip2(head []byte) bool {
	return len(head) >= 10 && string(head[:3]) == "BZh" && (string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90")
}

// isZstandard knows the frames of Zstandard, those that are skipped among them.
func isZstandard(head []byte) bool {
	return startsWith("\x28\xb5\x2f\xfd")(head) ||
		len(head) >= 4 && head[0]>>4 == 5 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18
}

// boundedXZ refuses a dictionary of more than maxWindow, which the library would allocate as soon as it reads of it.
func boundedXZ(in io.Reader) (io.Reader, error) {
	r := bufio.NewReaderSize(in, 4<<10)
	head, err := r.Peek(12 + 24)
	if err != nil {
		return nil, err
	}
	size, err := dictionary(head[12:])
	if err == nil && size > maxWindow {
		err = fmt.Errorf("its dictionary is of %d MiB, more than %d: unpack it first", size>>20, maxWindow>>20)
	}
	return r, err
}

// wholeXZ refuses a file that ends behind a block, for which the library sees no difference to the end of the stream.
type wholeXZ struct {
	*xz.Reader
	end *ending
}

func (w *wholeXZ) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err == io.EOF && !w.end.isFooter() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// ending keeps the last bytes that were read.
type ending struct {
	in   io.Reader
	last []byte
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.in.Read(p)
	const footer = 12
	e.last = append(e.last, p[max(0, n-footer):n]...)
	e.last = e.last[max(0, len(e.last)-footer):]
	if n >= 4 && bytes.Equal(p[:n], make([]byte, n)) {
		e.last = e.last[:0] // padding behind a stream, in fours: what came before was one
	}
	return n, err
}

// isFooter reports whether the last bytes end a stream: the CRC-32 of the six that follow, and YZ.
func (e *ending) isFooter() bool {
	l := e.last
	return len(l) == 0 || len(l) == 12 && string(l[10:]) == "YZ" && binary.LittleEndian.Uint32(l) == crc32.ChecksumIEEE(l[4:10])
}

// dictionary is the size of the dictionary that an xz block's header says: Header Size, Block Flags, and, behind sizes where there are
// any, the filter 0x21 with one byte of properties.
func dictionary(header []byte) (int64, error) {
	if header[0] == 0 {
		return 0, nil // the index: there is no block
	}
	at := 2
	for flag := byte(0x40); flag != 0; flag <<= 1 {
		if header[1]&flag == 0 {
			continue
		}
		for at < len(header) && header[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if at+2 >= len(header) {
		return 0, errors.New("its first block cannot be read")
	}
	if header[at] != 0x21 || header[at+1] != 1 || header[at+2] > 40 {
		return 0, errors.New("its filter is not LZMA2, which alone is read: unpack it first")
	}
	bits := int64(header[at+2])
	return (2 | bits&1) << (bits/2 + 11), nil
}
