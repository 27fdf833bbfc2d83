package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/server"
)

// secretClass is in the manifest of runs outside of the folder that is served.
const secretClass = "outside-4711"

// surrounded makes a folder of runs with a run, and hostile company: a run beside the folder, one in a folder whose name
// starts with that of the served one, and links to them.
func surrounded(t testing.TB) (root string) {
	t.Helper()
	base := t.TempDir()
	root = filepath.Join(base, "runs")
	recorded(t, filepath.Join(root, "one"))
	for _, dir := range []string{filepath.Join(base, "secret"), filepath.Join(base, "runs-secret", "one")} {
		w, err := record.Create(dir, record.Manifest{
			Classes: []string{secretClass, "b"}, Head: record.HeadSoftmax, Columns: 2, Splits: []record.SplitInfo{{Name: "val", N: 1}},
		}, map[string]record.Samples{"val": {IDs: []int64{1}, Labels: []int32{0}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteEpoch(1, map[string][]float32{"val": {1, 0}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(record.StateComplete); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS == "windows" {
		return root // links need a privilege there
	}
	linked := filepath.Join(root, "linked")
	if err := os.Mkdir(linked, 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		filepath.Join(root, "link"):            filepath.Join(base, "secret"),
		filepath.Join(root, "relative"):        filepath.Join("..", "secret"),
		filepath.Join(root, "up"):              "..",
		filepath.Join(root, "self"):            ".",
		filepath.Join(linked, "manifest.json"): filepath.Join(base, "secret", "manifest.json"),
		filepath.Join(linked, "epochs"):        filepath.Join(base, "secret", "epochs"),
	} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// hostileNames are names of runs, as they stand in a request's path, that must reach nothing.
func hostileNames() (names []string) {
	// Links and what is no run.
	names = append(names, "link", "relative", "up", "self", "linked", "link%2Fepochs", "up%2Fsecret", "self%2Fone", "one%2Fepochs", "manifest.json")
	for _, up := range []string{"..", ".", "...", "....", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "%c0%ae%c0%ae", "%e0%80%ae.", "%uff0e%uff0e", "．．", "․․"} {
		for _, slash := range []string{"/", "%2f", "%2F", "%5c", "\\", "%252f", "%c0%af", "∕", "／", "//", "%2f%2f", "/./", ";/"} {
			names = append(names, up+slash+"secret")
		}
	}
	for _, lead := range []string{"/", "//", "%2f", "%2f%2f", "\\", "\\\\", "%5c%5c", "file:", "file:///", "C:", "C:\\", "c%3a%5c", "\\\\?\\C:\\", "%5c%5c.%5c", "~", "~root/", "$HOME", "%24%7bHOME%7d"} {
		names = append(names, lead+"secret", lead+"etc/passwd")
	}
	for _, tail := range []string{"%00", "%00.json", "#", "%23", "?", "%3f", ";", "%3b", ":", "::$DATA", "%3a$DATA", "%20", "+", "%09", "%0a", "%0d%0aX-Evil:%201", "*", "%2a", "|", "<", ">", "%22", "'", "`", "%7f", "%ff", "%80", "é", "%e2%80%ae", "\u200b"} {
		names = append(names, "one"+tail+"x", tail+"one")
	}
	names = append(names, "con", "CON", "nul", "NUL.txt", "aux", "com1", "LPT9.log", "PRN", "COM¹", "CONIN$", "..%2fruns-secret%2fone", "-secret", "../runs-secret/one", ".git", ".one", "one.", "one..", "%", "%2", "%zz")
	return append(names, strings.Repeat("a", 129), strings.Repeat("a", 5000), strings.Repeat("../", 100)+"etc/passwd", strings.Repeat("%2e%2e%2f", 100)+"etc%2fpasswd")
}

// Hostile names reach nothing outside of the folder that is served, and break nothing.
func TestHostileNames(t *testing.T) {
	root := surrounded(t)
	handler, _ := serving(t, server.Config{Root: root})
	names := hostileNames()
	if len(names) < 200 {
		t.Errorf("%d names, want 200", len(names))
	}
	for _, name := range names {
		for _, target := range []string{
			"/api/runs/" + name, "/api/runs/" + name + "/curves", "/api/runs/" + name + "/epochs/1/graphs",
			"/api/runs/one/epochs/" + name + "/graphs", "/api/runs/one/epochs/1/splits/" + name + "/samples", "/api/runs/one/epochs/1/splits/val/samples/" + name,
			"/assets/" + name, "/" + name,
		} {
			// Past net/url where it would refuse, as a client that is no browser can.
			address, err := url.ParseRequestURI(target)
			if err != nil {
				address = &url.URL{Path: target}
			}
			w := ask(handler, "/", func(r *http.Request) { r.URL = address })
			reachesNothing(t, root, target, w)
			if strings.HasPrefix(target, "/api/runs/"+name) && w.Code == http.StatusOK && address.Path != "/api/runs/one" && address.Path != "/api/runs/" {
				t.Errorf("%s is answered: %s", target, w.Body)
			}
		}
	}
	// The list names no run but the one that is there.
	if w := ask(handler, "/api/runs", nil); strings.Count(w.Body.String(), `"name":"one"`) != 1 || strings.Contains(w.Body.String(), secretClass) ||
		strings.Contains(w.Body.String(), "link") {
		t.Errorf("the list: %s", w.Body)
	}
}

// reachesNothing checks that an answer tells nothing of what is outside of root, is no breakdown and sets no header of the
// client's.
func reachesNothing(t *testing.T, root, target string, w *httptest.ResponseRecorder) {
	t.Helper()
	body := w.Body.String()
	for _, secret := range []string{secretClass, "root:", filepath.Dir(root) + string(filepath.Separator) + "secret"} {
		if strings.Contains(body, secret) {
			t.Errorf("%.200q reaches out: %d %s", target, w.Code, body)
		}
	}
	if w.Code >= 500 {
		t.Errorf("%.200q: %d %s", target, w.Code, body)
	}
	if w.Header().Get("X-Evil") != "" {
		t.Errorf("%.200q sets a header", target)
	}
	if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") && !strings.HasPrefix(to, ".") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`)) {
		t.Errorf("%.200q leads to another site: %s", target, to)
	}
}

// Any path, question and Host: an answer, and none that reaches out.
func FuzzRequest(f *testing.F) {
	root := surrounded(f)
	handler, _ := serving(f, server.Config{Root: root})
	for _, name := range hostileNames()[:40] {
		f.Add("/api/runs/"+name+"/curves", "", "localhost")
	}
	for _, target := range everyTarget(f) {
		if target != "/api/events" {
			f.Add(target, "limit=3&temperature=0.5", "127.0.0.1:8321")
		}
	}
	f.Add("/api/runs/one/epochs/1/splits/val/samples/8", "temperature=1e-320", "[::1]:1")
	f.Add("/api/runs/one/epochs/1/splits/val/samples/8", "temperature=0x1p-1074&;%zz", "[::1]:1")
	f.Fuzz(func(t *testing.T, path, query, host string) {
		if path == "/api/events" {
			return // never ends
		}
		w := ask(handler, "/", func(r *http.Request) {
			r.URL, r.Host = &url.URL{Path: path, RawQuery: query}, host
			r.RequestURI = r.URL.RequestURI()
		})
		reachesNothing(t, root, fmt.Sprintf("%s?%s of %s", path, query, host), w)
		checkHeaders(t, path, w.Header())
	})
}
