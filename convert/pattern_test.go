package convert

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/npy"
)

// A file of labels that another program cuts short while it is read is an error that names it, not the end of the process.
func TestLabelsCutShort(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps a mapped file as it is")
	}
	path := filepath.Join(t.TempDir(), "y.npy")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.Or(npy.Write(file, make([]int64, 1<<16), 1<<16), file.Close()); err != nil {
		t.Fatal(err)
	}
	f := &logitsFile{labels: path}
	if err := f.readLabelsAndIDs(); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if labels, err := f.blockOf(path, f.labelNumbers[:10]); err != nil || len(labels) != 10 {
		t.Fatal(labels, err)
	}
	if err := os.Truncate(path, 128); err != nil {
		t.Fatal(err)
	}
	if _, err := f.blockOf(path, f.labelNumbers[1<<15:]); err == nil || !strings.Contains(err.Error(), path+": its file changed") {
		t.Errorf("%v, want an error that names the file", err)
	}
}
