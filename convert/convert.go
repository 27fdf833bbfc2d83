// Package convert takes the logits of a run out into files that other programs read, and makes a run of logits that they wrote.
package convert

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

// Format is a form that a run's logits can take outside of it.
type Format struct {
	Name    string   // as Options.Format takes it
	Endings []string // of a file's name, lower case, that ask for the format
	Folder  bool     // whether it is a folder of files
	Text    string   // what is in it and who reads it

	file   func(w io.Writer, s *selection) error
	folder func(dir string, s *selection) error
}

// Formats are all forms there are, in the order in which help lists them.
func Formats() []Format {
	return []Format{parquetFormat, npzFormat, csvFormat, jsonLines, cartography, tensorBoard}
}

// Options say what is taken out of a run.
type Options struct {
	Format string   // name of a Format; where it is empty the path's ending tells
	Epochs []int    // nil: all that are recorded
	Splits []string // nil: all
	// Progress, where it is not nil, is called before each split of each epoch with how many of how many are done.
	Progress func(done, total int)
}

// FormatOf returns the format that a name asks for or, where it is empty, the ending of a path.
func FormatOf(name, path string) (Format, error) {
	var known []string
	for _, f := range Formats() {
		known = append(known, f.Name)
		if f.Name == name || name == "" && slices.Contains(f.Endings, strings.ToLower(filepath.Ext(path))) {
			return f, nil
		}
	}
	if name == "" {
		return Format{}, fmt.Errorf("%s: the ending %q tells no format: give one of %s", path, filepath.Ext(path), strings.Join(known, ", "))
	}
	return Format{}, fmt.Errorf("unknown format %q: give one of %s", name, strings.Join(known, ", "))
}

// Export writes the logits of a run to path, which is there whole or not at all when Export returns. A file takes the place of one that
// is there; a folder must not exist yet. Rows stand in the order of the run's epochs, splits and samples. An epoch that is damaged is an
// error, never left out. At most one split of one epoch is mapped into memory at a time.
func Export(ctx context.Context, run *record.Run, path string, o Options) error {
	format, err := FormatOf(o.Format, path)
	if err != nil {
		return err
	}
	if !format.Folder {
		if err := files.Check(path); err != nil {
			return err
		}
	}
	s, err := newSelection(ctx, run, o)
	if err != nil {
		return err
	}
	if format.Folder {
		return files.WriteFolder(path, func(dir string) error {
			if err := os.Mkdir(dir, 0o777); err != nil {
				return err
			}
			return format.folder(dir, s)
		})
	}
	return files.Write(path, func(w io.Writer) error { return format.file(stoppable{ctx, w}, s) })
}

// stoppable is a writer that fails once its context has ended: what a format writes of an epoch may take long.
type stoppable struct {
	ctx context.Context
	to  io.Writer
}

func (s stoppable) Write(data []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	return s.to.Write(data)
}

// selection is the part of a run that is taken out.
type selection struct {
	ctx      context.Context
	run      *record.Run
	manifest *record.Manifest
	epochs   []int
	splits   []split
	progress func(done, total int)
}

type split struct {
	name string
	*record.Samples
	places []int32 // of the rows among the samples of the split; nil where they are all of them, in order
}

// withLabels returns the split as an epoch holds it: its rows, with the labels that they have there.
func (of split) withLabels(b *record.Block, classes int) split {
	if len(b.IDs) == len(of.IDs) && b.Index == nil && (b.Labels == nil || slices.Equal(b.Labels, of.Labels)) {
		return of
	}
	rows := split{name: of.name, Samples: &record.Samples{IDs: b.IDs, Labels: b.Labels}, places: make([]int32, len(b.IDs))}
	for i := range rows.places {
		place := b.Sample(i)
		rows.places[i] = int32(place)
		if b.Labels == nil {
			rows.Labels = append(rows.Labels, of.Labels[place])
		}
		if of.CleanLabels != nil {
			rows.CleanLabels = append(rows.CleanLabels, of.CleanLabels[place])
		}
		if of.Targets != nil {
			rows.Targets = append(rows.Targets, of.Targets[place*classes:(place+1)*classes]...)
		}
	}
	return rows
}

func newSelection(ctx context.Context, run *record.Run, o Options) (*selection, error) {
	s := &selection{ctx: ctx, run: run, manifest: run.Manifest(), epochs: o.Epochs, progress: o.Progress}
	recorded := run.Epochs()
	if s.epochs == nil {
		gaps, damaged := run.Missing()
		if len(gaps) > 0 {
			return nil, fmt.Errorf("run %s: %s: name the epochs to export", s.manifest.Name, gaps[0])
		}
		if len(damaged) > 0 {
			return nil, damaged[0]
		}
		s.epochs = recorded
	}
	if len(s.epochs) == 0 {
		return nil, fmt.Errorf("run %s has no recorded epoch", s.manifest.Name)
	}
	for i, epoch := range s.epochs {
		if !slices.Contains(recorded, epoch) {
			return nil, fmt.Errorf("run %s has no recorded epoch %d", s.manifest.Name, epoch)
		}
		if slices.Contains(s.epochs[:i], epoch) {
			return nil, fmt.Errorf("epoch %d is asked for twice", epoch)
		}
	}
	names := o.Splits
	var all []string
	for _, info := range s.manifest.Splits {
		all = append(all, info.Name)
	}
	if names == nil {
		names = all
	}
	for i, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("run %s has no split %q: it has %s", s.manifest.Name, name, strings.Join(all, ", "))
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("split %s is asked for twice", name)
		}
		samples, err := run.Samples(name)
		if err != nil {
			return nil, err
		}
		s.splits = append(s.splits, split{name: name, Samples: samples})
	}
	return s, nil
}

// each visits every split of every epoch, epoch by epoch.
func (s *selection) each(visit func(epoch int, of split, logits []float32) error) error {
	done := 0
	for _, epoch := range s.epochs {
		for _, of := range s.splits {
			if err := s.visit(epoch, of, &done, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// visit opens the logits of one split of one epoch for a moment.
func (s *selection) visit(epoch int, of split, done *int, visit func(epoch int, of split, logits []float32) error) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	if s.progress != nil {
		s.progress(*done, len(s.epochs)*len(s.splits))
	}
	*done++
	rows, err := s.run.Rows(s.ctx, epoch, of.name)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Dense {
		return &record.NotKeptError{What: "dense logits", Epoch: epoch, Split: of.name}
	}
	return analysis.Guard(fmt.Sprintf("epoch %d, split %s", epoch, of.name), func() error {
		block := rows.At(0, rows.N)
		return visit(epoch, of.withLabels(&block, len(s.manifest.Classes)), block.Logits)
	})
}

// className is the name of a label, "" where a sample has none.
func (s *selection) className(label int32) string {
	if label == record.Ignored {
		return ""
	}
	return s.manifest.Classes[label]
}

// logitNames name the columns of logits: by class, and of a single logit by the class that it speaks for.
func (s *selection) logitNames() []string {
	if s.manifest.Columns == 1 {
		return []string{s.manifest.Classes[len(s.manifest.Classes)-1]}
	}
	return s.manifest.Classes
}
