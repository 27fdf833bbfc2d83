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

// The methods. Each is a function from a sample's logits z to calibrated logits; s are the log-odds of a class against the rest.
const (
	None          Method = "none"        // z itself; Auto chooses it where no other method does better
	ByTemperature Method = "temperature" // z/T. Guo et al., 2017
	ByVector      Method = "vector"      // w∘z + b, w and b being vectors. Guo et al., 2017
	ByPlatt       Method = "platt"       // a·s + b, for each class. J. Platt, 1999
	ByIsotonic    Method = "isotonic"    // a rising function of s, for each class. B. Zadrozny, C. Elkan, 2002
	ByHistogram   Method = "histogram"   // the frequency of the class in the bin of s, for each class. B. Zadrozny, C. Elkan, 2001
)

// Auto stands for the method with the lowest NLL on rows that it was not fitted on, or None where no method lowers it.
const Auto Method = "auto"

// ParseMethod returns the method of a name: Auto or one of Methods. Its error lists the names.
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

// Methods are the methods that are fitted, the simplest first.
var Methods = []Method{ByTemperature, ByVector, ByPlatt, ByIsotonic, ByHistogram}

// Calibrator is a fitted function from logits to calibrated logits. The calibrated probabilities are their softmax, or their sigmoid for one
// column; with methods that fit each class by itself, the softmax makes the probabilities of a row sum to 1. As JSON it is the content of a
// run's calibration.json.
type Calibrator struct {
	Version     int       `json:"format_version"` // set by Save and SaveIn
	Method      Method    `json:"method"`
	Columns     int       `json:"columns"`               // the number of logits in a row: K, or 1 for a binary head
	Temperature float64   `json:"temperature,omitempty"` // T of ByTemperature
	Weights     []float64 `json:"weights,omitempty"`     // w [Columns] of ByVector; a of ByPlatt, one for each fitted class
	Biases      []float64 `json:"biases,omitempty"`      // b, likewise
	Curves      []Curve   `json:"curves,omitempty"`      // of ByIsotonic and ByHistogram, one for each fitted class
	CurvesOf    string    `json:"curves_of,omitempty"`   // what Curves are functions of: log_odds, or "" in format 1, for probabilities
	Run         string    `json:"run,omitempty"`         // the ID of the run whose logits it was fitted on; "" for arrays
	Epoch       *int      `json:"epoch,omitempty"`       // the epoch of these logits; nil for arrays
	Fit         *Report   `json:"fit,omitempty"`         // how it was fitted

	Unsealed bool `json:"-"` // whether it was read from a file of format 1, which has no checksum
}

// Curve is a function of log-odds or of a probability. With Steps it is Y[i] from X[i] up to X[i+1], Y[0] below X[0], and exactly at an edge
// the mean of the two steps. Otherwise it is linear between the points (X[i], Y[i]) and constant outside of them.
type Curve struct {
	X     []float64 `json:"x"` // ascending, one or more
	Y     []float64 `json:"y"` // as many, each within (0,1)
	Steps bool      `json:"steps,omitempty"`
}

// value returns the function's value at x.
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

// oneCurve reports whether there are two classes, so that a function for class 1 is enough: the other class has the rest.
func oneCurve(columns int) bool { return columns <= 2 }

// curves returns the number of functions of a method that fits each class by itself.
func curves(columns int) int {
	if oneCurve(columns) {
		return 1
	}
	return columns
}

// Apply writes the calibrated logits of each row of logits [N,Columns] to dst [N,Columns], which may be the same slice. A row without a
// softmax becomes NaN; a masked class stays masked. Apply panics where the lengths are not those of rows of Columns: a program compares
// Columns with that of its logits when it has loaded a calibrator.
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

// row writes the calibrated logits of a row z to out. odds is memory that it uses. All three are [Columns].
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
		s := odds[c.Columns-1] // of class 1
		if c.Method == ByPlatt {
			s = c.Weights[0]*s + c.Biases[0]
		} else {
			y := c.curveAt(0, s)
			s = math.Log(y) - math.Log1p(-y) + (s - s) // s − s is 0, or NaN where s is
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

// curveAt returns the value of curve j at log-odds s.
func (c *Calibrator) curveAt(j int, s float64) float64 {
	if c.CurvesOf != logOddsName {
		s = sigmoid(s)
	}
	return c.Curves[j].value(s)
}

// logOdds is summary.LogOdds with infinite log-odds replaced by ±mostOdds, so that they can be calculated with.
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

// logOddsName is the CurvesOf of curves that are functions of log-odds.
const logOddsName = "log_odds"

// mostOdds is larger than the log-odds of any classifier, and smaller than the largest float32.
const mostOdds = 1e37

func sigmoid(s float64) float64 { return 1 / (1 + math.Exp(-s)) }

// softplus returns log(1 + exp(x)).
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// String returns in words what the calibrator is, and what it does on rows that it was not fitted on.
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

// check returns an error where c, which was read from a file, cannot be applied.
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
