package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/server"
)

// Each file of a run damaged at every few bytes, cut short, gone, or that of another run: every route answers as before, since it
// does not read the file, or names it.
func TestDamageIsNamed(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	dir := filepath.Join(root, "one")
	recorded(t, dir)
	other := filepath.Join(t.TempDir(), "other")
	recorded(t, other)
	routes := []string{
		"/api/runs/one", "/api/runs/one/curves", "/api/runs/one/findings", "/api/runs/one/epochs/1/graphs", "/api/runs/one/epochs/3/graphs",
		"/api/runs/one/epochs/2/splits/train/samples", "/api/runs/one/epochs/2/splits/val/samples",
		"/api/runs/one/epochs/2/splits/train/samples/7", "/api/runs/one/epochs/3/splits/val/samples/8",
	}
	answers := func() []string {
		s, err := server.New(server.Config{Root: root, Addr: "127.0.0.1:8321", Web: page})
		if err != nil {
			t.Fatal(err)
		}
		defer server.CloseRuns(s)
		all := make([]string, len(routes))
		for i, route := range routes {
			w := ask(s.Handler(), route, nil)
			all[i] = fmt.Sprint(w.Code, w.Body)
		}
		return all
	}
	before := answers()
	for i, answer := range before {
		if !strings.HasPrefix(answer, "200") {
			t.Fatalf("%s: %s", routes[i], answer)
		}
	}
	trials, named := 0, 0
	try := func(name, how string, names ...string) {
		t.Helper()
		trials++
		for i, answer := range answers() {
			switch {
			case slices.ContainsFunc(append(names, name), func(name string) bool { return strings.Contains(answer, name) }):
				named++
			case answer != before[i]:
				t.Errorf("%s %s: %s answers %s", name, how, routes[i], answer)
			}
		}
	}
	for _, name := range []string{
		"manifest.json", "end.json", "samples/train.arrow", "samples/val.arrow", "epochs/000001/epoch.json", "epochs/000001/train.arrow",
		"epochs/000002/val.arrow", "epochs/000003/epoch.json", "epochs/000003/val.arrow",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		put := func(data []byte) {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for at := 3; at < len(whole); at += 97 {
			flipped := slices.Clone(whole)
			flipped[at] ^= 1 << (at % 8)
			put(flipped)
			try(name, fmt.Sprintf("with byte %d flipped", at))
			put(whole[:at])
			try(name, fmt.Sprintf("cut to %d bytes", at))
		}
		if name != "manifest.json" { // in its place it is the run
			foreign, err := os.ReadFile(filepath.Join(other, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			put(foreign)
			try(name, "of another run")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if name != "end.json" {
			try(name, "gone", "no such run")
		}
		put(whole)
	}
	for epoch, said := range map[string]string{"000001": "1 before epoch 2 missing", "000002": "epoch 2 is missing", "000003": "1 after epoch 2 missing"} {
		folder, aside := filepath.Join(dir, "epochs", epoch), filepath.Join(root, "aside")
		if err := os.Rename(folder, aside); err != nil {
			t.Fatal(err)
		}
		// The newest epoch of a run is what there is of it.
		try(folder, "gone", said, "no epoch "+epoch[5:], `"name":"one"`)
		if err := os.Rename(aside, folder); err != nil {
			t.Fatal(err)
		}
	}
	for i, answer := range answers() {
		if answer != before[i] {
			t.Errorf("mended: %s answers %s", routes[i], answer)
		}
	}
	t.Logf("%d damages, %d answers: %d name the damage, the others are as before", trials, trials*len(routes), named)
}
