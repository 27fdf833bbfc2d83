package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/logitscope/logitscope/internal/safetensors"
)

// file is a safetensors file of a header and its data.
func file(header, data string) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func TestRoundTrip(t *testing.T) {
	weights := []float32{1, -2, float32(math.Inf(1)), math.SmallestNonzeroFloat32, 0, 3.5}
	raw := safetensors.Append(nil, map[string]string{"b": "2", "a": "\"1\""},
		safetensors.Floats{Name: "dense1.weight", Shape: []int{2, 3}, Data: weights},
		safetensors.Floats{Name: "empty", Shape: []int{0, 4}},
		safetensors.Floats{Name: "scalar \" é", Data: []float32{7}})
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Metadata["a"] != "\"1\"" || f.Metadata["b"] != "2" || len(f.Tensors) != 3 {
		t.Errorf("metadata %v, %d tensors", f.Metadata, len(f.Tensors))
	}
	tensor, err := f.Tensor("dense1.weight")
	if err != nil {
		t.Fatal(err)
	}
	got, err := tensor.Float32()
	if err != nil || !slices.Equal(got, weights) || !slices.Equal(tensor.Shape, []int{2, 3}) {
		t.Errorf("read %v %v: %v", tensor.Shape, got, err)
	}
	if _, err := f.Tensor("head"); err == nil || !strings.Contains(err.Error(), "there are dense1.weight") {
		t.Errorf("error %v, want one that names what there is", err)
	}
}

// A file as others write it: half floats, integers, a header padded with spaces.
func TestReadsForeignFile(t *testing.T) {
	header := `{"__metadata__":{"format":"pt"},"bias":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"ids":{"dtype":"I64","shape":[2],"data_offsets":[8,24]}}   `
	data := "\x00\x3c\x00\xc0\x01\x00\x00\x7c" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\xff\xff\xff\xff\xff\xff\xff\xff"
	f, err := safetensors.Parse(file(header, data))
	if err != nil {
		t.Fatal(err)
	}
	bias, _ := f.Tensor("bias")
	got, err := bias.Float32()
	want := []float32{1, -2, float32(math.Ldexp(1, -24)), float32(math.Inf(1))}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("bias is %v (%v), want %v", got, err, want)
	}
	ids, _ := f.Tensor("ids")
	if got, err := ids.Int64(); err != nil || !slices.Equal(got, []int64{1, -1}) {
		t.Errorf("ids are %v (%v)", got, err)
	}
	if _, err := bias.Int64(); err == nil {
		t.Error("half floats came as integers")
	}
}

// Every half and every type of integer, against the value that its bits mean.
func TestConversions(t *testing.T) {
	var data []byte
	for bits := range 1 << 16 {
		data = binary.LittleEndian.AppendUint16(data, uint16(bits))
	}
	f, err := safetensors.Parse(file(`{"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}}`, string(data)))
	if err != nil {
		t.Fatal(err)
	}
	halves, err := f.Tensors[0].Float32()
	if err != nil {
		t.Fatal(err)
	}
	for bits, got := range halves {
		exponent, mantissa := bits>>10&31, float64(bits&1023)
		want := math.Ldexp(1+mantissa/1024, exponent-15)
		switch {
		case exponent == 0:
			want = math.Ldexp(mantissa, -24)
		case exponent == 31 && mantissa == 0:
			want = math.Inf(1)
		case exponent == 31:
			want = math.NaN()
		}
		want = math.Copysign(want, -float64(bits>>15)-0.0)
		if bits>>15 == 0 {
			want = math.Abs(want)
		}
		if float64(got) != want && !(math.IsNaN(want) && got != got) || math.Signbit(float64(got)) != (bits>>15 == 1) && got == got {
			t.Fatalf("half %04x is %v, want %v", bits, got, want)
		}
	}
	for _, c := range []struct {
		dtype, bytes string
		want         float32
	}{
		{"BF16", "\xc0\x3f", 1.5},
		{"F64", "\x00\x00\x00\x00\x00\x00\xf8\xbf", -1.5},
		{"I8", "\xfe", -2},
		{"U8", "\xfe", 254},
		{"BOOL", "\x01", 1},
		{"I16", "\x00\xff", -256},
		{"U16", "\x00\xff", 65280},
		{"I32", "\xff\xff\xff\xff", -1},
		{"U32", "\xff\xff\xff\xff", 1 << 32},
	} {
		size := len(c.bytes)
		f, err := safetensors.Parse(file(`{"v":{"dtype":"`+c.dtype+`","shape":[1],"data_offsets":[0,`+string(rune('0'+size))+`]}}`, c.bytes))
		if err != nil {
			t.Fatal(c.dtype, err)
		}
		if got, err := f.Tensors[0].Float32(); err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s is %v (%v), want %v", c.dtype, got, err, c.want)
		}
	}
}

// many is a file of n tensors without values.
func many(n int) []byte {
	header := []byte("{")
	for i := range n {
		header = fmt.Appendf(header, `"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},`, i)
	}
	return file(string(header[:len(header)-1])+"}", "")
}

// The largest header that is read takes at most 64 MiB and four times itself.
func TestHeaderMemory(t *testing.T) {
	for name, raw := range map[string][]byte{
		"tensors":  many(1 << 17),
		"metadata": file(`{"__metadata__":{"a":"b"`+strings.Repeat(`,"":""`, 170_000)+`}}`, ""),
	} {
		peak := heapDuring(func() {
			if _, err := safetensors.Parse(raw); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		if most := uint64(64<<20 + 4*len(raw)); !(peak <= most) {
			t.Errorf("%s: %d MiB for a header of %d KiB, want at most %d", name, peak>>20, len(raw)>>10, most>>20)
		}
	}
}

// heapDuring returns the most that the heap grew by while do ran.
func heapDuring(do func()) (peak uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, done := m.HeapAlloc, make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for {
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > base {
			peak = max(peak, m.HeapAlloc-base)
		}
		select {
		case <-done:
			return peak
		case <-time.After(time.Millisecond):
		}
	}
}

// What Parse would refuse is not written.
func TestAppendRefusesWhatParseWould(t *testing.T) {
	for name, write := range map[string]func(){
		"metadata": func() { safetensors.Append(nil, map[string]string{"a": strings.Repeat("x", 1<<20)}) },
		"header": func() {
			safetensors.Append(nil, nil, safetensors.Floats{Name: strings.Repeat("x", 16<<20), Shape: []int{0}})
		},
		"tensors": func() { safetensors.Append(nil, nil, make([]safetensors.Floats, 1<<17+1)...) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it was written", name)
				}
			}()
			write()
		}()
	}
}

func TestRefuses(t *testing.T) {
	one := `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, c := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"empty", nil, "0 bytes"},
		{"huge header", append(bytes.Repeat([]byte{255}, 8), '{'), "header of"},
		{"header over the bound", file("{"+strings.Repeat(" ", 16<<20)+"}", ""), "at most 16777216"},
		{"too many sides", file(`{"a":{"dtype":"U8","shape":[0`+strings.Repeat(",1", 8<<20-100)+`],"data_offsets":[0,0]}}`, ""), "at most 4096"},
		{"too many tensors", many(1<<17 + 1), "more than 131072 tensors"},
		{"metadata over the bound", file(`{"__metadata__":{"a":"`+strings.Repeat("x", 1<<20)+`"}}`, ""), "at most 1048576"},
		{"not an object", file("[]", ""), "JSON object"},
		{"not UTF-8", file("{\"\xff\":1}", ""), "UTF-8"},
		{"two objects", file("{}{}", ""), "behind its object"},
		{"broken", file(`{"a":`, ""), "header"},
		{"number as tensor", file(`{"a":1}`, ""), `tensor "a"`},
		{"no shape", file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, "abcd"), "lacks"},
		{"twice", file("{"+one+","+one+"}", "abcd"), "twice"},
		{"type", file(`{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}}`, "a"), `"F8"`},
		{"outside", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, "abcd"), "of 4 bytes"},
		{"backwards", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, "abcd"), "lies at"},
		{"shape", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "abcd"), "is 8 bytes"},
		{"negative side", file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, "abcd"), "shape"},
		{"overflow", file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}`, "abcd"), "shape"},
		{"hole", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "ab"), "hole"},
		{"overlap", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "ab"), "overlap"},
		{"something behind", file("{"+one+"}", "abcde"), "behind its end"},
		{"metadata", file(`{"__metadata__":{"a":1}}`, ""), "metadata"},
	} {
		if _, err := safetensors.Parse(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
	if _, err := safetensors.Open(filepath.Join(t.TempDir(), "none")); err == nil || strings.Count(err.Error(), "none") != 1 {
		t.Errorf("error %v, want one that names the file once", err)
	}
}

// Whatever the bytes: no panic; and what is read fills the file, so that it can be written again.
func FuzzParse(f *testing.F) {
	f.Add(file(`{"__metadata__":{"a":"b"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U64","shape":[1,1],"data_offsets":[8,16]}}`, "0123456789abcdef"))
	f.Add(file(`{"a":{"dtype":"BF16","shape":[0,9],"data_offsets":[0,0]}}`, ""))
	f.Add(file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}`, "abcd"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := safetensors.Parse(raw)
		if err != nil {
			return
		}
		var arrays []safetensors.Floats
		for i := range file.Tensors {
			tensor := &file.Tensors[i]
			values, err := tensor.Float32()
			if err != nil {
				continue // a U64 too large
			}
			if len(values) != tensor.Len() {
				t.Fatalf("%d values of %d", len(values), tensor.Len())
			}
			arrays = append(arrays, safetensors.Floats{Name: tensor.Name, Shape: tensor.Shape, Data: values})
		}
		again, err := safetensors.Parse(safetensors.Append(nil, file.Metadata, arrays...))
		if err != nil || len(again.Tensors) != len(arrays) {
			t.Fatalf("written again: %v", err)
		}
	})
}
