package dataset

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Options say which data Load reads and how. Load finds out whatever they leave open, and tells in Dataset.Notes what it found.
type Options struct {
	Path   string `json:"path" yaml:"path"`                         // "digits", a file (.csv, .tsv, .parquet, .npy, …) or a folder of images
	Labels string `json:"labels,omitempty" yaml:"labels,omitempty"` // file of labels where the features are an array or IDX images
	Target string `json:"target,omitempty" yaml:"target,omitempty"` // column (of a table) or member (of an .npz) that holds the classes
	Text   string `json:"text,omitempty" yaml:"text,omitempty"`     // the one column to learn from, as text

	Val         string  `json:"val,omitempty" yaml:"val,omitempty"` // file of validation rows; "" takes a share of Path's
	ValLabels   string  `json:"val_labels,omitempty" yaml:"val_labels,omitempty"`
	ValFraction float64 `json:"val_fraction" yaml:"val_fraction"`     // [0,1), where Val is empty
	Test        string  `json:"test,omitempty" yaml:"test,omitempty"` // file of test rows, measured and never trained on
	TestLabels  string  `json:"test_labels,omitempty" yaml:"test_labels,omitempty"`
	Group       string  `json:"group,omitempty" yaml:"group,omitempty"`           // column whose groups stay whole: all in training or all in validation
	TrainSize   int     `json:"train_size,omitempty" yaml:"train_size,omitempty"` // training samples; 0 takes all that validation leaves

	Delimiter  string            `json:"delimiter,omitempty" yaml:"delimiter,omitempty"`     // one character, tab, or space: one or several
	Quote      string            `json:"quote,omitempty" yaml:"quote,omitempty"`             // none: '"' is a character as any other; "": RFC 4180
	Encoding   string            `json:"encoding,omitempty" yaml:"encoding,omitempty"`       // of texts that are not UTF-8 and bear no mark, as in latin1
	Header     string            `json:"header,omitempty" yaml:"header,omitempty"`           // yes, no or "" to find out
	Types      map[string]string `json:"types,omitempty" yaml:"types,omitempty"`             // column to numeric, categorical, text or ignore
	Decimal    string            `json:"decimal,omitempty" yaml:"decimal,omitempty"`         // point or comma, before the fraction of every number; "" to find out
	Missing    []string          `json:"missing,omitempty" yaml:"missing,omitempty"`         // what else stands for a missing value
	KeepNA     bool              `json:"keep_na,omitempty" yaml:"keep_na,omitempty"`         // None, NA and the like are classes and categories of that name
	FoldLabels bool              `json:"fold_labels,omitempty" yaml:"fold_labels,omitempty"` // labels that differ in case, spaces or the form of a number are one class
	// Rows of a validation or test file whose class training does not have are left out, and rows without a class however many.
	DropUnlabelled bool   `json:"drop_unlabelled,omitempty" yaml:"drop_unlabelled,omitempty"`
	MultiLabel     bool   `json:"multi_label,omitempty" yaml:"multi_label,omitempty"` // targets are lists such as red|round
	Standardize    string `json:"standardize,omitempty" yaml:"standardize,omitempty"` // of vectors: yes, no, or "" for those of fewer than 128 values
	ImageSize      int    `json:"image_size,omitempty" yaml:"image_size,omitempty"`   // side that a folder's images are resized to; 0: 32
	MaxBytes       int64  `json:"max_bytes,omitempty" yaml:"max_bytes,omitempty"`     // largest file read, unpacked; 0: 4 GiB

	tabFirst  bool            // the tab is taken where another delimiter cuts into as many fields
	list      string          // the name of the list in a JSON row whose values become columns
	oneColumn bool            // the file has one column, so that spaces do not separate fields
	optional  []string        // columns that JSON rows need not have
	like      *Pipeline       // the pipeline of the training rows, where a further file is read in their way
	ctx       context.Context // the context of Load: reading stops where it ends; nil where there is none
}

// ended returns the cause of the context for which the data are read, once it has ended, and nil before.
func (o Options) ended() error {
	if o.ctx == nil || o.ctx.Err() == nil {
		return nil
	}
	return context.Cause(o.ctx)
}

// Validate returns an OptionError for the first option that cannot be followed, which says what the option may be.
func (o Options) Validate() error {
	switch {
	case o.Path == "":
		return optionErrorf("no data: give a file, a folder or digits")
	case o.Header != "" && o.Header != "yes" && o.Header != "no":
		return optionErrorf("header %q: use yes or no", o.Header)
	case o.Standardize != "" && o.Standardize != "yes" && o.Standardize != "no":
		return optionErrorf("standardize %q: use yes or no", o.Standardize)
	case o.Quote != "" && o.Quote != "none":
		return optionErrorf("quote %q: use none, or leave it out", o.Quote)
	case o.Decimal != "" && decimals[o.Decimal] == 0:
		return optionErrorf("decimal %q: use point or comma", o.Decimal)
	case !(o.ValFraction >= 0 && o.ValFraction < 1):
		return optionErrorf("validation fraction %v is not in [0, 1)", o.ValFraction)
	case o.Val != "" && o.Group != "":
		return optionErrorf("a group column divides one file: leave out %s or the group column", o.Val)
	case o.TrainSize < 0:
		return optionErrorf("training size %d: give 0 or more", o.TrainSize)
	case o.ImageSize < 0 || o.ImageSize > maxSide:
		return optionErrorf("image size %d: give 1 to %d pixels", o.ImageSize, maxSide)
	case o.MaxBytes < 0:
		return optionErrorf("a limit of %d bytes: give 0 or more", o.MaxBytes)
	}
	if o.Path == digitsPath {
		if err := o.validateForDigits(); err != nil {
			return err
		}
	}
	if _, err := o.delimiter("", nil); err != nil {
		return err
	}
	if _, err := decoder(nil, o.Encoding); err != nil {
		return err
	}
	for column, name := range o.Types {
		if !slices.Contains(columnTypes, name) {
			return optionErrorf("type %q of column %s: use %s", name, column, strings.Join(columnTypes, ", "))
		}
	}
	return nil
}

// validateForDigits refuses the options that name a file or a column: the digits come with the program and have neither.
func (o Options) validateForDigits() error {
	for _, given := range []struct{ name, value string }{
		{"labels", o.Labels},
		{"target", o.Target},
		{"text column", o.Text},
		{"group", o.Group},
		{"val", o.Val},
		{"val labels", o.ValLabels},
		{"test", o.Test},
		{"test labels", o.TestLabels},
	} {
		if given.value != "" {
			return optionErrorf("%s %q: the digits come with the program, without files and columns: leave it out, or name data of your own", given.name, given.value)
		}
	}
	return nil
}

// OptionError says that an option cannot be followed, either with any data or with the given data.
type OptionError struct{ error }

func optionErrorf(format string, args ...any) error { return OptionError{fmt.Errorf(format, args...)} }

// Unwrap returns the error that says which option, and what it may be.
func (e OptionError) Unwrap() error { return e.error }

// maxSide bounds the side of an image.
const maxSide = 4096

func (o Options) maxBytes() int64 {
	if o.MaxBytes > 0 {
		return o.MaxBytes
	}
	return maxTable
}
