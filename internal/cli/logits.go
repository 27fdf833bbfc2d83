package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// source holds the flags that say which labelled logits a command reads: those of an epoch of a run, or of arrays.
type source struct {
	logits, labels string
	kind           string
	split, epoch   string
	nonFinite      bool
	readEpoch      *int             // the epoch of the run that was read
	run            string           // the ID of that run
	lacks          analysis.Lacking // what of the run cannot be read; with it, another epoch might have been chosen
	note           string           // how the values of arrays were turned into logits; "" where they are logits
}

func (s *source) flags(flags *pflag.FlagSet, epoch string) {
	flags.StringVar(&s.logits, "logits", "", "array [N,K] of logits, or [N] of one logit each: FILE.npy, FILE.npz:NAME, FILE.safetensors:NAME, or a table such as JSON lines (arrays, or objects with a list called logits)")
	flags.StringVar(&s.labels, "labels", "", "array [N] of classes from 0; −100 for a row without a label")
	flags.StringVar(&s.kind, "kind", "", "what the array holds: logits, probs or logprobs (default: logits, and an error where it looks otherwise)")
	flags.StringVar(&s.split, "split", "", "split of the run (default: val where there is one)")
	flags.StringVar(&s.epoch, "epoch", epoch, "epoch of the run: a number, last, or best by validation NLL")
	flags.BoolVar(&s.nonFinite, "ignore-nonfinite", false, "leave out rows that hold NaN or infinity, and count them, instead of stopping")
}

// read calls use with the labelled logits and, in words, where they are from. The logits are mapped from a file and valid during the call only.
func (s *source) read(ctx context.Context, args []string, use func(rows summary.Rows, from string) error) error {
	s.lacks = analysis.Lacking{Damaged: []string{}, Missing: []string{}}
	switch {
	case len(args) == 1 && s.logits == "" && s.labels == "" && s.kind != "":
		return usagef("--kind %s says what --logits holds; a run always holds logits: leave it out", s.kind)
	case len(args) == 1 && s.logits == "" && s.labels == "":
		return s.readRun(ctx, args[0], use)
	case len(args) == 0 && s.logits != "" && s.labels != "":
		return s.readArrays(use)
	}
	return usagef("give either a run, or --logits and --labels")
}

func (s *source) readArrays(use func(rows summary.Rows, from string) error) error {
	switch s.kind {
	case "", "logits", "probs", "logprobs":
	default:
		return usagef("--kind %s: want logits, probs or logprobs", s.kind)
	}
	z, err := openNumbers(s.logits, "logits")
	if err != nil {
		return err
	}
	defer z.close()
	y, err := openNumbers(s.labels, "labels")
	if err != nil {
		return err
	}
	defer y.close()
	return analysis.Guard(s.logits, func() error {
		b, err := batchOf(z, y)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", s.logits, s.labels, err)
		}
		scale := analysis.Scale(s.kind)
		if s.kind == "" {
			if scale = analysis.LooksLike(b); scale != analysis.Logits {
				every := "every row looks"
				if b.Columns == 1 {
					every = "every value lies in [0,1] and looks"
				}
				return fmt.Errorf("%s: %s like %s, not logits: say --kind %s, or --kind logits if they are logits all the same", s.logits, every, scale, scale)
			}
		}
		if b, s.note, err = analysis.AsLogits(b, scale); err != nil {
			return fmt.Errorf("%s: %w", s.logits, err)
		}
		if err := use(b, s.logits); err != nil {
			return fmt.Errorf("%s: %w", s.logits, err)
		}
		return nil
	})
}

// batchOf returns labelled rows: logits z of shape [N,K] or [N], and labels y of shape [N].
func batchOf(z, y *numbers) (summary.Batch, error) {
	b := summary.Batch{}
	if len(z.shape) < 1 || len(z.shape) > 2 {
		return b, fmt.Errorf("logits of shape %v: want [N,K], or [N] of one logit each", z.shape)
	}
	if len(y.shape) != 1 && (len(y.shape) != 2 || y.shape[1] != 1) {
		return b, fmt.Errorf("labels of shape %v: want [N]", y.shape)
	}
	if z.shape[0] != y.shape[0] {
		return b, fmt.Errorf("%d rows of logits and %d labels: want as many", z.shape[0], y.shape[0])
	}
	b.Columns = 1
	if len(z.shape) == 2 {
		b.Columns = z.shape[1]
	}
	var err error
	if b.Labels, err = y.int32(); err != nil {
		return b, err
	}
	if z.narrow {
		b.Logits, err = z.float32()
	} else {
		b.Wide, err = z.float64()
	}
	if err != nil {
		return b, err
	}
	b.Slack = z.slack
	if len(b.Labels) == 0 {
		return b, errors.New("there is no row: nothing to score")
	}
	return b, b.Check()
}

func (s *source) readRun(ctx context.Context, dir string, use func(rows summary.Rows, from string) error) error {
	run, err := record.Open(dir)
	if err != nil {
		return err
	}
	defer run.Close()
	a := analysis.New(run)
	if s.split == "" {
		s.split = run.Manifest().Judge()
	}
	epoch, lacking, err := a.Epoch(ctx, s.epoch)
	if err != nil {
		return err
	}
	s.readEpoch, s.run = &epoch, run.Manifest().ID
	s.lacks.Add(lacking)
	unit := words.Unit(run.Manifest().Unit)
	from := unit.Sprintf("%s, epoch %d, split %s", dir, epoch, s.split)
	return a.ReadDecisions(ctx, epoch, s.split, func(d analysis.Decisions) error {
		if d.Len() == 0 {
			return errors.New(unit.Sprintf("no epoch of %s has rows of split %s", dir, s.split))
		}
		if err := use(d, from); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		return nil
	})
}

// lacking returns an error where parts of the run that could not be read might have changed which epoch was chosen.
func (s *source) lacking(args []string) error {
	if len(args) == 0 || !s.lacks.Any() {
		return nil
	}
	return lackingError(s.lacks, args[0], fmt.Sprintf("epoch %d is the %s of the rest", *s.readEpoch, s.epoch))
}

// namedRows is the most rows that an error names.
const namedRows = 5

// checkFinite returns an error that names rows without a softmax, unless --ignore-nonfinite leaves them out.
func (s *source) checkFinite(ctx context.Context, rows summary.Rows) error {
	if s.nonFinite {
		return nil
	}
	first, n, err := summary.UndefinedRows(ctx, rows, namedRows)
	if err != nil || n == 0 {
		return err
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
