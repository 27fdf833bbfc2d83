package calibrate

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/summary"
)

// Method is a kind of calibrator.
type Method string

// The methods, each a function from a sample's logits z to calibrated ones.
const (
	None          Method = "none"        // z as it is: what auto takes where no other does better
	ByTemperature Method = "temperature" // z/T: Guo et al. 2017
	ByVector      Method = "vector"      // w∘z + b: the same
	ByPlatt       Method = "platt"       // each class's log-odds s against the rest, a·s + b: J. Platt, 1999
	ByIsotonic    Method = "isotonic"    // each class's p by a rising function of s: B. Zadrozny, C. Elkan, 2002
	ByHistogram   Method = "histogram"   // each class's p by the frequency of the bin of s: the same, 2001
)

// Auto is the method whose held-out NLL is lowest, None among them.
const Auto Method = "auto"

// ParseMethod returns the method of a name: Auto or one of Methods.
func ParseMethod(name string) (Method, error) {
	if m := Method(name); m == Auto || slices.Contains(Methods, m) {
		return m, nil
	}
	names := string(Auto)
	for _, m := range Methods {
		names += ", " + string(m)
	}
	return "", fmt.Errorf("method %q: want one of %s", name, names)
}

// Methods are those that are fitted, the simplest first.
var Methods = []Method{ByTemperature, ByVector, ByPlatt, ByIsotonic, ByHistogram}

// Calibrator is a fitted function from logits to calibrated logits, whose softmax (or sigmoid, for one column) are the calibrated
// probabilities. Methods of one class at a time are normalised by that softmax. As JSON it is what a run's calibration.json holds.
type Calibrator struct {
	Version     int       `json:"format_version"` // set by Save and SaveIn
	Method      Method    `json:"method"`
	Columns     int       `json:"columns"` // of the logits: K, or 1 for a binary head
	Temperature float64   `json:"temperature,omitempty"`
	Weights     []float64 `json:"weights,omitempty"` // of vector and platt, one a curve
	Biases      []float64 `json:"biases,omitempty"`
	Curves      []Curve   `json:"curves,omitempty"`    // of isotonic and histogram
	CurvesOf    string    `json:"curves_of,omitempty"` // log_odds; "" in format 1, whose curves are of probabilities
	Run         string    `json:"run,omitempty"`       // ID of the run whose logits it was fitted on; "" for arrays
	Epoch       *int      `json:"epoch,omitempty"`     // of the run; nil for arrays
	Fit         *Report   `json:"fit,omitempty"`       // how it was fitted

	Unsealed bool `json:"-"` // it was read from a file of an older version, which nothing verifies
}

// Curve is a function of log-odds, or of a probability. Steps: Y[i] from X[i] up to the next, the mean of both steps just on the
// edge, and Y[0] below X[0]; else straight between (X[i], Y[i]) and level outside.
type Curve struct {
	X     []float64 `json:"x"` // rising
	Y     []float64 `json:"y"` // within (0,1)
	Steps bool      `json:"steps,omitempty"`
}

func (c *Curve) value(x float64) float64 {
	last := len(c.X) - 1
	i := sort.Search(len(c.X), func(i int) bool { return c.X[i] > x }) - 1 // the last X at most x
	switch {
	case i < 0:
		return c.Y[0]
	case c.Steps && i > 0 && x == c.X[i]:
		return (c.Y[i-1] + c.Y[i]) / 2
	case i == last || c.Steps:
		return c.Y[i]
	}
	return c.Y[i] + (c.Y[i+1]-c.Y[i])*(x-c.X[i])/(c.X[i+1]-c.X[i])
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
func (c *Calibrator) Apply(dst, logits []float32) { apply(c, dst, logits) }

func apply[T kernel.Float](c *Calibrator, dst, logits []T) {
	if len(logits)%c.Columns != 0 || len(dst) != len(logits) {
		panic(fmt.Sprintf("calibrate: Apply: dst holds %d values and logits %d, want as many, in rows of %d", len(dst), len(logits), c.Columns))
	}
	z, odds, out := make([]float64, c.Columns), make([]float64, c.Columns), make([]float64, c.Columns)
	for start := 0; start < len(logits); start += c.Columns {
		for j := range z {
			z[j] = float64(logits[start+j])
		}
		c.row(out, odds, z)
		for j, v := range out {
			if math.IsInf(z[j], -1) {
				v = z[j]
			} else if float64(T(v)) != v && math.IsInf(float64(T(v)), 0) {
				v = math.Copysign(math.MaxFloat32, v) // a finite logit stays one
			}
			dst[start+j] = T(v)
		}
	}
}

// row writes the calibrated logits of a row to out; odds is room.
func (c *Calibrator) row(out, odds, z []float64) {
	switch c.Method {
	case None:
		copy(out, z)
		return
	case ByTemperature:
		for j, v := range z {
			out[j] = v / c.Temperature
		}
		return
	case ByVector:
		for j, v := range z {
			out[j] = v*c.Weights[j] + c.Biases[j]
		}
		return
	}
	logOdds(odds, z)
	if oneCurve(c.Columns) {
		s := odds[c.Columns-1] // class 1's
		if c.Method == ByPlatt {
			s = c.Weights[0]*s + c.Biases[0]
		} else {
			y := c.curveAt(0, s)
			s = math.Log(y) - math.Log1p(-y) + (s - s) // NaN stays
		}
		out[0] = s - s
		out[c.Columns-1] = s
		return
	}
	for j, s := range odds {
		if c.Method == ByPlatt {
			out[j] = -softplus(-(c.Weights[j]*s + c.Biases[j]))
		} else {
			out[j] = math.Log(c.curveAt(j, s)) + (s - s)
		}
	}
}

// curveAt is the value of curve j at log-odds s.
func (c *Calibrator) curveAt(j int, s float64) float64 {
	if c.CurvesOf != logOddsName {
		s = sigmoid(s)
	}
	return c.Curves[j].value(s)
}

// logOdds writes the log-odds of each class of a row against the rest, those of a masked class and of one whose others all are within
// mostOdds, so that they may be counted with.
func logOdds(dst, z []float64) {
	summary.LogOdds(dst, z)
	for j, s := range dst {
		if s < -mostOdds {
			dst[j] = -mostOdds
		} else if s > mostOdds {
			dst[j] = mostOdds
		}
	}
}

const logOddsName = "log_odds"

// mostOdds is beyond what a classifier gives, and within float32.
const mostOdds = 1e37

func sigmoid(s float64) float64 { return 1 / (1 + math.Exp(-s)) }

// softplus is log(1 + exp(x)).
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// String says what it is, and what it did on rows that it was not fitted on.
func (c *Calibrator) String() string {
	text := string(c.Method)
	if c.Method == ByTemperature {
		text += fmt.Sprintf(", T = %.4g", c.Temperature)
	}
	if c.Fit == nil {
		return text
	}
	text += fmt.Sprintf(" (fitted on %d rows", c.Fit.N)
	if held := c.Fit.HeldOut; held.Folds > 0 {
		text += fmt.Sprintf("; on rows it was not fitted on, NLL %.4f → %.4f", held.NLLBefore, held.NLLAfter)
		if held.Worse() {
			text += ": worse than none"
		}
	}
	return text + ")"
}

// check returns the first thing that keeps c from being applied.
func (c *Calibrator) check() error {
	if c.Version < 1 || c.Version > formatVersion {
		return fmt.Errorf("calibrator of format %d, this logitscope reads up to %d: upgrade", c.Version, formatVersion)
	}
	if c.Columns < 1 {
		return fmt.Errorf("%d columns: want 1 or more", c.Columns)
	}
	n := curves(c.Columns)
	switch c.Method {
	case None:
		return nil
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
