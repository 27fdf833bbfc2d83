package convert_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/record"
)

// optionsOf takes files and flags as the command line has them, in a folder.
func optionsOf(t *testing.T, folder, line string) (paths []string, o convert.ImportOptions) {
	t.Helper()
	words := strings.Fields(line)
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := 0; i < len(words); i++ {
		if !strings.HasPrefix(words[i], "--") {
			paths = append(paths, filepath.Join(folder, words[i]))
			continue
		}
		flag, value := words[i], words[i+1]
		i++
		switch flag {
		case "--labels":
			o.Labels = filepath.Join(folder, value)
		case "--ids":
			o.IDs = filepath.Join(folder, value)
		case "--classes":
			text, err := os.ReadFile(filepath.Join(folder, value))
			if err != nil {
				t.Fatal(err)
			}
			o.Classes = strings.Fields(string(text))
		case "--split":
			o.Split = value
		case "--first":
			first := number(value)
			o.First = &first
		case "--kind":
			o.Kind = analysis.Scale(value)
		default:
			t.Fatalf("no flag %s", flag)
		}
	}
	return paths, o
}

// What NumPy, pandas, pyarrow, safetensors and datasets wrote is imported, and comes to NumPy's figures.
func TestImportFiles(t *testing.T) {
	const folder = "testdata/imported"
	raw, err := os.ReadFile(folder + "/want.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]map[string]map[int][3]float64 // by case, split and epoch: NLL, accuracy, rows
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) < 20 {
		t.Fatalf("%d cases", len(want))
	}
	for line, splits := range want {
		t.Run(line, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			paths, o := optionsOf(t, folder, line)
			made, err := convert.Import(context.Background(), paths, dir, o)
			if err != nil {
				t.Fatal(err)
			}
			run := opened(t, dir)
			curves, err := analysis.New(run).Curves(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for split, epochs := range splits {
				if len(epochs) != len(curves.Epochs) || len(made.Epochs) != len(epochs) {
					t.Errorf("%d epochs, want %d", len(curves.Epochs), len(epochs))
				}
				for _, e := range curves.Epochs {
					got, figures := e.Splits[split], epochs[e.Epoch]
					if !(math.Abs(float64(got.NLL)-figures[0]) <= 1e-6) || !(math.Abs(float64(got.Accuracy)-figures[1]) <= 1e-12) || got.N != int(figures[2]) {
						t.Errorf("epoch %d: NLL %v, accuracy %v of %d rows, want %v", e.Epoch, got.NLL, got.Accuracy, got.N, figures)
					}
				}
			}
		})
	}
}

// What export writes is read again, to the bit.
func TestImportExported(t *testing.T) {
	for _, head := range kinds {
		for _, name := range []string{"t.parquet", "t.npz", "t.csv", "t.jsonl"} {
			t.Run(string(head)+" "+name, func(t *testing.T) {
				run := newRun(t, head)
				file, dir := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "run")
				if err := convert.Export(context.Background(), run, file, convert.Options{}); err != nil {
					t.Fatal(err)
				}
				o := convert.ImportOptions{Classes: run.Manifest().Classes}
				_, err := convert.Import(context.Background(), []string{file}, dir, o)
				if head == record.HeadSigmoid {
					if err == nil {
						t.Error("samples of several classes were imported as of one")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				again := opened(t, dir)
				for _, split := range run.Manifest().Splits {
					a, err := run.Samples(split.Name)
					if err != nil {
						t.Fatal(err)
					}
					b, err := again.Samples(split.Name)
					if err != nil || !slices.Equal(a.IDs, b.IDs) || !slices.Equal(a.Labels, b.Labels) {
						t.Errorf("samples of %s: %v of labels %v, %v", split.Name, b.IDs, b.Labels, err)
					}
					for _, epoch := range run.Epochs() {
						if x, y := bitsOf(t, run, epoch, split.Name), bitsOf(t, again, epoch, split.Name); !slices.Equal(x, y) {
							t.Errorf("epoch %d of %s: %v, want %v", epoch, split.Name, y, x)
						}
					}
				}
			})
		}
	}
}

// bitsOf are the bits of logits, all NaN as one.
func bitsOf(t *testing.T, run *record.Run, epoch int, split string) []uint32 {
	t.Helper()
	logits, err := run.Logits(epoch, split)
	if err != nil {
		t.Fatal(err)
	}
	defer logits.Close()
	var bits []uint32
	for _, z := range logits.Values {
		if z != z {
			z = float32(math.NaN())
		}
		bits = append(bits, math.Float32bits(z))
	}
	return bits
}

// Each kind of bad input is one error that says what and where, and leaves nothing behind.
func TestImportRefuses(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"twice.csv": "id,label,a,b\n1,0,1.5,2\n1,1,.5,2\n", "headless.csv": "1,2,3\n4,5,6\n", "ragged.csv": "id,label,a,b\n1,0,1.5,2\n2,1,.5\n",
		"word.csv": "id,label,a,b\n1,0,1.5,two\n", "label.csv": "id,label,a,b\n1,c,1,2\n", "number.csv": "id,label,a,b\n1,2,1,2\n",
		"split.csv":      "split,label,a,b\nTrain/..,0,1,2\n",
		"both.csv":       "id,guid,label,a,b\n1,1,0,1,2\n",
		"lacking.jsonl":  `{"id":1,"epoch":1,"label":0,"logits":[1,2]}` + "\n" + `{"id":2,"epoch":1,"label":0,"logits":[1,2]}` + "\n" + `{"id":1,"epoch":2,"label":0,"logits":[1,2]}`,
		"new.jsonl":      `{"id":1,"epoch":1,"label":0,"logits":[1,2]}` + "\n" + `{"id":2,"epoch":2,"label":0,"logits":[1,2]}`,
		"unsorted.jsonl": `{"id":1,"epoch":2,"label":0,"logits":[1,2]}` + "\n" + `{"id":1,"epoch":1,"label":0,"logits":[1,2]}`,
		"widths.jsonl":   `{"id":1,"label":0,"logits":[1,2]}` + "\n" + `{"id":2,"label":0,"logits":[1,2,3]}`,
		"none.jsonl":     `{"id":1,"label":0}`, "cut.jsonl": `{"id":1,"label":0,"logits":[1,2]}` + "\n" + `{"id":2,"la`, "empty.jsonl": "",
		"mixed.jsonl": `{"id":1,"label":0,"logits":[1,2]}` + "\n" + `{"id":"b","label":0,"logits":[1,2]}`,
		"probs.jsonl": `{"id":1,"label":0,"logits":[0.25,0.75]}`,
		"z.pkl":       "x", "z.xyz": "x", "z.npy": "x", "z.parquet": "PAR1", "z.arrow": "ARROW1", "y.txt": "0\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"twice.csv": "line 3: sample 1 of split val is there twice", "headless.csv": "its first row is numbers", "ragged.csv": "line 3",
		"word.csv": `line 2: column b: "two" is not a number`, "label.csv": `the label "c", which is no class: they are a, b`, "number.csv": `the label "2"`,
		"split.csv": `a split called "Train/.."`, "both.csv": "columns id and guid both tell the same",
		"lacking.jsonl": "sample 2 is not there",
		"new.jsonl":     "a sample 2 that its first epoch has not", "unsorted.jsonl": "sort the rows by epoch", "widths.jsonl": "3 logits, where the rows before have 2",
		"none.jsonl": "line 1: it has no list called logits", "cut.jsonl": "line 2: it is no JSON object", "empty.jsonl": "it has no rows",
		"mixed.jsonl": "numbers in some rows and text in others", "probs.jsonl": "say --kind probs", "probs.jsonl --kind logprobs": "not of kind logprobs",
		"z.pkl": "a pickle can run code", "z.xyz": "tells no form", "z.npy": "no .npy array",
		"z.parquet": "z.parquet", "z.arrow": "z.arrow", "absent.npy": "no such file", ".": "no dataset that save_to_disk wrote",
		"probs.jsonl --kind logits --labels y.txt": "leave --labels out", "{epoch}.jsonl": "no file is called so", "{epoch}{epoch}.jsonl": "twice",
		"word.csv label.csv":          "give one pattern",
		"none.jsonl --ids absent.npy": "absent.npy",
	} {
		t.Run(line, func(t *testing.T) {
			out := t.TempDir()
			paths, o := optionsOf(t, folder, line)
			_, err := convert.Import(context.Background(), paths, filepath.Join(out, "run"), o)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line that says %q", err, want)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
	// A run that is there stays.
	dir := writeRun(t, record.HeadSoftmax)
	if _, err := convert.Import(context.Background(), []string{filepath.Join(folder, "probs.jsonl")}, dir, convert.ImportOptions{Kind: analysis.Probs}); err == nil {
		t.Error("a run was written over another")
	}
	if report, err := record.Check(t.Context(), dir); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

// An import that is stopped leaves nothing.
func TestImportStopped(t *testing.T) {
	out := t.TempDir()
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stopped")
	files := 0
	_, err := convert.Import(ctx, []string{"testdata/imported/history/{epoch}_{split}.npz"}, filepath.Join(out, "run"), convert.ImportOptions{Progress: func(int, int) {
		if files++; files == 4 { // the last of the second reading
			cancel(stop)
		}
	}})
	alone := err // the error says nothing beside that it was stopped: none is joined to it, which would hide it from who asks
	for alone != nil && alone != stop {
		alone = errors.Unwrap(alone)
	}
	if alone == nil {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(out); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// FuzzImport reads bytes as each form: no panic, and a run that is made is whole.
func FuzzImport(f *testing.F) {
	ends := []string{".npy", ".npz", ".safetensors", ".parquet", ".arrow", ".csv", ".jsonl"}
	for i, name := range []string{"f4.npy", "whole.npz", "half.safetensors", "lists.parquet", "stream.arrows", "table.csv", "lines.jsonl"} {
		raw, err := os.ReadFile("testdata/imported/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
	}
	f.Fuzz(func(t *testing.T, end uint8, raw []byte) {
		folder := t.TempDir()
		file, dir := filepath.Join(folder, "x"+ends[int(end)%len(ends)]), filepath.Join(folder, "run")
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		made, err := convert.Import(context.Background(), []string{file}, dir, convert.ImportOptions{Kind: analysis.Logits})
		if err != nil {
			return
		}
		if report, err := record.Check(t.Context(), dir); err != nil || !report.OK() || report.Epochs != len(made.Epochs) {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// What a file begins with tells its form whatever it is called; an ending tells in any case.
func TestFormsByContentThenName(t *testing.T) {
	const folder = "testdata/imported"
	for file, names := range map[string][]string{
		"f4.npy": {"z.NPY", "z.csv", "z.bin", "z"}, "half.safetensors": {"z.SafeTensors", "z.dat", "z.npz"},
	} {
		raw, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			report, err := convert.Import(t.Context(), []string{path}, filepath.Join(t.TempDir(), "run"), convert.ImportOptions{})
			if err != nil {
				t.Errorf("%s called %s: %v (%+v)", file, name, err, report)
			}
		}
	}
}

// FuzzDataset reads the JSON files of a folder as Hugging Face's datasets write it: no panic, and nothing outside of the folder is read.
func FuzzDataset(f *testing.F) {
	arrow, err := os.ReadFile("testdata/imported/stream.arrows")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"splits": ["train", "validation"]}`), []byte(`{"_data_files": [{"filename": "data.arrow"}]}`), []byte(`{"features": {"label": {"names": ["a", "b"]}}}`))
	f.Add([]byte(`{"splits": ["../x"]}`), []byte(`{"_data_files": [{"filename": "../../x.arrow"}]}`), []byte(`{}`))
	f.Add([]byte(``), []byte(`{"_data_files": [{"filename": "data.arrow"}, {"filename": "data.arrow"}]}`), []byte(`{"features": {"label": {}}}`))
	f.Fuzz(func(t *testing.T, dict, state, info []byte) {
		folder := t.TempDir()
		dir := filepath.Join(folder, "run")
		for name, raw := range map[string][]byte{
			"set/dataset_dict.json": dict, "set/state.json": state, "set/dataset_info.json": info, "set/data.arrow": arrow,
			"set/train/state.json": state, "set/train/dataset_info.json": info, "set/train/data.arrow": arrow,
		} {
			path := filepath.Join(folder, name)
			if len(raw) == 0 {
				continue
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		made, err := convert.Import(context.Background(), []string{filepath.Join(folder, "set")}, dir, convert.ImportOptions{Kind: analysis.Logits})
		if err != nil {
			return
		}
		if report, err := record.Check(t.Context(), dir); err != nil || !report.OK() || report.Epochs != len(made.Epochs) {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// FuzzBeside reads labels and ids in files of their own beside logits of three rows.
func FuzzBeside(f *testing.F) {
	for _, text := range []string{"0\n1\n2\n", "label\na\nb\nc\n", "\ufeff0\r\n1\r\n1", "0\n\n1\n", "-1\n-100\n99999999999999999999\n"} {
		f.Add(uint8(0), []byte(text))
	}
	raw, err := os.ReadFile("testdata/imported/y.npy")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(1), raw)
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		folder := t.TempDir()
		beside, logits, dir := filepath.Join(folder, "y"+[]string{".txt", ".npy"}[kind%2]), filepath.Join(folder, "z.csv"), filepath.Join(folder, "run")
		if err := os.WriteFile(beside, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(logits, []byte("a,b,c\n1,2,3\n3,1,2\n-4,0,9\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := convert.ImportOptions{Labels: beside}
		if kind&2 != 0 {
			o = convert.ImportOptions{IDs: beside}
		}
		if _, err := convert.Import(context.Background(), []string{logits}, dir, o); err != nil {
			return
		}
		if report, err := record.Check(t.Context(), dir); err != nil || !report.OK() || report.Epochs != 1 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// opened opens an imported run, which must be whole and leave nothing to note.
func opened(t *testing.T, dir string) *record.Run {
	t.Helper()
	if report, err := record.Check(t.Context(), dir); err != nil || !report.OK() || len(report.Notes) > 0 {
		t.Fatalf("the run is not whole: %+v, %v", report, err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run
}
