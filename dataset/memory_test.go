package dataset

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	build "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/logitscope/logitscope/internal/numtest"
)

// peak returns the most that work held of the heap beyond what was held before, as collections closely spaced saw it.
func peak(t *testing.T, work func()) int64 {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	runtime.GC()
	live := func() int64 {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	before, most, ended := live(), make(chan int64), make(chan struct{})
	go func() {
		high := int64(0)
		for {
			high = max(high, live())
			select {
			case <-ended:
				most <- high
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	work()
	close(ended)
	return <-most - before
}

// payload is how much a dataset holds.
func (d *Dataset) payload() int64 {
	n := 4*(len(d.Features)+len(d.Tokens)+len(d.Offsets)+len(d.Weights)+len(d.Labels)) + len(d.Targets)
	if d.Image != nil {
		n += len(d.Image.Pixels)
	}
	for _, p := range d.Parts {
		n += 12 * len(p.Rows)
	}
	for _, name := range d.Classes {
		n += 16 + len(name)
	}
	return int64(n)
}

// A text is counted as it is read: one long text of many or few different words, or one word, takes no more than its counts.
func TestPeakOfALongText(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	different := make([]byte, 0, 8<<20)
	for i := 0; len(different) < 8<<20-16; i++ {
		different = fmt.Appendf(different, "%x ", uint64(i)*0x9e3779b97f4a7c15)
	}
	for name, text := range map[string][]byte{
		"different words": different, "one word": bytes.Repeat([]byte("x"), 8<<20), "a word again and again": bytes.Repeat([]byte("a "), 4<<20),
	} {
		var parts []bucketCounts
		held := peak(t, func() {
			var err error
			if parts, err = newNgrams().tokenize(1, func(int) []byte { return text }); err != nil {
				t.Error(err)
			}
		})
		if most := int64(64<<20 + 4*len(text)); !(held <= most) {
			t.Errorf("%s: %d MiB held for a text of %d MiB, want at most %d", name, held>>20, len(text)>>20, most>>20)
		}
		if n := len(parts[0].buckets); n == 0 {
			t.Errorf("%s: nothing was counted", name)
		}
	}
}

// What reading holds at its highest is at most 64 MiB and 4 times what is read: the file, unpacked, and the dataset made of it.
func TestPeakOfReading(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	rows := func(n int, header string, row func(b *strings.Builder, i int)) string {
		var b strings.Builder
		b.WriteString(header + "\n")
		for i := range n {
			row(&b, i)
			b.WriteByte('\n')
		}
		return b.String()
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	numbers := rows(100_000, "a,b,c,d,y", func(b *strings.Builder, i int) {
		fmt.Fprintf(b, "%d.%d,%d,%d,%d,%d", i%10, i, i*7%100, i*11%100, i*13%100, i%2)
	})
	_, _ = w.Write([]byte(numbers))
	_ = w.Close()
	const many = 200_000
	jsonLines := rows(many, "", func(b *strings.Builder, i int) {
		fmt.Fprintf(b, `{"a": %d.%d, "b": %d, "y": "%s"}`, i%10, i, i*7%100, "kl"[i%2:i%2+1])
	})[1:]
	builder := build.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "a", Type: arrow.PrimitiveTypes.Float64}, {Name: "b", Type: arrow.PrimitiveTypes.Float64}, {Name: "y", Type: arrow.PrimitiveTypes.Int32},
	}, nil))
	for i := range many {
		builder.Field(0).(*build.Float64Builder).Append(float64(i) / 7)
		builder.Field(1).(*build.Float64Builder).Append(float64(i * 7 % 100))
		builder.Field(2).(*build.Int32Builder).Append(int32(i % 2))
	}
	batch := builder.NewRecordBatch()
	parquet := parquetOf(t, 200_000, compress.Codecs.Zstd, false)
	const free = 4 << 20 // less than is promised, since the files are small
	for _, c := range []struct {
		name, body string
		unpacked   int
		free       int64
		o          Options
	}{
		{"digits.csv", rows(800_000, "x,y", func(b *strings.Builder, i int) { fmt.Fprintf(b, "%d,%d", i*7%10, i%2) }), 0, free, Options{}},
		{"numbers.csv", numbers, 0, free, Options{}},
		{"numbers.csv.gz", packed.String(), len(numbers), free, Options{}},
		{"coded.csv", rows(150_000, "a,b,y", func(b *strings.Builder, i int) { fmt.Fprintf(b, "k%d,k%d,%d", i*7%5, i*11%300, i%2) }), 0, free, Options{}},
		{"classes.csv", rows(100_000, "a,y", func(b *strings.Builder, i int) { fmt.Fprintf(b, "%d,c%d", i*7%10, i*7919%50_000) }), 0, free, Options{}},
		{"tags.csv", rows(100_000, "x,y", func(b *strings.Builder, i int) { fmt.Fprintf(b, "%d,a|b%d", i*7%10, i%5) }), 0, free, Options{MultiLabel: true}},
		// The buckets of n-grams are of one size, whatever the texts are.
		{"texts.csv", rows(20_000, "text,y", func(b *strings.Builder, i int) {
			for j := range 10 {
				fmt.Fprintf(b, "w%d ", (i+1)*(j+3)*7919%50000)
			}
			fmt.Fprintf(b, ",%d", i%2)
		}), 0, 60 << 20, Options{}},
		{"some.parquet", string(parquet), 200_000 * 20, free, Options{Target: "kind"}},
		{"x.jsonl", jsonLines, 0, free, Options{}},
		{"x.json", "[" + strings.ReplaceAll(strings.TrimSpace(jsonLines), "\n", ",") + "]", 0, free, Options{}},
		{"x.arrow", arrowFile(t, batch), 0, free, Options{}},
		{"x.arrows", arrowStreamOf(t, batch), 0, free, Options{}},
		{"x.feather", arrowFile(t, batch, ipc.WithZstd()), many * 20, free, Options{}},
		{"numbers.csv.xz", xzed(t, numbers), len(numbers), 24 << 20, Options{}}, // the window is 8 MiB
		{"numbers.csv.zst", zstded(t, numbers), len(numbers), 24 << 20, Options{}},
		{"numbers.csv.zip", zipOf(t, "numbers.csv", numbers), len(numbers), free, Options{}},
		{"x.svm", rows(many, "", func(b *strings.Builder, i int) {
			fmt.Fprintf(b, "%d 1:%d.%d 2:%d 3:%d 4:%d", i%2, i%10, i, i*7%100, i*11%100, i*13%100)
		})[1:], 0, free, Options{}},
		{"x.arff", rows(many, "@relation r\n@attribute a numeric\n@attribute b numeric\n@attribute y {k,l}\n@data", func(b *strings.Builder, i int) {
			fmt.Fprintf(b, "%d.%d,%d,%s", i%10, i, i*7%100, "kl"[i%2:i%2+1])
		}), 0, free, Options{}},
		{"spaced.txt", strings.ReplaceAll(numbers, ",", "   "), 0, free, Options{}},
		{"utf16.csv", "\xff\xfe" + utf16Of(numbers, false), 0, free, Options{}},
		{"some-images-idx3-ubyte", idx([]int{5000, 28, 28}, make([]byte, 5000*28*28)), 0, free, Options{Labels: file(t, "labels", strings.Repeat("a\nb\n", 2500))}},
	} {
		c.o.Path, c.o.ValFraction = file(t, c.name, c.body), 0.2
		var d *Dataset
		var err error
		held := peak(t, func() { d, err = Load(t.Context(), c.o, stream(1)) })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		payload := int64(max(len(c.body), c.unpacked)) + d.payload()
		t.Logf("%s: %.1f MiB were held, %.2f times what is read", c.name, float64(held)/(1<<20), float64(held)/float64(payload))
		if held > c.free+4*payload {
			t.Errorf("%s: %d bytes were held to read %d", c.name, held, payload)
		}
	}
}

// What is allocated for a table is at most a small multiple of it, however wide, long or broken it is.
func TestTableTakesAMultipleOfItsSize(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	row := func(n int, field func(c int) string) string {
		fields := make([]string, n)
		for c := range fields {
			fields[c] = field(c)
		}
		return strings.Join(fields, ",") + "\n"
	}
	var long, coded strings.Builder
	long.WriteString("x,class\n")
	for i := range 400_000 {
		fmt.Fprintf(&long, "%d,%d\n", i*7%1000, i%2)
	}
	const coding = 60
	coded.WriteString(row(coding, func(c int) string { return fmt.Sprintf("c%d", c) }))
	for i := range 20_000 {
		coded.WriteString(row(coding, func(c int) string { return fmt.Sprintf("k%d", i*(c+1)%251) }))
	}
	wide := row(100_000, func(c int) string { return fmt.Sprintf("c%d", c) })
	for r := range 4 {
		wide += row(100_000, func(c int) string { return fmt.Sprint(c*r%9 + r%2) })
	}
	var texts strings.Builder
	texts.WriteString("text,class\n")
	rng := stream(1)
	for i := range 40_000 {
		for range 25 {
			word := rng.IntN(400)
			texts.WriteString("abcdefghij"[word%10 : word%10+1+word/10%(10-word%10)])
			texts.WriteByte(byte('a' + word/100))
			texts.WriteByte(' ')
		}
		fmt.Fprintf(&texts, "%d,k%d\n", i, i%2)
	}
	for name, c := range map[string]struct {
		text     string
		multiple int64 // of the file, beside freeBytes
		refused  string
	}{
		"long":              {long.String(), 32, ""},
		"wide":              {wide, 64, ""},
		"ragged":            {"a,b\n1,2\n" + strings.Repeat(",", 4<<20) + "x", 64, "line 3"},
		"an open quote":     {"a,b\n\"" + strings.Repeat("x,\n", 1<<20), 8, "quote"},
		"nothing but lines": {"a,b\n" + strings.Repeat("\n", 4<<20), 16, "x"},
		"texts":             {texts.String(), 14, ""}, // the file, 4 bytes a token as it is found, 8 a token that is kept
		"categories":        {coded.String(), 16, "alone has 251; leave it out with --types c0=ignore"},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, "x.csv", c.text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Load(t.Context(), Options{Path: path, ValFraction: 0.2}, stream(1))
			runtime.ReadMemStats(&after)
			if c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) || c.refused == "" && err != nil {
				t.Errorf("error %v, want %q", err, c.refused)
			}
			if got := int64(after.TotalAlloc - before.TotalAlloc); got > freeBytes+c.multiple*int64(len(c.text)) {
				t.Errorf("%d bytes were allocated for a file of %d: %d times", got, len(c.text), got/int64(len(c.text)))
			}
		})
	}
}
