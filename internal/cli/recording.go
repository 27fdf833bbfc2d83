package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// recording says which epochs' logits a run keeps: those due as training goes on, and one when it has ended.
type recording struct {
	every int    // each epoch that is a multiple; 0: none
	end   string // last or best; "": none
}

// recording reads the job's --record.
func (j job) recording() (recording, error) {
	switch j.Record {
	case "all":
		return recording{every: 1}, nil
	case "last", "best":
		return recording{end: j.Record}, nil
	case "none":
		if j.Folds > 0 {
			return recording{}, usagef("--record none beside --folds: logits out of fold are all that the folds are for")
		}
		return recording{}, nil
	}
	if text, ok := strings.CutPrefix(j.Record, "every:"); ok {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return recording{n, "last"}, nil
		}
	}
	return recording{}, usagef("--record %q: give all, every:N (and the last), last, best or none", j.Record)
}

// due reports whether an epoch is kept as soon as it is done.
func (r recording) due(epoch int) bool { return r.every > 0 && epoch%r.every == 0 }

// lastDue returns the last epoch up to this one that is, 0 where there is none.
func (r recording) lastDue(epoch int) int {
	if r.every == 0 {
		return 0
	}
	return epoch - epoch%r.every
}

// count returns how many of so many epochs are kept.
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

// recordEnd records the epoch that is kept when training has ended: it is measured once more, from its checkpoint where it is not
// the last. Of folds the last one is recorded as it is.
func (s *session) recordEnd() error {
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
	return t.Measure()
}

// muchToKeep is a run's size from which a person is warned.
const muchToKeep = 4 << 30

// warnOfSize says how large the run will be where that is more than one may expect, or than the disk holds.
func (s *session) warnOfSize(said io.Writer) {
	epoch := epochBytes(s.splits, s.head.Columns())
	epochs := s.recording.count(s.job.Epochs)
	all := epoch * int64(epochs)
	if s.job.Folds > 0 {
		all += epochBytes(s.splits[:1], s.head.Columns()) * int64(epochs)
	}
	free := freeBytes(filepath.Dir(s.dir))
	if all <= muchToKeep && all <= free {
		return
	}
	disk := ""
	if free < math.MaxInt64 {
		disk = fmt.Sprintf("; the disk has %s free", gibibytes(free))
	}
	fmt.Fprintf(said, "warning: the logits of %s of %s make a run of %s%s; --record every:10, last, best or none keeps fewer\n",
		plural(epochs, "epoch"), gibibytes(epoch), gibibytes(all), disk)
}

// epochBytes is the size of an epoch's files: ids and logits.
func epochBytes(splits []train.Split, columns int) int64 {
	n := int64(0)
	for i := range splits {
		n += int64(splits[i].N()) * int64(8+4*columns)
	}
	return n
}

func gibibytes(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.0f MiB", math.Ceil(float64(n)/(1<<20)))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// existing is dir, or the folder nearest above it that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
