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

// Figures are means over the samples of an epoch, which a run keeps of epochs whose logits it does not.
type Figures struct {
	Epoch  int            `json:"epoch"`
	Splits []SplitFigures `json:"splits"`
}

// SplitFigures are those of one split. NaN and infinities are read as NaN.
type SplitFigures struct {
	Name     string
	NLL      float64
	Accuracy float64
}

type splitFiguresJSON struct {
	Name     string   `json:"name"`
	NLL      *float64 `json:"nll"` // null where it is not finite, which JSON cannot say
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

// figuresJSON is figures.json.
type figuresJSON struct {
	owner
	Epochs []Figures `json:"epochs"` // rising
}

// Figures keeps the figures of an epoch, in place of what was kept of it and of later ones. They are written with the next
// checkpoint of that epoch or a later one, and by Close.
func (w *Writer) Figures(f Figures) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, _ := slices.BinarySearchFunc(w.figures, f.Epoch, func(f Figures, epoch int) int { return f.Epoch - epoch })
	w.figures = append(w.figures[:at:at], f) // not in place: another goroutine may be writing them
	w.unwritten = true
}

// writeFigures writes the figures up to an epoch, aside and renamed into place: those that a checkpoint follows are never lost.
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

// Figures returns the figures that were kept, epoch by epoch: none where the run's writer kept none.
func (r *Run) Figures() ([]Figures, error) {
	figures, _, err := r.readFigures()
	return figures, err
}

// readFigures is Figures; it says what the file is as well, nil where there is none.
func (r *Run) readFigures() ([]Figures, *content, error) {
	end, _ := r.readEnd() // first: it is written after the figures
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
