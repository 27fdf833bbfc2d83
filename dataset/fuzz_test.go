package dataset

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// Any file in a folder of images is read, left out or refused; what is read is whole.
func FuzzFolder(f *testing.F) {
	var p, j bytes.Buffer
	picture := image.NewGray(image.Rect(0, 0, 3, 2))
	if err := png.Encode(&p, picture); err != nil {
		f.Fatal(err)
	}
	if err := jpeg.Encode(&j, picture, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(p.Bytes(), false)
	f.Add(j.Bytes(), true)
	f.Fuzz(func(t *testing.T, raw []byte, jpg bool) {
		folder := t.TempDir()
		name := map[bool]string{false: "x.png", true: "x.jpg"}[jpg]
		for path, body := range map[string][]byte{"a/" + name: raw, "a/y.png": p.Bytes(), "b/z.png": p.Bytes(), "b/w.png": p.Bytes()} {
			path = filepath.Join(folder, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d, err := Load(t.Context(), Options{Path: folder, ValFraction: 0.5}, stream(1))
		if err == nil && (len(d.Features) != d.Len()*d.Columns || d.Columns == 0) {
			t.Errorf("%d samples of %d features in %d values", d.Len(), d.Columns, len(d.Features))
		}
	})
}

// A pair of IDX files that do not belong together, or are none, is refused.
func FuzzIDXPair(f *testing.F) {
	f.Add([]byte(idx([]int{2, 2, 2}, make([]byte, 8))), []byte(idx([]int{2}, []byte{0, 1})))
	f.Add([]byte(idx([]int{1 << 20, 1 << 20, 4}, nil)), []byte(idx([]int{2}, []byte{0, 1})))
	f.Fuzz(func(t *testing.T, images, labels []byte) {
		folder := t.TempDir()
		o := Options{Path: filepath.Join(folder, "x-images-idx3-ubyte"), Labels: filepath.Join(folder, "x-labels-idx1-ubyte"), ValFraction: 0.5}
		if os.WriteFile(o.Path, images, 0o600) != nil || os.WriteFile(o.Labels, labels, 0o600) != nil {
			t.Fatal("no file")
		}
		d, err := Load(t.Context(), o, stream(1))
		if err == nil && (len(d.Features) != d.Len()*d.Columns || len(d.Classes) < 2) {
			t.Errorf("%d samples of %d features in %d values, %d classes", d.Len(), d.Columns, len(d.Features), len(d.Classes))
		}
	})
}
