package plot

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// Curves draws, over the epochs, the NLL and the accuracy of training and validation, with the epoch of the lowest validation NLL marked. For
// each of the two splits whose parts are known it also draws the NLL taken apart into what a temperature would remove (scale) and the rest
// (ranking).
func Curves(c *analysis.Curves) *Picture {
	accuracy := lines(c, "Accuracy", func(s analysis.SplitScores) float64 { return float64(s.Accuracy) })
	accuracy.Y.Max = 1
	accuracy.Y.Tick.Marker = fifths{}
	panels := []*plot.Plot{lines(c, "NLL", func(s analysis.SplitScores) float64 { return float64(s.NLL) }), accuracy}
	entries := []entry{{"training", purpleColor}, {splitTitle(c.HeldOut), greenColor}}
	for i, split := range []string{record.TrainSplit, c.HeldOut} {
		if p := apart(c, split, entries[i].color, panels[0].Y.Max); p != nil {
			panels = append(panels, p)
		}
	}
	if len(panels) > 2 {
		entries = append(entries, entry{"scale: a temperature removes it", otherColor}, entry{"ranking: it stays", trueColor})
	}
	const columns, wide, tall = 2, 15 * vg.Centimeter, 8 * vg.Centimeter
	rows := (len(panels) + columns - 1) / columns
	height := vg.Length(rows)*tall + legendHeight
	return &Picture{columns * wide, height, func(page draw.Canvas) {
		legend(draw.Crop(page, 0, 0, height-legendHeight, 0), entries, "")
		tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 14, PadY: 14, PadTop: 2, PadBottom: 8, PadLeft: 8, PadRight: 12}
		for i, p := range panels {
			p.Draw(tiles.At(draw.Crop(page, 0, 0, 0, -legendHeight), i%columns, i/columns))
		}
	}}
}

// lines draws a figure of training and validation over the epochs.
func lines(c *analysis.Curves, name string, value func(analysis.SplitScores) float64) *plot.Plot {
	p := newPlot(words.Unit(c.Unit).Sprintf("%s: %s, epochs %s", name, c.Run, spanOf(c)))
	p.X.Label.Text, p.Y.Label.Text = words.Unit(c.Unit).String(), name
	p.X.Tick.Marker = wholes{}
	addGrid(p)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = ends(c)
	highest := 0.0
	for _, split := range []struct {
		name  string
		color draw.LineStyle
	}{{record.TrainSplit, draw.LineStyle{Color: purpleColor, Width: 1.6}}, {c.HeldOut, draw.LineStyle{Color: greenColor, Width: 1.6}}} {
		var points plotter.XYs
		for _, e := range c.All() {
			s, ok := e.Splits[split.name]
			if v := value(s); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
				points = append(points, plotter.XY{X: float64(e.Epoch), Y: v})
				highest = max(highest, v)
			}
		}
		p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) { stroke(c, points, split.color, toX, toY) }))
	}
	p.Y.Min, p.Y.Max = 0, max(1.05*highest, 0.01)
	mark(p, c)
	return p
}

// apart draws the NLL of a split as ranking and, above it, scale, on an axis up to highest. It returns nil where the parts are not known.
func apart(c *analysis.Curves, split string, outline color.NRGBA, highest float64) *plot.Plot {
	var ranking, all plotter.XYs
	for _, e := range c.Epochs {
		scale, rank, ok := partsOf(e, split)
		if !ok {
			continue
		}
		x := float64(e.Epoch)
		ranking = append(ranking, plotter.XY{X: x, Y: rank})
		all = append(all, plotter.XY{X: x, Y: rank + scale})
	}
	if len(all) == 0 {
		return nil
	}
	p := newPlot(words.Unit(c.Unit).Sprintf("NLL taken apart: %s, %s, epochs %s", c.Run, splitTitle(split), spanOf(c)))
	p.X.Label.Text, p.Y.Label.Text = words.Unit(c.Unit).String(), "NLL"
	p.X.Tick.Marker = wholes{}
	addGrid(p)
	p.X.Min, p.X.Max, _, _ = ends(c)
	p.Y.Min, p.Y.Max = 0, highest
	p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) {
		floor := make(plotter.XYs, len(ranking))
		for i, v := range ranking {
			floor[i] = plotter.XY{X: v.X}
		}
		area(c, all, ranking, faint(otherColor), toX, toY)
		area(c, ranking, floor, faint(trueColor), toX, toY)
		stroke(c, all, draw.LineStyle{Color: outline, Width: 1.6}, toX, toY)
		stroke(c, ranking, draw.LineStyle{Color: trueColor, Width: 1.4}, toX, toY)
	}))
	mark(p, c)
	return p
}

// mark draws the story's mark at the epoch with the lowest validation NLL.
func mark(p *plot.Plot, c *analysis.Curves) {
	best, label := c.Story.BestEpoch, c.Story.Mark
	if label == "" {
		return
	}
	p.Add(drawing(func(c draw.Canvas, toX, _ func(float64) vg.Length) {
		x := toX(float64(best))
		c.StrokeLine2(draw.LineStyle{Color: inkColor, Width: 0.8, Dashes: []vg.Length{3, 2}}, x, c.Min.Y, x, c.Max.Y)
	}))
	align, middle := text.XLeft, (p.X.Min+p.X.Max)/2
	x := float64(best) + (p.X.Max-p.X.Min)/60
	if float64(best) > middle {
		align, x = text.XRight, float64(best)-(p.X.Max-p.X.Min)/60
	}
	p.Add(written{x, p.Y.Max * 0.96, label, align})
}

// ends returns the ends of the axes of a plot over the epochs.
func ends(c *analysis.Curves) (left, right, low, high float64) {
	all := c.All()
	if len(all) == 0 {
		return 0, 1, 0, 1
	}
	left, right = float64(all[0].Epoch), float64(all[len(all)-1].Epoch)
	if left == right {
		left, right = left-1, right+1
	}
	return left, right, 0, 1
}

// spanOf returns the first and the last epoch as text.
func spanOf(c *analysis.Curves) string {
	var epochs []int
	for _, e := range c.All() {
		epochs = append(epochs, e.Epoch)
	}
	return span(epochs)
}

// stroke draws a line through points.
func stroke(c draw.Canvas, points plotter.XYs, style draw.LineStyle, toX, toY func(float64) vg.Length) {
	corners := make([]vg.Point, len(points))
	for i, v := range points {
		corners[i] = vg.Point{X: toX(v.X), Y: toY(v.Y)}
	}
	if len(corners) == 1 { // a line through one point would not be seen
		c.DrawGlyph(draw.GlyphStyle{Color: style.Color, Radius: 2.5, Shape: draw.CircleGlyph{}}, corners[0])
		return
	}
	c.StrokeLines(style, corners)
}

// faint returns a colour made transparent.
func faint(c color.NRGBA) color.NRGBA { c.A = 0x60; return c }

// area fills the area between two lines over the same x.
func area(c draw.Canvas, upper, lower plotter.XYs, ink color.NRGBA, toX, toY func(float64) vg.Length) {
	var outline []vg.Point
	for _, v := range upper {
		outline = append(outline, vg.Point{X: toX(v.X), Y: toY(v.Y)})
	}
	for i := range lower {
		v := lower[len(lower)-1-i]
		outline = append(outline, vg.Point{X: toX(v.X), Y: toY(v.Y)})
	}
	c.FillPolygon(ink, outline)
}

// wholes puts ticks at whole numbers.
type wholes struct{}

func (wholes) Ticks(low, high float64) (ticks []plot.Tick) {
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9} {
		if step = s; (high-low)/s <= 10 {
			break
		}
	}
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.0f", v)})
	}
	return ticks
}

// partsOf returns the parts of a split's NLL at an epoch.
func partsOf(e analysis.EpochScores, split string) (scale, ranking float64, ok bool) {
	parts := e.Splits[split].Parts
	if parts == nil {
		return 0, 0, false
	}
	scale, ranking = float64(parts.Scale), float64(parts.Ranking)
	return scale, ranking, !math.IsNaN(scale+ranking) && !math.IsInf(scale+ranking, 0)
}
