package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// endsAfter is a context that has ended once it was asked so many times, and whose channel says nothing: whoever stops has asked.
type endsAfter struct {
	context.Context
	left atomic.Int64
}

func (c *endsAfter) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

func (c *endsAfter) Value(any) any { return nil }

// However far reading has come, it ends where its context does, and asks it at least so often.
func TestLoadEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const lines = 120_000
	var csv strings.Builder
	csv.WriteString("x,kind\n")
	for i := range lines {
		fmt.Fprintf(&csv, "%d.25,%c\n", i*7919%10_007, 'a'+i%2)
	}
	var packed, picture bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte(csv.String()))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		write(fmt.Sprintf("pictures/%d/%d.png", i%2, i), picture.Bytes())
		write(fmt.Sprintf("texts/%d/%d.txt", i%2, i), []byte("a text"))
	}
	for _, c := range []struct {
		path  string
		asked int64 // at least
	}{
		{write("t.csv", []byte(csv.String())), int64(csv.Len()>>20) + 3},
		{write("t.csv.gz", packed.Bytes()), int64(packed.Len()/headSize/2) + 3},
		{filepath.Join(dir, "pictures"), 20},
		{filepath.Join(dir, "texts"), 20 + 3},
	} {
		for _, ends := range []int64{0, 1, c.asked / 2, c.asked - 1} {
			ctx := &endsAfter{Context: context.Background()}
			ctx.left.Store(ends)
			if d, err := Load(ctx, Options{Path: c.path, ValFraction: 0.2}, rand.New(rand.NewPCG(1, 2))); !errors.Is(err, context.Canceled) || d != nil {
				t.Errorf("%s: the context ended when it was asked for the %dth time, and the error is %v", c.path, ends+1, err)
			}
		}
		if d, err := Load(t.Context(), Options{Path: c.path, ValFraction: 0.2}, rand.New(rand.NewPCG(1, 2))); err != nil {
			t.Error(err)
		} else {
			d.Close()
		}
	}
}

// A context that ends while nothing asks it ends Load all the same.
func TestLoadReturnsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("because")
	cancel(because)
	if _, err := Load(ctx, Options{Path: "digits"}, rand.New(rand.NewPCG(1, 2))); err != because {
		t.Errorf("error %v", err)
	}
}
