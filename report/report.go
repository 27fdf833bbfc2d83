// Package report makes one HTML file of a run, for sending to a colleague: what happened, what was found and on what
// evidence, and the pictures. It needs no network and runs no script.
package report

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/record"
)

//go:embed report.html
var page string

var parsed = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": number, "percent": percent, "preview": previewURL,
}).Parse(page))

// The most entries of each kind on the page, which says how many it leaves out.
const (
	maxSuspects   = 24
	maxClasses    = 200
	suspectsSplit = record.TrainSplit
)

// contents is what the page shows.
type contents struct {
	Manifest  *record.Manifest
	Splits    []record.SplitInfo
	Created   string
	Curves    *analysis.Curves
	Diagnosis *diagnose.Diagnosis
	Epoch     int
	Unit      words.Unit // what the number of the epoch counts
	Split     string     // the split of the score, the confusion matrix and the classes
	Score     *analysis.Score
	Rows      []epochRow
	Pictures  []picture
	Suspects  *dynamics.WrongLabels
	Classes   []classRow
	LeftOut   int // how many classes the page leaves out

	analysis.Lacking
}

// epochRow is a row of the table of the first, the best and the last epoch: one split at one of them.
type epochRow struct {
	Epoch int
	Split string
	analysis.SplitScores
}

type classRow struct {
	Name string
	analysis.ClassScore
}

// picture is an SVG, with a description in words.
type picture struct {
	Title, Text string
	SVG         template.HTML
}

// Write writes the report of a run to w. It returns what of the run could not be read, which the report names too; that alone is no error.
func Write(ctx context.Context, w io.Writer, run *record.Run) (analysis.Lacking, error) {
	c, err := gather(ctx, run)
	if err != nil {
		return analysis.Lacking{}, err
	}
	var b bytes.Buffer
	if err := parsed.Execute(&b, c); err != nil {
		return analysis.Lacking{}, err
	}
	_, err = b.WriteTo(w)
	return c.Lacking, err
}

// gather reads everything that the page shows from the run.
func gather(ctx context.Context, run *record.Run) (*contents, error) {
	a, m := analysis.New(run), run.Manifest()
	last, _, err := a.Epoch(ctx, "last") // what it could not read, the curves could not either
	if err != nil {
		return nil, err
	}
	if m.Head.MultiLabel() {
		return nil, errors.New("reports are of heads with one label a sample")
	}
	c := &contents{Manifest: m, Splits: run.Splits(), Created: m.Created.Format(time.DateOnly), Epoch: last, Unit: words.Unit(m.Unit), Split: m.Judge()}
	if c.Curves, err = a.Curves(ctx); err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(c.Curves.Epochs) { // the last may hold other splits alone
		if e.Has(c.Split) {
			c.Epoch = e.Epoch
			break
		}
	}
	if c.Diagnosis, err = diagnose.Of(ctx, a); err != nil {
		return nil, err
	}
	c.Add(c.Curves.Lacking)
	c.Add(c.Diagnosis.Lacking)
	if c.Score, err = a.Score(ctx, c.Epoch, c.Split, analysis.ScoreOptions{}); err != nil {
		return nil, err
	}
	c.rows()
	c.classes()
	if m.Follows(suspectsSplit) {
		if c.Suspects, err = dynamics.FindWrongLabels(ctx, a, suspectsSplit, 0); err != nil {
			return nil, err
		}
		c.Add(c.Suspects.Lacking)
		c.Suspects.Suspects = c.Suspects.Suspects[:min(len(c.Suspects.Suspects), maxSuspects)]
	}
	return c, c.draw(ctx, a)
}

// rows fills the table of the first, the best and the last epoch.
func (c *contents) rows() {
	for i, e := range c.Curves.Epochs {
		if i > 0 && i < len(c.Curves.Epochs)-1 && e.Epoch != c.Curves.Story.BestRecorded {
			continue
		}
		for _, split := range c.Manifest.Splits {
			if s, ok := e.Splits[split.Name]; ok && s.N > 0 {
				c.Rows = append(c.Rows, epochRow{e.Epoch, split.Name, s})
			}
		}
	}
}

func (c *contents) classes() {
	for j, s := range c.Score.PerClass {
		if j == maxClasses {
			c.LeftOut = len(c.Score.PerClass) - maxClasses
			return
		}
		c.Classes = append(c.Classes, classRow{c.Manifest.Classes[j], s})
	}
}

// draw adds every picture that the run allows.
func (c *contents) draw(ctx context.Context, a *analysis.Analyzer) error {
	add := func(p *plot.Picture, title, text string) error {
		svg, err := p.SVG()
		if err != nil {
			return err
		}
		// The XML header is left out, and the drawing scaled to the page.
		at := bytes.Index(svg, []byte("<svg"))
		if at < 0 {
			return errors.New("a picture without svg")
		}
		c.Pictures = append(c.Pictures, picture{title, text, template.HTML(svg[at:])})
		return nil
	}
	subject := &plot.Subject{Analyzer: a, Epochs: []int{c.Epoch}, Scores: map[string]*analysis.Score{c.Split: c.Score}}
	for _, k := range plot.Kinds() {
		p, title, caption, err := k.Report(ctx, subject)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		if err := add(p, title, caption); err != nil {
			return err
		}
	}
	return nil
}

// number writes a figure for the page.
func number(v any) string {
	f := float64(toNumber(v))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	format := "%.4f"
	if math.Abs(f) >= 1e4 {
		format = "%.4g"
	}
	return strings.ReplaceAll(fmt.Sprintf(format, f), "-", "−")
}

func percent(v any) string {
	f := float64(toNumber(v))
	if math.IsNaN(f) {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*f)
}

func toNumber(v any) analysis.Number {
	switch v := v.(type) {
	case analysis.Number:
		return v
	case float64:
		return analysis.Number(v)
	case int:
		return analysis.Number(v)
	}
	return analysis.Number(math.NaN())
}

// previewURL returns a preview as a PNG in a data: URL, or "" where there is none.
func previewURL(p *record.Preview, bytesOf []byte) template.URL {
	if p == nil || len(bytesOf) != p.Size() {
		return ""
	}
	picture := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	for y := range p.Height {
		for x := range p.Width {
			at := (y*p.Width + x) * p.Channels
			value := func(channel int) uint8 { return uint8(min(255*int(bytesOf[at+channel])/p.Max, 255)) }
			c := color.NRGBA{value(0), value(0), value(0), 255}
			if p.Channels >= 3 {
				c = color.NRGBA{value(0), value(1), value(2), 255}
			}
			picture.SetNRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()))
}
