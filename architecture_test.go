// Package logitscope_test holds the repository to what ARCHITECTURE.md draws: who imports whom, and what that weighs.
package logitscope_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/logitscope/logitscope/"

// drawn are the arrows that ARCHITECTURE.md draws: to each package those that it imports.
func drawn(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```arrows\n")
	list, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("ARCHITECTURE.md has no list of arrows")
	}
	arrows := map[string][]string{}
	for line := range strings.Lines(list) {
		from, to, _ := strings.Cut(line, "←")
		arrows[strings.TrimSpace(from)] = strings.Fields(to)
	}
	return arrows
}

// imports are the packages of the module with those of it that they import, on whatever system; tests do not count.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	arrows := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, other := os.Stat(filepath.Join(path, "go.mod"))
			if path != "." && (strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_") || entry.Name() == "testdata" || entry.Name() == "node_modules" || other == nil) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := filepath.ToSlash(filepath.Dir(path))
		if arrows[from] == nil {
			arrows[from] = []string{}
		}
		for _, i := range file.Imports {
			to, own := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module)
			if own && !slices.Contains(arrows[from], to) {
				arrows[from] = append(arrows[from], to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return arrows
}

// A new arrow is a decision: draw it in ARCHITECTURE.md, or do without it. One that is gone is not drawn.
func TestArrowsAreDrawn(t *testing.T) {
	want, got := drawn(t), imports(t)
	for from, all := range got {
		if want[from] == nil {
			t.Errorf("ARCHITECTURE.md does not have the package %s, which imports %v", from, all)
			continue
		}
		for _, to := range all {
			if !slices.Contains(want[from], to) {
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not draw", from, to)
			}
		}
	}
	for from, all := range want {
		for _, to := range all {
			if !slices.Contains(got[from], to) {
				t.Errorf("ARCHITECTURE.md draws that %s imports %s, which it does not", from, to)
			}
		}
	}
}

// What a program takes on that imports a package, and what it must not link.
func TestWeightOfPackages(t *testing.T) {
	for _, c := range []struct {
		imports []string
		body    string
		most    int64    // bytes of a program, stripped
		without []string // beginnings of packages
	}{
		{[]string{"logit", "loss"}, `
	z, p := []float32{1, 2, 3}, make([]float32, 3)
	logit.Softmax(p, z, 3)
	l, err := loss.ByName[float32]("focal", loss.Settings{"gamma": {2}})
	fmt.Println(p, err, l.Loss(nil, nil, z, 3, loss.Targets[float32]{Labels: []int32{0}}))`, 2_000_000, []string{"github.com/apache", "net/http", "encoding/json"}},
		{[]string{"record"}, `
	run, err := record.Open("run")
	fmt.Println(run, err)
	w, err := record.Create("other", record.Manifest{}, nil)
	fmt.Println(w.WriteEpoch(1, nil), err)`, 5_000_000, []string{"github.com/apache", "net/http"}},
		{[]string{"train"}, `
	fmt.Println(train.DefaultConfig())`, 6_000_000, []string{"github.com/apache", "net/http"}},
		{[]string{"analysis"}, `
	fmt.Println(analysis.New(nil))`, 8_000_000, []string{"github.com/apache", "gonum.org", "net/http"}},
	} {
		name := strings.Join(c.imports, " and ")
		dir := t.TempDir()
		source := "package main\n\nimport (\n\t\"fmt\"\n"
		for _, path := range c.imports {
			source += fmt.Sprintf("\t%q\n", module+path)
		}
		source += ")\n\nfunc main() {" + c.body + "\n}\n"
		file, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, file)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		info, err := os.Stat(program)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.2f MB", name, float64(info.Size())/1e6)
		if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" && info.Size() > c.most {
			t.Errorf("a program of %s has %d bytes, more than %d", name, info.Size(), c.most)
		}
		deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		for dep := range strings.Lines(string(deps)) {
			for _, heavy := range c.without {
				if strings.HasPrefix(dep, heavy) {
					t.Errorf("a program of %s links %s", name, strings.TrimSpace(dep))
				}
			}
		}
	}
}
