package plot

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/internal/words"
)

// More colours of Okabe and Ito's.
var (
	greenColor  = color.NRGBA{0x00, 0x9E, 0x73, 0xFF}
	purpleColor = color.NRGBA{0x9A, 0x4F, 0x7E, 0xFF}
)

// Scored is the score of a split at an epoch, with what a title needs.
type Scored struct {
	Run, Split string // their names
	Epoch      int
	Unit       string   // what the number of the epoch counts, as in analysis.Curves
	Classes    []string // the names of the classes
	*analysis.Score
}

// title returns the title of a picture of the score.
func (s Scored) title(what string) string {
	return words.Unit(s.Unit).Sprintf("%s: %s, %s, epoch %d", what, s.Run, splitTitle(s.Split), s.Epoch)
}

// The size of a reliability diagram.
const (
	squareWidth  = 12.5 * vg.Centimeter
	squareHeight = 11.5 * vg.Centimeter
)

// Reliability draws a reliability diagram for each score, side by side: how often the predictions in a bin of confidence are right, against
// their confidence, and below it how many samples each bin has. A. Niculescu-Mizil, R. Caruana, "Predicting Good Probabilities with
// Supervised Learning", ICML 2005.
func Reliability(scores []Scored) *Picture {
	width := vg.Length(len(scores)) * squareWidth
	height := squareHeight + legendHeight
	return &Picture{width, height, func(page draw.Canvas) {
		legend(draw.Crop(page, 0, 0, height-legendHeight, 0), []entry{{"accuracy", trueColor}, {"claims too much", otherColor}, {"claims too little", greenColor}}, "")
		for i, s := range scores {
			left := vg.Length(i) * squareWidth
			tile := draw.Crop(page, left+8, left+squareWidth-width-10, 8, -legendHeight)
			whole := tile.Max.Y - tile.Min.Y
			above(reliability(s), counts(s), draw.Crop(tile, 0, 0, whole*0.26, 0), draw.Crop(tile, 0, 0, 0, -whole*0.76))
		}
	}}
}

// above draws one plot above another, with the ends of their X axes in line whatever the widths of their labels.
func above(upper, lower *plot.Plot, top, bottom draw.Canvas) {
	a, b := upper.DataCanvas(top), lower.DataCanvas(bottom)
	left, right := max(a.Min.X, b.Min.X), min(a.Max.X, b.Max.X)
	upper.Draw(draw.Crop(top, left-a.Min.X, right-a.Max.X, 0, 0))
	lower.Draw(draw.Crop(bottom, left-b.Min.X, right-b.Max.X, 0, 0))
}

// reliability draws the accuracy of each bin of confidence.
func reliability(s Scored) *plot.Plot {
	p := newPlot(fmt.Sprintf("%s\nECE %.3f · accuracy %.1f %% · confidence %.1f %%", s.title("Reliability"), s.Figure("ece"), 100*s.Figure("accuracy"), 100*s.Figure("confidence")))
	p.Y.Label.Text = "accuracy"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.X.Tick.Marker, p.Y.Tick.Marker = fifths{}, fifths{}
	addGrid(p)
	p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) {
		for _, b := range s.Bins {
			if b.N == 0 {
				continue
			}
			accuracy, confidence := float64(b.Accuracy), float64(b.Confidence)
			gap := otherColor
			if accuracy > confidence {
				gap = greenColor
			}
			between := min(accuracy, confidence)
			box(c, toX(b.Low), toY(0), toX(b.High), toY(between), trueColor, 0x90)
			box(c, toX(b.Low), toY(between), toX(b.High), toY(max(accuracy, confidence)), gap, 0x60)
			c.StrokeLine2(draw.LineStyle{Color: trueColor, Width: 1.6}, toX(b.Low), toY(accuracy), toX(b.High), toY(accuracy))
		}
		c.StrokeLine2(draw.LineStyle{Color: inkColor, Width: 0.8, Dashes: []vg.Length{4, 3}}, toX(0), toY(0), toX(1), toY(1))
	}))
	return p
}

// counts draws the share of the samples in each bin.
func counts(s Scored) *plot.Plot {
	p := newPlot("")
	p.X.Label.Text, p.Y.Label.Text = "confidence: the largest p", "share"
	highest := 0.0
	share := func(b analysis.ReliabilityBin) float64 { return float64(b.N) / float64(max(s.N, 1)) }
	for _, b := range s.Bins {
		highest = max(highest, share(b))
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, max(highest, 0.01)
	p.X.Tick.Marker, p.Y.Tick.Marker = fifths{}, twoShares{}
	p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) {
		for _, b := range s.Bins {
			if b.N > 0 {
				box(c, toX(b.Low), toY(0), toX(b.High), toY(share(b)), inkColor, 0x70)
			}
		}
	}))
	return p
}

// maxPoints is about the largest number of samples that a map shows. More would hide each other and make a file of megabytes.
const maxPoints = 5000

// Map draws the data map of a split: each sample by the mean over the epochs of the probability of its label (confidence), and by how much
// that varies (variability). S. Swayamdipta et al., "Dataset Cartography", EMNLP 2020.
func Map(d *dynamics.Dynamics) *Picture {
	width, height := 19*vg.Centimeter, 13*vg.Centimeter+legendHeight
	bands := []struct {
		entry
		below float64
	}{
		{entry{words.Unit(d.Unit).In("right in < 1/3 of the epochs"), otherColor}, 1. / 3}, {entry{"< 2/3", purpleColor}, 2. / 3}, {entry{"more", trueColor}, 2},
	}
	wrong := 0
	for _, s := range d.Samples {
		if s.CleanLabel != nil && *s.CleanLabel != s.Label {
			wrong++
		}
	}
	every, shown := 1+len(d.Samples)/maxPoints, ""
	if every > 1 {
		shown = fmt.Sprintf(", 1 in %d", every)
	}
	note := ""
	if wrong > 0 {
		note = fmt.Sprintf("+ known to be wrong: %d", wrong)
	}
	return &Picture{width, height, func(page draw.Canvas) {
		var entries []entry
		for _, b := range bands {
			entries = append(entries, b.entry)
		}
		legend(draw.Crop(page, 0, 0, height-legendHeight, 0), entries, note)
		p := newPlot(words.Unit(d.Unit).Sprintf("Data map: %s, %s, %d samples%s, epochs %s", d.Run, splitTitle(d.Split), len(d.Samples), shown, span(d.Epochs)))
		p.X.Label.Text, p.Y.Label.Text = "variability: standard deviation of p of the label", "confidence: mean p of the label"
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 0.5, 0, 1
		p.Y.Tick.Marker = fifths{}
		addGrid(p)
		p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) {
			for i := 0; i < len(d.Samples); i += every {
				s := d.Samples[i]
				x, y := float64(s.Variability), float64(s.Confidence)
				if math.IsNaN(x) || math.IsNaN(y) {
					continue
				}
				point := vg.Point{X: toX(x), Y: toY(y)}
				ink := bands[slices.IndexFunc(bands, func(b struct {
					entry
					below float64
				},
				) bool {
					return float64(s.Correctness) < b.below
				})].color
				ink.A = 0x90
				if s.CleanLabel != nil && *s.CleanLabel != s.Label {
					c.DrawGlyph(draw.GlyphStyle{Color: inkColor, Radius: 2.6, Shape: draw.PlusGlyph{}}, point)
				}
				c.DrawGlyph(draw.GlyphStyle{Color: ink, Radius: 1.6, Shape: draw.CircleGlyph{}}, point)
			}
		}))
		p.Add(written{0.25, 0.03, "hard to learn: look for wrong labels", text.XCenter}, written{0.49, 0.5, "ambiguous", text.XRight}, written{0.25, 0.97, "easy to learn", text.XCenter})
		p.Draw(draw.Crop(page, 8, -12, 8, -legendHeight))
	}}
}

// Bounds on what is drawn.
const (
	maxCells   = 1000 // the largest number of classes that a confusion matrix is drawn for
	maxNumbers = 25   // the largest number of classes for which it has numbers and every name
	maxBars    = 40   // the largest number of classes that have a bar
)

// Confusion draws a confusion matrix: for each label, the number of samples that each class is predicted for, and by colour their share. It
// returns an error for more than 1000 classes, or where the score has no confusion.
func Confusion(s Scored) (*Picture, error) {
	k := len(s.Confusion)
	if k == 0 || k > maxCells {
		return nil, fmt.Errorf("%d classes: a confusion matrix is drawn for at most %d", len(s.Classes), maxCells)
	}
	side := min(max(vg.Length(k)*1.05*vg.Centimeter, 9*vg.Centimeter), 24*vg.Centimeter)
	width, height := side+3.2*vg.Centimeter, side+3.4*vg.Centimeter
	return &Picture{width, height, func(page draw.Canvas) {
		p := newPlot(s.title("Confusion"))
		p.X.Label.Text, p.Y.Label.Text = "predicted", "label"
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(k)-0.5, -0.5, float64(k)-0.5
		p.X.Tick.Marker, p.Y.Tick.Marker = names{s.Classes, false, k}, names{s.Classes, true, k}
		if longest(s.Classes) > 3 {
			p.X.Tick.Label.Rotation = math.Pi / 3
			p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = text.XRight, text.YCenter
		}
		p.X.Tick.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
		p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) {
			for i, row := range s.Confusion {
				total := 0
				for _, n := range row {
					total += n
				}
				for j, n := range row {
					if n == 0 {
						continue
					}
					ink := otherColor
					if i == j {
						ink = trueColor
					}
					share := float64(n) / float64(total)
					x, y := float64(j), float64(k-1-i)
					box(c, toX(x-0.5), toY(y-0.5), toX(x+0.5), toY(y+0.5), ink, uint8(0x18+0xD0*math.Sqrt(share)))
					if k <= maxNumbers {
						style := text.Style{Color: inkColor, Font: p.X.Tick.Label.Font, Handler: p.TextHandler, XAlign: text.XCenter, YAlign: text.YCenter}
						if share > 0.45 {
							style.Color = color.White
						}
						c.FillText(style, vg.Point{X: toX(x), Y: toY(y)}, fmt.Sprint(n))
					}
				}
			}
		}))
		p.Draw(draw.Crop(page, 8, -12, 8, -6))
	}}, nil
}

// Classes draws a bar for the recall of each class, with its precision as a mark, the lowest recall first. It draws at most 40 classes.
func Classes(s Scored) *Picture {
	order := make([]int, 0, len(s.PerClass))
	for j, c := range s.PerClass {
		if c.N > 0 {
			order = append(order, j)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.PerClass[a].Recall, s.PerClass[b].Recall) })
	left := len(order) - maxBars
	order = order[:min(len(order), maxBars)]
	width, height := 16*vg.Centimeter, vg.Length(max(len(order), 2))*0.55*vg.Centimeter+2.4*vg.Centimeter+legendHeight
	note := ""
	if left > 0 {
		note = fmt.Sprintf("the worst %d of %d", len(order), len(order)+left)
	}
	return &Picture{width, height, func(page draw.Canvas) {
		legend(draw.Crop(page, 0, 0, height-legendHeight, 0), []entry{{"recall", trueColor}, {"precision", otherColor}}, note)
		p := newPlot(s.title("Classes"))
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, -0.6, float64(len(order))-0.4
		p.X.Tick.Marker = fifths{}
		var ticks plot.ConstantTicks
		for i, j := range order {
			ticks = append(ticks, plot.Tick{Value: float64(len(order) - 1 - i), Label: fmt.Sprintf("%s (%d)", short(s.Classes[j]), s.PerClass[j].N)})
		}
		p.Y.Tick.Marker, p.Y.Tick.LineStyle.Width = ticks, 0
		grid := plotter.NewGrid()
		grid.Vertical.Color, grid.Horizontal.Color = gridColor, nil
		grid.Vertical.Width = 0.5
		p.Add(grid)
		p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) {
			for i, j := range order {
				y, class := float64(len(order)-1-i), s.PerClass[j]
				box(c, toX(0), toY(y-0.32), toX(float64(class.Recall)), toY(y+0.32), trueColor, 0x90)
				if v := float64(class.Precision); !math.IsNaN(v) {
					c.StrokeLine2(draw.LineStyle{Color: otherColor, Width: 2.2}, toX(v), toY(y-0.38), toX(v), toY(y+0.38))
				}
			}
		}))
		p.Draw(draw.Crop(page, 8, -14, 8, -legendHeight))
	}}
}

// drawing is a plot.Plotter that draws in the plot's own coordinates.
type drawing func(c draw.Canvas, toX, toY func(float64) vg.Length)

// Plot implements plot.Plotter.
func (d drawing) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	d(c, toX, toY)
}

// written is a note at a place in a plot.
type written struct {
	x, y  float64
	text  string
	align text.XAlignment
}

// Plot implements plot.Plotter.
func (w written) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := text.Style{Color: inkColor, Font: p.X.Tick.Label.Font, Handler: p.TextHandler, XAlign: w.align, YAlign: text.YCenter}
	width := style.Width(w.text)
	x, y := toX(w.x), toY(w.y)
	from := x + width*vg.Length(w.align)
	c.SetColor(color.NRGBA{0xFF, 0xFF, 0xFF, 0xC8})
	c.Fill(vg.Rectangle{Min: vg.Point{X: from - 2, Y: y - 6}, Max: vg.Point{X: from + width + 2, Y: y + 6}}.Path())
	c.FillText(style, vg.Point{X: x, Y: y}, w.text)
}

// box fills a rectangle.
func box(c draw.Canvas, x0, y0, x1, y1 vg.Length, ink color.NRGBA, alpha uint8) {
	ink.A = alpha
	c.SetColor(ink)
	c.Fill(vg.Rectangle{Min: vg.Point{X: x0, Y: y0}, Max: vg.Point{X: x1, Y: y1}}.Path())
}

// fifths puts ticks at the fifths of [0,1].
type fifths struct{}

func (fifths) Ticks(low, high float64) (ticks []plot.Tick) {
	for i := range 6 {
		if v := float64(i) / 5; v >= low && v <= high {
			ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.1f", v)})
		}
	}
	return ticks
}

// twoShares puts a tick at 0 and at the end.
type twoShares struct{}

func (twoShares) Ticks(_, high float64) []plot.Tick {
	return []plot.Tick{{Value: 0, Label: "0"}, {Value: high, Label: fmt.Sprintf("%.0f %%", 100*high)}}
}

// names puts the names of k classes at whole numbers; of many classes only every nth.
type names struct {
	classes []string
	fall    bool // whether the first class is at the upper end
	k       int
}

func (n names) Ticks(_, _ float64) (ticks []plot.Tick) {
	step := (n.k + maxNumbers - 1) / maxNumbers
	for j := 0; j < n.k; j += step {
		place := j
		if n.fall {
			place = n.k - 1 - j
		}
		ticks = append(ticks, plot.Tick{Value: float64(place), Label: short(n.classes[j])})
	}
	return ticks
}

// short returns a class's name, cut where it is long.
func short(name string) string {
	const most = 18
	name = strings.Join(strings.Fields(name), " ")
	if r := []rune(name); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return name
}

// longest returns the length of the longest name as it is shown.
func longest(classes []string) (n int) {
	for _, c := range classes {
		n = max(n, len([]rune(short(c))))
	}
	return n
}

// span returns the first and the last epoch as text.
func span(epochs []int) string {
	if len(epochs) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d to %d", epochs[0], epochs[len(epochs)-1])
}
