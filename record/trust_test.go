package record

import (
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// anonymous makes a run what an older version wrote: its files do not say which run they are of.
func anonymous(m *Manifest) { m.ID = "" }

// What belongs to another run, with the same samples and the same shape, is refused where it lies in this one's place.
func TestOtherRuns(t *testing.T) {
	for _, test := range []struct {
		place string // what is copied
		named string // what must be named
	}{
		{"epochs/000001", "epochs/000001/epoch.json"},
		{"epochs/000001/epoch.json", "epochs/000001/epoch.json"},
		{"checkpoints/000002", "checkpoints/000002/checkpoint.json"},
		{"checkpoints/000002/checkpoint.json", "checkpoints/000002/checkpoint.json"},
		{"figures.json", "figures.json"},
		{"end.json", "end.json"},
		{"calibration.json", "calibration.json"},
	} {
		for how, from := range map[string]func(*Manifest){"another": func(*Manifest) {}, "an older version's": anonymous} {
			for where, to := range map[string]func(*Manifest){"this version's": func(*Manifest) {}, "an older version's": anonymous} {
				disk, root := smallDiskOf(t, to)
				other, _ := smallDiskOf(t, from)
				parent, err := disk.root.walk("run/" + filepath.Dir(test.place))
				if err != nil {
					t.Fatal(err)
				}
				if parent.entries[filepath.Base(test.place)], err = other.root.walk("run/" + test.place); err != nil {
					t.Fatal(err)
				}
				// Nothing tells the files of two old runs apart; a calibrator that names no run is anyone's.
				anyones := how == "an older version's" && (where == how || test.place == CalibrationFile)
				report, err := check(t.Context(), root, "run")
				if err != nil || report.OK() != anyones {
					t.Errorf("%s run's %s in %s: %v %+v", how, test.place, where, err, report)
				}
				named := false
				for _, got := range everything(t, root) {
					named = named || strings.HasPrefix(got, "error: "+filepath.Join("run", filepath.FromSlash(test.named))+": it is of another run")
				}
				if named == anyones {
					t.Errorf("%s run's %s in %s: named %v", how, test.place, where, named)
				}
			}
		}
	}
}

// Epochs of an older version do not name their run: those with other samples' ids are refused all the same.
func TestOtherSamples(t *testing.T) {
	disk, root := smallDiskOf(t, anonymous)
	other := newMemDisk()
	m, samples := sampleRun()
	s := samples["val"]
	s.IDs = slices.Clone(s.IDs)
	slices.Reverse(s.IDs)
	samples["val"] = s
	w, err := newWriter("run", "run", m, samples)
	if err != nil {
		t.Fatal(err)
	}
	anonymous(&w.manifest)
	if err := errors.Join(w.create(other.folder(), "run", samples), w.WriteEpoch(1, sampleLogits(1)), w.Close(StateComplete)); err != nil {
		t.Fatal(err)
	}
	disk.root.entries["run"].entries[epochsDir].entries["000001"] = other.root.entries["run"].entries[epochsDir].entries["000001"]
	r := mustOpen(t, root)
	var damage *Damage
	if _, err := r.Logits(1, "val"); !errors.As(err, &damage) || damage.What != "its ids are not those of the samples, in their order" {
		t.Errorf("the logits of other samples: %v", err)
	}
	for _, readable := range []struct {
		epoch int
		split string
	}{{1, "train"}, {2, "train"}, {2, "val"}} {
		if _, err := r.Logits(readable.epoch, readable.split); err != nil {
			t.Error(err)
		}
	}
	if report, err := check(t.Context(), root, "run"); err != nil || len(report.Damaged) != 1 || report.Damaged[0].Split != "val" {
		t.Errorf("check: %v %+v", err, report)
	}
}

// A calibrator without a seal is that of an older version, and taken by a run of one alone.
func TestUnsealedCalibration(t *testing.T) {
	const old = `{"format_version": 1, "method": "temperature", "columns": 3, "temperature": 1.5}`
	sealed, err := Seal(calibrator{2, "", 1.5})
	if err != nil {
		t.Fatal(err)
	}
	stripped := string(sealed[:len(sealed)-sealSize]) + "}"
	for _, test := range []struct {
		what, data   string
		inOld, inNew bool
	}{
		{"an older version's", old, true, false},
		{"one of no run", string(sealed), true, true},
		{"one whose seal is gone", stripped, false, false},
		{"one whose seal is gone and that says 1", strings.Replace(stripped, "2", "1", 1), true, false},
		{"one that is sealed and says 1", strings.Replace(string(sealed), "2", "1", 1), false, false},
		{"half a seal", old[:len(old)-1] + `, "crc32c": "`, false, false},
		{"not JSON", "T = 2", false, false},
		{"empty", "", false, false},
	} {
		for _, place := range []struct {
			name   string
			change func(*Manifest)
			taken  bool
		}{{"an old run", anonymous, test.inOld}, {"a run", func(*Manifest) {}, test.inNew}} {
			disk, root := smallDiskOf(t, place.change)
			disk.root.entries["run"].entries[CalibrationFile].data = []byte(test.data)
			data, sealed, err := mustOpen(t, root).Calibration()
			if (err == nil) != place.taken || err == nil && string(data) != test.data {
				t.Errorf("%s in %s: %v", test.what, place.name, err)
			}
			report, err := check(t.Context(), root, "run")
			note := slices.ContainsFunc(report.Notes, func(note string) bool { return strings.HasPrefix(note, "calibration.json is not sealed") })
			if err != nil || report.OK() != place.taken || note != (place.taken && !sealed) {
				t.Errorf("%s in %s: check says %v %+v", test.what, place.name, err, report)
			}
		}
	}
}

// Keeping a calibrator fails at each of its steps, and loses power after each: there is the one before or the new one, whole.
func TestKeepingCalibrationFails(t *testing.T) {
	keep := func(disk *memDisk, fault func(op, name string) error) error {
		root, err := disk.folder().OpenFolder("run")
		if err != nil {
			t.Fatal(err)
		}
		r := mustOpen(t, root)
		disk.fault = fault
		defer func() { disk.fault = func(string, string) error { return nil } }()
		return r.WriteCalibration(calibrator{2, r.manifest.ID, 2})
	}
	look := func(disk *memDisk, how string) {
		t.Helper()
		root, err := disk.folder().OpenFolder("run")
		if err != nil {
			t.Fatal(err)
		}
		data, sealed, err := mustOpen(t, root).Calibration()
		if err != nil || !sealed || !strings.Contains(string(data), `"temperature": 1.5`) && !strings.Contains(string(data), `"temperature": 2`) {
			t.Errorf("%s: %s, %v", how, data, err)
		}
		if report, err := check(t.Context(), root, "run"); err != nil || !report.OK() {
			t.Errorf("%s: %v %+v", how, err, report)
		}
	}
	whole := func() *memDisk {
		disk, _ := smallDisk(t)
		return disk.crash(remains{1, 512, rand.New(rand.NewPCG(1, 2))})
	}
	var ops []string
	err := keep(whole(), func(op, name string) error {
		ops = append(ops, op+" "+name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, failing := range ops {
		disk := whole()
		at := 0
		err := keep(disk, func(string, string) error {
			if at++; at-1 == i {
				return syscall.EIO
			}
			return nil
		})
		if !errors.Is(err, syscall.EIO) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s failed: the error is %v", failing, err)
		}
		look(disk, failing+" failed")
		look(disk.crash(remains{0, 512, rand.New(rand.NewPCG(1, 2))}), failing+" failed, then power")
	}
	crashes := 0
	disk := whole()
	disk.after = func(op, name string) {
		for _, part := range []float64{0, 0.5, 1} {
			crashes++
			look(disk.crash(remains{part, 512, rand.New(rand.NewPCG(3, 4))}), "power lost after "+op+" "+name)
		}
	}
	if err := keep(disk, disk.fault); err != nil {
		t.Fatal(err)
	}
	if len(ops) < 7 || crashes < 12 {
		t.Errorf("%d operations and %d crashes, want more", len(ops), crashes)
	}
	t.Logf("%d operations failed, %d crashes", len(ops), crashes)
}

// Missing names what is gone without a look at every epoch where nothing is.
func TestMissingEpochs(t *testing.T) {
	for _, test := range []struct {
		gone []string
		want []Gap
		errs int
	}{
		{},
		{gone: []string{"epochs/000001"}, want: []Gap{{-1, 2, 1}}},
		{gone: []string{"epochs/000002"}, want: []Gap{{1, -1, 1}}},
		{gone: []string{"epochs/000001", "epochs/000002"}, want: []Gap{{-1, -1, 2}}},
		{gone: []string{"epochs/000001", "end.json"}, want: []Gap{{-1, 2, 1}}},
		{gone: []string{"epochs/000002", "end.json"}}, // as if it were killed before
	} {
		_, root := smallDisk(t)
		for _, name := range test.gone {
			if err := root.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
		gaps, damaged := mustOpen(t, root).Missing()
		if !slices.Equal(gaps, test.want) || len(damaged) != 0 {
			t.Errorf("without %v: %v %v, want %v", test.gone, gaps, damaged, test.want)
		}
	}
}

// Whatever stands in a folder of the run and is no part of it is named, at any depth.
func TestStrays(t *testing.T) {
	for _, name := range []string{"stray", "samples/stray.arrow", "epochs/stray", "epochs/000001/stray", "checkpoints/stray", "checkpoints/000001/stray"} {
		_, root := smallDisk(t)
		if err := writeFile(root, name, nil); err != nil {
			t.Fatal(err)
		}
		report, err := check(t.Context(), root, "run")
		if err != nil || !slices.Equal(report.Notes, []string{name + " is not part of the run"}) {
			t.Errorf("%s: %v %+v", name, err, report)
		}
	}
}

// A read that fails, at any point of any reader, is an error, and never another answer.
func TestFailingReads(t *testing.T) {
	disk, root := smallDisk(t)
	whole := everything(t, root)
	reads := 0
	disk.fault = func(string, string) error { reads++; return nil }
	everything(t, root)
	for i := range reads {
		at := 0
		disk.fault = func(string, string) error {
			if at++; at-1 == i {
				return syscall.EIO
			}
			return nil
		}
		got := everything(t, root)
		disk.fault = func(string, string) error { return nil }
		for name := range maps.Keys(got) {
			if got[name] != whole[name] && !strings.HasPrefix(got[name], "error: ") {
				t.Errorf("read %d failed: %s is %s, was %s", i, name, got[name], whole[name])
			}
		}
		for name := range maps.Keys(whole) {
			if _, ok := got[name]; !ok && !strings.HasPrefix(got["open"], "error: ") {
				t.Errorf("read %d failed: nothing of %s", i, name)
			}
		}
	}
	t.Logf("%d operations failed", reads)
}
