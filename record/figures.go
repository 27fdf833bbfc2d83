package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
)

const figuresFile = "figures.json"

// Figures holds means over the samples of an epoch. A run keeps them of epochs whose logits it does not keep.
type Figures struct {
	Epoch  int            `json:"epoch"`
	Splits []SplitFigures `json:"splits"`
}

// SplitFigures holds the figures of one split. A number that is not finite is null in JSON, and is read as NaN.
type SplitFigures struct {
	Name     string  // the name of the split
	NLL      float64 // the mean NLL, in nats
	Accuracy float64 // the share of samples that are right, 0 to 1
}

// splitFiguresJSON is a SplitFigures in JSON.
type splitFiguresJSON struct {
	Name     string   `json:"name"`
	NLL      *float64 `json:"nll"` // nil for a number that is not finite, which JSON has no form for
	Accuracy *float64 `json:"accuracy"`
}

// MarshalJSON implements json.Marshaler.
func (f SplitFigures) MarshalJSON() ([]byte, error) {
	number := func(v float64) *float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	return json.Marshal(splitFiguresJSON{f.Name, number(f.NLL), number(f.Accuracy)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *SplitFigures) UnmarshalJSON(raw []byte) error {
	var read splitFiguresJSON
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	number := func(v *float64) float64 {
		if v == nil {
			return math.NaN()
		}
		return *v
	}
	*f = SplitFigures{read.Name, number(read.NLL), number(read.Accuracy)}
	return nil
}

// figuresJSON is the content of figures.json.
type figuresJSON struct {
	owner
	Epochs []Figures `json:"epochs"` // in rising order of their epochs
}

// Figures keeps the figures of an epoch. They replace those that were kept of the same epoch and of later ones. They are written with the next
// checkpoint of that epoch or a later one, and by Close.
func (w *Writer) Figures(f Figures) {
	w.mu.Lock()
	defer w.mu.Unlock()
	earlier, _ := slices.BinarySearchFunc(w.figures, f.Epoch, func(f Figures, epoch int) int { return f.Epoch - epoch })
	w.figures = append(w.figures[:earlier:earlier], f) // this copies, because another goroutine may be writing the old slice
	w.unwritten = true
}

// writeFigures writes the figures up to an epoch, to a temporary file that is then renamed into place. It is called before a checkpoint is written, so
// that a run which goes on from the checkpoint has the figures before it.
func (w *Writer) writeFigures(upTo int) error {
	w.mu.Lock()
	figures, write := w.figures, w.unwritten
	w.unwritten = false
	w.mu.Unlock()
	if !write {
		return nil
	}
	if n := len(figures); n > 0 && figures[n-1].Epoch > upTo {
		figures = slices.DeleteFunc(slices.Clone(figures), func(f Figures) bool { return f.Epoch > upTo })
		w.mu.Lock()
		w.unwritten = true
		w.mu.Unlock()
	}
	data, err := sealAs(figuresFile, figuresJSON{w.owner(), figures})
	if err != nil {
		return err
	}
	are := contentOf([][]byte{data})
	if err = w.replace(figuresFile, data); err != nil {
		w.setFigures(nil)
		return err
	}
	w.setFigures(&are)
	return nil
}

func (w *Writer) setFigures(are *content) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.figuresAre = are
}

// Figures returns the figures that the run keeps, in rising order of their epochs. It returns nil where there are none, and a *Damage where they cannot
// be read.
func (r *Run) Figures() ([]Figures, error) {
	figures, _, err := r.readFigures()
	return figures, err
}

// readFigures is Figures; it also returns the size and checksum of the file, nil where there is none.
func (r *Run) readFigures() ([]Figures, *content, error) {
	end, _ := r.readEnd() // is read first, because it is written after the figures
	var read figuresJSON
	data, err := r.sealed(figuresFile, &read)
	if errors.Is(err, fs.ErrNotExist) && (end == nil || end.Figures == nil) {
		return nil, nil, nil
	}
	are := contentOf([][]byte{data})
	if err == nil && end != nil && end.Figures != nil && are != *end.Figures {
		err = fmt.Errorf("CRC-32C %s, %s wants %s: it is not that which the run ended with", are.CRC32C, endFile, end.Figures.CRC32C)
	}
	for i, f := range read.Epochs {
		if err == nil && (f.Epoch < 0 || f.Epoch > maxEpoch || i > 0 && f.Epoch <= read.Epochs[i-1].Epoch) {
			err = fmt.Errorf("epoch %d is out of order", f.Epoch)
		}
		for _, s := range f.Splits {
			if err == nil && r.manifest.split(s.Name) < 0 {
				err = fmt.Errorf("split %q is none of the manifest's", s.Name)
			}
		}
	}
	if err != nil {
		return nil, nil, r.damage(figuresFile, -1, "", err)
	}
	return read.Epochs, &are, nil
}
