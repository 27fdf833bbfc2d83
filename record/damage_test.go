package record

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// smallDisk returns a disk in memory that holds a finished run of sampleRun with two epochs.
func smallDisk(t testing.TB) (*memDisk, folder) {
	t.Helper()
	disk := newMemDisk()
	m, samples := sampleRun()
	w, err := newWriter("run", "run", m, samples)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.create(disk.folder(), "run", samples); err != nil {
		t.Fatal(err)
	}
	for epoch := 1; epoch <= 2; epoch++ {
		if err := w.WriteEpoch(epoch, sampleLogits(epoch)); err != nil {
			t.Fatal(err)
		}
		w.Figures(figuresOf(epoch))
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	root, err := disk.folder().OpenFolder("run")
	if err != nil {
		t.Fatal(err)
	}
	return disk, root
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

// mustFind checks that Check finds the damage to a file, and no other.
func mustFind(t *testing.T, root folder, name, how string) {
	t.Helper()
	report, err := check(root, "run")
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
	if number, ok := strings.CutPrefix(path.Dir(name), epochsDir+"/00000"); ok {
		want.Epoch = int(number[0] - '0')
	}
	if split, ok := strings.CutSuffix(path.Base(name), ".arrow"); ok {
		want.Split = split
	}
	if got != want || got.What == "" || strings.Contains(got.Error(), "\n") {
		t.Fatalf("%s %s: found %+v, want %+v", name, how, got, want)
	}
}

// Every byte changed and every length is found, in the file where it is, and everything else is read as before.
func TestDamage(t *testing.T) {
	disk, root := smallDisk(t)
	if report, err := check(root, "run"); err != nil || !report.OK() || len(report.Notes) != 0 || report.Files != 11 {
		t.Fatalf("undamaged: %v %+v", err, report)
	}
	damaged := 0
	for name, file := range disk.root.entries["run"].files("") {
		if name == lockName {
			continue
		}
		whole := file.data
		stride := 1
		if raceEnabled {
			stride = 17 // the race detector sees the same in each
		}
		for at := 0; at < len(whole); at += stride {
			for _, flip := range []byte{1 << (at % 8), 'a' ^ 'A'} {
				file.data = slices.Clone(whole)
				file.data[at] ^= flip
				mustFind(t, root, name, "with a byte flipped")
				damaged++
			}
			file.data = whole[:at]
			mustFind(t, root, name, "cut short")
			damaged++
		}
		file.data = append(slices.Clip(whole), 0)
		mustFind(t, root, name, "with a byte more")
		file.data = whole
	}
	if damaged == 0 {
		t.Error("nothing was damaged")
	}
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
		report, err := check(root, "run")
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
	report, err := check(root, "run")
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
	report, err := check(root, "run")
	want := []string{"epochs/.tmp-000003 was not finished, and is ignored", "epochs/3 is not part of the run", "notes.txt is not part of the run"}
	if err != nil || !report.OK() || report.Epochs != 2 || !slices.Equal(report.Notes, want) {
		t.Errorf("%v %+v", err, report)
	}
}
