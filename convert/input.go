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

// input is an open file, or folder, of logits. It is read from its beginning as often as it is asked.
type input struct {
	classes []string // in the order of the logits; nil where the file does not tell
	each    func(ctx context.Context, use func(*rows) error) error
	close   func() error
}

// rows are some rows of an input, in its order. What the file does not tell is nil; what is not nil has n elements. epochs and splits may have
// a single one, which all rows are of.
type rows struct {
	n          int
	first      string          // where the first of them stands, for errors
	epochs     []int64         //
	splits     []string        //
	ids        []int64         //
	names      []string        // ids that are text
	labels     []int64         // classes from 0; a negative number where a sample has none
	labelNames []string        // labels that are text, "" where a sample has none
	columns    int             // logits a row
	narrow     []float32       // [n,columns], or
	wide       []float64       // [n,columns], where the file has more digits
	slack      float64         // what rounding to the file's type may do to a probability
	previews   []byte          // [n,Height,Width,Channels]
	preview    *record.Preview // how they are laid out
	more       int             // rows that are still to come of the split, where that is known
	again      bool            // the file has each sample once an epoch: labels beside it count from place
	place      int             // of the first row, among those of its epoch
}

// reader is a form that logits come in.
type reader struct {
	name   string
	begins func(head []byte) bool // whether a file that begins so is in this form; nil where that does not tell
	ends   []string               // of a file's name, lower case
	text   string                 // what of it is read
	open   func(path string, o *ImportOptions) (*input, error)
}

// readers are all of them, in the order in which help lists them.
func readers() []reader {
	return []reader{npyReader, npzReader, safetensorsReader, parquetReader, arrowReader, csvReader, linesReader, datasetReader}
}

// Readable says what Import reads, a line a form: its name, and what of it is read.
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

// of is the element of row i, of one for each row or one for all.
func of[T any](elements []T, i int) T {
	if len(elements) == 1 {
		return elements[0]
	}
	return elements[i]
}

// startsWith knows files that begin with one of these bytes.
func startsWith(magics ...string) func(head []byte) bool {
	return func(head []byte) bool {
		return slices.ContainsFunc(magics, func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) })
	}
}

// formOf is the reader of a file that begins so, or else has that ending; nil where there is none.
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

// headOf is what a file begins with.
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

// openInput opens a file by what it begins with, then by its ending, whose case does not matter; or a folder.
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

// notRead are forms that people have, with the way out.
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

// blockRows is how many rows of so many logits are held at once.
func blockRows(columns int) int { return max(1, (1<<20)/max(columns, 1)) }
