package summary_test

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash/crc32"
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

// accumulator is one of any kind, its Merge taking any other.
type accumulator interface {
	Add(summary.Batch)
	Merge(accumulator) error
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// of makes an accumulator of a kind one of any: what keeps to the contract.
type of[A summary.Accumulator[A]] struct{ Is A }

func (o of[A]) Add(b summary.Batch)               { o.Is.Add(b) }
func (o of[A]) Merge(other accumulator) error     { return o.Is.Merge(other.(of[A]).Is) }
func (o of[A]) MarshalBinary() ([]byte, error)    { return o.Is.MarshalBinary() }
func (o of[A]) UnmarshalBinary(data []byte) error { return o.Is.UnmarshalBinary(data) }
func (o of[A]) String() string                    { return reflect.TypeOf(o.Is).String() }
func anyOf[A summary.Accumulator[A]](a A) of[A]   { return of[A]{a} }

// kinds returns an empty accumulator of each kind.
func kinds(k int) []accumulator {
	r := summary.Range{Low: -30, High: 30}
	few := summary.NewRanking(k)
	few.Limit = 3
	return []accumulator{
		anyOf(summary.NewScores()), anyOf(summary.NewClasses(k)), anyOf(summary.NewBins(12)), anyOf(summary.NewConfusion(k)),
		anyOf(summary.NewTable(k, 15)), anyOf(summary.NewClassBins(k, 10)), anyOf(summary.NewQuantities(r, summary.Range{Low: -60}, 20)),
		anyOf(summary.NewRanking(k)), anyOf(few), anyOf(summary.NewTotals(k, 15)),
	}
}

// sameSize compares what is exported and fails where counts differ at all or sums by more than 1e-12.
func sameSize(t *testing.T, what string, got, want reflect.Value) {
	t.Helper()
	if want.Type() == reflect.TypeFor[*summary.Ranking]() { // the order of its rows is no matter
		g, w := got.Interface().(*summary.Ranking).Figures(7), want.Interface().(*summary.Ranking).Figures(7)
		if fmt.Sprint(g) != fmt.Sprint(w) {
			t.Errorf("%s says %v, want %v", what, g, w)
		}
		return
	}
	switch want.Kind() {
	case reflect.Pointer:
		if !want.IsNil() {
			sameSize(t, what, got.Elem(), want.Elem())
		}
	case reflect.Struct:
		for i := range want.NumField() {
			if want.Type().Field(i).Name == "spare" || want.Type().Field(i).Name == "exact" {
				continue // room
			}
			sameSize(t, what+"."+want.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
	case reflect.Slice, reflect.Array:
		if got.Len() != want.Len() {
			t.Errorf("%s has %d elements, want %d", what, got.Len(), want.Len())
			return
		}
		for i := range want.Len() {
			sameSize(t, what, got.Index(i), want.Index(i))
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

// Cut anywhere, written, read, and merged in any order and bracketing, every accumulator is what one over all the rows is.
func TestEveryAccumulatorMergesAndSerialises(t *testing.T) {
	for seed := range numtest.CasesOf(30) {
		b, rng := random(seed), rand.New(rand.NewPCG(seed, 2))
		if seed%5 == 4 {
			b = wide(rng, 40+int(seed)*20)
		}
		b.Temperature = math.Exp(rng.NormFloat64())
		parts := split(b, rng)
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for i, whole := range kinds(b.Columns) {
			whole.Add(b)
			var counted []accumulator
			for _, part := range parts {
				part.Temperature = b.Temperature
				some, read := kinds(b.Columns)[i], kinds(3)[i]
				some.Add(part)
				data, err := some.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				if err := read.UnmarshalBinary(data); err != nil {
					t.Fatalf("%v: %v", read, err)
				}
				again, err := read.MarshalBinary()
				if err != nil || !slices.Equal(again, data) {
					t.Errorf("seed %d: %v written, read and written is not the same, %v", seed, read, err)
				}
				counted = append(counted, read)
			}
			for len(counted) > 1 {
				at := rng.IntN(len(counted) - 1)
				if err := counted[at].Merge(counted[at+1]); err != nil {
					t.Fatal(err)
				}
				counted = slices.Delete(counted, at+1, at+2)
			}
			if len(counted) > 0 {
				sameSize(t, fmt.Sprint(whole), reflect.ValueOf(counted[0]), reflect.ValueOf(whole))
			}
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
		sameSize(t, "table", reflect.ValueOf(whole), reflect.ValueOf(table))
		sameSize(t, "class bins", reflect.ValueOf(wholeBins), reflect.ValueOf(bins))
		first, err := whole.MarshalBinary()
		whole, _ = summary.TableOf(b, 15, nil)
		second, again := whole.MarshalBinary()
		if err != nil || again != nil || !slices.Equal(first, second) {
			t.Errorf("%d columns: the same rows give other bits", columns)
		}
		if rows, n, err := summary.UndefinedRows(t.Context(), b, 5); err != nil || n != 1 || !slices.Equal(rows, []int{3}) {
			t.Errorf("%d columns: undefined rows %v, %d", columns, rows, n)
		}
	}
}

// Whatever the bytes, they are an error or an accumulator that is written as it was read and can be merged with its like.
func FuzzUnmarshal(f *testing.F) {
	b := random(3)
	for _, s := range kinds(b.Columns) {
		for range 2 {
			data, err := s.MarshalBinary()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
			s.Add(b)
		}
		data, _ := s.MarshalBinary()
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sealed := data
		if len(data) > 4 { // so that what is tried is more than the checksum
			sealed = slices.Clone(data)
			binary.LittleEndian.PutUint32(sealed[len(sealed)-4:], crc32.Checksum(sealed[:len(sealed)-4], crc32.MakeTable(crc32.Castagnoli)))
		}
		for _, s := range kinds(3) {
			before, err := s.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			if s.UnmarshalBinary(sealed) != nil {
				if after, _ := s.MarshalBinary(); !slices.Equal(after, before) {
					t.Errorf("%v: bytes that are refused changed it", s)
				}
				continue
			}
			again, err := s.MarshalBinary()
			if err != nil || !slices.Equal(again, sealed) {
				t.Errorf("%v: read and written it is other bytes, %v", s, err)
			}
			if err := s.Merge(s); err != nil {
				t.Errorf("%v: %v", s, err)
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

// What does not fit, as read from bytes, is an error before anything is changed.
func TestMergeRefusesOtherShapes(t *testing.T) {
	quantities := func(high float64) accumulator {
		return anyOf(summary.NewQuantities(summary.Range{Low: -30, High: high}, summary.Range{Low: -60}, 20))
	}
	without := summary.NewTable(3, 15)
	without.Confusion = nil
	hot := summary.NewRanking(3)
	hotRow := summary.Batch{Columns: 3, Logits: []float32{1, 2, 3}, Labels: []int32{2}, Temperature: 2}
	hot.Add(hotRow)
	hotTotals := summary.NewTotals(3, 15)
	hotTotals.Add(hotRow)
	for _, c := range []struct {
		want       string
		into, from accumulator
	}{
		{"Classes.Merge: 3 classes and 4", anyOf(summary.NewClasses(3)), anyOf(summary.NewClasses(4))},
		{"Bins.Merge: 10 bins and 15", anyOf(summary.NewBins(10)), anyOf(summary.NewBins(15))},
		{"Confusion.Merge: 3 classes and 4", anyOf(summary.NewConfusion(3)), anyOf(summary.NewConfusion(4))},
		{"Table.Merge: 3 classes and 4", anyOf(summary.NewTable(3, 15)), anyOf(summary.NewTable(4, 15))},
		{"Table.Merge: 4 classes and 3", anyOf(summary.NewTable(4, 15)), anyOf(summary.NewTable(3, 15))},
		{"Table.Merge: 10 bins and 15", anyOf(summary.NewTable(3, 10)), anyOf(summary.NewTable(3, 15))},
		{"Table.Merge: one table has a confusion", anyOf(summary.NewTable(3, 15)), anyOf(without)},
		{"ClassBins.Merge: 3 classes and 4", anyOf(summary.NewClassBins(3, 15)), anyOf(summary.NewClassBins(4, 15))},
		{"ClassBins.Merge: 4 classes and 3", anyOf(summary.NewClassBins(4, 15)), anyOf(summary.NewClassBins(3, 15))},
		{"ClassBins.Merge: 15 bins and 10", anyOf(summary.NewClassBins(3, 15)), anyOf(summary.NewClassBins(3, 10))},
		{"from -30 to 50: want the same edges", quantities(30), quantities(50)},
		{"Ranking.Merge: 3 classes and 4", anyOf(summary.NewRanking(3)), anyOf(summary.NewRanking(4))},
		{"Ranking.Merge: temperatures 2 and 1", anyOf(hot), anyOf(summary.NewRanking(3))},
		{"Table.Merge: 3 classes and 4", anyOf(summary.NewTotals(3, 15)), anyOf(summary.NewTotals(4, 15))},
		{"Totals.Merge: 15 bins and 10", anyOf(summary.NewTotals(3, 15)), anyOf(summary.NewTotals(3, 10))},
		{"Ranking.Merge: temperatures 2 and 1", anyOf(hotTotals), anyOf(summary.NewTotals(3, 15))},
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
		if err := c.into.Merge(c.from); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
		if after, _ := c.into.MarshalBinary(); !bytes.Equal(after, before) {
			t.Errorf("%s: it was changed", c.want)
		}
	}
}
