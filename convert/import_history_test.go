package convert_test

import (
	"archive/zip"
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/record"
)

// imported imports files of a folder, given by name and text, and opens the run.
func imported(t *testing.T, files map[string]string, pattern string, o convert.ImportOptions) (*record.Run, *convert.Imported) {
	t.Helper()
	folder, dir := t.TempDir(), filepath.Join(t.TempDir(), "run")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := convert.Import(context.Background(), []string{filepath.Join(folder, pattern)}, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	run := opened(t, dir)
	return run, made
}

// nll is −log softmax of two logits.
func nll(z, other float64) float64 { return math.Log1p(math.Exp(other - z)) }

// Epochs may lack a split, as where validation is seen every other epoch; what is there is read as it is, and what is not is said.
func TestImportLackingSplits(t *testing.T) {
	files := map[string]string{}
	for epoch := 1; epoch <= 4; epoch++ {
		files[fmt.Sprintf("%d_train.csv", epoch)] = fmt.Sprintf("id,label,a,b\n2,b,1,%d\n1,a,%d,1.5\n", epoch, epoch)
		if epoch%2 == 0 {
			files[fmt.Sprintf("%d_val.csv", epoch)] = fmt.Sprintf("id,label,a,b\n9,a,%d.5,1\n", epoch)
		}
	}
	files["3_train.csv"] = "id,label,a,b\n1,a,3,1.5\n2,b,1,3\n" // in another order
	run, made := imported(t, files, "{epoch}_{split}.csv", convert.ImportOptions{})
	if !slices.Equal(made.Epochs, []int{1, 2, 3, 4}) || len(made.Notes) != 1 || made.Notes[0] != "split val has no rows at 2 of 4 epochs: 1, 3" {
		t.Errorf("%+v", made)
	}
	curves, err := analysis.New(run).Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range curves.Epochs {
		z := float64(e.Epoch)
		if got, want := float64(e.Splits["train"].NLL), (nll(z, 1)+nll(z, 1.5))/2; !(math.Abs(got-want) <= 1e-6) {
			t.Errorf("epoch %d: training NLL %v, want %v", e.Epoch, got, want)
		}
		switch val := e.Splits["val"]; {
		case e.Epoch%2 == 0 && !(math.Abs(float64(val.NLL)-nll(z+.5, 1)) <= 1e-6):
			t.Errorf("epoch %d: validation NLL %v, want %v", e.Epoch, val.NLL, nll(z+.5, 1))
		case e.Epoch%2 == 1 && val.N != 0:
			t.Errorf("epoch %d: validation has %d rows", e.Epoch, val.N)
		}
	}
}

// Labels that change from epoch to epoch stay with their epoch; a split whose first epoch has none takes those that come.
func TestImportChangedLabels(t *testing.T) {
	line := func(epoch, id int, label string) string {
		return fmt.Sprintf(`{"id":%d,"epoch":%d,"label":%s,"logits":[2,1]}`+"\n", id, epoch, label)
	}
	run, made := imported(t, map[string]string{
		"z.jsonl": line(1, 5, "0") + line(1, 6, "1") + line(2, 6, "1") + line(2, 5, "1") + line(3, 5, "0") + line(3, 6, "null"),
	}, "z.jsonl", convert.ImportOptions{})
	if len(made.Notes) != 1 || !strings.Contains(made.Notes[0], "at epochs 2, 3 are not those of its first") {
		t.Errorf("notes %q", made.Notes)
	}
	curves, err := analysis.New(run).Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := nll(2, 1), nll(1, 2)
	for i, want := range []float64{(right + wrong) / 2, wrong, right} {
		if got := curves.Epochs[i].Splits["val"]; !(math.Abs(float64(got.NLL)-want) <= 1e-6) {
			t.Errorf("epoch %d: NLL %v of %d, want %v", i+1, got.NLL, got.N, want)
		}
	}
	run, made = imported(t, map[string]string{"z.jsonl": line(1, 5, "null") + line(1, 6, "null") + line(2, 5, "0") + line(2, 6, "1")}, "z.jsonl", convert.ImportOptions{})
	samples, err := run.Samples("val")
	if err != nil || !slices.Equal(samples.Labels, []int32{0, 1}) || len(made.Notes) > 0 || run.Manifest().FormatVersion > 1 {
		t.Errorf("labels %v, %v; notes %q", samples.Labels, err, made.Notes)
	}
}

// One rule numbers what names no epoch: 1, by the command and by the package.
func TestImportNumbersFromOne(t *testing.T) {
	_, made := imported(t, map[string]string{"z.csv": "label,a,b\na,1.5,2\n"}, "z.csv", convert.ImportOptions{})
	if !slices.Equal(made.Epochs, []int{1}) {
		t.Errorf("epochs %v", made.Epochs)
	}
}

// Pictures beside the logits are the samples' previews, as bytes or as fractions.
func TestImportPreviews(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "z.npz")
	archive := func(shape []int, pictures any) {
		t.Helper()
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z := zip.NewWriter(f)
		add := func(name string, write func(name string) error) {
			if err := write(name + ".npy"); err != nil {
				t.Fatal(err)
			}
		}
		add("logits", func(name string) error {
			w, err := z.Create(name)
			if err == nil {
				err = npy.Write(w, []float32{2, 1, 1, 2}, 2, 2)
			}
			return err
		})
		add("previews", func(name string) error {
			w, err := z.Create(name)
			if err != nil {
				return err
			}
			switch p := pictures.(type) {
			case []uint8:
				return npy.Write(w, p, shape...)
			case []float32:
				return npy.Write(w, p, shape...)
			}
			return nil
		})
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		shape    []int
		pictures any
		want     []byte
		says     string
	}{
		{[]int{2, 1, 3}, []uint8{0, 1, 255, 7, 8, 9}, []byte{0, 1, 255, 7, 8, 9}, ""},
		{[]int{2, 1, 1, 3}, []float32{0, 1, .5, .25, 0, 0}, []byte{0, 255, 128, 64, 0, 0}, ""},
		{[]int{2, 3}, []uint8{0, 1, 255, 7, 8, 9}, nil, "want pictures"},
		{[]int{3, 1, 2}, []uint8{0, 1, 255, 7, 8, 9}, nil, "want pictures"},
		{[]int{2, 1, 3}, []float32{0, 1, .5, .25, 0, 7}, nil, "the preview of row 1 has the value 7"},
	} {
		archive(c.shape, c.pictures)
		dir := filepath.Join(t.TempDir(), "run")
		_, err := convert.Import(context.Background(), []string{file}, dir, convert.ImportOptions{})
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: error %v, want one that says %q", c.shape, err, c.says)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		run := opened(t, dir)
		samples, err := run.Samples("val")
		if p := run.Manifest().Preview; err != nil || !slices.Equal(samples.Previews, c.want) || p.Height != 1 || p.Width*p.Channels != 3 || p.Max != 255 {
			t.Errorf("%v: previews %v laid out as %+v, %v", c.shape, samples.Previews, p, err)
		}
	}
}

// Files whose logits stand in different orders are never mixed: what reads the first and takes its names for all is wrong in silence.
func TestImportOrderOfClasses(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"1.csv": "label,cat,dog\ncat,2,1\n", "2.csv": "label,dog,cat\ncat,1,2\n", "one/1.csv": "label,cat,dog\ncat,2,1\n", "one/2.csv": "label,cat,cow\ncat,1,2\n",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		path    string
		classes []string
		says    string
	}{
		{"{epoch}.csv", nil, "2.csv: its logits are of dog, cat, in this order"},
		{"1.csv", []string{"dog", "cat"}, "1.csv: its logits are of cat, dog, in this order"},
		{"one/{epoch}.csv", nil, "2.csv: its logits are of cat, cow, and those of the first file of cat, dog"},
		{"1.csv", []string{"cat", "dog"}, ""},
	} {
		_, err := convert.Import(context.Background(), []string{filepath.Join(folder, c.path)}, filepath.Join(t.TempDir(), "run"), convert.ImportOptions{Classes: c.classes})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: error %v, want %q", c.path, err, c.says)
		}
	}
}

// What people's files have that other programs stumble over: marks of byte order, carriage returns, further members, empty lines.
func TestImportAsWritten(t *testing.T) {
	want := []uint32{math.Float32bits(1.5), math.Float32bits(2), math.Float32bits(-3), math.Float32bits(4)}
	for name, text := range map[string]string{
		"bom.csv": "\ufefflabel,a,b\na,1.5,2\nb,-3,4\n", "crlf.csv": "label,a,b\r\na,1.5,2\r\nb,-3,4\r\n", "end.csv": "label,a,b\na,1.5,2\nb,-3,4",
		"tabs.tsv": "label\ta\tb\na\t1.5\t2\nb\t-3\t4\n", "semicolons.csv": "label;a;b\na;1.5;2\nb;-3;4\n", "quoted.csv": "\"label\",\"a\",\"b\"\n\"a\",\"1.5\",2\nb,-3,4\n",
		"bom.jsonl":   "\ufeff" + `{"label":0,"logits":[1.5,2]}` + "\n" + `{"label":1,"logits":[-3,4]}`,
		"lines.jsonl": `{"label":0,"logits":[1.5,2]}` + "\r\n\r\n" + `{"label":1,"logits":[-3,4],"note":{"deep":[1]}}` + "\n\n",
	} {
		run, _ := imported(t, map[string]string{name: text}, name, convert.ImportOptions{})
		samples, err := run.Samples("val")
		if got := bitsOf(t, run, 1, "val"); err != nil || !slices.Equal(got, want) || !slices.Equal(samples.Labels, []int32{0, 1}) {
			t.Errorf("%s: logits %v, labels %v, %v", name, got, samples.Labels, err)
		}
	}
	folder := t.TempDir()
	for name, c := range map[string][2]string{
		"utf16.csv":   {"\xff\xfel\x00a\x00b\x00e\x00l\x00,\x00a\x00\n\x00", "UTF-16"},
		"utf16.jsonl": {"\xff\xfe{\x00", "UTF-16"},
		"mac.csv":     {"label,a,b\ra,1.5,2\rb,-3,4\r", "line"},
		"list.json":   {`[{"label":0,"logits":[1.5,2]}]`, "jq"},
		"comma.csv":   {"label;a;b\na;1,5;2\n", `"1,5" is not a number`},
		"list.jsonl":  {`[{"label":0,"logits":[1.5,2]}]`, "it is no JSON object"},
		"twice.csv":   {"label,a,a\na,1.5,2\n", "two classes are called so"},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(c[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := convert.Import(context.Background(), []string{filepath.Join(folder, name)}, filepath.Join(t.TempDir(), "run"), convert.ImportOptions{})
		if err == nil || !strings.Contains(err.Error(), c[1]) || strings.ContainsAny(err.Error(), "\r\n\x00") {
			t.Errorf("%s: error %q, want one line that says %q", name, err, c[1])
		}
	}
}

// That an epoch is short shows when the next is read, or when all files are: the error names the file of the epoch either way.
func TestImportNamesShortFile(t *testing.T) {
	whole, short := "id,label,a,b\n1,a,2,1\n2,b,1,2\n", "id,label,a,b\n1,a,2,1\n"
	for _, epoch := range []int{2, 3} {
		folder := t.TempDir()
		for e := 1; e <= 3; e++ {
			text := whole
			if e == epoch {
				text = short
			}
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.csv", e)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := convert.Import(t.Context(), []string{filepath.Join(folder, "{epoch}.csv")}, filepath.Join(t.TempDir(), "run"), convert.ImportOptions{})
		want := fmt.Sprintf("%s: split val has 1 of its 2 samples at epoch %d: sample 2 is not there, and every epoch must have the same", filepath.Join(folder, fmt.Sprintf("%d.csv", epoch)), epoch)
		if err == nil || err.Error() != want {
			t.Errorf("epoch %d is short: %v\nwant %s", epoch, err, want)
		}
	}
}

// An array of several epochs is not of the one that its file is called by; of one epoch it is.
func TestImportEpochsWithinEpochs(t *testing.T) {
	for _, c := range []struct {
		shape []int
		says  string
	}{
		{[]int{1, 4, 2}, ""},
		{[]int{2, 2, 2}, "2.npy: its logits are of 2 epochs, [E,N,K], and its name says epoch 2"},
	} {
		folder, dir := t.TempDir(), filepath.Join(t.TempDir(), "run")
		for e, shape := range map[int][]int{1: {4, 2}, 2: c.shape} {
			f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%d.npy", e)))
			if err != nil {
				t.Fatal(err)
			}
			if err := cmp.Or(npy.Write(f, []float32{1, 2, 3, 4, 5, 6, 7, float32(e)}, shape...), f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := convert.Import(t.Context(), []string{filepath.Join(folder, "{epoch}.npy")}, dir, convert.ImportOptions{})
		switch {
		case c.says != "":
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("shape %v: error %v, want %q", c.shape, err, c.says)
			}
		case err != nil:
			t.Error(err)
		case len(got.Epochs) != 2 || got.Splits[0].N != 4:
			t.Errorf("shape %v: epochs %v of %d samples, want 2 of 4", c.shape, got.Epochs, got.Splits[0].N)
		}
	}
}
