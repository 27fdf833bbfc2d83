package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestDocsAreGenerated(t *testing.T) {
	const root = "../.."
	written, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range written {
		if got, err := os.ReadFile(filepath.Join(root, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program's registries say (%v): run make gen", path, err)
		}
	}
}
