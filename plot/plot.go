// Package plot draws what package analysis and others find of a run, as pictures in PNG or SVG.
package plot

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// Two colours that the colour-blind tell apart, from Okabe and Ito, "Color Universal Design", 2008.
var (
	trueColor  = color.NRGBA{0x00, 0x72, 0xB2, 0xFF}
	otherColor = color.NRGBA{0xD5, 0x5E, 0x00, 0xFF}
	inkColor   = color.NRGBA{0x33, 0x3A, 0x44, 0xFF}
	gridColor  = color.NRGBA{0xE3, 0xE6, 0xEA, 0xFF}
)

// Sizes.
const (
	panelWidth   = 9 * vg.Centimeter
	panelHeight  = 5.6 * vg.Centimeter
	legendHeight = 1.1 * vg.Centimeter // above all panels
	dotsPerInch  = 120                 // of a PNG
	peakHeight   = 0.8                 // the share of a panel's height that its highest bin has; above are the labels of the means
)

// Picture is a drawing that can be written as PNG or SVG.
type Picture struct {
	width, height vg.Length
	draw          func(draw.Canvas)
}

// Save writes the picture to path, whose ending says in which format: .png or .svg. Any other ending is an error. Where Save returns an error,
// the file is not there, or is as it was.
func (p *Picture) Save(path string) error {
	canvas, err := canvasFor(path, p.width, p.height)
	if err != nil {
		return err
	}
	p.drawOn(canvas)
	return files.Write(path, func(w io.Writer) error {
		_, err := canvas.WriteTo(w)
		return err
	})
}

// Check returns the error that Save would return for path, as far as that is known before there is a picture.
func Check(path string) error {
	if _, err := canvasFor(path, vg.Centimeter, vg.Centimeter); err != nil {
		return err
	}
	return files.Check(path)
}

// SVG returns the picture as an svg element.
func (p *Picture) SVG() ([]byte, error) {
	canvas := vgsvg.New(p.width, p.height)
	p.drawOn(canvas)
	var b bytes.Buffer
	_, err := canvas.WriteTo(&b)
	return withFallbacks(b.Bytes()), err
}

// withFallbacks names further fonts of the same widths, for viewers that lack the first.
func withFallbacks(svg []byte) []byte {
	return bytes.ReplaceAll(svg, []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arimo,Arial,Helvetica,sans-serif;"))
}

// drawOn draws the picture on a white canvas.
func (p *Picture) drawOn(canvas vg.CanvasSizer) {
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	p.draw(page)
}

// Four draws the four graphs of epochs: a row of panels for each epoch and split, with raw logit, softmax, log-softmax and NLL side by side.
// It returns an error where graphs is empty.
//
// A panel shows the share of the values in each bin, for the true class and for the other classes, with their means as dashed lines. The
// scale is that of the square root, so that a tail is seen beside a peak.
func Four(graphs []*analysis.Graphs) (*Picture, error) {
	if len(graphs) == 0 {
		return nil, errors.New("no epoch to draw")
	}
	rows := 0
	for _, g := range graphs {
		rows += len(g.Splits)
	}
	columns := len(graphs[0].Quantities)
	width, height := vg.Length(columns)*panelWidth, vg.Length(rows)*panelHeight+legendHeight
	return &Picture{width, height, func(page draw.Canvas) {
		legend(draw.Crop(page, 0, 0, height-legendHeight, 0), []entry{{"the true class", trueColor}, {"the other classes", otherColor}},
			"dashed: the mean · shares on a square-root scale")
		panels := draw.Crop(page, 0, 0, 0, -legendHeight)
		tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 12, PadY: 12, PadTop: 2, PadBottom: 8, PadLeft: 8, PadRight: 12}
		row := 0
		for _, g := range graphs {
			for _, split := range g.Splits {
				for column, q := range g.Quantities {
					p := panel(q, split)
					p.Title.Text = words.Unit(g.Unit).Sprintf("%s: %s, epoch %d", q.Title, splitTitle(split), g.Epoch)
					p.Draw(tiles.At(panels, column, row))
				}
				row++
			}
		}
	}}, nil
}

// newPlot returns an empty plot in this package's style.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.Title.Text = title
	p.Title.TextStyle.Color, p.Title.TextStyle.Font.Size, p.Title.Padding = inkColor, 11, 5
	p.Title.TextStyle.Font.Variant = "Sans"
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = inkColor, inkColor
		axis.LineStyle.Width, axis.Tick.LineStyle.Width = 0.5, 0.5
		axis.Tick.Label.Color, axis.Tick.Label.Font.Size = inkColor, 9
		axis.Label.TextStyle.Color, axis.Label.TextStyle.Font.Size = inkColor, 9
		axis.Tick.Label.Font.Variant, axis.Label.TextStyle.Font.Variant = "Sans", "Sans"
		axis.Padding = 0
	}
	return p
}

// addGrid adds lines at the ticks.
func addGrid(p *plot.Plot) {
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColor, gridColor
	grid.Vertical.Width, grid.Horizontal.Width = 0.5, 0.5
	p.Add(grid)
}

// panel draws one quantity of one split.
func panel(q analysis.Quantity, split string) *plot.Plot {
	p := newPlot("")
	p.Y.Label.Text = "share"
	addGrid(p)
	d := q.Splits[split]
	highest := 0.0
	for _, series := range []struct {
		h     analysis.Histogram
		color color.NRGBA
	}{{d.Other, otherColor}, {d.True, trueColor}} {
		line, top := outline(q.Edges, series.h)
		line.Color, line.Width = series.color, 1.2
		line.FillColor = color.NRGBA{series.color.R, series.color.G, series.color.B, 0x38}
		p.Add(line)
		highest = max(highest, top)
	}
	p.X.Min, p.X.Max = q.Edges[0], q.Edges[len(q.Edges)-1]
	p.Y.Min, p.Y.Max = 0, max(highest, 0.01)/(peakHeight*peakHeight)
	p.Y.Scale, p.Y.Tick.Marker = squareRoot{}, shares{}
	// The means are drawn last, over the areas. Their labels are above the peaks, each on the side that is away from the other mean.
	trueMean, otherMean := float64(d.True.Mean), float64(d.Other.Mean)
	for _, mark := range []meanMark{
		{otherMean, otherColor, 1, otherMean < trueMean}, {trueMean, trueColor, 0, trueMean < otherMean},
	} {
		if !math.IsNaN(mark.mean) && !math.IsInf(mark.mean, 0) {
			p.Add(mark)
		}
	}
	return p
}

// outline returns the histogram as a stepped line over its area, in shares of all its values, and its highest share.
func outline(edges []float64, h analysis.Histogram) (*plotter.Line, float64) {
	points, highest := plotter.XYs{{X: edges[0], Y: 0}}, 0.0
	for i, count := range h.Counts {
		share := float64(count) / float64(max(h.N, 1))
		highest = max(highest, share)
		points = append(points, plotter.XY{X: edges[i], Y: share}, plotter.XY{X: edges[i+1], Y: share})
	}
	points = append(points, plotter.XY{X: edges[len(edges)-1], Y: 0})
	return &plotter.Line{XYs: points, LineStyle: plotter.DefaultLineStyle}, highest
}

// meanMark is a dashed vertical line with its value beside its upper end.
type meanMark struct {
	mean  float64
	color color.NRGBA
	row   int  // the labels of several marks stand below each other: which from the top this one is
	left  bool // whether the label is left of the line, where there is room
}

// Plot implements plot.Plotter.
func (m meanMark) Plot(c draw.Canvas, p *plot.Plot) {
	const rowHeight, gap = 11, 3
	toX, _ := p.Transforms(&c)
	// The line ends at its label's row, so that it strikes through no label above.
	x, top := toX(m.mean), c.Max.Y-vg.Length(m.row)*rowHeight
	c.StrokeLine2(draw.LineStyle{Color: m.color, Width: 1, Dashes: []vg.Length{3, 2}}, x, c.Min.Y, x, top)
	style := text.Style{Color: m.color, Font: p.X.Tick.Label.Font, Handler: p.TextHandler, XAlign: text.XLeft, YAlign: text.YTop}
	label := strings.ReplaceAll(fmt.Sprintf("mean %.3g", m.mean), "-", "−")
	width := style.Width(label)
	from := x + gap
	if left := x - gap - width; left >= c.Min.X && (m.left || from+width > c.Max.X) {
		from = left
	}
	// A veil behind the label keeps it readable where it lies over a line.
	veil := vg.Rectangle{Min: vg.Point{X: from - 1, Y: top - rowHeight}, Max: vg.Point{X: from + width + 1, Y: top}}
	c.SetColor(color.NRGBA{0xFF, 0xFF, 0xFF, 0xC8})
	c.Fill(veil.Path())
	c.FillText(style, vg.Point{X: from, Y: top - 1}, label)
}

// entry is a line of a legend.
type entry struct {
	name  string
	color color.NRGBA
}

// legend draws the key to the colours at the top of the picture, and a note behind it.
func legend(c draw.Canvas, entries []entry, note string) {
	p := newPlot("")
	style := text.Style{Color: inkColor, Font: p.Title.TextStyle.Font, Handler: p.TextHandler, YAlign: text.YCenter}
	x, y := c.Min.X+12, (c.Min.Y+c.Max.Y)/2
	for _, e := range entries {
		box := vg.Rectangle{Min: vg.Point{X: x, Y: y - 5}, Max: vg.Point{X: x + 16, Y: y + 5}}
		c.SetColor(color.NRGBA{e.color.R, e.color.G, e.color.B, 0x60})
		c.Fill(box.Path())
		c.StrokeLines(draw.LineStyle{Color: e.color, Width: 1.2}, []vg.Point{
			box.Min, {X: box.Min.X, Y: box.Max.Y}, box.Max, {X: box.Max.X, Y: box.Min.Y}, box.Min,
		})
		c.FillText(style, vg.Point{X: x + 22, Y: y}, e.name)
		x += 22 + 1.15*style.Width(e.name) + 20 // a browser may have none of the fonts but a wider one
	}
	c.FillText(style, vg.Point{X: x, Y: y}, note)
}

// splitTitle returns what a title calls a split.
func splitTitle(split string) string {
	switch split {
	case record.TrainSplit:
		return "training"
	case record.ValSplit:
		return "validation"
	}
	return split
}

// squareRoot is a plot.Normalizer with a square-root scale.
type squareRoot struct{}

func (squareRoot) Normalize(low, high, v float64) float64 {
	return math.Sqrt(max(v-low, 0) / (high - low))
}

// shares puts ticks at round shares, far enough apart on the square-root scale.
type shares struct{}

func (shares) Ticks(_, high float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 0, Label: "0"}}
	last := 0.0
	for _, v := range []float64{0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1} {
		if height := math.Sqrt(v / high); height <= 1 && height-last > 0.14 {
			ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g %%", 100*v)})
			last = height
		}
	}
	return ticks
}

// pictureCanvas is what a picture is drawn on and written from.
type pictureCanvas interface {
	vg.CanvasSizer
	io.WriterTo
}

// canvasFor returns a canvas of the format that the ending of path names.
func canvasFor(path string, width, height vg.Length) (pictureCanvas, error) {
	switch ending := strings.ToLower(filepath.Ext(path)); ending {
	case ".png":
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dotsPerInch))}, nil
	case ".svg":
		return vgsvg.New(width, height), nil
	default:
		return nil, fmt.Errorf("cannot draw %s: name a file that ends in .png or .svg", path)
	}
}
