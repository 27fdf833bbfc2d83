package dataset

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
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

// What is allocated for a table is at most a small multiple of it, however wide, long or broken it is.
func TestTableTakesAMultipleOfItsSize(t *testing.T) {
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
		wide += row(100_000, func(c int) string { return fmt.Sprint(c*r%9 + r) })
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
		"ragged":            {"a,b\n1,2\n" + strings.Repeat(",", 4<<20), 64, "line 3"},
		"an open quote":     {"a,b\n\"" + strings.Repeat("x,\n", 1<<20), 8, "quote"},
		"nothing but lines": {"a,b\n" + strings.Repeat("\n", 4<<20), 16, "x"},
		"texts":             {texts.String(), 14, ""}, // the file, 4 bytes a token as it is found, 8 a token that is kept
		"categories":        {coded.String(), 16, "alone has 251; leave it out with --types c0=ignore"},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, "x.csv", c.text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Load(Options{Path: path, ValFraction: 0.2}, stream(1))
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
