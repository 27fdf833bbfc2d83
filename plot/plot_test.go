package plot_test

import (
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	_ "image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/plot"
)

// graphs is an epoch with two splits, four quantities and easy counts.
func graphs(epoch int) *analysis.Graphs {
	g := &analysis.Graphs{Run: "run", Epoch: epoch, Splits: []string{"train", "val"}}
	for _, q := range []struct{ name, title string }{{"z", "raw logit"}, {"p", "softmax"}, {"log_p", "log-softmax"}, {"nll", "NLL"}} {
		h := analysis.Histogram{N: 10, Mean: 0.6, Counts: []int{1, 2, 3, 4}}
		other := analysis.Histogram{N: 20, Mean: 0.3, Counts: []int{14, 3, 2, 1}}
		g.Quantities = append(g.Quantities, analysis.Quantity{
			Name: q.name, Title: q.title, Edges: []float64{0, 0.25, 0.5, 0.75, 1},
			Splits: map[string]analysis.Distribution{"train": {True: h, Other: other}, "val": {True: h, Other: other}},
		})
	}
	return g
}

func four(path string, graphs ...*analysis.Graphs) error {
	picture, err := plot.Four(graphs)
	if err != nil {
		return err
	}
	return picture.Save(path)
}

func TestFourAsPNG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "four.png")
	if err := four(path, graphs(5), graphs(45)); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	size := picture.Bounds().Size()
	if size.X < 1200 || size.Y < 800 {
		t.Errorf("the picture is %v, too small to read", size)
	}
	// Both classes' colours are in each of the sixteen panels.
	for row := range 4 {
		for column := range 4 {
			blue, orange := 0, 0
			for y := size.Y * row / 4; y < size.Y*(row+1)/4; y += 2 {
				for x := size.X * column / 4; x < size.X*(column+1)/4; x += 2 {
					c := color.NRGBAModel.Convert(picture.At(x, y)).(color.NRGBA)
					switch {
					case int(c.B) > int(c.R)+60:
						blue++
					case int(c.R) > int(c.B)+40:
						orange++
					}
				}
			}
			if blue < 100 || orange < 100 {
				t.Errorf("panel %d,%d has %d blue and %d orange points", row, column, blue, orange)
			}
		}
	}
}

func TestFourAsSVG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "four.svg")
	if err := four(path, graphs(7)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(string(raw))); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	for _, text := range []string{"raw logit: training, epoch 7", "NLL: validation, epoch 7", "mean 0.6", "the other classes"} {
		if !strings.Contains(string(raw), text) {
			t.Errorf("the picture does not say %q", text)
		}
	}
}

func TestFourRefuses(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "four.gif"):         ".png or .svg",
		filepath.Join(dir, "four"):             ".png or .svg",
		filepath.Join(dir, "nowhere", "a.png"): "nowhere",
	} {
		if err := four(path, graphs(1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", path, err, want)
		}
	}
	if err := four(filepath.Join(dir, "a.png")); err == nil {
		t.Error("no epoch: no error")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files are left behind: %v, %v", left, err)
	}
}

// Nothing to draw, and numbers at the end of float32's range, make a picture all the same.
func TestFourOfExtremes(t *testing.T) {
	for name, edges := range map[string][]float64{"usual": {0, 0.5, 1}, "huge": {-3e38, 0, 3e38}, "tiny": {0, 1e-44, 2e-44}, "far": {1e8, 1e8 + 8, 1e8 + 16}} {
		for _, mean := range []float64{edges[0], edges[2], math.NaN(), math.Inf(-1)} {
			g := graphs(1)
			for i := range g.Quantities {
				none := analysis.Histogram{Mean: analysis.Number(mean), Counts: []int{0, 0}}
				one := analysis.Histogram{N: 1, Mean: analysis.Number(mean), Counts: []int{0, 1}}
				g.Quantities[i].Edges = edges
				g.Quantities[i].Splits = map[string]analysis.Distribution{"train": {True: none, Other: none}, "val": {True: one, Other: one}}
			}
			path := filepath.Join(t.TempDir(), "four.svg")
			if err := four(path, g); err != nil {
				t.Errorf("%s, mean %v: %v", name, mean, err)
			}
			raw, err := os.ReadFile(path)
			if err != nil || strings.Contains(string(raw), "NaN") || strings.Contains(string(raw), "Inf") {
				t.Errorf("%s, mean %v: the picture holds what is no number, or is not there: %v", name, mean, err)
			}
		}
	}
}
