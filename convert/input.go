package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

// input is an open file, or folder, of logits. Every call of each reads it from its beginning.
type input struct {
	classes []string // the classes in the order of the logits; nil where the file does not name them
	each    func(ctx context.Context, use func(*rows) error) error
	close   func() error
}

// rows is a block of n consecutive rows of an input. A slice is nil where the file does not hold its values, and has n elements otherwise; epochs and
// splits may have a single element, which holds for all rows.
type rows struct {
	n          int
	first      string          // where the first row stands in the file, such as "line 7", for errors
	epochs     []int64         //
	counted    int             // how many epochs the file has, where it counts them and does not say which they are; else 0
	splits     []string        //
	ids        []int64         //
	names      []string        // the ids, where they are texts
	labels     []int64         // classes, counted from 0; negative for a sample without a label
	labelNames []string        // the labels, where they are texts; "" for a sample without a label
	columns    int             // logits of a row
	narrow     []float32       // [n,columns], or
	wide       []float64       // [n,columns], where the file has more digits
	slack      float64         // how much rounding to the file's type may change a probability
	previews   []byte          // [n,Height,Width,Channels]
	preview    *record.Preview // the layout of previews
	texts      []string        // the samples' texts, which are their previews, at most record.TextBytes of each; "" for a sample without one
	more       int             // how many rows of the split are still to come, where that is known
	again      bool            // whether the file has each sample once an epoch, so that labels in a file of their own are counted from place
	place      int             // the place of the first row among the rows of its epoch
}

// reader is a file format that Import reads.
type reader struct {
	name   string
	begins func(head []byte) bool // whether a file that begins with head is of this format; nil where its beginning does not tell
	ends   []string               // endings of file names, in lower case
	text   string                 // one line for help: what of such a file is read
	open   func(path string, o *ImportOptions) (*input, error)
}

// readers returns every format, in the order in which help lists them.
func readers() []reader {
	return []reader{npyReader, npzReader, safetensorsReader, parquetReader, arrowReader, csvReader, linesReader, datasetReader}
}

// Readable returns, for each format that Import reads, its name and what of it is read.
func Readable() [][2]string {
	var all [][2]string
	for _, r := range readers() {
		name := r.name
		if len(r.ends) > 0 {
			name = strings.Join(r.ends, " ")
		}
		all = append(all, [2]string{name, r.text})
	}
	return all
}

// of returns the element of row i, where elements has one for each row or a single one for all.
func of[T any](elements []T, i int) T {
	if len(elements) == 1 {
		return elements[0]
	}
	return elements[i]
}

// startsWith returns a function that reports whether a file begins with one of magics.
func startsWith(magics ...string) func(head []byte) bool {
	return func(head []byte) bool {
		return slices.ContainsFunc(magics, func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) })
	}
}

// formOf returns the reader of a file that begins with head or, where no reader knows head, has the ending end; nil where there is none.
func formOf(head []byte, end string) *reader {
	all := readers()
	i := slices.IndexFunc(all, func(r reader) bool { return r.begins != nil && r.begins(head) })
	if i < 0 {
		i = slices.IndexFunc(all, func(r reader) bool { return slices.Contains(r.ends, end) })
	}
	if i < 0 {
		return nil
	}
	return &all[i]
}

// headOf returns the first bytes of a file.
func headOf(path string) ([]byte, error) {
	file, _, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head := make([]byte, 16)
	n, err := io.ReadFull(file, head)
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		err = nil
	}
	return head[:n], err
}

// openInput opens a folder, or a file whose format is found by its first bytes or else by its ending, in upper or lower case.
func openInput(path string, o *ImportOptions) (*input, error) {
	if isFolder(path) {
		return datasetReader.open(path, o)
	}
	file, _ := files.Part(path)
	end := strings.ToLower(filepath.Ext(file))
	if advice, ok := notRead[end]; ok {
		return nil, fmt.Errorf("%s: %s", path, advice)
	}
	head, err := headOf(file)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("%s: it is text in UTF-16: save it in UTF-8 (iconv -f UTF-16 -t UTF-8)", path)
	}
	if r := formOf(head, end); r != nil {
		in, err := r.open(path, o)
		if err != nil && !strings.HasPrefix(err.Error(), path) {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return in, err
	}
	var known []string
	for _, r := range readers() {
		known = append(known, r.ends...)
	}
	return nil, fmt.Errorf("%s: its ending, %q, tells no form that logits are read in: want one of %s", path, end, strings.Join(known, ", "))
}

// notRead gives, for endings of common formats that are not read, what to do instead.
var notRead = map[string]string{
	".pkl":    "a pickle can run code, and is never loaded: save the array with numpy.save",
	".pickle": "a pickle can run code, and is never loaded: save the array with numpy.save",
	".joblib": "a pickle can run code, and is never loaded: save the array with numpy.save",
	".pt":     "a PyTorch file can run code, and is never loaded: save the tensor with safetensors.torch.save_file, or tensor.numpy() with numpy.save",
	".pth":    "a PyTorch file can run code, and is never loaded: save the tensor with safetensors.torch.save_file, or tensor.numpy() with numpy.save",
	".h5":     "HDF5 is not read: save the array with numpy.save",
	".xlsx":   "an Excel workbook is not read: save the sheet as CSV",
	".json":   "give an object a line, as .jsonl: jq -c '.[]' FILE",
	".gz":     "unpack it first: gunzip FILE",
	".zst":    "unpack it first: unzstd FILE",
	".zip":    "unpack it first: unzip FILE",
}

// blockRows returns how many rows of so many logits are in a block.
func blockRows(columns int) int { return max(1, (1<<20)/max(columns, 1)) }
