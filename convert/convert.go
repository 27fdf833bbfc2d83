// Package convert exports the logits of a run to files that other programs read, and imports logits that other programs wrote as a run.
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

// Format is a file format that Export writes.
type Format struct {
	Name    string   // the name that Options.Format takes
	Endings []string // endings of file names that select the format, in lower case
	Folder  bool     // whether the format is a folder of files and not one file
	Text    string   // one line for help: what the format holds and who reads it

	file   func(w io.Writer, s *selection) error
	folder func(dir string, s *selection) error
}

// Formats returns every format that Export writes, in the order in which help lists them.
func Formats() []Format {
	return []Format{parquetFormat, npzFormat, csvFormat, jsonLines, cartography, tensorBoard}
}

// Options say which part of a run Export writes, and in which format.
type Options struct {
	Format string   // name of a Format; "" takes the one that the path's ending selects
	Epochs []int    // epochs to write, in this order; nil writes every recorded epoch
	Splits []string // splits to write, in this order; nil writes every split
	// Progress, where it is not nil, is called before each split of each epoch. It gets how many of these are done, and how many there are.
	Progress func(done, total int)
}

// FormatOf returns the format with the given name or, where name is "", the one that the ending of path selects. A name or an ending that no
// format has is an error that lists the formats.
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

// Export writes the logits of a run to path. When Export returns, path is written completely or is as it was before. A file replaces an
// existing one; a folder must not exist yet. Rows are in the order of the run's epochs, splits and samples. A damaged epoch is an error and
// is never left out. At most one split of one epoch is mapped into memory at a time.
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

// selection is the part of a run that Export writes.
type selection struct {
	ctx      context.Context
	run      *record.Run
	manifest *record.Manifest
	epochs   []int
	splits   []split
	progress func(done, total int)
}

// split is a split of the run, or the rows that one epoch holds of it.
type split struct {
	name string
	*record.Samples
	places []int32 // for each row, its place among the split's samples; nil where the rows are all samples in order
}

// withLabels returns the rows that an epoch holds of the split, with the labels that they have at this epoch.
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
		if of.Texts != nil {
			rows.Texts = append(rows.Texts, of.Texts[place])
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

// each calls visit for every selected split of every selected epoch, epoch by epoch. The logits are valid during the call only.
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

// visit maps the logits of one split of one epoch and calls visit with them. done counts the calls, for Progress.
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

// className returns the name of the class of a label, or "" for a sample without a label.
func (s *selection) className(label int32) string {
	if label == record.Ignored {
		return ""
	}
	return s.manifest.Classes[label]
}

// logitNames returns the names of the columns of logits: the classes or, where a binary head has a single logit, the class that it stands for.
func (s *selection) logitNames() []string {
	if s.manifest.Columns == 1 {
		return []string{s.manifest.Classes[len(s.manifest.Classes)-1]}
	}
	return s.manifest.Classes
}
