package summary_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/summary"
)

// Bytes that were written by docs/summary-format.md, by another program, are read for good, and are what is counted of the same rows.
func TestFormatStaysReadable(t *testing.T) {
	const folder = "testdata/format"
	var rows struct {
		Columns     int
		Temperature float64
		Logits      []float32
		Labels      []int32
	}
	numtest.ReadGolden(t, filepath.Join(folder, "rows.json"), &rows)
	b := summary.Batch{Logits: rows.Logits, Labels: rows.Labels, Columns: rows.Columns, Temperature: rows.Temperature}
	wide := summary.Batch{Labels: rows.Labels, Columns: rows.Columns, Temperature: rows.Temperature}
	for _, z := range rows.Logits {
		wide.Wide = append(wide.Wide, float64(z))
	}
	pair := func(low, step float64, bins int) summary.Pair {
		edges := []float64{low}
		for i := range bins {
			edges = append(edges, low+step*float64(i+1))
		}
		return summary.Pair{True: summary.NewHistogram(edges), Other: summary.NewHistogram(edges)}
	}
	few := summary.NewRanking(3)
	few.Limit = 4
	files, err := filepath.Glob(filepath.Join(folder, "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]accumulator{
		"scores1": anyOf(summary.NewScores()), "classes1": anyOf(summary.NewClasses(3)), "bins1": anyOf(summary.NewBins(5)),
		"confusion1": anyOf(summary.NewConfusion(3)), "table1": anyOf(summary.NewTable(3, 5)), "classbins1": anyOf(summary.NewClassBins(3, 5)),
		"quantities1": anyOf(&summary.Quantities{Z: pair(-6, 1, 12), P: pair(0, 0.25, 4), LogP: pair(-8, 1, 8), NLL: pair(0, 1, 8)}),
		"ranking1":    anyOf(summary.NewRanking(3)), "ranking1-wide": anyOf(summary.NewRanking(3)), "ranking1-grid": anyOf(few), "totals1": anyOf(summary.NewTotals(3, 5)),
	}
	if len(files) != len(want) {
		t.Errorf("%d files, want %d", len(files), len(want))
	}
	for name, counted := range want {
		data, err := os.ReadFile(filepath.Join(folder, name+".bin"))
		if err != nil {
			t.Fatal(err)
		}
		read := reflect.New(reflect.TypeOf(counted).Field(0).Type.Elem())
		if err := read.Interface().(interface{ UnmarshalBinary([]byte) error }).UnmarshalBinary(data); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		rows := b
		if name == "ranking1-wide" {
			rows = wide
		}
		counted.Add(rows)
		if totals, ok := counted.(of[*summary.Totals]); ok {
			totals.Is.Rows++ // one without a label
		}
		near(t, name, read, reflect.ValueOf(counted).Field(0))
		again, err := read.Interface().(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
		if err != nil || string(again) != string(data) {
			t.Errorf("%s: read and written, it is other bytes, %v", name, err)
		}
	}
}

// near is same, to what float32 leaves of sums, of what is exported.
func near(t *testing.T, what string, got, want reflect.Value) {
	t.Helper()
	switch want.Kind() {
	case reflect.Pointer:
		if want.Type() == reflect.TypeFor[*summary.Ranking]() {
			g, w := got.Interface().(*summary.Ranking).Figures(7), want.Interface().(*summary.Ranking).Figures(7)
			near(t, what, reflect.ValueOf(g), reflect.ValueOf(w))
			return
		}
		near(t, what, got.Elem(), want.Elem())
	case reflect.Struct:
		for i := range want.NumField() {
			if field := want.Type().Field(i); field.IsExported() {
				near(t, what+"."+field.Name, got.Field(i), want.Field(i))
			}
		}
	case reflect.Slice:
		if got.Len() != want.Len() {
			t.Errorf("%s has %d elements, want %d", what, got.Len(), want.Len())
			return
		}
		for i := range want.Len() {
			near(t, fmt.Sprintf("%s[%d]", what, i), got.Index(i), want.Index(i))
		}
	case reflect.Float64:
		if !numtest.Near(got.Float(), want.Float(), 1e-5) {
			t.Errorf("%s is %v, counted %v", what, got.Float(), want.Float())
		}
	default:
		if !got.Equal(want) {
			t.Errorf("%s is %v, counted %v", what, got, want)
		}
	}
}
