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

// maxWindow is the largest window in bytes that unpacking may need in memory. It is that of xz -9.
const maxWindow = 64 << 20

// zipped is the packing whose members can be named.
var zipped *format

// Packings hold one file of any other format.
func init() {
	register(format{
		name: "gzip", endings: []string{".gz", ".gzip"}, reads: "the file that is in it", magic: startsWith("\x1f\x8b"),
		unpack: func(in io.Reader) (io.Reader, func(), error) {
			r, err := gzip.NewReader(in)
			return r, nil, err
		},
	})
	register(format{
		name: "bzip2", endings: []string{".bz2"}, reads: "the file that is in it", magic: isBzip2,
		unpack: func(in io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(in), nil, nil },
	})
	register(format{
		name: "Zstandard", endings: []string{".zst", ".zstd"}, reads: "the file that is in it, of a window of 64 MiB at most", magic: isZstandard,
		unpack: func(in io.Reader) (io.Reader, func(), error) {
			r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, nil, err
			}
			return r, r.Close, nil
		},
	})
	register(format{
		name: "xz", endings: []string{".xz"}, reads: "the file that is in it, of a dictionary of 64 MiB at most", magic: startsWith("\xfd7zXZ\x00"),
		unpack: func(in io.Reader) (io.Reader, func(), error) {
			end := &tailReader{in: &boundedXZ{in: bufio.NewReaderSize(in, 4<<10)}}
			r, err := xz.NewReader(end)
			return &wholeXZ{r, end}, nil, err
		},
	})
	zipped = register(format{
		name: "zip", endings: []string{".zip"}, reads: "the only file in it, or `FILE.zip:MEMBER`",
		zip: func([]string) bool { return false }, // formats that are zip archives are told by their members
	})
}

// isBzip2 reports whether a file begins with bzip2's magic, a level, and a first block or the end of an empty file.
func isBzip2(head []byte) bool {
	return len(head) >= 10 && string(head[:3]) == "BZh" && (string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90")
}

// isZstandard reports whether a file begins with a frame of Zstandard, which may be one to be skipped.
func isZstandard(head []byte) bool {
	return startsWith("\x28\xb5\x2f\xfd")(head) ||
		len(head) >= 4 && head[0]>>4 == 5 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18
}

// boundedXZ passes an xz file on, and refuses a block whose dictionary is of more than maxWindow bytes before its header is seen: the library would
// allocate it. It follows the file's framing (The .xz File Format, 1.2.1): streams of blocks of LZMA2 chunks, which say how long they are.
type boundedXZ struct {
	in     *bufio.Reader
	at     xzPart // what begins behind the bytes that are left
	left   int    // bytes of a part that are passed on as they are
	check  int    // bytes of the check behind each block of the stream
	length int    // bytes of the block's chunks, or of the index, up to here
	counts uint64 // numbers of the index that are still to come
}

// xzPart is a part of an xz file.
type xzPart int

const (
	xzStream      xzPart = iota // a stream's header, or padding before it
	xzBlock                     // a block's header, or the index
	xzChunk                     // of a block
	xzIndexLength               // how many records the index has
	xzIndexNumber               // of a record
)

func (b *boundedXZ) Read(p []byte) (int, error) {
	for b.left == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// next looks at the part that begins, and sets how many bytes of it are passed on. Of a file that is cut short, the rest is.
func (b *boundedXZ) next() error {
	head, err := b.in.Peek(1)
	if err != nil {
		return err
	}
	want := map[xzPart]int{xzStream: 12, xzBlock: 4 * (int(head[0]) + 1), xzChunk: 6, xzIndexLength: 10, xzIndexNumber: 10}[b.at]
	if head, err = b.in.Peek(want); err != nil && err != io.EOF {
		return err
	}
	short := len(head) < want
	switch b.at {
	case xzStream:
		if len(head) >= 4 && bytes.Equal(head[:4], make([]byte, 4)) {
			b.left = 4
			return nil
		}
		if !short {
			b.check = []int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[head[7]&15]
		}
		b.left, b.at = len(head), xzBlock
	case xzBlock:
		if head[0] == 0 {
			b.left, b.length, b.at = 1, 1, xzIndexLength
			return nil
		}
		size, err := int64(0), error(nil)
		if !short {
			size, err = xzDictionarySize(head)
		}
		if err == nil && size > maxWindow {
			err = fmt.Errorf("its dictionary is of %d MiB, more than %d: unpack it first", size>>20, maxWindow>>20)
		}
		b.left, b.length, b.at = len(head), 0, xzChunk
		return err
	case xzChunk:
		switch c := head[0]; {
		case c == 0:
			b.length++
			b.left, b.at = 1+(4-b.length%4)%4+b.check, xzBlock
			return nil
		case c <= 2 && len(head) >= 3:
			b.left = 3 + int(binary.BigEndian.Uint16(head[1:])) + 1
		case c >= 0x80 && len(head) >= 5:
			b.left = 5 + int(c>>6&1) + int(binary.BigEndian.Uint16(head[3:])) + 1
		case short:
			b.left = len(head)
		default:
			return errors.New("a block of it cannot be read")
		}
		b.length += b.left
	case xzIndexLength, xzIndexNumber:
		value, n := binary.Uvarint(head)
		if n <= 0 {
			b.left = len(head) // the library says what is wrong
			return nil
		}
		b.left, b.length = n, b.length+n
		if b.at == xzIndexLength {
			b.counts, b.at = 2*min(value, 1<<62), xzIndexNumber
		} else {
			b.counts--
		}
		if b.counts == 0 {
			const crc, footer = 4, 12
			b.left, b.at = n+(4-b.length%4)%4+crc+footer, xzStream
		}
	}
	return nil
}

// wholeXZ refuses a file that ends between two blocks, which the library takes for the end of the stream.
type wholeXZ struct {
	*xz.Reader
	end *tailReader
}

func (w *wholeXZ) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err == io.EOF && !w.end.isFooter() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// tailReader remembers the last bytes that were read.
type tailReader struct {
	in   io.Reader
	last []byte
}

func (e *tailReader) Read(p []byte) (int, error) {
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
func (e *tailReader) isFooter() bool {
	l := e.last
	return len(l) == 0 || len(l) == 12 && string(l[10:]) == "YZ" && binary.LittleEndian.Uint32(l) == crc32.ChecksumIEEE(l[4:10])
}

// xzDictionarySize returns the size of the dictionary that the header of an xz block states: Header Size, Block Flags, optional sizes, and the
// filter 0x21 with one byte of properties.
func xzDictionarySize(header []byte) (int64, error) {
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
