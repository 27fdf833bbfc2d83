package convert_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/record"
)

// An epoch that holds some of the samples, in another order and one of them with a label of its own, is taken out as it is.
func TestExportOfSomeSamples(t *testing.T) {
	samples := map[string]record.Samples{"val": {IDs: []int64{10, 11, 12, 13}, Labels: []int32{0, 1, 0, 1}, CleanLabels: []int32{0, 0, 1, 1}}}
	m := record.Manifest{FormatVersion: 3, Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2}
	run, _ := runtest.Write(t, m, samples, func(w *record.Writer) error {
		for _, part := range []record.Part{
			{IDs: []int64{13, 11}, Logits: []float32{13, 0.5, 11, 0.5}},
			{IDs: []int64{10}, Logits: []float32{10, 0.5}, Labels: []int32{1}},
		} {
			if err := w.AppendPart(1, "val", part); err != nil {
				return err
			}
		}
		return w.Commit(1, nil)
	})
	out := t.TempDir()
	for _, format := range convert.Formats() {
		if err := convert.Export(context.Background(), run, filepath.Join(out, format.Name), convert.Options{Format: format.Name}); err != nil {
			t.Errorf("%s: %v", format.Name, err)
		}
	}
	file, err := os.Open(filepath.Join(out, "csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows[1:] {
		got = append(got, fmt.Sprint(row))
	}
	slices.Sort(got)
	if want := []string{"[1 val 10 b a 10 0.5]", "[1 val 11 b a 11 0.5]", "[1 val 13 b b 13 0.5]"}; !slices.Equal(got, want) {
		t.Errorf("the rows are %v, want %v", got, want)
	}
	a, err := npy.OpenZip(filepath.Join(out, "npz"), "val_logits")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	values, err := a.Float32()
	if err != nil || fmt.Sprint(a.Shape, values) != "[1 4 2] [10 0.5 11 0.5 NaN NaN 13 0.5]" {
		t.Errorf("the archive has %v of shape %v, %v", values, a.Shape, err)
	}
}
