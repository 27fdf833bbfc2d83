package record

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// Whatever stands in a manifest, opening the run ends in a run that is valid or in an error.
func FuzzManifest(f *testing.F) {
	disk, root := smallDisk(f)
	file, err := disk.root.walk("run/" + manifestFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file.data[:len(file.data)-sealSize])
	f.Add([]byte("{"))
	f.Add([]byte(`{"format_version":1,"name":"a","classes":["b"],"head":"softmax","columns":1,"splits":[{"name":"val","n":0}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		file.data = sealed(body)
		r, err := open(root, "run")
		if err != nil {
			return
		}
		if err := r.Manifest().validate(); err != nil {
			t.Errorf("opened, but %v", err)
		}
		for _, split := range r.Manifest().Splits {
			if s, err := r.Samples(split.Name); err == nil && len(s.IDs) != split.N {
				t.Errorf("%d samples, want %d", len(s.IDs), split.N)
			}
		}
	})
}

// No change to the JSON of an epoch or of the end, under a good seal, does more than make its epoch an error.
func FuzzEpoch(f *testing.F) {
	disk, root := smallDisk(f)
	files := make([]*inode, 2)
	for i, name := range []string{"epochs/000001/" + epochFile, endFile} {
		file, err := disk.root.walk("run/" + name)
		if err != nil {
			f.Fatal(err)
		}
		files[i] = file
	}
	f.Add(files[0].data[:len(files[0].data)-sealSize], files[1].data[:len(files[1].data)-sealSize])
	f.Add([]byte(`{"epoch":1,"index":0,"splits":[null,null]`), []byte(`{"state":"failed","epochs":-1`))
	f.Fuzz(func(t *testing.T, epoch, end []byte) {
		files[0].data, files[1].data = sealed(epoch), sealed(end)
		r, err := open(root, "run")
		if err != nil {
			t.Fatal(err)
		}
		if s := r.State(); s != StateComplete && s != StateInterrupted && s != StateFailed {
			t.Errorf("state %q", s)
		}
		want := sampleLogits(1)
		if l, err := r.Logits(1, "train"); err == nil && !sameBits(l.Values, want["train"]) {
			t.Errorf("other logits: %v", l.Values)
		}
		if l, err := r.Logits(2, "train"); err != nil || len(l.Values) != 15 {
			t.Errorf("another epoch: %v", err)
		}
		if _, err := check(t.Context(), root, "run"); err != nil {
			t.Error(err)
		}
	})
}

// No change to the JSON of an epoch of format 3, under a good seal, gives other rows than were written, or harms another epoch.
func FuzzParts(f *testing.F) {
	disk, root := smallDisk3(f)
	file, err := disk.root.walk("run/epochs/000002/" + epochFile)
	if err != nil {
		f.Fatal(err)
	}
	rows := func(r *Run, epoch int) map[int64]string {
		rows, err := r.Rows(context.Background(), epoch, "train")
		if err != nil {
			return nil
		}
		defer rows.Close()
		all := map[int64]string{}
		err = rows.Each(context.Background(), func(b Block) error {
			for i, id := range b.IDs {
				text := ""
				if b.Logits != nil {
					text = fmt.Sprint(b.Logits[3*i : 3*i+3])
				}
				if all[id] != "" {
					f.Errorf("id %d is there twice", id)
				}
				all[id] = text
			}
			return nil
		})
		if err != nil || len(all) != rows.N {
			f.Errorf("%d rows of %d, %v", len(all), rows.N, err)
		}
		return all
	}
	whole := mustOpen(f, root)
	first, second := rows(whole, 1), rows(whole, 2)
	f.Add(file.data[:len(file.data)-sealSize])
	f.Add([]byte(`{"epoch":2,"index":1,"splits":[{"name":"train","of":6,"parts":[null]},{"name":"val","of":2}]`))
	f.Fuzz(func(t *testing.T, epoch []byte) {
		file.data = sealed(epoch)
		r, err := open(root, "run")
		if err != nil {
			t.Fatal(err)
		}
		for id, text := range rows(r, 2) {
			if text != "" && text != second[id] {
				t.Errorf("id %d: %s, want %s", id, text, second[id])
			}
		}
		if got := rows(r, 1); !maps.Equal(got, first) {
			t.Errorf("epoch 1: %v, want %v", got, first)
		}
		if _, err := check(t.Context(), root, "run"); err != nil {
			t.Error(err)
		}
	})
}

// Whatever the bytes of an Arrow file, decoding it ends in an error or in columns of the sizes wanted, within the file.
func FuzzArrow(f *testing.F) {
	m, samples := sampleRun()
	m.Splits = []SplitInfo{{Name: "train", N: 5}}
	s := samples["train"]
	kinds := [][]column{logitColumns(&m), sampleColumns(&m), rowColumns(&Manifest{FormatVersion: 3, Columns: 3}, halfEncoding), statFileColumns}
	for _, columns := range kinds[2:] {
		values := make([][]byte, len(columns))
		for i, c := range columns {
			values[i] = make([]byte, 5*c.rowBytes())
		}
		f.Add(encodeArrow(columns, values, 5), 5)
	}
	for _, columns := range kinds[:2] {
		values := [][]byte{bytesOf(s.IDs), make([]byte, 60), bytesOf(s.CleanLabels), s.Previews}
		if len(columns) == 4 {
			values[1] = bytesOf(s.Labels)
		}
		f.Add(encodeArrow(columns, values[:len(columns)], 5), 5)
	}
	texts := []column{{name: "id", kind: kindInt64}, {name: "preview", kind: kindText, optional: true}}
	offsets, text := textBytes([]string{"", "a", "bc", "é", "🙂"})
	f.Add(encodeArrow(texts, [][]byte{bytesOf(s.IDs), offsets, text}, 5), 5)
	f.Add(bytes.Repeat([]byte(arrowMagic), 10), 0)
	f.Fuzz(func(t *testing.T, file []byte, n int) {
		if values, err := decodeArrow(file, texts, n); err == nil && values[1] != nil {
			if all := strings.Join(textsOf(values[1], values[2]), ""); all != string(values[2]) {
				t.Errorf("texts of %d bytes, of %d", len(all), len(values[2]))
			}
		}
		for _, columns := range kinds {
			values, err := decodeArrow(file, columns, n)
			if err != nil {
				continue
			}
			for i, v := range values {
				if v == nil && columns[i].optional {
					continue
				}
				if int64(len(v)) != int64(n)*columns[i].rowBytes() {
					t.Errorf("column %s: %d bytes for %d rows", columns[i].name, len(v), n)
				}
			}
		}
	})
}
