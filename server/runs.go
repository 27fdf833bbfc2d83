package server

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

// maxOpen is how many runs are kept open with what was computed of them: those that were asked for last. It bounds descriptors, mappings and memory.
const maxOpen = 16

// runs finds the runs under a directory, which is itself a run or a folder of them, and keeps some open. Runs that are
// deleted or replaced while they are open are noticed by their directory's identity.
type runs struct {
	root string

	mu     sync.Mutex
	open   map[string]*list.Element // the elements of recent, by the names of their runs
	recent *list.List               // the open runs, each an *openRun; the one asked for last comes first
}

// openRun is an open run with its Analyzer, which keeps what was computed.
type openRun struct {
	*record.Run
	*analysis.Analyzer
	name string
	dir  fs.FileInfo

	users   int  // how many requests use it now; guarded by runs.mu
	dropped bool // whether the last of them has to close it; guarded by runs.mu
}

func newRuns(root string) *runs {
	return &runs{root: root, open: map[string]*list.Element{}, recent: list.New()}
}

// found is an entry of the list of runs: a run, or the reason why it cannot be served.
type found struct {
	name string
	err  error
}

// list returns all runs in the order of their names: those in the root, and those in its folders that are no runs themselves, as FOLDER/RUN. A run
// that cannot be served is in the list with the reason.
func (r *runs) list() ([]found, error) {
	if r.root == "" {
		return nil, nil
	}
	if isRun(r.root) {
		return []found{{name: rootName(r.root)}}, nil
	}
	entries, err := os.ReadDir(r.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []found
	for _, e := range entries {
		if !e.IsDir() { // links are not followed
			continue
		}
		if isRun(filepath.Join(r.root, e.Name())) {
			all = append(all, foundAs(e.Name()))
			continue
		}
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		inside, _ := os.ReadDir(filepath.Join(r.root, e.Name())) // one that cannot be read hides no other
		for _, one := range inside {
			if one.IsDir() && isRun(filepath.Join(r.root, e.Name(), one.Name())) {
				all = append(all, foundAs(e.Name()+"/"+one.Name()))
			}
		}
	}
	return all, err
}

// foundAs returns an entry of a run of that name, with the reason where it is none under which a run can be served.
func foundAs(name string) found {
	one := found{name: name}
	if !validName(name) {
		one.err = fmt.Errorf("%w: rename it", errName)
	}
	return one
}

// validName reports whether a name is that of a run, RUN, or of one in a folder, FOLDER/RUN. Such a name leads out of no folder.
func validName(name string) bool {
	folder, run, deeper := strings.Cut(name, "/")
	return record.ValidName(folder) && (!deeper || record.ValidName(run))
}

func isRun(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, "manifest.json"))
	return err == nil && info.Mode().IsRegular()
}

// end returns the state of a run's folder and of the file that says how the run ended, which is nil where there is none.
func (r *runs) end(name string) (dir, end fs.FileInfo) {
	path := filepath.Join(r.root, name)
	if isRun(r.root) {
		path = r.root
	}
	dir, err := os.Lstat(path)
	if err != nil {
		return nil, nil
	}
	if end, err = os.Lstat(filepath.Join(path, "end.json")); err != nil {
		return dir, nil
	}
	return dir, end
}

// rootName is the name under which a root that is itself a run is served.
func rootName(root string) string {
	absolute, err := filepath.Abs(root)
	if name := filepath.Base(absolute); err == nil && record.ValidName(name) {
		return name
	}
	return "run"
}

var (
	errNoRun = errors.New("no such run") // no run has the name
	errName  = errors.New("a run's name holds letters, digits, '.', '_' and '-'")
)

// use calls do with the run of that name, whose newest epochs have been read. A name that could lead out of the folder is errNoRun.
func (r *runs) use(name string, do func(*openRun) (any, error)) (any, error) {
	run, err := r.acquire(name)
	if err != nil {
		return nil, err
	}
	defer r.release(run)
	if run.State() != record.StateComplete { // a complete run does not change any more
		if err := run.Refresh(); err != nil {
			return nil, err
		}
	}
	return do(run)
}

// glance calls do with the run of that name as use does, but does not open the run only to keep it.
func (r *runs) glance(name string, do func(*record.Run)) error {
	r.mu.Lock()
	_, isOpen := r.open[name]
	r.mu.Unlock()
	if isOpen {
		_, err := r.use(name, func(run *openRun) (any, error) { do(run.Run); return nil, nil })
		return err
	}
	run, _, err := r.read(name)
	if err != nil {
		return err
	}
	do(run)
	return run.Close()
}

// find returns the folder of the run of that name, and its present state.
func (r *runs) find(name string) (root *os.Root, dir string, info fs.FileInfo, err error) {
	dir = name
	switch {
	case !validName(name):
		return nil, "", nil, fmt.Errorf("%w: %w", errNoRun, errName)
	case r.root == "": // no folder is served; "" must not stand for the current one
		return nil, "", nil, fmt.Errorf("%w: %s", errNoRun, name)
	case isRun(r.root):
		if name != rootName(r.root) {
			return nil, "", nil, fmt.Errorf("%w: %s", errNoRun, name)
		}
		dir = "."
	}
	// The root is opened for each request, since it may appear or be replaced while it is served.
	root, err = os.OpenRoot(filepath.Clean(r.root) + string(filepath.Separator) + ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil, fmt.Errorf("%w: %s", errNoRun, name)
	}
	if err != nil {
		return nil, "", nil, err
	}
	folder, _, deeper := strings.Cut(dir, "/")
	above, err := root.Lstat(folder)
	if err == nil {
		info, err = root.Lstat(dir)
	}
	// Links are not followed, and what is inside a run, such as its folds, is part of it.
	if err != nil || !above.IsDir() || !info.IsDir() || deeper && isRun(filepath.Join(r.root, folder)) || !isRun(filepath.Join(r.root, dir)) {
		root.Close()
		return nil, "", nil, fmt.Errorf("%w: %s", errNoRun, name)
	}
	return root, dir, info, nil
}

// read opens a run that the caller closes.
func (r *runs) read(name string) (*record.Run, fs.FileInfo, error) {
	run, info, err := r.readOnce(name)
	if err != nil && !errors.Is(err, errNoRun) && r.forget(nil) > 0 {
		return r.readOnce(name) // closing the runs that nobody uses may have freed the descriptors that were lacking
	}
	return run, info, err
}

func (r *runs) readOnce(name string) (*record.Run, fs.FileInfo, error) {
	root, dir, info, err := r.find(name)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	run, err := record.OpenIn(root, dir)
	return run, info, err
}

// acquire returns the run of that name, which stays open until release is called.
func (r *runs) acquire(name string) (*openRun, error) {
	root, _, info, err := r.find(name)
	if err == nil {
		root.Close()
	}
	if run := r.openUnchanged(name, info); run != nil || err != nil {
		return run, err
	}
	opened, info, err := r.read(name)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	run := &openRun{Run: opened, Analyzer: analysis.New(opened), name: name, dir: info, users: 1}
	if other := r.open[name]; other != nil { // another request has opened it in the meantime
		r.drop(other)
	}
	r.open[name] = r.recent.PushFront(run)
	for r.recent.Len() > maxOpen {
		r.drop(r.recent.Back())
	}
	return run, nil
}

// openUnchanged returns the open run of that name if it is still the one on the disk, and otherwise drops it and returns nil.
func (r *runs) openUnchanged(name string, now fs.FileInfo) *openRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	element := r.open[name]
	if element == nil {
		return nil
	}
	run := element.Value.(*openRun)
	if now == nil || !os.SameFile(run.dir, now) {
		r.drop(element)
		return nil
	}
	r.recent.MoveToFront(element)
	run.users++
	return run
}

func (r *runs) release(run *openRun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run.users--; run.users == 0 && run.dropped {
		run.Close()
	}
}

// drop removes a run from the open ones, and closes it as soon as nobody uses it. The caller holds r.mu.
func (r *runs) drop(element *list.Element) {
	run := r.recent.Remove(element).(*openRun)
	delete(r.open, run.name)
	if run.dropped = true; run.users == 0 {
		run.Close()
	}
}

// forget drops the open runs that nobody uses and that are not in keep, and returns how many it dropped.
func (r *runs) forget(keep []found) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for name, element := range r.open {
		kept := slices.ContainsFunc(keep, func(f found) bool { return f.name == name })
		if !kept && element.Value.(*openRun).users == 0 {
			r.drop(element)
			n++
		}
	}
	return n
}

func (r *runs) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.recent.Len() > 0 {
		r.drop(r.recent.Front())
	}
}
