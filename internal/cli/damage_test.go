package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/record"
)

// damaged is a small run with every kind of file, and the commands that read it. Each answers with what it prints and writes.
type damaged struct {
	dir      string
	files    []string // in the run
	commands map[string]func(t *testing.T) answer
}

type answer struct {
	code        int
	out, stderr string
}

func newDamaged(t *testing.T) *damaged {
	t.Helper()
	in := numtest.InMemory(t)
	table, rows := filepath.Join(in, "table.csv"), "size,colour,kind\n"
	for i := range 24 {
		rows += fmt.Sprintf("%d.5,%s,%s\n", i*7%11, []string{"red", "blue"}[i%2], []string{"crow", "gull", "swan"}[(i+i/5)%3])
	}
	if err := os.WriteFile(table, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &damaged{dir: filepath.Join(in, "run"), commands: map[string]func(*testing.T) answer{}}
	succeed(t, "train", "--quiet", "--data", table, "--hidden", "4", "--epochs", "4", "--batch", "4", "--folds", "2", "--out", d.dir)
	succeed(t, "calibrate", d.dir)
	if err := filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && entry.Name() != "lock" {
			d.files = append(d.files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, split := range []string{"train", "val"} {
		ids[split] = strconv.FormatInt(samplesOf(t, d.dir, split).IDs[0], 10)
	}
	add := func(name string, args ...string) {
		out := filepath.Join(in, "out"+filepath.Ext(args[len(args)-1]))
		if strings.HasPrefix(args[len(args)-1], "OUT") {
			args[len(args)-1] = out
		}
		d.commands[name] = func(t *testing.T) (a answer) {
			os.Remove(out)
			a.code, a.out, a.stderr = call(t, args...)
			if written, err := os.ReadFile(out); err == nil {
				a.out += string(written)
			}
			return a
		}
	}
	add("check", "check", d.dir)
	add("show", "show", d.dir, "--json")
	add("score last", "score", d.dir, "--json")
	add("score best", "score", d.dir, "--epoch", "best", "--json")
	add("score 2", "score", d.dir, "--epoch", "2", "--json")
	add("calibrate", "calibrate", d.dir, "-o", "OUT.json")
	add("explain", "explain", d.dir, "--epoch", "3", "--split", "train", "--sample", ids["train"], "--json")
	add("explain val", "explain", d.dir, "--epoch", "3", "--split", "val", "--sample", ids["val"])
	add("labels", "labels", d.dir, "--top", "5", "--json")
	add("diagnose", "diagnose", d.dir, "--json")
	add("compare", "compare", d.dir, "--json")
	add("four", "plot", d.dir, "-o", "OUT.svg")
	add("curves", "plot", d.dir, "--kind", "curves", "-o", "OUT.svg")
	add("map", "plot", d.dir, "--kind", "map", "-o", "OUT.svg")
	add("reliability", "plot", d.dir, "--kind", "reliability", "-o", "OUT.svg")
	add("report", "report", d.dir, "-o", "OUT.html")
	add("export", "export", d.dir, "--out", "OUT.csv")
	add("predict", "predict", d.dir, "--data", table)
	add("folds", "show", filepath.Join(d.dir, record.FoldsDir), "--json")
	d.commands["resume"] = func(t *testing.T) (a answer) { // of a copy, which it changes
		copied := filepath.Join(in, "copy")
		if err := os.CopyFS(copied, os.DirFS(d.dir)); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(copied)
		a.code, a.out, a.stderr = call(t, "train", "--resume", copied, "--quiet")
		if _, after, _ := call(t, "check", copied); a.code == exitOK && !strings.Contains(after, "all as written") {
			a.out += after
		}
		a.stderr = strings.ReplaceAll(a.stderr, copied, d.dir)
		return a
	}
	return d
}

// same leaves out of an answer what is another at every time.
var same = regexp.MustCompile(`"seconds":[0-9.e-]+|"ended": ?"[^"]*"|[0-9.]+s left`)

func (a answer) same(b answer) bool {
	return a.code == b.code && same.ReplaceAllString(a.out, "") == same.ReplaceAllString(b.out, "")
}

// names reports whether an answer names a file, or the epoch or folder that it is of, where that is gone.
func (a answer) names(d *damaged, file string) bool {
	relative, _ := filepath.Rel(d.dir, file)
	said := a.out + strings.ReplaceAll(a.stderr, " is not a run: manifest.json", "/manifest.json")
	if strings.Contains(said, file) || strings.Contains(said, filepath.ToSlash(relative)) {
		return true
	}
	if at := regexp.MustCompile(`epochs/0*(\d+)$`).FindStringSubmatch(filepath.ToSlash(relative)); at != nil {
		n, _ := strconv.Atoi(at[1])
		return strings.Contains(said, fmt.Sprintf("epoch %d is missing", n)) || strings.Contains(said, fmt.Sprintf("before epoch %d missing", n+1)) ||
			strings.Contains(said, fmt.Sprintf("after epoch %d missing", n-1)) || strings.Contains(said, fmt.Sprintf("no epoch %d", n))
	}
	return false
}

// Each file of a run damaged, one way or another: every command answers as before, since it does not read the file, or names the
// file. LOGITSCOPE_DAMAGES=n damages each in n places and more ways.
func TestDamageIsNamed(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	d := newDamaged(t)
	asked, _ := strconv.Atoi(os.Getenv("LOGITSCOPE_DAMAGES"))
	most := max(asked, 1)
	before := map[string]answer{}
	for name, command := range d.commands {
		if before[name] = command(t); before[name].code != exitOK {
			t.Fatalf("%s: %+v", name, before[name])
		}
	}
	trials, answers, named := 0, 0, 0
	try := func(file, how string) {
		t.Helper()
		trials++
		for name, command := range d.commands {
			a := command(t)
			answers++
			switch {
			case a.names(d, file) && a.code != exitOK, a.names(d, file) && name == "resume":
				named++
			case !a.same(before[name]):
				t.Errorf("%s %s: %s exits with %d, says %q", file, how, name, a.code, a.stderr)
			case name == "check":
				t.Errorf("%s %s: check does not name it", file, how)
			}
		}
	}
	for i, file := range d.files {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		put := func(data []byte) {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for n := range most {
			at := (len(whole)*n/most + 37*i) % len(whole)
			if asked > 0 || i%3 > 0 {
				flipped := slices.Clone(whole)
				flipped[at] ^= 1 << ((n + i) % 8)
				put(flipped)
				try(file, fmt.Sprintf("with byte %d flipped", at))
			}
			if asked > 0 && n%4 == 0 || i%3 == 0 {
				put(whole[:at])
				try(file, fmt.Sprintf("cut to %d bytes", at))
			}
		}
		put(whole)
		// A run without a calibrator is whole, and one without an end was killed.
		if base := filepath.Base(file); base == record.CalibrationFile || base == "end.json" || asked == 0 && i%3 < 2 {
			continue
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		try(file, "gone")
		put(whole)
	}
	for _, epoch := range []string{"000001", "000003", "000004"} {
		folder := filepath.Join(d.dir, "epochs", epoch)
		aside := folder + ".aside"
		if err := os.Rename(folder, aside); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(aside, filepath.Join(d.dir, "..", "aside")); err != nil {
			t.Fatal(err)
		}
		try(folder, "gone")
		if err := os.Rename(filepath.Join(d.dir, "..", "aside"), folder); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d damages to %d files, %d answers: %d name the damage, the others are as before", trials, len(d.files), answers, named)
}
