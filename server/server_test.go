package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/server"
)

// page stands for the built dashboard.
var page = fstest.MapFS{
	"index.html":         {Data: []byte("<!doctype html><title>logitscope</title>")},
	"icon.svg":           {Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)},
	"assets/index-1.js":  {Data: []byte("export const one = 1")},
	"assets/index-1.css": {Data: []byte("body{}")},
}

// logitsOf are those of two classes, one training sample and two validation samples.
func logitsOf(epoch int) map[string][]float32 {
	z := float32(epoch)
	return map[string][]float32{"train": {z, 0}, "val": {0, z, z, 0}}
}

// create makes a run of which nothing is recorded yet.
func create(t testing.TB, dir string) *record.Writer {
	t.Helper()
	w, err := record.Create(dir, record.Manifest{
		Classes: []string{"<b>cat</b>", "dog"}, Head: record.HeadSoftmax, Columns: 2, PlannedEpochs: 3,
		Splits: []record.SplitInfo{{Name: "train", N: 1}, {Name: "val", N: 2}},
	}, map[string]record.Samples{
		"train": {IDs: []int64{7}, Labels: []int32{0}},
		"val":   {IDs: []int64{8, 9}, Labels: []int32{0, 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// recorded makes a complete run of three epochs.
func recorded(t testing.TB, dir string) {
	t.Helper()
	w := create(t, dir)
	for epoch := 1; epoch <= 3; epoch++ {
		if err := w.WriteEpoch(epoch, logitsOf(epoch)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
}

// serving returns what answers for a folder that holds the run "one".
func serving(t testing.TB, config server.Config) (http.Handler, string) {
	t.Helper()
	if config.Root == "" {
		config.Root = filepath.Join(t.TempDir(), "runs")
		recorded(t, filepath.Join(config.Root, "one"))
	}
	if config.Addr == "" {
		config.Addr = "127.0.0.1:8321"
	}
	if config.Web == nil {
		config.Web = page
	}
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.CloseRuns(s) })
	return s.Handler(), config.Root
}

// ask sends a request for target as a browser on this machine does; change may alter it.
func ask(handler http.Handler, target string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "127.0.0.1:8321"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// What the routes answer is what analysis finds, as JSON.
func TestAnswersAreThoseOfAnalysis(t *testing.T) {
	handler, root := serving(t, server.Config{})
	run, err := record.Open(filepath.Join(root, "one"))
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	a := analysis.New(run)
	for target, find := range map[string]func() (any, error){
		"/api/runs/one/curves":                                        func() (any, error) { return a.Curves(t.Context()) },
		"/api/runs/one/findings":                                      func() (any, error) { return diagnose.Of(t.Context(), a) },
		"/api/runs/one/epochs/2/graphs":                               func() (any, error) { return a.Graphs(t.Context(), 2) },
		"/api/runs/one/epochs/3/splits/val/samples":                   func() (any, error) { return a.Hardest(t.Context(), 3, "val", 48) },
		"/api/runs/one/epochs/3/splits/val/samples?limit=1":           func() (any, error) { return a.Hardest(t.Context(), 3, "val", 1) },
		"/api/runs/one/epochs/3/splits/val/samples/9":                 func() (any, error) { return a.Explain(t.Context(), 3, "val", 9, 1) },
		"/api/runs/one/epochs/3/splits/val/samples/9?temperature=2.5": func() (any, error) { return a.Explain(t.Context(), 3, "val", 9, 2.5) },
		"/api/runs/one/epochs/3/splits/val/score": func() (any, error) {
			return a.Score(t.Context(), 3, "val", analysis.ScoreOptions{})
		},
		"/api/runs/one/epochs/3/splits/val/score?temperature=2&bins=4": func() (any, error) {
			return a.Score(t.Context(), 3, "val", analysis.ScoreOptions{Temperature: 2, Bins: 4})
		},
		"/api/runs/one/epochs/3/splits/val/calibration?method=auto&folds=2&bins=4": func() (any, error) {
			c, err := a.Calibrate(t.Context(), 3, "val", calibrate.Auto, calibrate.Options{Folds: 2, Bins: 4, Seed: 1})
			if err != nil {
				return nil, err
			}
			return c.Fitted(), nil
		},
		"/api/runs/one/splits/val/labels":         func() (any, error) { return dynamics.FindWrongLabels(t.Context(), a, "val", 0) },
		"/api/runs/one/splits/val/labels?limit=1": func() (any, error) { return dynamics.FindWrongLabels(t.Context(), a, "val", 1) },
		"/api/compare?run=one": func() (any, error) {
			row, err := a.Compared(t.Context(), "one")
			rows := []*analysis.Compared{row}
			analysis.Compare(rows)
			return rows, err
		},
	} {
		found, err := find()
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		got := ask(handler, target, nil)
		if got.Code != http.StatusOK || got.Body.String() != string(want) || got.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d, %s\nwant %s", target, got.Code, got.Body, want)
		}
	}
}

func TestRuns(t *testing.T) {
	handler, root := serving(t, server.Config{})
	recorded(t, filepath.Join(root, "two.2"))
	if err := os.Mkdir(filepath.Join(root, "no-run"), 0o755); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(root, "damaged")
	if err := os.Mkdir(damaged, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "manifest.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	var runs []struct {
		Name, State   string
		Error         string
		Epochs        int
		PlannedEpochs int `json:"planned_epochs"`
		Classes       []string
		Splits        []record.SplitInfo
		Config        map[string]any
		Preview       any
	}
	list := ask(handler, "/api/runs", nil)
	if err := json.Unmarshal(list.Body.Bytes(), &runs); err != nil {
		t.Fatalf("%v: %s", err, list.Body)
	}
	if len(runs) != 3 || runs[0].Name != "damaged" || runs[1].Name != "one" || runs[2].Name != "two.2" {
		t.Fatalf("runs %s: want damaged, one and two.2", list.Body)
	}
	if !strings.Contains(runs[0].Error, "manifest.json") || runs[1].Error != "" || runs[2].Error != "" {
		t.Errorf("errors %q, %q, %q: want one of the first alone", runs[0].Error, runs[1].Error, runs[2].Error)
	}
	one := runs[1]
	if one.State != record.StateComplete || one.Epochs != 3 || one.PlannedEpochs != 3 || len(one.Classes) != 2 ||
		!reflect.DeepEqual(one.Splits, []record.SplitInfo{{Name: "train", N: 1}, {Name: "val", N: 2}}) || one.Config == nil || one.Preview != nil {
		t.Errorf("run %+v", one)
	}
	if strings.Contains(list.Body.String(), "<b>") {
		t.Errorf("markup is not escaped: %s", list.Body)
	}

	// A root that is itself a run is served under its own name, and nothing beside it is.
	handler, _ = serving(t, server.Config{Root: filepath.Join(root, "two.2")})
	if w := ask(handler, "/api/runs/two.2", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"name":"two.2"`) {
		t.Errorf("a root that is a run: %d %s", w.Code, w.Body)
	}
	if w := ask(handler, "/api/runs/one", nil); w.Code != http.StatusNotFound {
		t.Errorf("the run beside the root: %d %s", w.Code, w.Body)
	}
}

// Runs one folder deeper are listed and answer under FOLDER/RUN; what is inside a run, deeper still, or behind a link is not.
func TestRunsInFolders(t *testing.T) {
	handler, root := serving(t, server.Config{})
	for _, dir := range []string{"exp/b", "exp/a", "one/folds/1", "one/inside", "exp/deeper/still", ".hidden/run", "exp/c"} {
		recorded(t, filepath.Join(root, filepath.FromSlash(dir)))
	}
	if err := os.Rename(filepath.Join(root, "exp", "c"), filepath.Join(root, "exp", "no name")); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "other")
	recorded(t, filepath.Join(outside, "run"))
	linked := os.Symlink(outside, filepath.Join(root, "link")) == nil && os.Symlink(filepath.Join(root, "exp"), filepath.Join(root, "link2")) == nil
	var runs []struct{ Name, Error string }
	list := ask(handler, "/api/runs", nil)
	if err := json.Unmarshal(list.Body.Bytes(), &runs); err != nil {
		t.Fatalf("%v: %s", err, list.Body)
	}
	var names []string
	for _, run := range runs {
		names = append(names, run.Name)
		if (run.Error != "") != (run.Name == "exp/no name") {
			t.Errorf("run %q: error %q", run.Name, run.Error)
		}
	}
	if want := []string{"exp/a", "exp/b", "exp/no name", "one"}; !slices.Equal(names, want) {
		t.Errorf("runs %q, want %q", names, want)
	}
	for target, want := range map[string]string{
		"exp%2Fa": "", "exp%2Fa/curves": "", "exp%2Fb/epochs/3/graphs": "", "exp%2Fb/epochs/3/splits/val/samples/9": "",
		"exp": "no such run", "exp%2F": "no such run", "%2Fexp%2Fa": "no such run", "exp%2F..%2Fone": "no such run", "exp%2F..": "no such run",
		"..%2Fone": "no such run", "exp%2Fdeeper%2Fstill": "no such run", "one%2Finside": "no such run", "one%2Ffolds": "no such run", "one%2Fepochs": "no such run",
		"exp%2Fdeeper": "no such run", "exp%5Ca": "no such run",
	} {
		w := ask(handler, "/api/runs/"+target, nil)
		if want == "" && w.Code != http.StatusOK || want != "" && (w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want)) {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if linked {
		for _, target := range []string{"link%2Frun", "link2%2Fa"} {
			if w := ask(handler, "/api/runs/"+target, nil); w.Code != http.StatusNotFound {
				t.Errorf("%s, behind a link: %d %s", target, w.Code, w.Body)
			}
		}
	}
	if w := ask(handler, "/api/compare?run=exp/a&run=one", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"exp/a"`) {
		t.Errorf("compare: %d %s", w.Code, w.Body)
	}
}

// Runs appear, are replaced and go while the server lives.
func TestRunsComeAndGo(t *testing.T) {
	root := filepath.Join(t.TempDir(), "later")
	handler, _ := serving(t, server.Config{Root: root})
	if w := ask(handler, "/api/runs", nil); w.Code != http.StatusOK || w.Body.String() != "[]" {
		t.Errorf("before there is a folder: %d %s", w.Code, w.Body)
	}
	dir := filepath.Join(root, "one")
	recorded(t, dir)
	if w := ask(handler, "/api/runs/one/epochs/3/graphs", nil); w.Code != http.StatusOK {
		t.Errorf("a run that appeared: %d %s", w.Code, w.Body)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if w := ask(handler, "/api/runs/one/epochs/3/graphs", nil); w.Code != http.StatusNotFound {
		t.Errorf("a run that went: %d %s", w.Code, w.Body)
	}
	w := create(t, dir)
	defer w.Close(record.StateComplete)
	if w := ask(handler, "/api/runs/one/epochs/3/graphs", nil); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "none is recorded") {
		t.Errorf("another run in its place: %d %s", w.Code, w.Body)
	}
	if err := w.WriteEpoch(3, logitsOf(3)); err != nil {
		t.Fatal(err)
	}
	if w := ask(handler, "/api/runs/one/epochs/3/graphs", nil); w.Code != http.StatusOK {
		t.Errorf("an epoch that was recorded since: %d %s", w.Code, w.Body)
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	handler, root := serving(t, server.Config{})
	if err := os.Truncate(filepath.Join(root, "one", "epochs", "000002", "val.arrow"), 64); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		target string
		status int
		says   string
	}{
		{"/api/runs/none", 404, "no such run"},
		{"/api/nothing", 404, "nothing is served at /api/nothing"},
		{"/api/runs/one/epochs/9/graphs", 404, "no epoch 9 in one: it has 1 to 3"},
		{"/api/runs/one/epochs/two/graphs", 400, `epoch "two" is not a number`},
		{"/api/runs/one/epochs/99999999999999999999/graphs", 400, "is not a number"},
		{"/api/runs/one/epochs/1/splits/test/samples", 404, `no split "test"`},
		{"/api/runs/one/epochs/1/splits/val/samples?limit=0", 400, "from 1 to 1000"},
		{"/api/runs/one/epochs/1/splits/val/samples?limit=x", 400, "from 1 to 1000"},
		{"/api/runs/one/epochs/1/splits/val/samples/5000", 404, "no sample 5000"},
		{"/api/runs/one/epochs/1/splits/val/samples/x", 400, `sample "x" is not a number`},
		{"/api/runs/one/epochs/1/splits/val/samples/8?temperature=0", 400, "finite number above 0"},
		{"/api/runs/one/epochs/1/splits/val/samples/8?temperature=NaN", 400, "finite number above 0"},
		{"/api/runs/one/epochs/1/splits/val/samples/8?temperature=%2BInf", 400, "finite number above 0"},
		{"/api/runs/one/epochs/3/splits/val/calibration?method=best", 400, "method \"best\": want one of auto, temperature"},
		{"/api/runs/one/epochs/3/splits/val/calibration?folds=1", 400, "from 2 to 100"},
		{"/api/runs/one/epochs/3/splits/test/calibration", 404, "no split"},
		{"/api/runs/one/epochs/2/graphs", 500, "val.arrow"},
	} {
		w := ask(handler, c.target, nil)
		var body struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Errorf("%s: %v: %s", c.target, err, w.Body)
		}
		if w.Code != c.status || !strings.Contains(body.Error, c.says) || strings.Contains(body.Error, "\n") {
			t.Errorf("%s: %d %q; want %d and %q", c.target, w.Code, body.Error, c.status, c.says)
		}
	}
	// The epochs beside the damaged one are served.
	if w := ask(handler, "/api/runs/one/epochs/3/graphs", nil); w.Code != http.StatusOK {
		t.Errorf("epoch 3: %d %s", w.Code, w.Body)
	}
	if w := ask(handler, "/api/runs/one/curves", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"damaged":["`) {
		t.Errorf("curves: %d %s", w.Code, w.Body)
	}
}

// An answer is sent again only where it changed, and compressed where the browser can.
func TestUnchangedAnswers(t *testing.T) {
	handler, _ := serving(t, server.Config{})
	const target = "/api/runs/one/curves"
	compressed := func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }
	first := ask(handler, target, compressed)
	tag := first.Header().Get("ETag")
	if first.Code != http.StatusOK || tag == "" || first.Header().Get("Cache-Control") != "no-cache" || first.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("%d, %v", first.Code, first.Header())
	}
	again := ask(handler, target, func(r *http.Request) {
		compressed(r)
		r.Header.Set("If-None-Match", tag)
	})
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("the same answer again: %d with %d bytes", again.Code, again.Body.Len())
	}
	other := ask(handler, "/api/runs/one/epochs/1/graphs", func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
	if other.Code != http.StatusOK || other.Header().Get("ETag") == tag {
		t.Errorf("another answer: %d, tag %s", other.Code, other.Header().Get("ETag"))
	}
}

func TestDashboard(t *testing.T) {
	handler, _ := serving(t, server.Config{})
	for target, want := range map[string][3]string{
		"/":                   {"200", "text/html; charset=utf-8", "no-cache"},
		"/icon.svg":           {"200", "image/svg+xml", "no-cache"},
		"/assets/index-1.js":  {"200", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/index-1.css": {"200", "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/":            {"404", "text/plain; charset=utf-8", ""},
		"/assets":             {"404", "text/plain; charset=utf-8", ""},
		"/assets/index-2.js":  {"404", "text/plain; charset=utf-8", ""},
		"/healthz":            {"200", "text/plain; charset=utf-8", ""},
	} {
		w := ask(handler, target, nil)
		got := [3]string{http.StatusText(w.Code), w.Header().Get("Content-Type"), w.Header().Get("Cache-Control")}
		want[0] = map[string]string{"200": "OK", "404": "Not Found"}[want[0]]
		if got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	for name, web := range map[string]fstest.MapFS{"nothing built": {}, "a placeholder": {".keep": {}}} {
		handler, _ := serving(t, server.Config{Web: web})
		w := ask(handler, "/", nil)
		body, _ := io.ReadAll(w.Body)
		if w.Code != http.StatusOK || !strings.Contains(string(body), "make build") || !strings.Contains(string(body), "logitscope show") {
			t.Errorf("%s: %d %s", name, w.Code, body)
		}
	}
	if s, err := server.New(server.Config{Addr: "127.0.0.1:1"}); err != nil || s == nil {
		t.Errorf("without a dashboard: %v", err)
	}
}

// Every step of Learn is the one page, which reads its address itself: an unknown step and markup too. Nothing else is under /learn.
// A server of no root has no run, whatever the current folder is.
func TestNoRoot(t *testing.T) {
	for name, dir := range map[string]string{"a run": "one", "a folder of runs": "."} {
		root := t.TempDir()
		recorded(t, filepath.Join(root, "one"))
		t.Chdir(filepath.Join(root, dir))
		s, err := server.New(server.Config{Addr: "127.0.0.1:8321", Web: page})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.CloseRuns(s) })
		if w := ask(s.Handler(), "/api/runs", nil); w.Code != http.StatusOK || w.Body.String() != "[]" {
			t.Errorf("in %s: %d %s", name, w.Code, w.Body)
		}
		for _, path := range []string{"one", "run", ".", "%2e", filepath.Base(root)} {
			if w := ask(s.Handler(), "/api/runs/"+path+"/curves", nil); w.Code == http.StatusOK {
				t.Errorf("in %s: %s is served: %s", name, path, w.Body)
			}
		}
	}
}

func TestLearnIsOnePage(t *testing.T) {
	const page = "<!doctype html><title>Learn</title>"
	handler, _ := serving(t, server.Config{Web: fstest.MapFS{
		"index.html": {Data: []byte("dashboard")}, "learn.html": {Data: []byte(page)}, "assets/a-1.js": {Data: []byte("a")},
	}})
	for _, path := range []string{"/learn", "/learn/", "/learn/softmax?z=1,2&y=0", "/learn/no-such-step", "/learn/%3Cscript%3E", "/learn/a/b/c"} {
		answer := ask(handler, path, nil)
		if answer.Code != http.StatusOK || answer.Body.String() != page || answer.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: status %d, %s, %.40q", path, answer.Code, answer.Header().Get("Content-Type"), answer.Body)
		}
	}
	for _, path := range []string{"/learned", "/learn.js"} {
		answer := ask(handler, path, nil)
		if answer.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, answer.Code)
		}
	}
	for name, web := range map[string]fstest.MapFS{"empty": {}, "a placeholder": {".keep": {}}} {
		handler, _ := serving(t, server.Config{Web: web})
		answer := ask(handler, "/learn/log", nil)
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "make build") {
			t.Errorf("without the pages (%s): status %d, %.60q", name, answer.Code, answer.Body)
		}
	}
}
