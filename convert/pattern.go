package convert

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/record"
)

// logitsFile is a file of logits, with what its name says of its rows.
type logitsFile struct {
	path   string
	epoch  int64  // the epoch in the name; -1 where the name has none
	split  string // the split in the name; "" where the name has none
	labels string // path of a file with the labels of its rows; "" where the file itself has them
	ids    string

	labelNumbers []int64 // of the file called labels, while it is open
	labelNames   []string
	idNumbers    []int64
	mapped       []*npy.Array // the files that these are views of
	block        []int64      // the labels and ids of the block that is being read
	defaultSplit string
}

const (
	epochMark = "{epoch}"
	splitMark = "{split}"
)

var splitName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

var dynamicsFile = regexp.MustCompile(`^dynamics_epoch_[0-9]+\.jsonl$`)

// find expands the patterns among paths and returns the files in the order of their epochs.
func find(paths []string, o ImportOptions) ([]*logitsFile, error) {
	var all []*logitsFile
	for _, path := range paths {
		switch {
		case strings.Contains(path, epochMark) || strings.Contains(path, splitMark):
			matched, err := expand(path)
			if err != nil {
				return nil, err
			}
			all = append(all, matched...)
		case isFolder(path) && hasDynamics(path):
			entries, err := os.ReadDir(path)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if dynamicsFile.MatchString(e.Name()) {
					all = append(all, &logitsFile{path: filepath.Join(path, e.Name()), epoch: -1})
				}
			}
		default:
			all = append(all, &logitsFile{path: path, epoch: -1})
		}
	}
	untold := 0
	for _, f := range all {
		if f.epoch < 0 && !dynamicsFile.MatchString(filepath.Base(f.path)) {
			untold++
		}
		if n, ok := strings.CutPrefix(filepath.Base(f.path), "dynamics_epoch_"); ok && f.epoch < 0 {
			if epoch, err := strconv.ParseInt(strings.TrimSuffix(n, ".jsonl"), 10, 64); err == nil {
				f.epoch = epoch + 1
			}
		}
		f.defaultSplit = cmp.Or(o.Split, record.ValSplit)
		fill := strings.NewReplacer(epochMark, strconv.FormatInt(f.epoch, 10), splitMark, f.split)
		f.labels, f.ids = fill.Replace(o.Labels), fill.Replace(o.IDs)
	}
	if untold > 1 {
		return nil, fmt.Errorf("%d files whose epochs and splits are not known: give one pattern, such as 'runs/{epoch}_{split}.npz'", untold)
	}
	slices.SortStableFunc(all, func(a, b *logitsFile) int { return int(max(min(a.epoch-b.epoch, 1), -1)) })
	return all, nil
}

func hasDynamics(path string) bool {
	names, err := filepath.Glob(filepath.Join(path, "dynamics_epoch_*.jsonl"))
	return err == nil && len(names) > 0
}

// expand finds the files that match a pattern. {epoch} and {split} may stand in the name of a folder or of the file, each once.
func expand(pattern string) ([]*logitsFile, error) {
	for _, mark := range []string{epochMark, splitMark} {
		if strings.Count(pattern, mark) > 1 {
			return nil, fmt.Errorf("%s has %s twice: give it once", pattern, mark)
		}
	}
	glob := strings.NewReplacer(epochMark, "*", splitMark, "*", "*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(pattern)
	names, err := filepath.Glob(glob)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	text := regexp.QuoteMeta(pattern)
	text = strings.ReplaceAll(text, regexp.QuoteMeta(epochMark), `(?P<epoch>[0-9]+)`)
	text = strings.ReplaceAll(text, regexp.QuoteMeta(splitMark), `(?P<split>[A-Za-z0-9_-]+?)`)
	matcher, err := regexp.Compile("^" + text + "$")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	var all []*logitsFile
	for _, name := range names {
		match := matcher.FindStringSubmatch(name)
		if match == nil {
			match = matcher.FindStringSubmatch(strings.TrimPrefix(name, "./"))
		}
		if match == nil {
			continue
		}
		f := &logitsFile{path: name, epoch: -1}
		for i, group := range matcher.SubexpNames() {
			switch group {
			case "epoch":
				if f.epoch, err = strconv.ParseInt(match[i], 10, 64); err != nil || f.epoch > math.MaxInt32 {
					return nil, fmt.Errorf("%s: epoch %s: want at most %d", name, match[i], math.MaxInt32)
				}
			case "split":
				f.split = splitNamed(match[i])
			}
		}
		for _, other := range all {
			if other.epoch == f.epoch && other.split == f.split {
				return nil, fmt.Errorf("%s and %s are both of epoch %d and split %q", other.path, f.path, f.epoch, f.split)
			}
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no file is called so; {epoch} stands for a number and {split} for a name", pattern)
	}
	return all, nil
}

// open opens the file, and reads the files of labels and ids that belong to it. close must be called when they are read no more.
func (f *logitsFile) open(o *ImportOptions) (*input, error) {
	in, err := openInput(f.path, o)
	if err != nil {
		return nil, err
	}
	if err := f.readLabelsAndIDs(); err != nil {
		in.close()
		f.close()
		return nil, err
	}
	return in, nil
}

// close lets go of labels and ids that are mapped from their files. Others are kept, for the file is read more than once.
func (f *logitsFile) close() error {
	if f.mapped == nil {
		return nil
	}
	var err error
	for _, a := range f.mapped {
		err = cmp.Or(err, a.Close())
	}
	f.mapped, f.labelNumbers, f.labelNames, f.idNumbers = nil, nil, nil, nil
	return err
}

// readLabelsAndIDs reads the labels and ids that are in files of their own.
func (f *logitsFile) readLabelsAndIDs() (err error) {
	if f.labels != "" && f.labelNumbers == nil && f.labelNames == nil {
		if f.labelNumbers, f.labelNames, err = f.readColumn(f.labels); err != nil {
			return fmt.Errorf("labels: %w", err)
		}
	}
	if f.ids != "" && f.idNumbers == nil {
		var texts []string
		if f.idNumbers, texts, err = f.readColumn(f.ids); err != nil {
			return fmt.Errorf("ids: %w", err)
		}
		if texts != nil {
			return fmt.Errorf("ids: %s holds text: want whole numbers", f.ids)
		}
	}
	return nil
}

// checkCounts returns an error where the files of labels and ids have more rows than the file of logits.
func (f *logitsFile) checkCounts(rows int) error {
	if n := len(f.labelNumbers) + len(f.labelNames); f.labels != "" && n != rows {
		return fmt.Errorf("%s has %d labels for %d rows of logits", f.labels, n, rows)
	}
	if f.ids != "" && len(f.idNumbers) != rows {
		return fmt.Errorf("%s has %d ids for %d rows of logits", f.ids, len(f.idNumbers), rows)
	}
	return nil
}

// readColumn reads whole numbers or texts from an array file, or from a text file with one on each line. Numbers of 64 bits are mapped from the file,
// and are there until close is called.
func (f *logitsFile) readColumn(path string) (numbers []int64, texts []string, err error) {
	file, _ := files.Part(path)
	if end := strings.ToLower(filepath.Ext(file)); end == ".npy" || end == ".npz" {
		a, err := npy.Open(path)
		if err != nil {
			return nil, nil, err
		}
		if a.Type == "int64" { // these are not copied
			f.mapped = append(f.mapped, a)
		} else {
			defer a.Close()
		}
		if len(a.Shape) != 1 && (len(a.Shape) != 2 || a.Shape[1] != 1) {
			return nil, nil, fmt.Errorf("%s has shape %v: want [N]", path, a.Shape)
		}
		if a.Type == "text" {
			texts, err = a.Texts()
			return nil, texts, err
		}
		numbers, err = a.Int64()
		return numbers, nil, err
	}
	raw, err := files.Read(path, 1<<30)
	if err != nil {
		return nil, nil, err
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(string(raw), "\ufeff"), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
		n, err := strconv.ParseInt(strings.TrimSpace(lines[i]), 10, 64)
		if err != nil && i == 0 && (slices.Contains(labelNames, strings.ToLower(strings.TrimSpace(lines[0]))) || slices.Contains(idNames, strings.ToLower(strings.TrimSpace(lines[0])))) {
			continue // the first line is a header
		}
		if err != nil {
			texts = lines
			break
		}
		numbers = append(numbers, n)
	}
	if texts != nil {
		return nil, texts, nil
	}
	return numbers, nil, nil
}

// blockOf returns some of the numbers of the file at path, in memory that is used again for the next block. They may be mapped from it.
func (f *logitsFile) blockOf(path string, numbers []int64) ([]int64, error) {
	at := len(f.block)
	err := analysis.Guard(path, func() error {
		f.block = append(f.block, numbers...)
		return nil
	})
	return f.block[at:], err
}

// complete fills in what the file's name and the files beside it say of rows. at is the number of rows before them.
func (f *logitsFile) complete(r *rows, at int) (err error) {
	f.block = f.block[:0]
	if r.again {
		at = r.place
	}
	if f.labels != "" {
		n := len(f.labelNumbers) + len(f.labelNames)
		if at+r.n > n {
			return fmt.Errorf("%s has %d labels, and there are more rows of logits", f.labels, n)
		}
		if r.hasLabels() {
			return errors.New("its rows have labels: leave --labels out")
		}
		if f.labelNumbers != nil {
			if r.labels, err = f.blockOf(f.labels, f.labelNumbers[at:at+r.n]); err != nil {
				return err
			}
		} else {
			r.labelNames = f.labelNames[at : at+r.n]
		}
	}
	if f.ids != "" {
		if at+r.n > len(f.idNumbers) {
			return fmt.Errorf("%s has %d ids, and there are more rows of logits", f.ids, len(f.idNumbers))
		}
		if r.ids, err = f.blockOf(f.ids, f.idNumbers[at:at+r.n]); err != nil {
			return err
		}
		r.names = nil
	}
	if r.names != nil {
		r.numberNames()
	}
	if r.counted > 1 && f.epoch >= 0 {
		return fmt.Errorf("its logits are of %d epochs, [E,N,K], and its name says epoch %d: want [N,K] in a file that is called by its epoch", r.counted, f.epoch)
	}
	if r.epochs == nil || r.counted == 1 {
		epoch := f.epoch
		if epoch < 0 {
			epoch = 1
		}
		r.epochs = []int64{epoch}
	}
	if r.splits == nil {
		r.splits = []string{cmp.Or(f.split, f.defaultSplit)}
	}
	told := ""
	for i, split := range r.splits {
		if i > 0 && split == told {
			if r.splits[i] != r.splits[i-1] {
				r.splits[i] = r.splits[i-1]
			}
			continue
		}
		told, r.splits[i] = split, splitNamed(strings.TrimSpace(split))
		if !splitName.MatchString(r.splits[i]) {
			return fmt.Errorf("%s is of a split called %.40q: want lower-case letters, digits, '_' and '-' only", r.location(i), split)
		}
	}
	return nil
}

// numberNames turns ids that are texts into numbers, where each of them is a whole number.
func (r *rows) numberNames() {
	ids := make([]int64, r.n)
	for i, name := range r.names {
		id, err := strconv.ParseInt(strings.TrimSpace(name), 10, 64)
		if err != nil || strconv.FormatInt(id, 10) != strings.TrimSpace(name) {
			return
		}
		ids[i] = id
	}
	r.ids, r.names = ids, nil
}
