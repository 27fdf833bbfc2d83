package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/logitscope/logitscope/internal/splitname"
)

// Load reads the data that o describes, divides it into training, validation and test rows, and fits the pipeline on the training rows alone.
// rng decides which row goes where. Notes tells what had to be guessed, Warnings what looks wrong. An option that cannot be followed is an
// OptionError.
//
// Where ctx ends, Load returns its cause at once. Work that has begun stops in the background, at the next block of the file or the next step,
// so that rng must not be used afterwards.
func Load(ctx context.Context, o Options, rng *rand.Rand) (*Dataset, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.ctx = ctx; ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	type loaded struct {
		data *Dataset
		err  error
	}
	done := make(chan loaded, 1)
	go func() {
		data, err := o.load(rng)
		done <- loaded{data, err}
	}()
	select {
	case <-ctx.Done():
		go func() {
			if late := <-done; late.data != nil {
				late.data.Close()
			}
		}()
		return nil, context.Cause(ctx)
	case l := <-done:
		if l.err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx) // without the name of the file that happened to be read
		}
		return l.data, l.err
	}
}

func (o Options) load(rng *rand.Rand) (*Dataset, error) {
	if o.Path == digitsPath {
		d, err := Digits()
		if err != nil {
			return nil, err
		}
		return d, d.divideAlone(o, rng)
	}
	d, err := loadPath(o, rng)
	if err != nil {
		return nil, err
	}
	d.Name = Name(o.Path)
	return d, nil
}

// Name returns the name of the dataset at path: the name of its file without extensions, in letters, digits, - and _.
func Name(path string) string {
	name := filepath.Base(filepath.Clean(path))
	if short, _, ok := strings.Cut(name, "."); ok && short != "" {
		name = short
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && isWord(r) || r == '-' {
			return r
		}
		return '-'
	}, name)
}

// divideAlone divides a dataset that comes from one file and has no pipeline to fit into training and validation.
func (d *Dataset) divideAlone(o Options, rng *rand.Rand) error {
	train, val, err := d.divide(o, nil, rng)
	if err != nil {
		return err
	}
	d.Parts = []Part{newPart(splitname.Train, train, 0)}
	if len(val) > 0 {
		d.Parts = append(d.Parts, newPart(splitname.Val, val, 0))
	}
	return nil
}

func loadPath(o Options, rng *rand.Rand) (*Dataset, error) {
	if info, err := os.Stat(o.Path); err == nil && info.IsDir() {
		return loadFolder(o, rng)
	}
	s, err := openSource(o.Path, o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, optionErrorf("no data at %s: give a file, a folder of images or digits: %w", o.Path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	if s.format.arrays == nil {
		s.Close() // loadTable opens the file again
		return loadTable(o, rng)
	}
	notes, asTable, err := o.decideForArrays(s)
	s.Close()
	if err != nil {
		return nil, err
	}
	load := loadTable
	if asTable && o.Target == "" {
		o.Target = labelColumn
	}
	if !asTable {
		load = func(o Options, rng *rand.Rand) (*Dataset, error) {
			return loadArray(o, rng, func(path, labels string, _ *Pipeline) (*array, error) {
				s, err := openSource(path, o)
				if err != nil {
					return nil, err
				}
				defer s.Close()
				if s.format.arrays == nil {
					return nil, fmt.Errorf("%s is %s, %s holds arrays", path, s.format.name, o.Path)
				}
				return openArray(s, o, labels, true)
			})
		}
	}
	d, err := load(o, rng)
	if d != nil {
		d.Notes = append(notes, d.Notes...)
	}
	return d, err
}

// loadFolder loads a folder of images or texts.
func loadFolder(o Options, rng *rand.Rand) (d *Dataset, err error) {
	o, note := o.splitFolders()
	if holdsTexts(o.Path) {
		o.Text, o.Target = textColumn, labelColumn
		d, err = loadTable(o, rng)
	} else {
		d, err = loadArray(o, rng, func(path, _ string, like *Pipeline) (*array, error) { return openFolder(path, o, like) })
	}
	if err == nil && note != "" {
		d.Notes = slices.Insert(d.Notes, 0, note)
	}
	return d, err
}

// Bounds on the bytes of a table's features, because a category of two letters becomes a kilobyte where its column has 255 levels. Features
// may always take freeFeatures bytes, and beyond that maxWiden times the size of the file.
const (
	freeFeatures = 256 << 20
	maxWiden     = 64
)
