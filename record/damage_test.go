package record

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// smallDisk returns a disk in memory that holds a finished run of sampleRun with two epochs and every kind of file there is.
func smallDisk(t testing.TB) (*memDisk, folder) { return smallDiskOf(t, func(*Manifest) {}) }

func smallDiskOf(t testing.TB, change func(*Manifest)) (*memDisk, folder) {
	t.Helper()
	disk := newMemDisk()
	m, samples := sampleRun()
	w, err := newWriter("run", "run", m, samples)
	if err != nil {
		t.Fatal(err)
	}
	change(&w.manifest)
	if err := w.create(disk.folder(), "run", samples, File{"config.yaml", []byte("seed: 1\n")}); err != nil {
		t.Fatal(err)
	}
	for epoch := 1; epoch <= 2; epoch++ {
		if err := w.WriteEpoch(epoch, sampleLogits(epoch)); err != nil {
			t.Fatal(err)
		}
		w.Figures(figuresOf(epoch))
		if err := w.Checkpoint(epoch, []File{{"weights", []byte{1, 2, byte(epoch)}}}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	root, err := disk.folder().OpenFolder("run")
	if err != nil {
		t.Fatal(err)
	}
	r := mustOpen(t, root)
	if err := r.WriteCalibration(calibrator{2, r.manifest.ID, 1.5}); err != nil {
		t.Fatal(err)
	}
	return disk, root
}

// smallDisk3 is smallDisk with a run of format 3 and all that is particular to it: halves, statistics, parts, labels of rows, samples that
// came later.
func smallDisk3(t testing.TB) (*memDisk, folder) {
	t.Helper()
	disk := newMemDisk()
	w, err := startRun3(disk)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := 1; epoch <= 2; epoch++ {
		if err := writeEpoch3(w, epoch); err != nil {
			t.Fatal(err)
		}
		w.Figures(figuresOf(epoch))
		if err := w.Checkpoint(epoch, []File{{"weights", []byte{1, 2, byte(epoch)}}}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	root, err := disk.folder().OpenFolder("run")
	if err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, root).WriteCalibration(calibrator{2, w.manifest.ID, 1.5}); err != nil {
		t.Fatal(err)
	}
	return disk, root
}

// startRun3 creates sampleRun in format 3 on a disk.
func startRun3(disk *memDisk) (*Writer, error) {
	m, samples := sampleRun()
	m.Splits = []SplitInfo{{Name: "train", N: 5, Rows: RowFormat{"float16"}, Samples: SamplesGrowing}, {Name: "val", N: 2, Rows: RowFormat{"float16"}}}
	w, err := newWriter("run", "run", m, samples)
	if err != nil {
		return nil, err
	}
	asSmall3(w)
	return w, w.create(disk.folder(), "run", samples, File{"config.yaml", []byte("seed: 1\n")})
}

// asSmall3 keeps statistics also beside narrow rows, and few rows to a part.
func asSmall3(w *Writer) {
	w.partBytes = 4 * 72
	for _, p := range w.parts {
		p.stats = true
	}
}

// writeEpoch3 writes an epoch of startRun3: in the first train gets a further sample, and not all have a row.
func writeEpoch3(w *Writer, epoch int) error {
	_, samples := sampleRun()
	z := sampleLogits(epoch)
	ids, train := samples["train"].IDs, z["train"]
	var errs []error
	if epoch == 1 {
		errs = append(errs, w.AddSamples(epoch, "train", Samples{IDs: []int64{99}, Labels: []int32{2}, CleanLabels: []int32{1}, Previews: []byte("new!")}))
	} else {
		ids, train = append(slices.Clone(ids), 99), append(slices.Clone(train), 1, 2, 70000)
	}
	n := len(ids)
	return errors.Join(append(errs,
		w.AppendPart(epoch, "train", Part{IDs: ids[2:n], Logits: train[6:]}),
		w.AppendPart(epoch, "train", Part{IDs: ids[:1], Logits: train[:3], Labels: []int32{Ignored}}),
		w.AppendPart(epoch, "val", Part{IDs: samples["val"].IDs, Logits: z["val"]}),
		w.Commit(epoch, map[string]Measured{"train": {When: MeasuredDuring}}))...)
}

// calibrator stands for those of package calibrate.
type calibrator struct {
	FormatVersion int     `json:"format_version"`
	Run           string  `json:"run,omitempty"`
	Temperature   float64 `json:"temperature"`
}

func mustOpen(t testing.TB, root folder) *Run {
	t.Helper()
	r, err := open(root, "run")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// files returns the files under n with their paths.
func (n *inode) files(at string) map[string]*inode {
	if !n.dir {
		return map[string]*inode{at: n}
	}
	all := map[string]*inode{}
	for name, sub := range n.entries {
		for name, file := range sub.files(path.Join(at, name)) {
			all[name] = file
		}
	}
	return all
}

// everything reads a run through every function there is, and returns what each gave, or its error.
func everything(t testing.TB, root folder) map[string]string {
	got := map[string]string{}
	say := func(name string, err error, what ...any) {
		if got[name] = fmt.Sprint(what...); err != nil {
			got[name] = "error: " + err.Error()
		}
	}
	r, err := open(root, "run")
	if say("open", err); err != nil {
		return got
	}
	gaps, damaged := r.Missing()
	say("missing", errors.Join(damaged...), gaps)
	for _, split := range []string{"train", "val"} {
		s, err := r.Samples(split)
		if say("samples "+split, err); err == nil {
			say("samples "+split, nil, *s)
		}
		for epoch := 1; epoch <= 2; epoch++ {
			l, err := r.Logits(epoch, split)
			name := fmt.Sprint("logits ", epoch, split)
			if say(name, err); err == nil {
				say(name, nil, l.IDs, l.Values)
			}
			name = fmt.Sprint("rows ", epoch, split)
			text, err := allRows(r, epoch, split)
			if say(name, err); err == nil {
				say(name, nil, text)
			}
		}
	}
	config, err := r.File("config.yaml")
	say("config", err, config)
	figures, err := r.Figures()
	say("figures", err, figures)
	calibration, _, err := r.Calibration()
	say("calibration", err, calibration)
	for epoch := 1; epoch <= 2; epoch++ {
		c, err := r.Checkpoint(epoch)
		name := fmt.Sprint("checkpoint ", epoch)
		if say(name, err); err == nil {
			say(name, nil, c.Files)
		}
	}
	return got
}

// allRows is what Rows gives, but for what it joins of the samples, which may be damaged.
func allRows(r *Run, epoch int, split string) (text string, err error) {
	rows, err := r.Rows(context.Background(), epoch, split)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	text = fmt.Sprint(rows.RowsInfo)
	err = rows.Each(context.Background(), func(b Block) error {
		text += fmt.Sprint(b.First, b.IDs, b.Logits) + fmt.Sprintf("%.4v", b.Stats) // to the digits that every processor gives
		return nil
	})
	return text, err
}

// mustName checks that what is read of a damaged run is what was read of it before, or an error that names the file.
func mustName(t *testing.T, root folder, name, how string, whole map[string]string) {
	t.Helper()
	named := false
	for what, got := range everything(t, root) {
		if err, failed := strings.CutPrefix(got, "error: "); failed && strings.Contains(err, filepath.FromSlash(name)) {
			named = true
		} else if got != whole[what] {
			t.Fatalf("%s %s: %s is %s, was %s", name, how, what, got, whole[what])
		}
	}
	if !named {
		t.Fatalf("%s %s: no reader names it", name, how)
	}
}

// mustFind checks that Check finds the damage to a file, and no other.
func mustFind(t *testing.T, root folder, name, how string) {
	t.Helper()
	report, err := check(t.Context(), root, "run")
	if name == manifestFile && err != nil {
		return // taken for one of a later format
	}
	if err != nil {
		t.Fatalf("%s %s: %v", name, how, err)
	}
	if len(report.Damaged) != 1 || len(report.Missing) != 0 {
		t.Fatalf("%s %s: damaged %v, missing %v", name, how, report.Damaged, report.Missing)
	}
	got := report.Damaged[0]
	want := Damage{filepath.Join("run", filepath.FromSlash(name)), -1, "", got.What}
	for _, numbered := range []string{epochsDir, checkpointsDir} {
		if number, ok := strings.CutPrefix(path.Dir(name), numbered+"/00000"); ok {
			want.Epoch = int(number[0] - '0')
		}
	}
	if strings.HasSuffix(name, ".arrow") {
		want.Split, _, _ = strings.Cut(path.Base(name), ".")
	}
	if got != want || got.What == "" || strings.Contains(got.Error(), "\n") {
		t.Fatalf("%s %s: found %+v, want %+v", name, how, got, want)
	}
}

// Every byte changed and every length is found, in the file where it is, and everything else is read as before.
func TestDamage(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	t.Run("format 1", func(t *testing.T) { disk, root := smallDisk(t); testDamage(t, disk, root, 17, 0, 1) })
	t.Run("format 3", func(t *testing.T) { disk, root := smallDisk3(t); testDamage(t, disk, root, 26, 1, 23) })
}

func testDamage(t *testing.T, disk *memDisk, root folder, files, notes, stride int) {
	if report, err := check(t.Context(), root, "run"); err != nil || !report.OK() || len(report.Notes) != notes || report.Files != files {
		t.Fatalf("undamaged: %v %+v", err, report)
	}
	whole := everything(t, root)
	damaged := 0
	find := func(t *testing.T, root folder, name, how string) {
		t.Helper()
		mustFind(t, root, name, how)
		// Check reads by the readers' own functions, so that fewer of these are enough.
		if damaged++; damaged%7 == 0 {
			mustName(t, root, name, how, whole)
		}
	}
	rules := map[rule]bool{}
	for name, file := range disk.root.entries["run"].files("") {
		if name == lockName {
			continue
		}
		rules[ruleOf(name)] = true
		whole := file.data
		for at := 0; at < len(whole); at += stride {
			for i, flip := range []byte{1 << (at % 8), 'a' ^ 'A'} {
				if i > 0 && at%5 != 0 {
					continue
				}
				file.data = slices.Clone(whole)
				file.data[at] ^= flip
				find(t, root, name, "with a byte flipped")
			}
			file.data = whole[:at]
			find(t, root, name, "cut short")
		}
		file.data = append(slices.Clip(whole), 0)
		find(t, root, name, "with a byte more")
		file.data = whole
	}
	if len(rules) != len(layout)-1 { // the lock, of which nothing is read
		t.Errorf("files by %d of %d rules were damaged", len(rules), len(layout))
	}
	t.Logf("%d damages, each found", damaged)
}

// What is gone altogether is found too, and the rest is read.
func TestMissing(t *testing.T) {
	tests := []struct {
		gone, damaged string
		missing       []Gap
		err           bool
	}{
		{gone: "epochs/000001", missing: []Gap{{-1, 2, 1}}},
		{gone: "epochs/000002", missing: []Gap{{1, -1, 1}}},
		{gone: "epochs/000001/val.arrow", damaged: "epochs/000001/val.arrow"},
		{gone: "epochs/000001/epoch.json", damaged: "epochs/000001/epoch.json"},
		{gone: "checkpoints/000002", damaged: "checkpoints/000002/checkpoint.json"},
		{gone: "checkpoints/000002/weights", damaged: "checkpoints/000002/weights"},
		{gone: "figures.json", damaged: "figures.json"},
		{gone: "config.yaml", damaged: "config.yaml"},
		{gone: "calibration.json"}, // which comes and goes as its user likes
		{gone: "samples/train.arrow", damaged: "samples/train.arrow"},
		{gone: "samples", damaged: "samples/train.arrow"},
		{gone: "epochs", damaged: "epochs"},
		{gone: "manifest.json", err: true},
	}
	for _, test := range tests {
		_, root := smallDisk(t)
		if err := root.RemoveAll(test.gone); err != nil {
			t.Fatal(err)
		}
		report, err := check(t.Context(), root, "run")
		if (err != nil) != test.err {
			t.Errorf("without %s: %v", test.gone, err)
		}
		if !slices.Equal(report.Missing, test.missing) {
			t.Errorf("without %s: missing %v, want %v", test.gone, report.Missing, test.missing)
		}
		if got := len(report.Damaged) > 0; got != (test.damaged != "") || got && report.Damaged[0].Path != filepath.Join("run", filepath.FromSlash(test.damaged)) {
			t.Errorf("without %s: damaged %v", test.gone, report.Damaged)
		}
	}
}

func TestGap(t *testing.T) {
	tests := []struct {
		gap  Gap
		want string
	}{
		{Gap{2, 4, 1}, "epoch 3 is missing"},
		{Gap{2, 6, 3}, "epochs 3 to 5 are missing"},
		{Gap{10, 30, 1}, "1 between epochs 10 and 30 missing"},
		{Gap{-1, 3, 2}, "2 before epoch 3 missing"},
		{Gap{42, -1, 3}, "3 after epoch 42 missing"},
		{Gap{-1, -1, 45}, "all 45 epochs are missing"},
	}
	for _, test := range tests {
		if got := test.gap.String(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.gap, got, test.want)
		}
	}
}

// An epoch that is whole but in another's place, or of another run, is not served.
func TestMisplaced(t *testing.T) {
	disk, root := smallDisk(t)
	epochs := disk.root.entries["run"].entries[epochsDir].entries
	epochs["000007"] = epochs["000002"]
	report, err := check(t.Context(), root, "run")
	if err != nil || len(report.Damaged) != 1 || report.Damaged[0].Epoch != 7 {
		t.Errorf("epoch 2 copied to 7: %v %+v", err, report)
	}
}

func TestNotes(t *testing.T) {
	_, root := smallDisk(t)
	for _, name := range []string{"epochs/.tmp-000003", "notes.txt", "epochs/3"} {
		if err := root.Mkdir(name); err != nil {
			t.Fatal(err)
		}
	}
	if got := mustOpen(t, root).Unfinished(); !slices.Equal(got, []int{3}) {
		t.Errorf("unfinished: %v", got)
	}
	report, err := check(t.Context(), root, "run")
	want := []string{"epochs/.tmp-000003 was not finished, and is ignored", "epochs/3 is not part of the run", "notes.txt is not part of the run"}
	if err != nil || !report.OK() || report.Epochs != 2 || !slices.Equal(report.Notes, want) {
		t.Errorf("%v %+v", err, report)
	}
}
