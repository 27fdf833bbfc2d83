package dataset

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/npy"
)

func numPy[T float32 | int64 | uint8](t *testing.T, values []T, shape ...int) string {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, values, shape...); err != nil {
		t.Fatal(err)
	}
	return file(t, "a.npy", b.String())
}

func idx(shape []int, body []byte) string {
	raw := []byte{0, 0, 8, byte(len(shape))}
	for _, side := range shape {
		raw = binary.BigEndian.AppendUint32(raw, uint32(side))
	}
	return string(append(raw, body...))
}

func TestArrays(t *testing.T) {
	features := make([]float32, 40*3)
	labels := make([]int64, 40)
	for i := range labels {
		labels[i] = int64(i%4) * 10
		features[3*i] = float32(i)
	}
	labels[7] = -1
	x, y := numPy(t, features, 40, 3), numPy(t, labels, 40)
	d, err := Load(t.Context(), Options{Path: x, Labels: y, ValFraction: 0.25, Standardize: "no"}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if strings.Join(d.Classes, " ") != "0 10 20 30" || d.Columns != 3 || !slices.Equal(d.Features, features) || d.Labels[7] != Ignored || d.Labels[5] != 1 {
		t.Errorf("classes %v, %d columns, labels %v", d.Classes, d.Columns, d.Labels)
	}
	names := file(t, "y.txt", strings.Repeat("a\nb\r\n", 20))
	if d, err := Load(t.Context(), Options{Path: x, Labels: names, ValFraction: 0.25, Test: x, TestLabels: names, Standardize: "no"}, stream(1)); err != nil {
		t.Error(err)
	} else if strings.Join(d.Classes, "") != "ab" || len(d.Parts) != 3 || d.Len() != 80 || !said(d.Warnings, "40 rows of test") && !said(d.Warnings, "of 40 rows of test") {
		t.Errorf("classes %v, %d parts, warnings %q", d.Classes, len(d.Parts), d.Warnings)
	}
	bad := slices.Clone(features)
	bad[3*8+1] = float32(math.NaN())
	halves := slices.Repeat([]float32{0.5}, 40)
	for want, o := range map[string]Options{
		"has no labels beside it":    {Path: x},
		"3 labels in":                {Path: x, Labels: numPy(t, labels[:3], 3)},
		"labels of shape [20 2]":     {Path: x, Labels: numPy(t, labels, 20, 2)},
		"labels: ":                   {Path: x, Labels: numPy(t, halves, 40)},
		"has shape [120]":            {Path: numPy(t, features, 120), Labels: y},
		"sample 8 holds NaN":         {Path: numPy(t, bad, 40, 3), Labels: y},
		"one class only":             {Path: x, Labels: numPy(t, make([]int64, 40), 40)},
		"not an IDX file":            {Path: file(t, "x-ubyte", "nonsense"), Labels: y},
		"the header says [4 3 3]":    {Path: file(t, "x-ubyte", idx([]int{4, 3, 3}, make([]byte, 35))), Labels: y},
		"header says [4294967295":    {Path: file(t, "x-ubyte", idx([]int{-1, -1, -1}, nil)), Labels: y},
		"is not an image that can":   {Path: filepath.Dir(filepath.Dir(inFolder(t, "a/1.png", "nonsense")))},
		"holds no folder with .png":  {Path: t.TempDir()},
		"no array that is called li": {Path: emptyNPZ(t)},
	} {
		o.Standardize = "no"
		if _, err := Load(t.Context(), o, stream(1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func emptyNPZ(t *testing.T) string { return file(t, "x.npz", "PK\x05\x06"+strings.Repeat("\x00", 18)) }

func inFolder(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestIDX(t *testing.T) {
	pixels := make([]byte, 30*4)
	labels := make([]byte, 30)
	for i := range labels {
		labels[i] = byte(i % 3)
		pixels[4*i+i%3] = 255
	}
	dir := t.TempDir()
	for name, body := range map[string]string{
		"t-images-idx3-ubyte": idx([]int{30, 2, 2}, pixels), "t-labels-idx1-ubyte": idx([]int{30}, labels),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Load(t.Context(), Options{Path: filepath.Join(dir, "t-images-idx3-ubyte"), ValFraction: 0.2}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	if d.Len() != 30 || d.Columns != 4 || d.Image == nil || d.Image.Height != 2 || d.Row(1)[1] != 1 || d.Row(1)[0] != 0 || d.Labels[5] != 2 {
		t.Errorf("%d samples of %d values, image %+v, row %v", d.Len(), d.Columns, d.Image, d.Row(1))
	}
	if s := d.Pipeline.Shape; d.Pipeline.Kind != KindImage || *s != (Shape{2, 2, 1}) {
		t.Errorf("pipeline %+v, shape %+v", d.Pipeline, s)
	}
}

// A folder per class; every fourth pixel of a side of 8 is one of the image that is resized to 2.
func TestFolder(t *testing.T) {
	root := t.TempDir()
	for class, level := range map[string]uint8{"dark": 10, "light": 240} {
		for i := range 6 {
			picture := image.NewGray(image.Rect(0, 0, 8, 8))
			for p := range picture.Pix {
				picture.Pix[p] = level
			}
			picture.SetGray(0, 0, color.Gray{Y: level - 8})
			var b bytes.Buffer
			if err := png.Encode(&b, picture); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, class, string(rune('a'+i))+".png")
			_ = os.MkdirAll(filepath.Dir(path), 0o700)
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	d, err := Load(t.Context(), Options{Path: root, ValFraction: 0.25, ImageSize: 2}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(d.Classes, " ") != "dark light" || d.Len() != 12 || d.Columns != 4 || *d.Pipeline.Shape != (Shape{2, 2, 1}) {
		t.Fatalf("classes %v, %d samples of %d", d.Classes, d.Len(), d.Columns)
	}
	// The first pixel is the mean of 16, of which one is darker by 8: half a level, rounded up.
	if got := d.Image.At(0); !slices.Equal(got, []byte{10, 10, 10, 10}) {
		t.Errorf("pixels %v", got)
	}
	if d, err := Load(t.Context(), Options{Path: root}, stream(1)); err != nil || d.Columns != 64 {
		t.Errorf("small images keep their size: %v", err)
	}
}

// A PNG header of a gigapixel in a hundred bytes is refused before a pixel is allocated.
func TestImageBomb(t *testing.T) {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1)))
	if err := checkSize("x.png", image.Config{Width: 30000, Height: 30000}, int64(b.Len())); err == nil {
		t.Error("no error")
	}
}

func FuzzIDX(f *testing.F) {
	f.Add([]byte(idx([]int{1, 2, 2}, make([]byte, 4))))
	f.Add([]byte(idx([]int{1 << 31, 1 << 31, 4, 0}, nil)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		shape, body, err := parseIDX("x", raw)
		if err != nil {
			return
		}
		size := 1
		for _, side := range shape {
			size *= side
		}
		if size != len(body) {
			t.Errorf("shape %v for %d bytes", shape, len(body))
		}
	})
}
