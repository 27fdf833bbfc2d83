// Package report makes one HTML file of a run, for sending to a colleague: what happened, what was found and on what
// evidence, and the pictures. It needs no network and runs no script.
package report

import (
	"bytes"
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
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

//go:embed report.html
var page string

var parsed = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": number, "percent": percent, "preview": previewURL,
}).Parse(page))

// The page names at most so many; the rest is said to be left out.
const (
	maxSuspects   = 24
	maxClasses    = 200
	maxConfusion  = 100 // classes
	suspectsSplit = "train"
)

// contents are what the page shows.
type contents struct {
	Manifest  *record.Manifest
	Created   string
	Curves    *analysis.Curves
	Diagnosis *analysis.Diagnosis
	Epoch     int
	Split     string // that the score, the confusion and the classes are of
	Score     *analysis.Score
	Rows      []epochRow
	Pictures  []picture
	Suspects  *analysis.WrongLabels
	Classes   []classRow
	LeftOut   int // classes
}

// epochRow is a split of an epoch of the table: the first, the best and the last.
type epochRow struct {
	Epoch int
	Split string
	analysis.SplitScores
}

type classRow struct {
	Name string
	analysis.ClassScore
}

// picture is an SVG with what it shows in words.
type picture struct {
	Title, Text string
	SVG         template.HTML
}

// Write writes the report of a run to w.
func Write(w io.Writer, run *record.Run) error {
	a, m := analysis.New(run), run.Manifest()
	last, err := a.Epoch("last")
	if err != nil {
		return err
	}
	if m.Head == record.HeadSigmoid {
		return errors.New("reports are of heads with one label a sample")
	}
	c := &contents{Manifest: m, Created: m.Created.Format(time.DateOnly), Epoch: last, Split: "val"}
	if !slices.ContainsFunc(m.Splits, func(s record.SplitInfo) bool { return s.Name == c.Split && s.N > 0 }) {
		c.Split = m.Splits[0].Name
	}
	if c.Curves, err = a.Curves(); err != nil {
		return err
	}
	if c.Diagnosis, err = a.Diagnose(); err != nil {
		return err
	}
	if err := a.Batch(c.Epoch, c.Split, func(b summary.Batch) { c.Score = analysis.ScoreOf(b, analysis.ScoreOptions{}) }); err != nil {
		return err
	}
	c.rows()
	c.classes()
	if slices.ContainsFunc(m.Splits, func(s record.SplitInfo) bool { return s.Name == suspectsSplit }) {
		if c.Suspects, err = a.WrongLabels(suspectsSplit, 0); err != nil {
			return err
		}
		c.Suspects.Suspects = c.Suspects.Suspects[:min(len(c.Suspects.Suspects), maxSuspects)]
	}
	if err := c.draw(a); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := parsed.Execute(&b, c); err != nil {
		return err
	}
	_, err = b.WriteTo(w)
	return err
}

// rows takes the first, the best and the last epoch into the table.
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

// draw adds the pictures there can be.
func (c *contents) draw(a *analysis.Analyzer) error {
	add := func(p *plot.Picture, title, text string) error {
		svg, err := p.SVG()
		if err != nil {
			return err
		}
		// The drawing without its XML header, scaled to the page.
		at := bytes.Index(svg, []byte("<svg"))
		if at < 0 {
			return errors.New("a picture without svg")
		}
		c.Pictures = append(c.Pictures, picture{title, text, template.HTML(svg[at:])})
		return nil
	}
	graphs, err := a.Graphs(c.Epoch)
	if err != nil {
		return err
	}
	four, err := plot.Four([]*analysis.Graphs{graphs})
	if err != nil {
		return err
	}
	errs := []error{
		add(plot.Curves(c.Curves), "Over the epochs", c.Curves.Story.Sentence),
		add(four, "From logit to loss", fmt.Sprintf("Raw logit, softmax, log-softmax and NLL of each split at epoch %d.", c.Epoch)),
	}
	if c.Score.N > 0 {
		s := plot.Scored{Run: c.Manifest.Name, Split: c.Split, Epoch: c.Epoch, Classes: c.Manifest.Classes, Score: c.Score}
		both := []plot.Scored{s}
		if c.Split == "val" && slices.ContainsFunc(c.Manifest.Splits, func(s record.SplitInfo) bool { return s.Name == "train" && s.N > 0 }) {
			train := plot.Scored{Run: s.Run, Split: "train", Epoch: s.Epoch, Classes: s.Classes}
			err := a.Batch(c.Epoch, "train", func(b summary.Batch) { train.Score = analysis.ScoreOf(b, analysis.ScoreOptions{}) })
			if err != nil {
				return err
			}
			if train.N > 0 {
				both = []plot.Scored{train, s}
			}
		}
		errs = append(errs, add(plot.Reliability(both), "Reliability",
			fmt.Sprintf("How often answers are right, by the confidence they claim: ECE %s in %s.", number(c.Score.ECE), c.Split)))
		if k := len(c.Score.Confusion); k > 0 && k <= maxConfusion {
			confusion, err := plot.Confusion(s)
			if err != nil {
				return err
			}
			errs = append(errs, add(confusion, "Confusion", "Which class is taken for which."))
		}
	}
	if c.Suspects != nil {
		d, err := a.Dynamics(suspectsSplit)
		if err != nil {
			return err
		}
		errs = append(errs, add(plot.Map(d), "Data map", "Each training sample by how sure the network is of its label over the epochs."))
	}
	return errors.Join(errs...)
}

// number is a figure as the page shows it.
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

// previewURL is a preview as a PNG within the page, "" where there is none.
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
