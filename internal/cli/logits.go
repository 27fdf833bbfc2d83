package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// source says where labelled logits are to be found: at an epoch of a run, or in arrays.
type source struct {
	logits, labels string
	kind           string
	split, epoch   string
	nonFinite      bool
	at             *int // the epoch of the run that was read
}

func (s *source) flags(flags *pflag.FlagSet, epoch string) {
	flags.StringVar(&s.logits, "logits", "", "array [N,K] of logits, or [N] of one logit each: FILE.npy, or FILE.npz:NAME")
	flags.StringVar(&s.labels, "labels", "", "array [N] of classes from 0; −100 for a row without a label")
	flags.StringVar(&s.kind, "kind", "", "what the array holds: logits, probs or logprobs (default: logits, and an error where it looks otherwise)")
	flags.StringVar(&s.split, "split", "", "split of the run (default: val where there is one)")
	flags.StringVar(&s.epoch, "epoch", epoch, "epoch of the run: a number, last, or best by validation NLL")
	flags.BoolVar(&s.nonFinite, "ignore-nonfinite", false, "leave out rows that hold NaN or infinity, and count them, instead of stopping")
}

// read hands the labelled logits to use, and where they are from. They are mapped: use must not keep them.
func (s *source) read(args []string, use func(b summary.Batch, from string) error) error {
	switch {
	case len(args) == 1 && s.logits == "" && s.labels == "":
		return s.readRun(args[0], use)
	case len(args) == 0 && s.logits != "" && s.labels != "":
		return s.readArrays(use)
	}
	return usagef("give either a run, or --logits and --labels")
}

func (s *source) readArrays(use func(b summary.Batch, from string) error) error {
	switch s.kind {
	case "", "logits", "probs", "logprobs":
	default:
		return usagef("--kind %s: want logits, probs or logprobs", s.kind)
	}
	z, err := npy.Open(s.logits)
	if err != nil {
		return err
	}
	defer z.Close()
	y, err := npy.Open(s.labels)
	if err != nil {
		return err
	}
	defer y.Close()
	b, err := batchOf(z, y)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", s.logits, s.labels, err)
	}
	return analysis.Guard(s.logits, func() error {
		scale := analysis.Scale(s.kind)
		if s.kind == "" {
			if scale = analysis.LooksLike(b); scale != analysis.Logits {
				return fmt.Errorf("%s: every row looks like %s, not logits: say --kind %s, or --kind logits if they are logits all the same", s.logits, scale, scale)
			}
		}
		if b, err = analysis.AsLogits(b, scale); err != nil {
			return fmt.Errorf("%s: %w", s.logits, err)
		}
		if err := use(b, s.logits); err != nil {
			return fmt.Errorf("%s: %w", s.logits, err)
		}
		return nil
	})
}

// batchOf makes labelled rows of two arrays.
func batchOf(z, y *npy.Array) (summary.Batch, error) {
	b := summary.Batch{}
	if len(z.Shape) < 1 || len(z.Shape) > 2 {
		return b, fmt.Errorf("logits of shape %v: want [N,K], or [N] of one logit each", z.Shape)
	}
	if len(y.Shape) != 1 && (len(y.Shape) != 2 || y.Shape[1] != 1) {
		return b, fmt.Errorf("labels of shape %v: want [N]", y.Shape)
	}
	if z.Shape[0] != y.Shape[0] {
		return b, fmt.Errorf("%d rows of logits and %d labels: want as many", z.Shape[0], y.Shape[0])
	}
	b.Columns = 1
	if len(z.Shape) == 2 {
		b.Columns = z.Shape[1]
	}
	var err error
	if b.Labels, err = y.Int32(); err != nil {
		return b, err
	}
	if b.Logits, err = z.Float32(); err != nil {
		return b, err
	}
	if len(b.Labels) == 0 {
		return b, errors.New("there is no row: nothing to score")
	}
	return b, b.Check()
}

func (s *source) readRun(dir string, use func(b summary.Batch, from string) error) error {
	run, err := record.Open(dir)
	if err != nil {
		return err
	}
	defer run.Close()
	a := analysis.New(run)
	if s.split == "" {
		s.split = run.Manifest().Splits[0].Name
		for _, info := range run.Manifest().Splits {
			if info.Name == "val" {
				s.split = info.Name
			}
		}
	}
	epoch, err := a.Epoch(s.epoch)
	if err != nil {
		return err
	}
	s.at = &epoch
	from := fmt.Sprintf("%s, epoch %d, split %s", dir, epoch, s.split)
	failed := error(nil)
	err = a.Batch(epoch, s.split, func(b summary.Batch) {
		failed = use(b, from)
	})
	if err == nil && failed != nil {
		err = fmt.Errorf("%s: %w", from, failed)
	}
	return err
}

// namedRows is how many rows an error names.
const namedRows = 5

// checkFinite names the rows that have no softmax, where they are not to be left out.
func (s *source) checkFinite(b summary.Batch) error {
	if s.nonFinite {
		return nil
	}
	first, n := b.UndefinedRows(namedRows)
	if n == 0 {
		return nil
	}
	var names []string
	for _, i := range first {
		names = append(names, strconv.Itoa(i))
	}
	list := strings.Join(names, ", ")
	if n > len(first) {
		list += ", …"
	}
	return fmt.Errorf("%s without a softmax (NaN or infinity, row %s): give --ignore-nonfinite to leave them out", plural(n, "labelled row"), list)
}
