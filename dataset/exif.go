package dataset

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
)

// orientation returns how a picture must be turned, 1 to 8, by the tag of that name in the EXIF data of a JPEG or PNG file; 1, upright, where
// there is no such tag. Cameras write the pixels as the sensor has them, and note in this tag how the camera was held.
// CIPA DC-008 (Exif 2.32), 4.6.4; PNG extension eXIf.
func orientation(file []byte) int {
	switch {
	case bytes.HasPrefix(file, []byte("\xff\xd8")):
		for at := 2; at+4 <= len(file) && file[at] == 0xff; {
			marker, size := file[at+1], int(binary.BigEndian.Uint16(file[at+2:]))
			if marker == 0xff {
				at++ // a fill byte
				continue
			}
			if marker == 0xda || size < 2 || at+2+size > len(file) {
				break // the picture begins, or the file is cut
			}
			if exif, ok := bytes.CutPrefix(file[at+4:at+2+size], []byte("Exif\x00\x00")); ok && marker == 0xe1 {
				return orientationOf(exif)
			}
			at += 2 + size
		}
	case bytes.HasPrefix(file, []byte("\x89PNG\r\n\x1a\n")):
		for at := 8; at+12 <= len(file); {
			size := int(binary.BigEndian.Uint32(file[at:]))
			if size < 0 || size > len(file)-at-12 {
				break
			}
			if string(file[at+4:at+8]) == "eXIf" {
				return orientationOf(file[at+8 : at+8+size])
			}
			at += 12 + size
		}
	}
	return 1
}

// orientationOf reads the tag 0x0112 in the first directory of EXIF data, which has TIFF's form.
func orientationOf(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if tiff[0] == 'M' {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == 0x0112 {
			value := uint32(order.Uint16(entries[8:]))
			if order.Uint16(entries[2:]) == 4 { // a long
				value = order.Uint32(entries[8:])
			}
			if value >= 1 && value <= 8 {
				return int(value)
			}
			break
		}
		entries = entries[12:]
	}
	return 1
}

// orientedImage is a picture turned as its orientation says.
type orientedImage struct {
	image.Image
	orientation int
}

// Bounds returns a rectangle that begins at (0, 0). An orientation of 5 or more exchanges width and height.
func (t orientedImage) Bounds() image.Rectangle {
	size := t.Image.Bounds().Size()
	if t.orientation >= 5 {
		size.X, size.Y = size.Y, size.X
	}
	return image.Rectangle{Max: size}
}

// At returns the pixel at (x, y) of the turned picture.
func (t orientedImage) At(x, y int) color.Color {
	b := t.Image.Bounds()
	right, bottom := b.Dx()-1, b.Dy()-1
	switch t.orientation {
	case 2:
		x = right - x
	case 3:
		x, y = right-x, bottom-y
	case 4:
		y = bottom - y
	case 5:
		x, y = y, x
	case 6:
		x, y = y, bottom-x
	case 7:
		x, y = right-y, bottom-x
	case 8:
		x, y = right-y, x
	}
	return t.Image.At(b.Min.X+x, b.Min.Y+y)
}
