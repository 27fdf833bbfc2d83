package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// resealed returns data, a sealed file, with old replaced, sealed again.
func resealed(t testing.TB, data []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("no %q in %s", old, data)
	}
	return sealed(bytes.Replace(data[:len(data)-sealSize], []byte(old), []byte(new), 1))
}

// replace changes a sealed file of the run on a disk.
func (d *memDisk) replace(t testing.TB, name, old, new string) {
	t.Helper()
	n, err := d.root.walk("run/" + name)
	if err != nil {
		t.Fatal(err)
	}
	n.data = resealed(t, n.data, old, new)
}

// A manifest that asks for anything but what it may is refused in one line, at no cost.
func TestHostileManifest(t *testing.T) {
	tests := []struct{ old, new, want string }{
		{`"format_version": 1`, `"format_version": 4`, "run run has format 4, this logitscope reads up to 3: upgrade"},
		{`"format_version": 1`, `"format_version": 0`, "format 0"},
		{`"format_version": 1`, `"format_version": "1"`, "cannot unmarshal"},
		{`"name": "small"`, `"name": "../small"`, "name"},
		{`"name": "small"`, `"name": ""`, "name"},
		{`"name": "train"`, `"name": "../train"`, "split name"},
		{`"name": "train"`, `"name": "a/b"`, "split name"},
		{`"name": "train"`, `"name": "Train"`, "split name"},
		{`"name": "train"`, `"name": ""`, "split name"},
		{`"name": "train"`, `"name": "nul"`, "split name"},
		{`"name": "train"`, `"name": "a\u0000"`, "split name"},
		{`"name": "train"`, `"name": "val"`, "twice"},
		{`"n": 5`, `"n": -5`, "samples"},
		{`"n": 5`, `"n": 9223372036854775807`, "samples"},
		{`"n": 5`, `"n": 6148914691236517206`, "samples"}, // times 3 columns is 2 in 64 bits
		{`"n": 5`, `"n": 5.5`, "cannot unmarshal"},
		{`"columns": 3`, `"columns": 4`, "4 columns for 3 classes"},
		{`"columns": 3`, `"columns": -1`, "columns"},
		{`"columns": 3`, `"columns": 4611686018427387904`, "columns"},
		{`"softmax"`, `"binary"`, "binary head"},
		{`"softmax"`, `"hardmax"`, "head"},
		{`"height": 2`, `"height": 0`, "preview"},
		{`"height": 2`, `"height": 4611686018427387904`, "preview"},
		{`"height": 2`, `"height": 16777216`, "preview"},
		{`"max": 16`, `"max": 256`, "preview"},
		{`"planned_epochs": 3`, `"planned_epochs": -3`, "planned"},
		{`"classes": [`, `"classes": [` + strings.Repeat("[", 20_000), "depth"},
		{`"splits": [`, `"splits": [` + strings.Repeat("{},", 64), "more than 64 splits"},
		{`"files": [`, `"files": [` + strings.Repeat("{},", 1<<16), "more than 65536 files"},
		{`"classes": [`, `"classes": [` + strings.Repeat(" ", maxManifestBytes), "bytes"},
		{`"classes": [`, `"classes": [` + strings.Repeat(`"",`, 5<<20), "more than 3 classes, for 3 columns"},
		{`"classes": [`, `"classes": [` + strings.Repeat(`"\"",`, 2<<20), "more than 3 classes, for 3 columns"},
		{`"classes": [`, `"classes": [` + strings.Repeat("0,", 7<<20), "class 0 is no text"},
		{`"classes": [`, `"classes": 7, "more": [`, "no list"},
		{`"name": "small"`, `"name": "small","needs":[` + strings.Repeat(`"",`, 5<<20) + `""]`, "more than 64 needs"},
		{`"name": "small"`, `"name": "small","source":{"files":[` + strings.Repeat("{},", 5<<20) + "{}]}", "more than 65536 source files"},
		{`"name": "small"`, `"name": "small","versions":{` + strings.Repeat(`"":"",`, 2<<20) + `"":""}`, "more than 1024 versions"},
	}
	for _, test := range tests {
		disk, root := smallDisk(t)
		disk.replace(t, manifestFile, test.old, test.new)
		var err error
		// Entries beyond what there may be cost nothing: a list's bound times a few pieces of memory each.
		if n := testing.AllocsPerRun(1, func() { _, err = open(root, "run") }); n > 6*maxSourceFiles {
			t.Errorf("%.60q: %v pieces of memory", test.new, n)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: %v, want %q", test.new, err, test.want)
		}
	}
}

// What an epoch of format 3 says is bounded by the manifest, and by itself.
func TestHostileParts(t *testing.T) {
	tests := []struct{ old, new, want string }{
		{`"n": 5`, `"n": 6`, "rows together"},
		{`"n": 5`, `"n": -1`, "-1 rows of 6"},
		{`"n": 5`, `"n": 7`, "7 rows of 6"},
		{`"of": 6`, `"of": 4`, "of 4 samples, and 5"},
		{`"of": 6`, `"of": 9223372036854775807`, "of 9223372036854775807 samples"},
		{`"of": 6`, `"of": 7`, "an epoch that brought samples is lost"},
		{`"of": 2`, `"of": 3`, "of 3 samples, and 2"},
		{`"n": 4,`, `"n": 0,`, "rows together"},
		{`"n": 4,`, `"n": 4611686018427387904,`, "rows together"},
		{`"measured": "during"`, `"measured": "before"`, `measured "before"`},
		{`"overflowed": 1`, `"overflowed": -1`, "-1 overflowed"},
		{`"name": "val"`, `"name": "test"`, "not those of the manifest"},
		{`"parts": [`, `"parts": [` + strings.Repeat(`{},`, 70_000), "more than 65536 parts"},
		{`"parts": [`, `"samples": {"n": 9, "size": 1, "crc32c": "00000000"}, "parts": [`, "samples that it cannot"},
	}
	for _, test := range tests {
		disk, root := smallDisk3(t)
		name := "epochs/000002/" + epochFile
		disk.replace(t, name, test.old, test.new)
		r := mustOpen(t, root)
		for _, split := range []string{"train", "val"} {
			_, err := allRows(r, 2, split)
			if err == nil {
				_, err = r.Samples(split)
			}
			var damage *Damage
			if err != nil && errors.As(err, &damage) && strings.Contains(err.Error(), test.want) {
				break
			}
			if split == "val" {
				t.Errorf("%.60q: %v, want %q", test.new, err, test.want)
			}
		}
		for _, split := range []string{"train", "val"} { // the epoch before is none the worse
			if _, err := allRows(r, 1, split); err != nil {
				t.Errorf("%.60q: epoch 1: %v", test.new, err)
			}
		}
		if report, err := check(t.Context(), root, "run"); err != nil || report.OK() {
			t.Errorf("%.60q: check passes it: %v", test.new, err)
		}
	}
}

// What a file of rows or statistics says that its checksum does not know to be wrong.
func TestHostileRows(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(p *splitParts)
	}{
		{"is there twice", nil},
		{"not those of the samples", func(p *splitParts) { p.ids[0] = 12345 }},
		{"not those of the samples", func(p *splitParts) { p.ids[0], p.ids[1] = p.ids[1], p.ids[0] }},
		{"label 3 of 3", func(p *splitParts) { p.ownLabels, p.labels[0] = true, 3 }},
		{"top 3", func(p *splitParts) { p.rowStats[0].Top = 3 }},
		{"rank -2", func(p *splitParts) { p.rowStats[1].Rank = -2 }},
	} {
		disk := newMemDisk()
		w, err := startRun3(disk)
		if err != nil {
			t.Fatal(err)
		}
		m, samples := sampleRun()
		ids := samples["val"].IDs
		p := w.parts[1]
		folder := (&openEpoch{w: w, number: 1}).folder()
		if err := w.root.Mkdir(folder); err != nil {
			t.Fatal(err)
		}
		for _, p := range w.parts {
			p.reset()
		}
		z := sampleLogits(1)["val"]
		if test.want == "is there twice" {
			ids = []int64{ids[0], ids[0]}
		}
		p.take(rowsBlock{ids: ids, labels: samples["val"].Labels}, z, len(ids))
		if test.want == "is there twice" { // in two parts
			p.n, p.ids, p.labels, p.rowStats, p.values[0] = 1, p.ids[:1], p.labels[:1], p.rowStats[:1], p.values[0][:2*m.Columns]
			if err := p.flush(folder); err != nil {
				t.Fatal(err)
			}
			p.take(rowsBlock{ids: ids[:1], labels: samples["val"].Labels[:1]}, z[:m.Columns], 1)
		} else {
			test.change(p)
		}
		e := &openEpoch{w: w, number: 1}
		if err := e.commitParts(epochJSON{owner: w.owner(), Epoch: 1}, &block{of: []int{5, 2}}); err != nil {
			t.Fatal(err)
		}
		root, err := disk.folder().OpenFolder("run")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := allRows(mustOpen(t, root), 1, "val"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
		if report, err := check(t.Context(), root, "run"); err != nil || len(report.Damaged) != 1 || report.Damaged[0].Split != "val" {
			t.Errorf("%q: check says %v %+v", test.want, err, report)
		}
	}
}

// A later version may seal its manifest in another way, or not at all.
func TestLaterVersionWithoutSeal(t *testing.T) {
	disk, root := smallDisk(t)
	n, err := disk.root.walk("run/" + manifestFile)
	if err != nil {
		t.Fatal(err)
	}
	n.data = []byte(`{"format_version":7,"name":"small"}`)
	if _, err := open(root, "run"); err == nil || !strings.HasPrefix(err.Error(), "run run has format 7, this logitscope reads up to 3: upgrade (or manifest.json is damaged: ") {
		t.Error(err)
	}
	if _, err := check(t.Context(), root, "run"); err == nil {
		t.Error("check passes it")
	}
}

// What a manifest or an epoch says of sizes costs nothing until the file it speaks of has them.
func TestHostileSizesAllocateNothing(t *testing.T) {
	disk, root := smallDisk(t)
	disk.replace(t, manifestFile, `"n": 5`, `"n": 250000000000`)
	disk.replace(t, "epochs/000001/"+epochFile, `"n": 5`, `"n": 250000000000`)
	r, err := open(root, "run")
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = r.Samples("train")
	_, err2 := r.Logits(1, "train")
	runtime.ReadMemStats(&after)
	if err == nil || err2 == nil {
		t.Errorf("%v, %v", err, err2)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("%d bytes allocated", got)
	}
	if _, err := r.Logits(1, "val"); err != nil {
		t.Errorf("the split that is well: %v", err)
	}
}

// A file whose checksum is right and whose insides are not what the manifest says is refused as well.
func TestHostileArrow(t *testing.T) {
	ids, values := bytesOf([]int64{1, 2}), bytesOf([]float32{1, 2, 3, 4, 5, 6})
	three := column{name: "logits", kind: kindFloats, width: 3}
	id := column{name: "id", kind: kindInt64}
	wanted := []column{id, three}
	tests := []struct {
		name    string
		columns []column
		values  [][]byte
		n       int
		want    string
	}{
		{"as wanted", wanted, [][]byte{ids, values}, 2, ""},
		{"a row less", wanted, [][]byte{ids, values}, 1, "1 rows, want 2"},
		{"other order", []column{three, id}, [][]byte{values, ids}, 2, `no column "id"`},
		{"a column less", wanted[:1], [][]byte{ids}, 2, `no column "logits"`},
		{"a column more", []column{id, three, {name: "x", kind: kindInt64}}, [][]byte{ids, values, ids}, 2, "3 columns"},
		{"a narrow id", []column{{name: "id", kind: kindInt32}, three}, [][]byte{ids, values}, 2, `"id" is not int64`},
		{"narrow rows", []column{id, {name: "logits", kind: kindFloats, width: 2}}, [][]byte{ids, values}, 2, `"logits" is not`},
		{"bytes", []column{id, {name: "logits", kind: kindBytes, width: 12}}, [][]byte{ids, values}, 2, `"logits" is not`},
	}
	for _, test := range tests {
		_, err := decodeArrow(encodeArrow(test.columns, test.values, test.n), wanted, 2)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestHostileEnd(t *testing.T) {
	disk, root := smallDisk(t)
	disk.replace(t, endFile, `"complete"`, `"<script>"`)
	r, err := open(root, "run")
	if err != nil {
		t.Fatal(err)
	}
	if r.State() != StateInterrupted || len(r.Epochs()) != 2 {
		t.Errorf("state %q, epochs %v", r.State(), r.Epochs())
	}
	if report, err := check(t.Context(), root, "run"); err != nil || len(report.Damaged) != 1 {
		t.Errorf("%v %+v", err, report)
	}
}

// hostileNames returns names that must not come near a file system.
func hostileNames() []string {
	names := []string{
		"", ".", "..", "...", ".hidden", ".tmp-run", "~", "~root", "a b", " a", "a ", "a.", "a..", "a\n", "a\x00", "a\x00.json", "\x7f", "é", "a\u202eb", "．．",
		"a/b", "/a", "a/", "//a", "a\\b", "\\a", "C:", "C:a", "C:\\a", "\\\\host\\share", "\\\\?\\C:\\a", "a:stream", "a*", "a?", "a<", "a>", "a|", "a\"", "a'", "a#b", "a%b",
		"a&b", "a;b", "$HOME", "`a`", "$(a)", "a=b", "a+b", "a@b", "a,b", "[a]", "{a}", "(a)", "a!", "a^", strings.Repeat("a", 129), strings.Repeat("a", 1<<16), "a\xff",
	}
	for _, deviceName := range []string{"CON", "PRN", "AUX", "NUL", "COM1", "COM9", "LPT1", "LPT9", "nul"} {
		names = append(names, deviceName, deviceName+".txt", deviceName+".tar.gz")
	}
	for _, dots := range []string{"..", "%2e%2e", "%252e%252e", "..%00", "%c0%ae%c0%ae", "..;", ". .", "．．"} {
		for _, slash := range []string{"/", "\\", "%2f", "%5c", "%252f", "%c0%af", "∕", "／"} {
			names = append(names, dots+slash+"run", "run"+slash+dots)
		}
	}
	return names
}

func TestNames(t *testing.T) {
	names := hostileNames()
	if len(names) < 200 {
		t.Errorf("only %d hostile names", len(names))
	}
	for _, name := range names {
		if ValidName(name) || validSplit(name) {
			t.Errorf("%.40q passes for a name", name)
		}
		_, root := smallDisk(t)
		r, err := open(root, "run")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Samples(name); err == nil {
			t.Errorf("samples of %.40q", name)
		}
		if _, err := r.Logits(1, name); err == nil {
			t.Errorf("logits of %.40q", name)
		}
		if _, err := newWriter("run", name, Manifest{Classes: []string{"a"}, Head: HeadSoftmax, Columns: 1}, map[string]Samples{"val": {}}); err == nil {
			t.Errorf("a run called %.40q can be created", name)
		}
	}
	for _, name := range []string{"run", "2026-11-24", "a.b", "A_b-c", "_", "-", "console", strings.Repeat("a", 128)} {
		if !ValidName(name) {
			t.Errorf("%q does not pass for a name", name)
		}
	}
}

// A writer refuses what no reader would take, before anything is written.
func TestCreateRefuses(t *testing.T) {
	tests := []struct {
		change func(m *Manifest, samples map[string]Samples)
		want   string
	}{
		{func(m *Manifest, s map[string]Samples) { m.Columns = 2 }, "2 columns for 3 classes"},
		{func(m *Manifest, s map[string]Samples) { m.Splits = []SplitInfo{{Name: "train", N: 5}} }, `"val", which the manifest does not name`},
		{func(m *Manifest, s map[string]Samples) {
			m.Splits = []SplitInfo{{Name: "train", N: 5}, {Name: "val", N: 2}, {Name: "test", N: 1}}
		}, `no samples of split "test"`},
		{func(m *Manifest, s map[string]Samples) { s["train"].IDs[1] = 7 }, "id 7 is there twice"},
		{func(m *Manifest, s map[string]Samples) { s["train"].Labels[1] = 3 }, "label 3 of 3 classes"},
		{func(m *Manifest, s map[string]Samples) { s["train"].CleanLabels[1] = -1 }, "label -1 of 3 classes"},
		{func(m *Manifest, s map[string]Samples) { m.Preview = nil }, "previews"},
		{func(m *Manifest, s map[string]Samples) { m.Preview.Width = 3 }, "bytes of previews"},
		{func(m *Manifest, s map[string]Samples) { s["test"] = Samples{IDs: []int64{1}} }, "0 labels for 1 samples"},
		{func(m *Manifest, s map[string]Samples) { clear(s) }, "0 splits"},
		{func(m *Manifest, s map[string]Samples) { m.Config = json.RawMessage("{") }, "config"},
	}
	for _, test := range tests {
		m, samples := sampleRun()
		test.change(&m, samples)
		dir := t.TempDir() + "/parent/run"
		if _, err := Create(dir, m, samples); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, test.want)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%s: a run is there", test.want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	m, samples := sampleRun()
	w, err := Create(t.TempDir()+"/run", m, samples)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(StateFailed)
	if err := w.WriteEpoch(2, sampleLogits(2)); err != nil {
		t.Fatal(err)
	}
	good := sampleLogits(3)
	tests := []struct {
		epoch  int
		logits map[string][]float32
		want   string
	}{
		{2, good, "written already"},
		{1, good, "written already"},
		{-1, good, "want 0"},
		{math.MaxInt, good, "want 0"},
		{3, map[string][]float32{"train": good["train"]}, `no logits of split "val"`},
		{3, map[string][]float32{"train": good["train"], "val": good["val"], "test": nil}, "3 splits"},
		{3, map[string][]float32{"train": good["train"], "val": good["train"]}, "15 logits, want 2 samples × 3 columns"},
	}
	for _, test := range tests {
		if err := w.Write(test.epoch, test.logits); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
	if err := w.Close("done"); err == nil {
		t.Error("an unknown state is taken")
	}
	if err := w.WriteEpoch(3, good); err != nil {
		t.Errorf("after calls that were refused: %v", err)
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(StateFailed), w.Flush()); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := w.Write(4, good); err == nil {
		t.Error("a closed run is written to")
	}
}

// A split may be empty, a head binary, a run without previews.
func TestSmallest(t *testing.T) {
	dir := t.TempDir() + "/run"
	m := Manifest{Classes: []string{"no", "yes"}, Head: HeadBinary, Columns: 1}
	w, err := Create(dir, m, map[string]Samples{"val": {IDs: []int64{5}, Labels: []int32{1}}, "train": {}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteEpoch(0, map[string][]float32{"val": {0.5}, "train": nil}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, want := r.Manifest().Splits, []SplitInfo{{Name: "train"}, {Name: "val", N: 1}}; !slices.Equal(got, want) || r.Manifest().Name != "run" {
		t.Errorf("%+v", r.Manifest())
	}
	for split, want := range map[string][]float32{"val": {0.5}, "train": {}} {
		l, err := r.Logits(0, split)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(l.Values, want) || len(l.IDs) != len(want) {
			t.Errorf("%s: %v", split, l)
		}
		if s, err := r.Samples(split); err != nil || len(s.IDs) != len(want) || s.CleanLabels != nil || s.Previews != nil {
			t.Errorf("%s: %v %v", split, s, err)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	}
	if report, err := Check(t.Context(), dir); err != nil || !report.OK() {
		t.Errorf("%v %+v", err, report)
	}
}
