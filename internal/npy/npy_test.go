package npy

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/unzip"
)

type expected struct {
	Shape  []int
	Type   string
	Values numtest.Values
}

// What NumPy saved is what is read: tools/oracle/npy.py.
func TestNumPy(t *testing.T) {
	var golden map[string]expected
	numtest.ReadGolden(t, "testdata/expected.json", &golden)
	if len(golden) < 20 {
		t.Fatalf("%d arrays", len(golden))
	}
	golden["../two.npz:logits"], golden["../two.npz:labels"] = golden["float"], golden["int64"]
	golden["../packed.npz"] = golden["fortran"]
	for name, want := range golden {
		path := filepath.Join("testdata", name+".npy")
		if after, ok := strings.CutPrefix(name, "../"); ok {
			path = filepath.Join("testdata", after)
		}
		a, err := Open(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Equal(a.Shape, want.Shape) || a.Type != want.Type || a.Len() != len(want.Values) {
			t.Errorf("%s: %s of shape %v, want %s of %v", name, a.Type, a.Shape, want.Type, want.Shape)
		}
		float32s, err32 := a.Float32()
		float64s, err64 := a.Float64()
		if err32 != nil || err64 != nil {
			t.Errorf("%s: %v, %v", name, err32, err64)
		}
		numtest.AllNear(t, name, float32s, want.Values, 1e-7)
		numtest.AllNear(t, name, float64s, want.Values, 0)
		for from := range len(want.Values) {
			to := from + (len(want.Values)-from+1)/2
			part, err := a.Slice(from, to).Float64()
			if err != nil || len(part) != to-from {
				t.Fatalf("%s: elements %d to %d: %d of them, %v", name, from, to, len(part), err)
			}
			numtest.AllNear(t, fmt.Sprintf("%s from %d", name, from), part, want.Values[from:to], 0)
		}
		whole := !slices.ContainsFunc(want.Values, func(v float64) bool { return v != math.Trunc(v) || math.IsInf(v, 0) })
		int64s, err64 := a.Int64()
		int32s, err32 := a.Int32()
		if whole != (err64 == nil) || whole != (err32 == nil) {
			t.Errorf("%s: as integers: %v, %v", name, err64, err32)
		}
		for i := range int64s {
			if float64(int64s[i]) != want.Values[i] || float64(int32s[i]) != want.Values[i] {
				t.Errorf("%s: element %d is %d and %d, want %v", name, i, int64s[i], int32s[i], want.Values[i])
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWrite(t *testing.T) {
	for _, shape := range [][]int{{6}, {2, 3}, {3, 2, 1}, {}, {0, 4}} {
		n, _ := product(shape, 1)
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(i) - 1.5
		}
		var file bytes.Buffer
		if err := Write(&file, values, shape...); err != nil {
			t.Fatal(err)
		}
		a, err := decode(file.Bytes())
		if err != nil {
			t.Errorf("shape %v: %v", shape, err)
			continue
		}
		got, err := a.Float32()
		if err != nil || !slices.Equal(got, values) || !slices.Equal(a.Shape, shape) {
			t.Errorf("shape %v: read as %v of %v, %v", shape, got, a.Shape, err)
		}
		if start := file.Len() - 4*n; start%64 != 0 {
			t.Errorf("shape %v: the data start at %d", shape, start)
		}
	}
	numtest.Panics(t, "npy: Write: 3 values, want shape [2 2]", func() { _ = Write(&bytes.Buffer{}, []int64{1, 2, 3}, 2, 2) })
}

// Integers that do not fit are errors that name the element.
func TestIntegersThatDoNotFit(t *testing.T) {
	for _, values := range [][]float64{{1, 2.5}, {1, math.NaN()}, {1, 1e30}, {1, math.Inf(-1)}, {1, 1 << 31}} {
		var file bytes.Buffer
		if err := Write(&file, values, 2); err != nil {
			t.Fatal(err)
		}
		a, err := decode(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Int32(); err == nil || !strings.Contains(err.Error(), "element 1 is") {
			t.Errorf("%v read as %v, %v", values, got, err)
		}
	}
}

// file is an array whose header is text.
func file(text, data string) []byte {
	head := binary.LittleEndian.AppendUint16([]byte(magic+"\x01\x00"), uint16(len(text)))
	return append(append(head, text...), data...)
}

func TestHostile(t *testing.T) {
	const good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
	if _, err := decode(file(good, "12345678")); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	long := file(good+strings.Repeat(" ", 20_000), "12345678")
	for _, c := range []struct {
		what string
		file []byte
		want string
	}{
		{"empty", nil, "no .npy array"},
		{"text", []byte("1,2,3\n4,5,6\n"), "no .npy array"},
		{"another version", append([]byte(magic+"\x04\x00"), "          "...), "version 4"},
		{"header of 20,000 bytes", long, "header has 200"},
		{"header past the end", file(good, "")[:20], "within the file"},
		{"4 GiB of header", []byte(magic + "\x02\x00\xff\xff\xff\xff"), "within the file"},
		{"cut short", file(good, "1234567"), "7 bytes of data, but float32 of shape [2] has 8"},
		{"two arrays", file(good, "123456789"), "more than this array"},
		{"product that overflows", file("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", ""), "more than can be addressed"},
		{"product of 0 mod 2^64", file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", ""), "more than can be addressed"},
		{"dimension of 30 digits", file("{'descr': '<f4', 'fortran_order': False, 'shape': ("+strings.Repeat("9", 30)+",), }", ""), "more than can be addressed"},
		{"negative dimension", file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", ""), "header cannot be read"},
		{"key twice", file("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "12345678"), "header cannot be read"},
		{"key missing", file("{'descr': '<f4', 'shape': (2,), }", "12345678"), "header cannot be read"},
		{"another key", file("{'descr': '<f4', 'code': 'x', 'fortran_order': False, 'shape': (2,), }", "12345678"), `key "code"`},
		{"program for a header", file("__import__('os').system('true')", ""), "header cannot be read"},
		{"33 dimensions", file("{'descr': '<f4', 'fortran_order': False, 'shape': ("+strings.Repeat("1,", 33)+"), }", "1234"), "more than 32"},
		{"bfloat16", file("{'descr': '|V2', 'fortran_order': False, 'shape': (2,), }", "1234"), `type "|V2", two bytes that NumPy has no name for, as of bfloat16: save them with .astype('float32'), or as safetensors`},
		{"bfloat16 of ml_dtypes", file("{'descr': '<V2', 'fortran_order': False, 'shape': (2,), }", "1234"), `type "<V2", two bytes`},
		{"three bytes", file("{'descr': '|V3', 'fortran_order': False, 'shape': (2,), }", "123456"), `type "|V3": want floats`},
		{"after the dict", file(good+"+1", "12345678"), "header cannot be read"},
	} {
		if _, err := decode(c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	for name, want := range map[string]string{"objects": "pickles", "fields": "structured", "complex": "type"} {
		if _, err := Open("testdata/refused-" + name + ".npy"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if a, err := Open("testdata/refused-text.npy"); err != nil {
		t.Error(err)
	} else if _, err := a.Float32(); err == nil || !strings.Contains(err.Error(), "type text") {
		t.Errorf("text as numbers: %v", err)
	}
	for path, want := range map[string]string{
		"testdata": "regular file", "testdata/two.npz": "two.npz:NAME, of logits, labels", "testdata/two.npz:z": `no array "z"`, "absent.npy": "no such file",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// A member that says to unpack to far more than it holds, or shares its bytes with another, is refused before memory is
// taken for it.
func TestHostileArchive(t *testing.T) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, name := range []string{"a.npy", "b.npy"} {
		m, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(m, make([]float32, 1000), 1000); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.npz")
	open := func(file []byte) error {
		if err := os.WriteFile(path, file, 0o666); err != nil {
			t.Fatal(err)
		}
		a, err := Open(path + ":b")
		if err == nil {
			a.Close()
		}
		return err
	}
	if err := open(archive.Bytes()); err != nil {
		t.Fatal(err)
	}
	entry := func(file []byte, i int) []byte { // of the directory
		at := 0
		for range i + 1 {
			at += bytes.Index(file[at:], []byte("PK\x01\x02")) + 4
		}
		return file[at-4:]
	}
	bomb := bytes.Clone(archive.Bytes())
	binary.LittleEndian.PutUint32(entry(bomb, 1)[24:], 1<<31)
	if err := open(bomb); err == nil || !strings.Contains(err.Error(), "unpack to 2147483648") {
		t.Errorf("a bomb: %v", err)
	}
	shared := bytes.Clone(archive.Bytes())
	copy(entry(shared, 1)[42:46], entry(shared, 0)[42:46])
	if err := open(shared); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("two members in one place: %v", err)
	}
	beyond := bytes.Clone(archive.Bytes()) // its name, which is told before it, is longer than the archive, and it is said to hold much
	binary.LittleEndian.PutUint16(beyond[26:], 60000)
	binary.LittleEndian.PutUint32(entry(beyond, 0)[20:], 1<<31)
	binary.LittleEndian.PutUint32(entry(beyond, 0)[24:], 1<<31)
	if err := open(beyond); err == nil || !strings.Contains(err.Error(), "not within the archive") {
		t.Errorf("a member that begins beyond the end: %v", err)
	}
	damaged := bytes.Clone(archive.Bytes())
	entry(damaged, 1)[16] ^= 1 // its CRC-32
	if err := open(damaged); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a wrong checksum: %v", err)
	}
}

// Two members of one name are refused by every reader, whether they are two files of that name or two that NumPy loads by it.
func TestNamesTwice(t *testing.T) {
	for name, c := range map[string]struct {
		members []string
		says    string // "" where it is read
	}{
		"twice":           {[]string{"x.npy", "y.npy", "x.npy"}, `"x.npy" is there twice`},
		"beside its name": {[]string{"x", "y.npy", "x.npy"}, `"x" is there twice`},
		"the other way":   {[]string{"x.npy", "x"}, `"x" is there twice`},
		"no ending":       {[]string{"x", "x"}, `"x" is there twice`},
		"folders":         {[]string{"a/x.npy", "x.npy", "a/x"}, `"a/x" is there twice`},
		"another case":    {[]string{"x.npy", "X.npy"}, ""},
		"two endings":     {[]string{"x.npy.npy", "x.npy"}, ""}, // "x.npy" and "x"
		"two folders":     {[]string{"a/x.npy", "x.npy", "b/x.npy"}, ""},
	} {
		path := filepath.Join(t.TempDir(), "a.npz")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := zip.NewWriter(f)
		for i, member := range c.members {
			m, err := w.Create(member)
			if err != nil {
				t.Fatal(err)
			}
			if err := Write(m, []float32{float32(i)}, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		_, listErr := List(path)
		_, namesErr := Names(path)
		a, openErr := Open(path + ":x")
		if openErr == nil {
			a.Close()
		}
		for reader, err := range map[string]error{"List": listErr, "Names": namesErr, "Open": openErr} {
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %s: error %v, want one that says %q", name, reader, err, c.says)
			}
		}
	}
}

// Whatever the bytes, they are an error or an array within them.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/*.npy", "testdata/*.npz"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal("no seeds", err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		arrays := [][]byte{data}
		if members, err := unzip.List(bytes.NewReader(data), int64(len(data))); err == nil {
			for _, m := range members[:min(len(members), 4)] {
				if inner, err := unzip.Contents(m); err == nil {
					arrays = append(arrays, inner)
				}
			}
		}
		for _, data := range arrays {
			a, err := decode(data)
			if err != nil {
				continue
			}
			if texts, err := a.Texts(); err == nil {
				if len(texts) != a.Len() {
					t.Errorf("%d texts of shape %v", len(texts), a.Shape)
				}
				continue
			}
			if a.isText() {
				continue
			}
			values, err := a.Float32()
			if n, ok := product(a.Shape, 1); err != nil || !ok || n != len(values) || n > len(data) {
				t.Errorf("%d values of shape %v in %d bytes, %v", len(values), a.Shape, len(data), err)
			}
			if _, err := a.Int64(); err == nil {
				_, _ = a.Int32()
			}
		}
	})
}
