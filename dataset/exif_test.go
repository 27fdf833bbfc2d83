package dataset

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// A picture is turned as Pillow turns it: tools/oracle/exif.py.
func TestOrientation(t *testing.T) {
	var golden []struct {
		Kind, File  string
		Orientation int
		Shape       [2]int
		Blocks      [][]int
	}
	numtest.ReadGolden(t, "testdata/exif.json", &golden)
	if len(golden) != 16 {
		t.Fatalf("%d pictures", len(golden))
	}
	for _, c := range golden {
		raw, err := base64.StdEncoding.DecodeString(c.File)
		if err != nil {
			t.Fatal(err)
		}
		name := map[string]string{"PNG": "x.png", "JPEG": "x.jpg"}[c.Kind]
		path := inFolder(t, filepath.Join("a", name), string(raw))
		size, err := imageConfig(path)
		if err != nil || size.Height != c.Shape[0] || size.Width != c.Shape[1] {
			t.Errorf("%s, orientation %d: %d×%d, %v, want %v", c.Kind, c.Orientation, size.Height, size.Width, err, c.Shape)
		}
		picture, err := readImage(path)
		if err != nil {
			t.Fatal(err)
		}
		h, w := c.Shape[0]/8, c.Shape[1]/8
		got := make([]byte, h*w)
		resize(got, picture, h, w, 1)
		for i, v := range got {
			if want := c.Blocks[i/w][i%w]; !(max(int(v)-want, want-int(v)) <= 3) {
				t.Errorf("%s, orientation %d: %v, want %v", c.Kind, c.Orientation, got, fmt.Sprint(c.Blocks))
				break
			}
		}
	}
}

// Whatever the bytes, an orientation is one of eight.
func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"))
	f.Add([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x1aeXIfMM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x04\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if o := orientation(raw); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}
