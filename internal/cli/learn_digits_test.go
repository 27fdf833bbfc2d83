package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/record"
)

var update = flag.Bool("update", false, "write the digits that Learn shows")

// What Learn shows of the program's own training on digits: the demo's run, and the same with a remedy each.
type (
	learnDigits struct {
		Classes []string   `json:"classes"`
		Planted int        `json:"planted"` // training samples with a wrong label
		Runs    []learnRun `json:"runs"`
		Learned []learnt   `json:"learned"` // some of the wrong labels that the first run learned by heart
	}
	learnRun struct {
		Name    string                `json:"name"`
		Flags   string                `json:"flags"` // what train was given beside the demo's settings
		Best    int                   `json:"best"`  // epoch with the lowest validation NLL
		Train   learnCurve            `json:"train"`
		Val     learnCurve            `json:"val"`
		ByHeart []int                 `json:"by_heart"` // of the wrong labels, how many the network answers with, an epoch each
		Graphs  map[string]learnGraph `json:"graphs"`   // by epoch
	}
	learnCurve struct {
		NLL         []float64 `json:"nll"`
		Accuracy    []float64 `json:"accuracy"`
		Ranking     []float64 `json:"ranking,omitempty"` // the NLL at the best temperature
		Temperature []float64 `json:"temperature,omitempty"`
	}
	// learnGraph has the counts of a quantity's bins by split, for the true class and for the others.
	learnGraph map[string]learnBins
	learnBins  struct {
		Edges [3]float64          `json:"edges"` // first, last, and how many bins between
		Train map[string]learnBar `json:"train"`
		Val   map[string]learnBar `json:"val"`
	}
	learnBar struct {
		Mean   float64 `json:"mean"`
		Counts []int   `json:"counts"`
	}
	learnt struct {
		Pixels string    `json:"pixels"` // 8×8 of 0 to 16, a letter of base 17 each
		Label  int32     `json:"label"`  // the wrong one
		Clean  int32     `json:"clean"`
		P      []float64 `json:"p"` // of the wrong label at epochs 5 and 45
	}
	learnDigit struct {
		Pixels string    `json:"pixels"`
		Label  int32     `json:"label"`
		Z      []float64 `json:"z"` // in hundredths
	}
)

const (
	learnFile = "../../web/src/learn/digits.json"
	digitFile = "../../web/src/learn/digit.json"
)

// Learn's recorded digits are what the program trains today. With -update they are written:
//
//	go test ./internal/cli -run TestLearnDigits -update
//
// Another processor's vector code adds in another order, and 45 epochs make the differences larger: figures are held to 3 %.
func TestLearnDigits(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	fresh, digit := learnFresh(t)
	if *update {
		for path, v := range map[string]any{learnFile: fresh, digitFile: digit} {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	var kept, keptDigit any
	size := 0
	for path, into := range map[string]*any{learnFile: &kept, digitFile: &keptDigit} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		size += len(text)
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if size > 100_000 {
		t.Errorf("the recorded digits take %d bytes, more than 100 kB", size)
	}
	alike(t, "digits", kept, plainJSON(t, fresh))
	alike(t, "digit", keptDigit, plainJSON(t, digit))
}

func plainJSON(t *testing.T, v any) (plain any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// alike walks two JSON values: the same shape, the same words, numbers within 3 % of their size or 0.03. A bin's count may differ by
// what its neighbours have taken: their total may not.
func alike(t *testing.T, at string, kept, fresh any) {
	t.Helper()
	switch f := fresh.(type) {
	case map[string]any:
		k, ok := kept.(map[string]any)
		if !ok || len(k) != len(f) {
			t.Errorf("%s: %v is kept, %v is fresh", at, kept, fresh)
			return
		}
		for name := range f {
			if name == "counts" {
				if a, b := total(k[name]), total(f[name]); a != b {
					t.Errorf("%s: %v counted in the file, %v fresh", at, a, b)
				}
				continue
			}
			if name != "edges" { // they follow the run's one most extreme value
				alike(t, at+"."+name, k[name], f[name])
			}
		}
	case []any:
		k, ok := kept.([]any)
		if !ok || len(k) != len(f) {
			t.Errorf("%s: %v is kept, %v is fresh", at, kept, fresh)
			return
		}
		for i := range f {
			alike(t, fmt.Sprintf("%s[%d]", at, i), k[i], f[i])
		}
	case float64:
		if strings.HasPrefix(at, "digit.z[") { // one sample's logits wander more than a mean
			f, kept = f/10, kept.(float64)/10
		}
		if strings.Contains(at, ".by_heart[") { // samples that stand near the border between two answers
			f, kept = f/100, kept.(float64)/100
		}
		if k, ok := kept.(float64); !ok || !(math.Abs(k-f) <= max(0.03, 0.03*math.Abs(f))) {
			t.Errorf("%s: %v is kept, %v is fresh: go test ./internal/cli -run TestLearnDigits -update", at, kept, fresh)
		}
	default:
		if kept != fresh {
			t.Errorf("%s: %v is kept, %v is fresh", at, kept, fresh)
		}
	}
}

func total(counts any) (sum float64) {
	list, _ := counts.([]any)
	for _, n := range list {
		sum += n.(float64)
	}
	return sum
}

// learnFresh trains the demo and its remedies and gathers what Learn shows.
func learnFresh(t *testing.T) (learnDigits, learnDigit) {
	t.Helper()
	var all learnDigits
	var digit learnDigit
	for i, variant := range []struct{ name, flag, value, optimizer string }{
		{"plain", "", "", "adam"},
		{"decay", "--weight-decay", "1", "adamw"},
		{"smoothing", "--label-smoothing", "0.1", "adam"},
	} {
		j := demoConfig()
		args := []string{
			"train", "--quiet", "--out", filepath.Join(t.TempDir(), variant.name), "--hidden", "256,256", "--optimizer", variant.optimizer,
			"--epochs", strconv.Itoa(j.Epochs), "--batch", strconv.Itoa(j.Batch), "--seed", strconv.FormatUint(j.Seed, 10),
			"--label-noise", fmt.Sprint(j.LabelNoise), "--train-size", strconv.Itoa(j.Data.TrainSize), "--lr", fmt.Sprint(j.LearningRate), "--schedule", "constant",
		}
		given := ""
		if variant.flag != "" {
			args = append(args, variant.flag, variant.value)
			given = variant.flag + " " + variant.value
		}
		succeed(t, args...)
		run, err := record.Open(args[3])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { run.Close() })
		train, err := run.Samples("train")
		if err != nil {
			t.Fatal(err)
		}
		all.Runs = append(all.Runs, learnOf(t, run, train, variant.name, given))
		if i == 0 {
			all.Classes = run.Manifest().Classes
			for n, clean := range train.CleanLabels {
				if clean != train.Labels[n] {
					all.Planted++
				}
			}
			all.Learned = learnByHeart(t, run, train)
			digit = learnOne(t, run)
		}
	}
	return all, digit
}

func learnOf(t *testing.T, run *record.Run, train *record.Samples, name, flags string) learnRun {
	t.Helper()
	a := analysis.New(run)
	curves, err := a.Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := learnRun{Name: name, Flags: flags, Best: curves.Story.BestEpoch, Graphs: map[string]learnGraph{}}
	for _, e := range curves.Epochs {
		train, val := e.Splits["train"], e.Splits["val"]
		out.Train.NLL = append(out.Train.NLL, digits(train.NLL))
		out.Train.Accuracy = append(out.Train.Accuracy, digits(train.Accuracy))
		out.Val.NLL = append(out.Val.NLL, digits(val.NLL))
		out.Val.Accuracy = append(out.Val.Accuracy, digits(val.Accuracy))
		out.Val.Ranking = append(out.Val.Ranking, digits(val.Parts.Ranking))
		out.Val.Temperature = append(out.Val.Temperature, digits(val.Parts.Temperature))
	}
	for _, epoch := range run.Epochs() {
		logits := rows(t, run, epoch, "train")
		byHeart := 0
		for n, z := range logits {
			if train.CleanLabels[n] != train.Labels[n] && largest(z) == train.Labels[n] {
				byHeart++
			}
		}
		out.ByHeart = append(out.ByHeart, byHeart)
	}
	for _, epoch := range []int{5, out.Best, 45} {
		graphs, err := a.Graphs(t.Context(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		g := learnGraph{}
		for _, q := range graphs.Quantities {
			bar := func(h analysis.Histogram) learnBar { return learnBar{digits(h.Mean), h.Counts} }
			bars := func(split string) map[string]learnBar {
				return map[string]learnBar{"true": bar(q.Splits[split].True), "other": bar(q.Splits[split].Other)}
			}
			last := len(q.Edges) - 1
			g[q.Name] = learnBins{[3]float64{q.Edges[0], q.Edges[last], float64(last)}, bars("train"), bars("val")}
		}
		out.Graphs[strconv.Itoa(epoch)] = g
	}
	return out
}

// learnByHeart are some of the wrong labels that the network answers with at epoch 45 and did not believe at 5. They are named, so
// that one that stands near a threshold does not come and go.
func learnByHeart(t *testing.T, run *record.Run, train *record.Samples) (out []learnt) {
	t.Helper()
	early, late := rows(t, run, 5, "train"), rows(t, run, 45, "train")
	for _, id := range []int64{637, 1094, 1281, 748, 901, 1195, 1395, 1135} {
		n := slices.Index(train.IDs, id)
		label, clean := train.Labels[n], train.CleanLabels[n]
		if largest(early[n]) == label || largest(late[n]) != label || clean == label {
			t.Errorf("sample %d is not learned by heart: label %d, clean %d", id, label, clean)
		}
		p := []float64{probability(early[n], label), probability(late[n], label)}
		out = append(out, learnt{pixels(train.Previews[64*n : 64*n+64]), label, clean, []float64{digits(analysis.Number(p[0])), digits(analysis.Number(p[1]))}})
	}
	return out
}

// learnOne is the digit that goes through all steps: one of validation that the network gets right without being sure.
func learnOne(t *testing.T, run *record.Run) learnDigit {
	t.Helper()
	val, err := run.Samples("val")
	if err != nil {
		t.Fatal(err)
	}
	n := slices.Index(val.IDs, 14)
	z, label := rows(t, run, 45, "val")[n], val.Labels[n]
	if p := probability(z, label); largest(z) != label || p < 0.55 || p > 0.8 {
		t.Errorf("the digit that goes through all steps has p = %v", p)
	}
	d := learnDigit{Pixels: pixels(val.Previews[64*n : 64*n+64]), Label: label}
	for _, v := range z {
		d.Z = append(d.Z, math.Round(float64(v)*100)/100)
	}
	return d
}

func rows(t *testing.T, run *record.Run, epoch int, split string) (out [][]float32) {
	t.Helper()
	logits, err := run.Logits(epoch, split)
	if err != nil {
		t.Fatal(err)
	}
	defer logits.Close()
	k := len(run.Manifest().Classes)
	z := logits.Values
	for at := 0; at < len(z); at += k {
		out = append(out, append([]float32(nil), z[at:at+k]...))
	}
	return out
}

func largest(z []float32) (best int32) {
	for j, v := range z {
		if v > z[best] {
			best = int32(j)
		}
	}
	return best
}

func probability(z []float32, label int32) float64 {
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(float64(v - z[label]))
	}
	return 1 / sum
}

func pixels(values []byte) string {
	text := make([]byte, len(values))
	for i, v := range values {
		text[i] = "0123456789abcdefg"[v]
	}
	return string(text)
}

// digits keeps four digits of a number: what a page shows.
func digits(v analysis.Number) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', 4, 64), 64)
	return short
}
