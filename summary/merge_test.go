package summary_test

import (
	"bytes"
	"encoding"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

// accumulator is what each kind is.
type accumulator interface {
	Add(summary.Batch)
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// kinds returns an empty accumulator of each kind, and how one takes another in.
func kinds(k int) (empty []accumulator, merge func(i int, into, from accumulator)) {
	r := summary.Range{Low: -30, High: 30}
	return []accumulator{
		summary.NewScores(), summary.NewTable(k, 15), summary.NewClassBins(k, 10), &summary.Quantiles{}, summary.NewQuantities(r, summary.Range{Low: -60}, 20),
	}, func(_ int, into, from accumulator) {
		reflect.ValueOf(into).MethodByName("Merge").Call([]reflect.Value{reflect.ValueOf(from)})
	}
}

// same compares what is exported and fails where counts differ at all or sums by more than 1e-12.
func same(t *testing.T, what string, got, want reflect.Value) {
	t.Helper()
	switch want.Kind() {
	case reflect.Pointer:
		if !want.IsNil() {
			same(t, what, got.Elem(), want.Elem())
		}
	case reflect.Struct:
		for i := range want.NumField() {
			same(t, what+"."+want.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
	case reflect.Slice:
		if got.Len() != want.Len() {
			t.Errorf("%s has %d elements, want %d", what, got.Len(), want.Len())
			return
		}
		for i := range want.Len() {
			same(t, what, got.Index(i), want.Index(i))
		}
	case reflect.Float64:
		if !numtest.Near(got.Float(), want.Float(), 1e-12) {
			t.Errorf("%s is %v, want %v", what, got.Float(), want.Float())
		}
	default:
		if !got.Equal(want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
}

// wide returns 60 rows of many classes.
func wide(rng *rand.Rand, k int) summary.Batch {
	const n = 60
	b := summary.Batch{Columns: k, Logits: make([]float32, n*k), Labels: make([]int32, n)}
	for i := range b.Logits {
		b.Logits[i] = float32(rng.NormFloat64() * 5)
	}
	for i := range b.Labels {
		b.Labels[i] = int32(rng.IntN(k))
	}
	return b
}

// Cut anywhere, written, read, and merged in any order, every accumulator is what one over all the rows is.
func TestEveryAccumulatorMergesAndSerialises(t *testing.T) {
	for seed := range uint64(30) {
		b, rng := random(seed), rand.New(rand.NewPCG(seed, 2))
		if seed%5 == 4 {
			b = wide(rng, 40+int(seed)*20)
		}
		b.Temperature = math.Exp(rng.NormFloat64())
		whole, merge := kinds(b.Columns)
		merged, _ := kinds(b.Columns)
		parts := split(b, rng)
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for i := range whole {
			whole[i].Add(b)
			for _, part := range parts {
				part.Temperature = b.Temperature
				some, _ := kinds(b.Columns)
				some[i].Add(part)
				data, err := some[i].MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				read, _ := kinds(b.Columns)
				if err := read[i].UnmarshalBinary(data); err != nil {
					t.Fatal(err)
				}
				again, err := read[i].MarshalBinary()
				if err != nil || !slices.Equal(again, data) {
					t.Errorf("seed %d: %T written, read and written is not the same, %v", seed, read[i], err)
				}
				merge(i, merged[i], read[i])
			}
			same(t, reflect.TypeOf(whole[i]).String(), reflect.ValueOf(merged[i]), reflect.ValueOf(whole[i]))
		}
	}
}

// The same over every processor as alone: counts exactly, sums to 1e-12; and the same bits each time.
func TestFoldIsAdd(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for _, columns := range []int{1, 2, 7, 300} {
		const n = 700
		b := summary.Batch{Columns: columns, Logits: make([]float32, n*columns), Labels: make([]int32, n)}
		for i := range b.Logits {
			b.Logits[i] = float32(rng.NormFloat64() * 4)
		}
		for i := range b.Labels {
			b.Labels[i] = int32(rng.IntN(max(columns, 2)))
		}
		b.Logits[3*columns], b.Labels[5] = nan, loss.Ignored
		k := max(columns, 2)
		table, bins := summary.NewTable(k, 15), summary.NewClassBins(k, 15)
		table.Add(b)
		bins.Add(b)
		whole, wholeBins := summary.TableOf(b, 15, nil)
		same(t, "table", reflect.ValueOf(whole), reflect.ValueOf(table))
		same(t, "class bins", reflect.ValueOf(wholeBins), reflect.ValueOf(bins))
		first, err := whole.MarshalBinary()
		whole, _ = summary.TableOf(b, 15, nil)
		second, again := whole.MarshalBinary()
		if err != nil || again != nil || !slices.Equal(first, second) {
			t.Errorf("%d columns: the same rows give other bits", columns)
		}
		if rows, n := b.UndefinedRows(5); n != 1 || !slices.Equal(rows, []int{3}) {
			t.Errorf("%d columns: undefined rows %v, %d", columns, rows, n)
		}
	}
}

// Quantiles are within 1/256 of those of the sorted values, of any size and sign.
func TestSketch(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	var values []float32
	var s summary.Sketch
	if !math.IsNaN(s.Quantile(0.5)) {
		t.Error("the median of nothing is a number")
	}
	for range 5000 {
		v := float32(rng.NormFloat64() * math.Exp(rng.NormFloat64()*10))
		values = append(values, v)
		s.Add(v)
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.001, 0.05, 0.25, 0.4, 0.5, 0.75, 0.99, 1} {
		want := float64(values[max(int(math.Ceil(q*5000))-1, 0)])
		if got := s.Quantile(q); !(math.Abs(got-want) <= math.Abs(want)/256) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	var ends summary.Sketch
	ends.Add(-inf)
	ends.Add(inf)
	ends.Add(0)
	if low, middle, high := ends.Quantile(0), ends.Quantile(0.5), ends.Quantile(1); !math.IsInf(low, -1) || !(math.Abs(middle) < 1e-38) || !math.IsInf(high, 1) {
		t.Errorf("of −Inf, 0, Inf: %v, %v, %v", low, middle, high)
	}
}

// Whatever the bytes, they are an error or an accumulator that can be merged with its like.
func FuzzUnmarshal(f *testing.F) {
	b := random(3)
	seeds, merge := kinds(b.Columns)
	for _, s := range seeds {
		s.Add(b)
		data, err := s.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read, _ := kinds(3)
		for i, s := range read {
			if s.UnmarshalBinary(data) == nil {
				merge(i, s, s)
				if _, err := s.MarshalBinary(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestAddRefusesOtherClasses(t *testing.T) {
	b := summary.Batch{Columns: 6, Logits: make([]float32, 6), Labels: []int32{0}}
	numtest.Panics(t, "Table.Add: 3 classes and 6", func() { summary.NewTable(3, 15).Add(b) })
	numtest.Panics(t, "Table.Add: 12 classes and 6", func() { summary.NewTable(12, 15).Add(b) })
	numtest.Panics(t, "ClassBins.Add: 3 classes and 6", func() { summary.NewClassBins(3, 15).Add(b) })
}

// What does not fit, as read from bytes, is refused before anything is changed.
func TestMergeRefusesOtherShapes(t *testing.T) {
	quantities := func(high float64) accumulator {
		return summary.NewQuantities(summary.Range{Low: -30, High: high}, summary.Range{Low: -60}, 20)
	}
	without := summary.NewTable(3, 15)
	without.Confusion = nil
	for _, c := range []struct {
		want       string
		into, from accumulator
	}{
		{"Table.Merge: 3 classes and 4", summary.NewTable(3, 15), summary.NewTable(4, 15)},
		{"Table.Merge: 4 classes and 3", summary.NewTable(4, 15), summary.NewTable(3, 15)},
		{"Table.Merge: 10 bins and 15", summary.NewTable(3, 10), summary.NewTable(3, 15)},
		{"Table.Merge: one table has a confusion", summary.NewTable(3, 15), without},
		{"ClassBins.Merge: 3 classes and 4", summary.NewClassBins(3, 15), summary.NewClassBins(4, 15)},
		{"ClassBins.Merge: 4 classes and 3", summary.NewClassBins(4, 15), summary.NewClassBins(3, 15)},
		{"ClassBins.Merge: 15 bins and 10", summary.NewClassBins(3, 15), summary.NewClassBins(3, 10)},
		{"from -30 to 50: want the same edges", quantities(30), quantities(50)},
	} {
		b := summary.Batch{Columns: 3, Logits: []float32{1, 2, 3}, Labels: []int32{2}}
		if strings.Contains(c.want, "and 4") {
			b = summary.Batch{Columns: 4, Logits: []float32{1, 2, 3, 4}, Labels: []int32{3}}
		}
		c.from.Add(b)
		written, err := c.from.MarshalBinary()
		if err == nil {
			err = c.from.UnmarshalBinary(written)
		}
		before, err2 := c.into.MarshalBinary()
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		numtest.Panics(t, c.want, func() {
			switch into := c.into.(type) {
			case *summary.Table:
				into.Merge(c.from.(*summary.Table))
			case *summary.ClassBins:
				into.Merge(c.from.(*summary.ClassBins))
			case *summary.Quantities:
				into.Merge(c.from.(*summary.Quantities))
			}
		})
		if after, _ := c.into.MarshalBinary(); !bytes.Equal(after, before) {
			t.Errorf("%s: it was changed", c.want)
		}
	}
}
