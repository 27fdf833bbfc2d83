package experiment

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// recording says which epochs' logits are recorded: those that are due while training goes on, and one more when it has ended.
type recording struct {
	every int    // every epoch that is a multiple of it is due; 0 for none
	end   string // the epoch that is recorded at the end: last or best; "" for none
}

// recording returns what Record says. It returns a *ConfigError where that or RecordRows is none of the texts there are.
func (c Config) recording() (recording, error) {
	if rows := record.Encodings(); c.RecordRows != "" && !slices.Contains(rows, c.RecordRows) {
		return recording{}, configErrorf("--record-rows %q: give %s", c.RecordRows, strings.Join(rows, " or "))
	}
	switch c.Record {
	case "all":
		return recording{every: 1}, nil
	case "last", "best":
		return recording{end: c.Record}, nil
	case "none":
		if c.Folds > 0 {
			return recording{}, configErrorf("--record none beside --folds: logits out of fold are all that the folds are for")
		}
		return recording{}, nil
	}
	if text, ok := strings.CutPrefix(c.Record, "every:"); ok {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return recording{n, "last"}, nil
		}
	}
	return recording{}, configErrorf("--record %q: give all, every:N (and the last), last, best or none", c.Record)
}

// due reports whether an epoch is recorded while training goes on.
func (r recording) due(epoch int) bool { return r.every > 0 && epoch%r.every == 0 }

// lastDue returns the last epoch up to the given one that is due, or 0 where none is.
func (r recording) lastDue(epoch int) int {
	if r.every == 0 {
		return 0
	}
	return epoch - epoch%r.every
}

// count returns how many of so many epochs are recorded.
func (r recording) count(epochs int) int {
	n := 0
	if r.every > 0 {
		n = epochs / r.every
	}
	if r.end != "" && !r.due(epochs) {
		n++
	}
	return n
}

// recordEnd records the epoch that is recorded when training has ended. The epoch is measured once more, from its checkpoint where it is not
// the last. For folds it does nothing, since their last epoch is recorded when it is trained.
func (s *session) recordEnd(ctx context.Context) error {
	t, ok := s.trainer.(*train.Trainer)
	epoch := s.trainer.Done()
	if s.recording.end == "best" {
		epoch, _, _ = s.trainer.Best()
	}
	if !ok || s.recording.end == "" || s.recording.due(epoch) || epoch <= s.upTo {
		return nil
	}
	if epoch != s.trainer.Done() {
		run, err := record.Open(s.dir)
		if err != nil {
			return err
		}
		defer run.Close()
		c, err := run.Checkpoint(epoch)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := s.trainer.Restore(c.Files); err != nil {
			return err
		}
	}
	t.Sink = s.keep
	return t.Measure(ctx)
}

// largeRun is the size of a run, in bytes, above which RunIsLarge is sent.
const largeRun = 4 << 30

// warnOfSize sends RunIsLarge where the run will be large or does not fit on the disk.
func (s *session) warnOfSize() {
	large := RunIsLarge{Epochs: s.recording.count(s.Config.Epochs), PerEpoch: s.epochBytes(s.Splits), Free: freeBytes(filepath.Dir(s.dir))}
	large.Bytes = large.PerEpoch * int64(large.Epochs)
	if s.Config.Folds > 0 {
		large.Bytes += s.epochBytes(s.Splits[:1]) * int64(large.Epochs)
	}
	if large.Bytes > largeRun || large.Free >= 0 && large.Bytes > large.Free {
		s.events.send(large)
	}
}

// epochBytes returns about how many bytes the files of an epoch of the splits have.
func (e *Experiment) epochBytes(splits []train.Split) int64 {
	n := int64(0)
	for i := range splits {
		n += int64(splits[i].N())
	}
	return n * e.rows().RowBytes(e.Head.Kind(), e.Head.Columns())
}

// rows returns how logits are recorded.
func (e *Experiment) rows() record.RowFormat { return record.RowFormat{Logits: e.Config.RecordRows} }

// existing returns dir, or the nearest folder above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
