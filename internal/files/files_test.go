package files_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/files"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// put writes text by Write.
func put(path, text string) error {
	return files.Write(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func content(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names lists a directory.
func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	write(t, file, "text")
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{file, link} {
		f, info, err := files.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(f); err != nil || string(text) != "text" || info.Size() != 4 {
			t.Errorf("%s: %q of %d bytes, %v", path, text, info.Size(), err)
		}
		f.Close()
	}
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for path, says := range map[string]string{
		dir: "a directory", socket: "a socket", os.DevNull: "a device", filepath.Join(dir, "none"): "no such file",
	} {
		if _, _, err := files.Open(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one that says %q", path, err, says)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "12345678")
	if data, err := files.Read(path, 8); err != nil || string(data) != "12345678" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := files.Read(path, 7); err == nil || !strings.Contains(err.Error(), "more than 7 bytes") {
		t.Errorf("error %v, want one that names the limit", err)
	}
}

// A part is named behind a regular file, whatever that ends in; a file of the whole name is that file.
func TestPart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"A.NPZ", "plain", "b:c.npz", "d", "d:e"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Skip(err) // names with a colon are no file's on Windows
		}
	}
	for path, want := range map[string][2]string{
		"A.NPZ": {"A.NPZ", ""}, "A.NPZ:x": {"A.NPZ", "x"}, "A.NPZ:x:y": {"A.NPZ", "x:y"}, "A.NPZ:a/x": {"A.NPZ", "a/x"}, "A.NPZ:": {"A.NPZ", ""},
		"plain:x": {"plain", "x"}, "b:c.npz:x": {"b:c.npz", "x"}, "d:e": {"d:e", ""}, "d:e:f": {"d:e", "f"}, "d:f": {"d", "f"},
		"absent:x": {"absent:x", ""}, "absent": {"absent", ""},
	} {
		if file, part := files.Part(filepath.Join(dir, path)); file != filepath.Join(dir, want[0]) || part != want[1] {
			t.Errorf("%s: %s and %q, want %q", path, file, part, want)
		}
	}
	if file, part := files.Part(dir + ":x"); file != dir+":x" || part != "" {
		t.Errorf("a folder's part: %s, %q", file, part)
	}
}

// A file is replaced whole or stays, with its permissions; nothing is left beside it.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.csv")
	if err := put(path, "first"); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	f, err := os.Create(plain)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if mode(path) != mode(plain) {
		t.Errorf("a new file has mode %v, one that os.Create makes %v", mode(path), mode(plain))
	}
	for _, perm := range []fs.FileMode{0o600, 0o664, 0o777, 0o644} {
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
		want := mode(path)
		if err := put(path, perm.String()); err != nil {
			t.Fatal(err)
		}
		if content(t, path) != perm.String() || mode(path) != want {
			t.Errorf("%q of mode %v, want %v", content(t, path), mode(path), want)
		}
	}
	failure := errors.New("failed")
	err = files.Write(path, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) || content(t, path) != fs.FileMode(0o644).String() {
		t.Errorf("error %v, and the file holds %.20q", err, content(t, path))
	}
	func() {
		defer func() { _ = recover() }()
		_ = files.Write(path, func(io.Writer) error { panic("in the middle") })
	}()
	if got := names(t, dir); got != "out.csv" {
		t.Errorf("the directory holds %s", got)
	}
	if err := put(path, "after"); err != nil || names(t, dir) != "out.csv" {
		t.Errorf("%v; the directory holds %s", err, names(t, dir))
	}
}

// Links are followed to their file and stay; what is no file stays as it is.
func TestWriteTargets(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	file, link, chain := filepath.Join(elsewhere, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "chain")
	write(t, file, "old")
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink("link", chain); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, chain} {
		if err := put(path, path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 || content(t, file) != path {
			t.Errorf("%s: mode %v, %v; the file holds %q", path, info.Mode(), err, content(t, file))
		}
	}
	dangling, loop, folder, locked := filepath.Join(dir, "dangling"), filepath.Join(dir, "loop"), filepath.Join(dir, "folder"), filepath.Join(dir, "locked")
	for from, to := range map[string]string{dangling: "nowhere", loop: "loop", folder: elsewhere} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	write(t, locked, "mine")
	if err := os.Chmod(locked, 0o444); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	before := names(t, dir)
	refused := map[string]string{
		dangling: "a link that leads to no file", loop: "a link that leads to no file", folder: "a directory", dir: "a directory",
		dir + "/": "no file", "": "no file", socket: "a socket", os.DevNull: "a device",
		filepath.Join(dir, "none", "file"): "no such file", filepath.Join(locked, "file"): "not a directory",
	}
	if os.Getuid() != 0 {
		refused[locked] = "permission denied"
	}
	for path, says := range refused {
		for what, err := range map[string]error{"Write": put(path, "new"), "Check": files.Check(path)} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s %q: error %v, want one that says %q", what, path, err, says)
			}
		}
	}
	if after := names(t, dir); after != before {
		t.Errorf("the directory held %s, and holds %s", before, after)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is now %v, %v", os.DevNull, info.Mode(), err)
	}
}

// What a killed process left is removed by the next Write; what another one is still writing is not, nor what only looks like it.
func TestLeftBehind(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, ".logitscope-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp")
	write(t, left, "half")
	others := []string{".logitscope-mine.tmp", "logitscope-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp", ".logitscope-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp.csv"}
	for _, name := range others {
		write(t, filepath.Join(dir, name), "kept")
	}
	err := files.Write(filepath.Join(dir, "slow"), func(io.Writer) error {
		return put(filepath.Join(dir, "quick"), "meanwhile")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, dir), strings.Join([]string{others[2], others[0], others[1], "quick", "slow"}, " "); got != want {
		t.Errorf("the directory holds %s, want %s", got, want)
	}
}

// A folder is there whole or not at all; what a killed process left of one is removed by the next, what a living one makes is not.
func TestWriteFolder(t *testing.T) {
	dir := t.TempDir()
	fill := func(text string) func(string) error {
		return func(folder string) error {
			if err := os.Mkdir(folder, 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(folder, "file"), []byte(text), 0o600)
		}
	}
	path := filepath.Join(dir, "made")
	if err := files.WriteFolder(path, fill("text")); err != nil || content(t, filepath.Join(path, "file")) != "text" || names(t, path) != "file" {
		t.Fatalf("%v; it holds %s", err, names(t, path))
	}
	if err := files.WriteFolder(path, fill("other")); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a folder was made over another: %v", err)
	}
	failure := errors.New("failed")
	if err := files.WriteFolder(path+"2", func(folder string) error { return cmp.Or(fill("x")(folder), failure) }); !errors.Is(err, failure) || names(t, dir) != "made" {
		t.Errorf("error %v; the directory holds %s", err, names(t, dir))
	}
	full := func(folder string) error { return fmt.Errorf("write epoch 1 of %s: %w", folder, failure) }
	if err := files.WriteFolder(path+"2", full); !errors.Is(err, failure) || err.Error() != "write epoch 1 of "+path+"2: failed" {
		t.Errorf("error %v does not name the folder that was asked for", err)
	}
	for _, left := range []string{".logitscope-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp", ".logitscope-ABCDEFGHIJKLMNOPQRSTUVWXY2.tmp"} {
		if err := os.Mkdir(filepath.Join(dir, left), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, ".logitscope-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp", "lock"), "")
	write(t, filepath.Join(dir, ".logitscope-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp", "half"), "half")
	err := files.WriteFolder(filepath.Join(dir, "slow"), func(folder string) error {
		return cmp.Or(files.WriteFolder(filepath.Join(dir, "quick"), fill("meanwhile")), put(filepath.Join(dir, "file"), "too"), fill("after")(folder))
	})
	if err != nil || names(t, dir) != "file made quick slow" {
		t.Errorf("%v; the directory holds %s", err, names(t, dir))
	}
}
