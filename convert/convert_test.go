package convert_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// kinds of runs, each of two splits and epochs 2 and 5.
var kinds = []logit.Head{record.HeadSoftmax, record.HeadBinary, record.HeadSigmoid}

var classes = []string{"a, \"b\"", "β", "c"}

// logitOf is what sample i of a split has for class j at an epoch: a number that no other has, now and then one that is not finite.
func logitOf(split string, epoch, i, j int) float32 {
	switch {
	case split == "val" && i == 1 && j == 0:
		return float32(math.Inf(-1))
	case split == "val" && i == 2 && epoch == 5:
		return float32(math.NaN())
	}
	return float32(len(split)*1000+epoch*100+i*10+j) / 7
}

func newRun(t testing.TB, head logit.Head) *record.Run {
	t.Helper()
	run, err := record.Open(writeRun(t, head))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run
}

func writeRun(t testing.TB, head logit.Head) (dir string) {
	t.Helper()
	names, columns := classes, 3
	if head == record.HeadBinary {
		names, columns = classes[:2], 1
	}
	samples := map[string]record.Samples{}
	for name, n := range map[string]int{"train": 5, "val": 3} {
		s := record.Samples{}
		for i := range n {
			s.IDs = append(s.IDs, int64(100*i+len(name)))
			label := int32(i % len(names))
			if i == n-1 {
				label = record.Ignored
			}
			if head == record.HeadSigmoid {
				for j := range columns {
					s.Targets = append(s.Targets, uint8((i+j)%2))
				}
				label = record.Ignored
			} else {
				s.CleanLabels = append(s.CleanLabels, int32((i+1)%len(names)))
			}
			s.Labels = append(s.Labels, label)
		}
		samples[name] = s
	}
	dir = filepath.Join(t.TempDir(), "run")
	w, err := record.Create(dir, record.Manifest{Classes: names, Head: head, Columns: columns, PlannedEpochs: 5}, samples)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []int{2, 5} {
		rows := map[string][]float32{}
		for name, s := range samples {
			for i := range s.IDs {
				for j := range columns {
					rows[name] = append(rows[name], logitOf(name, epoch, i, j))
				}
			}
		}
		if err := w.WriteEpoch(epoch, rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	return dir
}

// row is one sample at one epoch as a test reads it back.
type row struct {
	epoch  int
	split  string
	id     int64
	label  string // names with | between them
	logits []float32
}

// wanted are the rows of a run in their order.
func wanted(t testing.TB, run *record.Run) []row {
	t.Helper()
	var rows []row
	m := run.Manifest()
	for _, epoch := range run.Epochs() {
		for _, info := range m.Splits {
			s, err := run.Samples(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			for i, id := range s.IDs {
				r := row{epoch: epoch, split: info.Name, id: id}
				if s.Targets != nil {
					var names []string
					for j := range m.Columns {
						if s.Targets[i*m.Columns+j] == 1 {
							names = append(names, m.Classes[j])
						}
					}
					r.label = strings.Join(names, "|")
				} else if s.Labels[i] >= 0 {
					r.label = m.Classes[s.Labels[i]]
				}
				for j := range m.Columns {
					r.logits = append(r.logits, logitOf(info.Name, epoch, i, j))
				}
				rows = append(rows, r)
			}
		}
	}
	return rows
}

func same(t *testing.T, got, want []row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		equal := g.epoch == w.epoch && g.split == w.split && g.id == w.id && g.label == w.label && len(g.logits) == len(w.logits)
		for j := range w.logits {
			equal = equal && math.Float32bits(g.logits[j]) == math.Float32bits(w.logits[j])
		}
		if !equal {
			t.Fatalf("row %d is %v, want %v", i, g, w)
		}
	}
}

func export(t testing.TB, run *record.Run, name string, o convert.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := convert.Export(context.Background(), run, path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCSV(t *testing.T) {
	for _, head := range kinds {
		t.Run(string(head), func(t *testing.T) {
			run := newRun(t, head)
			f, err := os.Open(export(t, run, "t.CSV", convert.Options{}))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			table, err := csv.NewReader(f).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			first := slices.Index(table[0], "logit:"+classes[0])
			if head == record.HeadBinary {
				first = slices.Index(table[0], "logit:"+classes[1])
			}
			if first < 4 {
				t.Fatalf("header %q", table[0])
			}
			if clean := table[0][4] == "clean_label"; clean != (head != record.HeadSigmoid) {
				t.Errorf("header %q", table[0])
			}
			var rows []row
			for _, cells := range table[1:] {
				r := row{split: cells[1], label: cells[3]}
				r.epoch, _ = strconv.Atoi(cells[0])
				r.id, _ = strconv.ParseInt(cells[2], 10, 64)
				for _, cell := range cells[first:] {
					v, err := strconv.ParseFloat(cell, 32)
					if err != nil {
						t.Fatal(err)
					}
					r.logits = append(r.logits, float32(v))
				}
				rows = append(rows, r)
			}
			same(t, rows, wanted(t, run))
		})
	}
}

func TestJSONLines(t *testing.T) {
	for _, head := range kinds {
		t.Run(string(head), func(t *testing.T) {
			run := newRun(t, head)
			text, err := os.ReadFile(export(t, run, "t.jsonl", convert.Options{}))
			if err != nil {
				t.Fatal(err)
			}
			var rows []row
			for line := range bytes.Lines(text) {
				var read struct {
					Epoch  int
					Split  string
					ID     int64
					Label  string
					Labels []string
					Logits []any
				}
				if err := json.Unmarshal(line, &read); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				r := row{epoch: read.Epoch, split: read.Split, id: read.ID, label: read.Label + strings.Join(read.Labels, "|")}
				for _, v := range read.Logits {
					number, err := strconv.ParseFloat(fmt.Sprint(v), 32)
					if err != nil {
						t.Fatal(err)
					}
					r.logits = append(r.logits, float32(number))
				}
				rows = append(rows, r)
			}
			same(t, rows, wanted(t, run))
		})
	}
}

func TestNPZ(t *testing.T) {
	for _, head := range kinds {
		t.Run(string(head), func(t *testing.T) {
			run := newRun(t, head)
			path := export(t, run, "t.npz", convert.Options{})
			integers := func(name string) []int64 {
				a, err := npy.Open(path + ":" + name)
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
				values, err := a.Int64()
				if err != nil {
					t.Fatal(err)
				}
				return slices.Clone(values)
			}
			m := run.Manifest()
			var rows []row
			for e, epoch := range integers("epochs") {
				for _, info := range m.Splits {
					a, err := npy.Open(path + ":" + info.Name + "_logits")
					if err != nil {
						t.Fatal(err)
					}
					if want := []int{2, info.N, m.Columns}; !slices.Equal(a.Shape, want) {
						t.Fatalf("shape %v, want %v", a.Shape, want)
					}
					values, err := a.Float32()
					if err != nil {
						t.Fatal(err)
					}
					for i, id := range integers(info.Name + "_ids") {
						r := row{epoch: int(epoch), split: info.Name, id: id}
						if head == record.HeadSigmoid {
							var names []string
							for j, has := range integers(info.Name + "_targets")[i*m.Columns : (i+1)*m.Columns] {
								if has == 1 {
									names = append(names, m.Classes[j])
								}
							}
							r.label = strings.Join(names, "|")
						} else if label := integers(info.Name + "_labels")[i]; label >= 0 {
							r.label = m.Classes[label]
						}
						at := (e*info.N + i) * m.Columns
						r.logits = append(r.logits, values[at:at+m.Columns]...)
						rows = append(rows, r)
					}
					a.Close()
				}
			}
			same(t, rows, wanted(t, run))
			archive, err := zip.OpenReader(path)
			if err != nil {
				t.Fatal(err)
			}
			defer archive.Close()
			for _, member := range archive.File {
				if member.Method != zip.Store {
					t.Errorf("%s is packed: it cannot be mapped", member.Name)
				}
			}
		})
	}
}

func TestParquet(t *testing.T) {
	for _, head := range kinds {
		t.Run(string(head), func(t *testing.T) {
			run := newRun(t, head)
			path := export(t, run, "t.parquet", convert.Options{})
			r, err := file.OpenParquetFile(path, false)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var rows []row
			k := run.Manifest().Columns
			for g := range r.NumRowGroups() {
				group := r.RowGroup(g)
				n := group.NumRows()
				part := make([]row, n)
				for c := range r.MetaData().Schema.NumColumns() {
					column, err := group.Column(c)
					if err != nil {
						t.Fatal(err)
					}
					path := r.MetaData().Schema.Column(c).Path()
					switch reader := column.(type) {
					case *file.Int32ColumnChunkReader:
						values := make([]int32, int(n)*k)
						definitions, repetitions := make([]int16, len(values)), make([]int16, len(values))
						total, read, err := reader.ReadBatch(int64(len(values)), values, definitions, repetitions)
						if err != nil || path == "epoch" && (total != n || read != int(n)) {
							t.Fatal(total, read, err)
						}
						for i := range part {
							if path == "epoch" {
								part[i].epoch = int(values[i])
							}
						}
					case *file.Int64ColumnChunkReader:
						values := make([]int64, n)
						if _, _, err := reader.ReadBatch(n, values, nil, nil); err != nil {
							t.Fatal(err)
						}
						for i, v := range values {
							part[i].id = v
						}
					case *file.Float32ColumnChunkReader:
						values := make([]float32, int(n)*k)
						definitions, repetitions := make([]int16, len(values)), make([]int16, len(values))
						if _, _, err := reader.ReadBatch(int64(len(values)), values, definitions, repetitions); err != nil {
							t.Fatal(err)
						}
						at := -1
						for i, v := range values {
							if repetitions[i] == 0 {
								at++
							}
							part[at].logits = append(part[at].logits, v)
						}
					}
				}
				rows = append(rows, part...)
			}
			want := wanted(t, run)
			for i := range want {
				want[i].split, want[i].label = "", ""
			}
			same(t, rows, want)
		})
	}
}

func TestCartography(t *testing.T) {
	run := newRun(t, record.HeadSoftmax)
	dir := export(t, run, "dynamics", convert.Options{Format: "cartography", Splits: []string{"train"}})
	for number, epoch := range []int{2, 5} {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("dynamics_epoch_%d.jsonl", number)))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if len(lines) != 4 { // of five, one has no label
			t.Fatalf("%d lines", len(lines))
		}
		var read map[string]any
		if err := json.Unmarshal([]byte(lines[3]), &read); err != nil {
			t.Fatal(err)
		}
		z := read[fmt.Sprintf("logits_epoch_%d", number)].([]any)
		if read["guid"] != 305.0 || read["gold"] != 0.0 || float32(z[2].(float64)) != logitOf("train", epoch, 3, 2) {
			t.Errorf("epoch %d: %s", epoch, lines[3])
		}
	}
	if err := convert.Export(t.Context(), run, filepath.Join(t.TempDir(), "d"), convert.Options{Format: "cartography"}); err == nil || !strings.Contains(err.Error(), "name with --splits one of train, val") {
		t.Errorf("of two splits: %v", err)
	}
	if err := convert.Export(t.Context(), newRun(t, record.HeadSigmoid), filepath.Join(t.TempDir(), "d"), convert.Options{Format: "cartography", Splits: []string{"val"}}); err == nil {
		t.Error("several labels a sample have one gold label")
	}
}

// Each event's length and bytes have the masked CRC-32C that TensorBoard checks; tools/oracle/exported.py reads them by TensorBoard itself.
func TestTensorBoard(t *testing.T) {
	run := newRun(t, record.HeadSoftmax)
	dir := export(t, run, "board", convert.Options{Format: "tensorboard"})
	curves, err := analysis.New(run).Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range []string{"train", "val"} {
		found, err := filepath.Glob(filepath.Join(dir, split, "events.out.tfevents.*"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		events := 0
		f, err := os.Open(found[0])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		in := bufio.NewReader(f)
		var head [12]byte
		for {
			if _, err := io.ReadFull(in, head[:]); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			size := binary.LittleEndian.Uint64(head[:8])
			body := make([]byte, size+4)
			if _, err := io.ReadFull(in, body); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				data []byte
				crc  uint32
			}{{head[:8], binary.LittleEndian.Uint32(head[8:])}, {body[:size], binary.LittleEndian.Uint32(body[size:])}} {
				crc := crc32.Checksum(c.data, crc32.MakeTable(crc32.Castagnoli))
				if want := (crc>>15 | crc<<17) + 0xa282ead8; c.crc != want {
					t.Fatalf("checksum %08x, want %08x", c.crc, want)
				}
			}
			if events == 1 {
				scalar := binary.LittleEndian.AppendUint32([]byte{0x15}, math.Float32bits(float32(curves.Epochs[0].Splits[split].NLL)))
				if !bytes.Contains(body, append([]byte("\x0a\x03nll"), scalar...)) {
					t.Errorf("%s: the NLL of the first epoch is not in %x", split, body)
				}
			}
			events++
		}
		if want := 1 + 2*(2+4); events != want {
			t.Errorf("%s: %d events, want %d", split, events, want)
		}
	}
}

func TestSelection(t *testing.T) {
	run := newRun(t, record.HeadSoftmax)
	text, err := os.ReadFile(export(t, run, "t.csv", convert.Options{Epochs: []int{5}, Splits: []string{"val"}}))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines != 1+3 {
		t.Errorf("%d lines", lines)
	}
	for want, o := range map[string]convert.Options{
		"no recorded epoch 3":  {Epochs: []int{3}},
		"asked for twice":      {Epochs: []int{5, 5}},
		`no split "test"`:      {Splits: []string{"test"}},
		"unknown format":       {Format: "xlsx"},
		"context canceled":     {},
		"split val is asked ":  {Splits: []string{"val", "val"}},
		"tells no format":      {Format: ""},
		"there already: give ": {Format: "tensorboard"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		path := filepath.Join(t.TempDir(), "t.csv")
		switch {
		case want == "context canceled":
			cancel()
		case want == "tells no format":
			path = filepath.Join(t.TempDir(), "t.xlsx")
		case o.Format == "tensorboard":
			path = t.TempDir()
		}
		if err := convert.Export(ctx, run, path, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*t.csv*")); len(left) > 0 {
			t.Errorf("%s: left %s", want, left)
		}
		cancel()
	}
}

// endsWhenAsked is a context that ends at the questions behind so many.
type endsWhenAsked struct {
	context.Context
	asked, most int
}

func (c *endsWhenAsked) Err() error {
	if c.asked++; c.asked > c.most {
		return context.Canceled
	}
	return nil
}

// An export asks its context again and again while an epoch is written, not only while it is read, and leaves nothing where it is stopped.
func TestExportStopped(t *testing.T) {
	const n = 100_000
	samples, z := record.Samples{Labels: make([]int32, n)}, make([]float32, 3*n)
	for i := range n {
		samples.IDs = append(samples.IDs, int64(i))
		z[3*i] = float32(i)
	}
	run, _ := runtest.Epochs(t, record.Manifest{Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3}, samples, map[int][]float32{1: z})
	reading := &endsWhenAsked{t.Context(), 0, math.MaxInt}
	rows, err := run.Rows(reading, 1, "train")
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	for _, name := range []string{"csv", "jsonl", "npz", "parquet", "cartography"} {
		ctx := &endsWhenAsked{t.Context(), 0, math.MaxInt}
		if err := convert.Export(ctx, run, filepath.Join(t.TempDir(), "whole"), convert.Options{Format: name}); err != nil {
			t.Fatal(err)
		}
		if ctx.asked < reading.asked+5 {
			t.Errorf("%s: the context is asked %d times, and reading alone asks it %d times", name, ctx.asked, reading.asked)
		}
		out := t.TempDir()
		if err := convert.Export(&endsWhenAsked{t.Context(), 0, ctx.asked - 1}, run, filepath.Join(out, "part"), convert.Options{Format: name}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// A damaged epoch, and one that is gone, is an error, and what was there before stays.
func TestDamage(t *testing.T) {
	for _, damage := range []string{"flipped", "gone"} {
		for _, f := range convert.Formats() {
			dir := writeRun(t, record.HeadSoftmax)
			epoch := filepath.Join(dir, "epochs", "000002")
			if damage == "gone" {
				if err := os.RemoveAll(epoch); err != nil {
					t.Fatal(err)
				}
			} else {
				path := filepath.Join(epoch, "train.arrow")
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				data[len(data)/2] ^= 1
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			damaged, err := record.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "out")
			if !f.Folder {
				if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err = convert.Export(t.Context(), damaged, path, convert.Options{Format: f.Name, Splits: []string{"train"}})
			if err == nil || !strings.Contains(err.Error(), "epoch") {
				t.Errorf("%s, %s: %v", f.Name, damage, err)
			}
			if text, _ := os.ReadFile(path); !f.Folder && string(text) != "before" {
				t.Errorf("%s, %s: what was there is %q", f.Name, damage, text)
			}
			if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 1 || f.Folder && len(left) > 0 {
				t.Errorf("%s, %s: left %v", f.Name, damage, left)
			}
			damaged.Close()
		}
	}
}
