package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

// runs finds the runs under a directory, which is itself a run or a folder of them, and keeps them open. Runs that are
// deleted or replaced while they are open are noticed by their directory's identity.
type runs struct {
	root string

	mu   sync.Mutex
	open map[string]*openRun
}

// openRun is a run with what is known of it.
type openRun struct {
	*record.Run
	*analysis.Analyzer
	dir fs.FileInfo
}

func newRuns(root string) *runs { return &runs{root: root, open: map[string]*openRun{}} }

// names returns the runs there are, in the order of the file system's names.
func (r *runs) names() ([]string, error) {
	if isRun(r.root) {
		return []string{rootName(r.root)}, nil
	}
	entries, err := os.ReadDir(r.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && record.ValidName(e.Name()) && isRun(filepath.Join(r.root, e.Name())) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func isRun(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, "manifest.json"))
	return err == nil && info.Mode().IsRegular()
}

// rootName is the name under which a root that is itself a run is served.
func rootName(root string) string {
	absolute, err := filepath.Abs(root)
	if name := filepath.Base(absolute); err == nil && record.ValidName(name) {
		return name
	}
	return "run"
}

// errNoRun is the error for a run that is not there.
var errNoRun = errors.New("no such run")

// get returns the run of that name with its newest epochs. A name that could lead elsewhere is no run's.
func (r *runs) get(name string) (*openRun, error) {
	dir := name
	switch {
	case !record.ValidName(name):
		return nil, fmt.Errorf("%w: a run's name holds letters, digits, '.', '_' and '-'", errNoRun)
	case isRun(r.root):
		if name != rootName(r.root) {
			return nil, fmt.Errorf("%w: %s", errNoRun, name)
		}
		dir = "."
	}
	root, err := os.OpenRoot(r.root) // each time: it may appear, or be replaced, while it is served
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", errNoRun, name)
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(dir)
	here := err == nil && info.IsDir() && isRun(filepath.Join(r.root, dir))
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.open[name]
	if run != nil && !(here && os.SameFile(run.dir, info)) {
		run.Close()
		delete(r.open, name)
		run = nil
	}
	if !here {
		return nil, fmt.Errorf("%w: %s", errNoRun, name)
	}
	if run == nil {
		opened, err := record.OpenIn(root, dir)
		if err != nil {
			return nil, err
		}
		run = &openRun{Run: opened, Analyzer: analysis.New(opened), dir: info}
		r.open[name] = run
	}
	if run.State() == record.StateComplete {
		return run, nil // it does not change any more
	}
	return run, run.Refresh()
}

func (r *runs) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range r.open {
		run.Close()
	}
	clear(r.open)
}
