package predict

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/nn"
)

// model is an untrained network over two features, with the head given.
func model(t *testing.T, head nn.Head, classes ...string) *Model {
	t.Helper()
	net, err := nn.New(2, head, nn.Uniform[float32], rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return &Model{Classes: classes, net: net, head: head, Pipeline: &dataset.Pipeline{Kind: dataset.KindVectors, Classes: classes, Inputs: 2}}
}

func vectors(n int) []float32 {
	rng := rand.New(rand.NewPCG(2, 2))
	x := make([]float32, 2*n)
	for i := range x {
		x[i] = float32(3 * rng.NormFloat64())
	}
	return x
}

// Probabilities are softmax(z/T) of the logits handed out, of the calibrated ones where there is a calibrator.
func TestProbabilities(t *testing.T) {
	for _, c := range []struct{ calibration, temperature, want float64 }{{0, 0, 1}, {0, 2, 2}, {4, 0, 4}, {4, 2, 8}} {
		m := model(t, nn.Softmax(3), "a", "b", "c")
		m.Top = 3
		m.Sampler.Temperature = c.temperature
		if c.calibration != 0 {
			m.Calibrator = &calibrate.Calibrator{Version: 1, Method: calibrate.ByTemperature, Columns: 3, Temperature: c.calibration}
		}
		all, err := m.Vectors(vectors(3000))
		if err != nil || len(all) != 3000 {
			t.Fatalf("%d predictions, %v", len(all), err)
		}
		for i, p := range all {
			sum, best := 0.0, 0
			for j, z := range p.Logits {
				sum += math.Exp(float64(z) / c.want)
				if z > p.Logits[best] {
					best = j
				}
			}
			want := math.Exp(float64(p.Logits[best])/c.want) / sum
			if p.Row != i || p.Label != m.Classes[best] || !(math.Abs(p.Probability-want) <= 1e-5) || p.Top[0] != (Candidate{p.Label, p.Probability}) {
				t.Fatalf("T %v, row %d: %+v, want %s with %v", c.want, i, p, m.Classes[best], want)
			}
			if total := p.Top[0].Probability + p.Top[1].Probability + p.Top[2].Probability; !(math.Abs(total-1) <= 1e-5) || p.Top[1].Probability < p.Top[2].Probability {
				t.Fatalf("row %d: the classes listed are %v", i, p.Top)
			}
		}
	}
}

// A calibrator of another epoch's logits is not that of these weights.
func TestCalibratorOfAnotherEpoch(t *testing.T) {
	m := model(t, nn.Softmax(3), "a", "b", "c")
	m.Epoch = 4
	for epoch, want := range map[int]string{4: "", 5: "epoch 5, the weights are those of epoch 4"} {
		m.Calibrator = &calibrate.Calibrator{Version: 1, Method: calibrate.ByTemperature, Columns: 3, Temperature: 2, Epoch: &epoch}
		if _, err := m.Vectors(vectors(3)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("fitted on epoch %d: %v", epoch, err)
		}
	}
}

func TestHeads(t *testing.T) {
	binary := model(t, nn.Binary(), "no", "yes")
	all, err := binary.Vectors(vectors(50))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		z := float64(p.Logits[0])
		if want := 1 / (1 + math.Exp(-math.Abs(z))); len(p.Logits) != 1 || p.Label != map[bool]string{true: "yes", false: "no"}[z > 0] || !(math.Abs(p.Probability-want) <= 1e-5) {
			t.Errorf("%+v, want probability %v", p, want)
		}
	}
	many := model(t, nn.Sigmoid(3), "a", "b", "c")
	all, err = many.Vectors(vectors(50))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		var want []string
		for j, z := range p.Logits {
			if z >= 0 {
				want = append(want, many.Classes[j])
			}
		}
		if fmt.Sprint(p.Labels) != fmt.Sprint(want) {
			t.Errorf("labels %v of logits %v", p.Labels, p.Logits)
		}
	}
}

// Drawn labels come as often as their probabilities say, and the same seed draws the same.
func TestSampling(t *testing.T) {
	m := model(t, nn.Softmax(3), "a", "b", "c")
	m.Sample, m.Seed, m.Sampler.Temperature = true, 5, 1
	x := make([]float32, 2*20000) // the same row throughout
	all, err := m.Vectors(x)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := m.Vectors(x)
	counts := map[string]float64{}
	for i, p := range all {
		counts[p.Label]++
		if again[i].Label != p.Label {
			t.Fatal("one seed drew two labels")
		}
	}
	sum := 0.0
	for _, z := range all[0].Logits {
		sum += math.Exp(float64(z))
	}
	for j, z := range all[0].Logits {
		p := math.Exp(float64(z)) / sum
		if got := counts[m.Classes[j]] / 20000; !(math.Abs(got-p) <= 5*math.Sqrt(p*(1-p)/20000)) {
			t.Errorf("class %s came with frequency %v, its probability is %v", m.Classes[j], got, p)
		}
	}
}

// A Parquet file holds what CSV does, column by column, over more than one group of rows.
func TestParquet(t *testing.T) {
	for _, head := range []nn.Head{nn.Softmax(3), nn.Sigmoid(3)} {
		m := model(t, head, "a", "b", "c")
		m.Top = 2
		all, err := m.Vectors(vectors(groupRows + 10))
		if err != nil {
			t.Fatal(err)
		}
		var text, packed bytes.Buffer
		for format, out := range map[string]io.Writer{CSV: &text, Parquet: &packed} {
			w, err := NewWriter(out, format, m)
			if err != nil {
				t.Fatal(err)
			}
			for block := range slices.Chunk(all, blockRows) {
				if err := w.Write(block); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		want, err := csv.NewReader(&text).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		r, err := pq.NewParquetReader(bytes.NewReader(packed.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		names := r.MetaData().Schema
		if r.NumRowGroups() != 2 || r.NumRows() != int64(len(all)) || names.NumColumns() != len(want[0]) {
			t.Fatalf("%d groups of %d rows and %d columns", r.NumRowGroups(), r.NumRows(), names.NumColumns())
		}
		for c, name := range want[0] {
			if got := names.Column(c).Name(); got != name {
				t.Errorf("column %d is %s, in CSV %s", c, got, name)
			}
			row := 1
			for g := range r.NumRowGroups() {
				chunk, err := r.RowGroup(g).Column(c)
				if err != nil {
					t.Fatal(err)
				}
				for _, got := range values(t, chunk, int(r.RowGroup(g).NumRows())) {
					if got != want[row][c] {
						t.Fatalf("row %d of %s is %s, in CSV %s", row-1, name, got, want[row][c])
					}
					row++
				}
			}
		}
	}
}

// values are n values of a column, as CSV has them.
func values(t *testing.T, chunk pq.ColumnChunkReader, n int) []string {
	t.Helper()
	var got int64
	var err error
	texts := make([]string, n)
	switch chunk := chunk.(type) {
	case *pq.Int64ColumnChunkReader:
		v := make([]int64, n)
		got, _, err = chunk.ReadBatch(int64(n), v, nil, nil)
		for i, x := range v {
			texts[i] = strconv.FormatInt(x, 10)
		}
	case *pq.Float32ColumnChunkReader:
		v := make([]float32, n)
		got, _, err = chunk.ReadBatch(int64(n), v, nil, nil)
		for i, x := range v {
			texts[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
		}
	case *pq.ByteArrayColumnChunkReader:
		v := make([]parquet.ByteArray, n)
		got, _, err = chunk.ReadBatch(int64(n), v, nil, nil)
		for i, x := range v {
			texts[i] = string(x)
		}
	}
	if err != nil || got != int64(n) {
		t.Fatalf("%d of %d values: %v", got, n, err)
	}
	return texts
}

// A pipeline that makes something else of a row than the network takes is refused, not run.
func TestPipelineOfAnotherRun(t *testing.T) {
	text, err := nn.New(0, nn.Softmax(2), nn.Uniform[float32], rand.New(rand.NewPCG(1, 1)), nn.EmbeddingBag(1000, 4))
	if err != nil {
		t.Fatal(err)
	}
	ngrams := &dataset.Ngrams{Buckets: 1001, Words: 1}
	for want, change := range map[string]func(*Model){
		"classes are not": func(m *Model) { m.Pipeline.Classes = []string{"a", "c"} },
		"it makes 3 features and ids below 0 of a row, the model takes 2 and 0": func(m *Model) { m.Pipeline.Inputs = 3 },
		"ids below 1001": func(m *Model) { m.net, m.Pipeline.Inputs, m.Pipeline.Tokens = text, 0, ngrams },
	} {
		m := model(t, nn.Softmax(2), "a", "b")
		if err := m.fits(); err != nil {
			t.Fatal(err)
		}
		if change(m); m.fits() == nil || !strings.Contains(m.fits().Error(), want) {
			t.Errorf("error %v, want %q", m.fits(), want)
		}
	}
}
