package calibrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
)

// Method is a kind of calibrator.
type Method string

// The methods, each a function from a sample's logits z to calibrated ones.
const (
	ByTemperature Method = "temperature" // z/T: Guo et al. 2017
	ByVector      Method = "vector"      // w∘z + b: the same
	ByPlatt       Method = "platt"       // each class's log-odds s against the rest, a·s + b: J. Platt, 1999
	ByIsotonic    Method = "isotonic"    // each class's p by a rising function: B. Zadrozny, C. Elkan, 2002
	ByHistogram   Method = "histogram"   // each class's p by the frequency of its bin: the same, 2001
)

// Methods are all of them, the simplest first.
var Methods = []Method{ByTemperature, ByVector, ByPlatt, ByIsotonic, ByHistogram}

// File is the name of a run's calibrator within its directory.
const File = "calibration.json"

const formatVersion = 1

// Calibrator is a fitted function from logits to calibrated logits, whose softmax (or sigmoid, for one column) are the calibrated
// probabilities. Methods of one class at a time are normalised by that softmax. As JSON it is what a run's calibration.json holds.
type Calibrator struct {
	Version     int       `json:"format_version"`
	Method      Method    `json:"method"`
	Columns     int       `json:"columns"` // of the logits: K, or 1 for a binary head
	Temperature float64   `json:"temperature,omitempty"`
	Weights     []float64 `json:"weights,omitempty"` // of vector and platt, one a curve
	Biases      []float64 `json:"biases,omitempty"`
	Curves      []Curve   `json:"curves,omitempty"` // of isotonic and histogram
	Epoch       *int      `json:"epoch,omitempty"`  // of the run, whose logits it was fitted on; nil for arrays
	Fit         *Report   `json:"fit,omitempty"`    // how it was fitted
}

// Curve is a function of a probability. Steps: Y[i] at X[i] and up to the next, below X[0] Y[0]; else straight between (X[i], Y[i])
// and level outside.
type Curve struct {
	X     []float64 `json:"x"` // rising, within [0,1]
	Y     []float64 `json:"y"` // within (0,1)
	Steps bool      `json:"steps,omitempty"`
}

func (c *Curve) at(p float64) float64 {
	last := len(c.X) - 1
	i := sort.Search(len(c.X), func(i int) bool { return c.X[i] > p }) - 1 // the last X at most p
	switch {
	case i < 0:
		return c.Y[0]
	case i == last || c.Steps:
		return c.Y[i]
	}
	return c.Y[i] + (c.Y[i+1]-c.Y[i])*(p-c.X[i])/(c.X[i+1]-c.X[i])
}

// oneCurve reports whether the classes are two, so that one function of class 1 is enough: the other is its complement.
func oneCurve(columns int) bool { return columns <= 2 }

// curves is how many functions a method of one class at a time has.
func curves(columns int) int {
	if oneCurve(columns) {
		return 1
	}
	return columns
}

// Apply writes the calibrated logits of each row of logits [N,columns] to dst [N,columns], which may be logits. A row without a
// softmax gives NaN; a masked class stays masked. It panics where the lengths do not fit the calibrator.
func (c *Calibrator) Apply(dst, logits []float32) {
	if len(logits)%c.Columns != 0 || len(dst) != len(logits) {
		panic(fmt.Sprintf("calibrate: Apply: dst holds %d values and logits %d, want as many, in rows of %d", len(dst), len(logits), c.Columns))
	}
	p, out := make([]float64, c.Columns), make([]float64, c.Columns)
	for start := 0; start < len(logits); start += c.Columns {
		z := logits[start : start+c.Columns]
		c.row(out, p, z)
		for j, v := range out {
			if z[j] < -math.MaxFloat32 {
				v = math.Inf(-1)
			}
			dst[start+j] = float32(v)
		}
	}
}

// row writes the calibrated logits of a row to out; p is room.
func (c *Calibrator) row(out, p []float64, z []float32) {
	switch c.Method {
	case ByTemperature:
		for j, v := range z {
			out[j] = float64(v) / c.Temperature
		}
		return
	case ByVector:
		for j, v := range z {
			out[j] = float64(v)*c.Weights[j] + c.Biases[j]
		}
		return
	}
	logOdds(p, z)
	if oneCurve(c.Columns) {
		s := p[c.Columns-1] // class 1's
		if c.Method == ByPlatt {
			s = c.Weights[0]*s + c.Biases[0]
		} else {
			y := c.Curves[0].at(sigmoid(s))
			s = math.Log(y) - math.Log1p(-y) + (s - s) // NaN stays
		}
		out[0] = s - s
		out[c.Columns-1] = s
		return
	}
	for j, s := range p {
		if c.Method == ByPlatt {
			out[j] = -softplus(-(c.Weights[j]*s + c.Biases[j]))
		} else {
			out[j] = math.Log(c.Curves[j].at(sigmoid(s))) + (s - s)
		}
	}
}

// logOdds writes log p_j − log(1−p_j) of each class of a row: z_j less the LSE of the others, within mostOdds. One column is its
// own. NaN where there is no softmax.
func logOdds(dst []float64, z []float32) {
	if len(z) == 1 {
		dst[0] = float64(z[0])
		if math.IsInf(dst[0], 0) {
			dst[0] = math.NaN()
		}
		return
	}
	// The sum of all but the largest, and the largest, apart: p near 1 keeps its complement.
	best := 0
	for j, v := range z {
		if v > z[best] || z[best] != z[best] {
			best = j
		}
	}
	largest, others := float64(z[best]), 0.0
	for j, v := range z {
		dst[j] = float64(v) - largest
		if j != best {
			others += math.Exp(dst[j])
		}
	}
	for j, x := range dst {
		if j == best {
			dst[j] = min(-math.Log(others), mostOdds)
		} else {
			// log p − log(1−p), 1−p being (1 + others − e)/sum.
			dst[j] = max(x-math.Log(1+others-math.Exp(x)), -mostOdds)
		}
	}
	if math.IsNaN(others) || math.IsInf(largest, 0) || math.IsNaN(largest) {
		for j := range dst {
			dst[j] = math.NaN()
		}
	}
}

// mostOdds stands for p = 1 and p = 0: beyond it exp is 0.
const mostOdds = 750

func sigmoid(s float64) float64 { return 1 / (1 + math.Exp(-s)) }

// softplus is log(1 + exp(x)).
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// Load reads the calibrator in a file.
func Load(path string) (*Calibrator, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	const most = 256 << 20
	if info.Size() > most || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", path, most)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Decode reads a calibrator from JSON.
func Decode(data []byte) (*Calibrator, error) {
	c := &Calibrator{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("it is no calibrator: %w", err)
	}
	return c, c.check()
}

// check returns the first thing that keeps c from being applied.
func (c *Calibrator) check() error {
	if c.Version != formatVersion {
		return fmt.Errorf("calibrator of format %d, this logitscope reads %d", c.Version, formatVersion)
	}
	if c.Columns < 1 {
		return fmt.Errorf("%d columns: want 1 or more", c.Columns)
	}
	n := curves(c.Columns)
	switch c.Method {
	case ByTemperature:
		if !(c.Temperature > 0 && c.Temperature <= math.MaxFloat64) {
			return fmt.Errorf("temperature %v: want a finite number above 0", c.Temperature)
		}
		return nil
	case ByVector, ByPlatt:
		if c.Method == ByVector {
			n = c.Columns
		}
		if len(c.Weights) != n || len(c.Biases) != n {
			return fmt.Errorf("%d weights and %d biases: want %d", len(c.Weights), len(c.Biases), n)
		}
		return nil
	case ByIsotonic, ByHistogram:
		if len(c.Curves) != n {
			return fmt.Errorf("%d curves: want %d", len(c.Curves), n)
		}
		for i, curve := range c.Curves {
			if len(curve.X) == 0 || len(curve.X) != len(curve.Y) {
				return fmt.Errorf("curve %d has %d x and %d y: want as many, and one or more", i, len(curve.X), len(curve.Y))
			}
			for j, x := range curve.X {
				if y := curve.Y[j]; j > 0 && !(x > curve.X[j-1]) || !(y > 0 && y < 1) {
					return fmt.Errorf("curve %d, point %d: want x to rise and y between 0 and 1", i, j)
				}
			}
		}
		return nil
	}
	return fmt.Errorf("method %q: this logitscope knows %v", c.Method, Methods)
}

// Save writes c to a file, whole or not at all.
func (c *Calibrator) Save(path string) (err error) {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
