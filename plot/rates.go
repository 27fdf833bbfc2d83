package plot

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/logitscope/logitscope/train"
)

// Rates draws a learning rate range test: the loss of each step and the smoothed loss over the learning rate, on a logarithmic axis, with
// the suggested rate marked. name is that of the data. The picture is as high as one and a half times the loss at the start.
func Rates(name string, r *train.RateRange) *Picture {
	p := newPlot(fmt.Sprintf("Learning rate: %s, %d steps", name, len(r.Rates)))
	p.X.Label.Text, p.Y.Label.Text = "learning rate", "loss"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	addGrid(p)
	p.X.Min, p.X.Max, p.Y.Max = 1e-6, 1, 1
	if n := len(r.Rates); n > 0 {
		p.X.Min, p.X.Max = r.Rates[0], r.Rates[n-1]
		fall := slices.Index(r.Smoothed, slices.Min(r.Smoothed))
		p.Y.Max = 1.5 * max(slices.Max(r.Smoothed[:fall+1]), 0.01)
	}
	if p.X.Max == p.X.Min {
		p.X.Max *= 10
	}
	p.Add(drawing(func(c draw.Canvas, toX, toY func(float64) vg.Length) {
		for _, line := range []struct {
			losses []float64
			style  draw.LineStyle
		}{
			{r.Losses, draw.LineStyle{Color: faint(otherColor), Width: 0.8}},
			{r.Smoothed, draw.LineStyle{Color: trueColor, Width: 1.8}},
		} {
			var corners []vg.Point
			for i, v := range line.losses {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					corners = append(corners, vg.Point{X: toX(r.Rates[i]), Y: toY(min(v, 10*p.Y.Max))})
				}
			}
			c.StrokeLines(line.style, c.ClipLinesXY(corners)...)
		}
	}))
	if r.Suggested > 0 {
		p.Add(drawing(func(c draw.Canvas, toX, _ func(float64) vg.Length) {
			x := toX(r.Suggested)
			c.StrokeLine2(draw.LineStyle{Color: inkColor, Width: 0.8, Dashes: []vg.Length{3, 2}}, x, c.Min.Y, x, c.Max.Y)
		}))
		align, side := text.XLeft, 1.0
		if r.Suggested > math.Sqrt(p.X.Min*p.X.Max) {
			align, side = text.XRight, -1
		}
		p.Add(written{r.Suggested * math.Pow(p.X.Max/p.X.Min, side/60), p.Y.Max * 0.96, fmt.Sprintf("falls fastest: %.2g", r.Suggested), align})
	}
	const width, height = 16 * vg.Centimeter, 9 * vg.Centimeter
	return &Picture{width, height, func(page draw.Canvas) {
		legend(draw.Crop(page, 0, 0, height-legendHeight, 0), []entry{{"loss of a step", otherColor}, {"smoothed", trueColor}}, "")
		p.Draw(draw.Crop(page, 8, -14, 8, -legendHeight))
	}}
}

// decades puts ticks at powers of ten.
type decades struct{}

func (decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for e := math.Ceil(math.Log10(low) - 1e-9); e <= math.Log10(high)+1e-9; e++ {
		ticks = append(ticks, plot.Tick{Value: math.Pow(10, e), Label: fmt.Sprintf("%g", math.Pow(10, e))})
	}
	return ticks
}
