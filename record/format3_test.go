package record

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/half"
	"github.com/logitscope/logitscope/internal/numtest"
)

// wideLogits are n rows of k, with an infinite one, rows without a softmax and ties among them.
func wideLogits(n, k int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 3))
	z := make([]float32, n*k)
	for i := range z {
		z[i] = float32(4 * rng.NormFloat64())
	}
	inf := float32(math.Inf(1))
	for row, v := range []float32{-inf, inf, float32(math.NaN()), 1e5} {
		if row < n && k > 3 {
			z[row*k+3] = v
		}
	}
	if n > 4 && k > 3 {
		z[4*k], z[4*k+2] = 30, 30
	}
	return z
}

// run3 returns a manifest and samples of n rows of k columns in two splits, of which train may grow.
func run3(n, k int, encoding string) (Manifest, map[string]Samples) {
	m := Manifest{
		Name: "run", Classes: make([]string, k), Head: HeadSoftmax, Columns: k, Unit: UnitStep,
		Source: &Source{Program: "a", Framework: "torch", Files: []SourceFile{{"logits.npy", 12}}},
		Splits: []SplitInfo{
			{Name: "train", N: n, Rows: RowFormat{encoding}, LogitsAre: LogitsAre{Kind: LogitsProcessed, Temperature: 0.5, Note: "masked"}, Samples: SamplesGrowing},
			{Name: "val", N: 3, Rows: RowFormat{encoding}},
		},
	}
	return m, map[string]Samples{"train": samplesOf(0, n, k), "val": samplesOf(50, 3, k)}
}

// samplesOf are n samples from an id on. Ids rise by 7 and then fall, so that their order is not that of their places.
func samplesOf(from, n, k int) Samples {
	s := Samples{IDs: make([]int64, n), Labels: make([]int32, n)}
	for i := range n {
		s.IDs[i], s.Labels[i] = int64(from+(i*7)%max(n, 1)), int32((from+i)%k)
		if n%7 == 0 {
			s.IDs[i] = int64(from + n - i)
		}
		if i%5 == 4 {
			s.Labels[i] = Ignored
		}
	}
	return s
}

// rowsByID reads a split of an epoch, each row as text that says all of it.
func rowsByID(t testing.TB, r *Run, epoch int, split string) map[int64]string {
	t.Helper()
	rows, err := r.Rows(context.Background(), epoch, split)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	s, err := r.Samples(split)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]string{}
	err = rows.Each(context.Background(), func(b Block) error {
		k := len(b.Logits) / max(len(b.IDs), 1)
		for i, id := range b.IDs {
			if s.IDs[b.Sample(i)] != id {
				t.Errorf("row %d is of sample %d, and its id %d is that of another", b.First+i, b.Sample(i), id)
			}
			if _, twice := got[id]; twice {
				t.Errorf("id %d is there twice", id)
			}
			text := fmt.Sprint(b.Labels[i], b.Logits[i*k:(i+1)*k])
			if b.Stats != nil {
				text += fmt.Sprint(b.Stats[i])
			}
			got[id] = text
		}
		return nil
	})
	if err != nil || len(got) != rows.N {
		t.Errorf("%d rows of %d, %v", len(got), rows.N, err)
	}
	return got
}

// wantRow is what rowsByID finds where these logits and this label were given.
func wantRow(encoding string, z []float32, label int32) string {
	kept := slices.Clone(z)
	if encoding == "float16" {
		for i, v := range z {
			kept[i] = half.Float32(halfOf(v))
		}
	}
	text := fmt.Sprint(label, kept)
	if len(z) >= wideRows {
		var s statScratch
		text += fmt.Sprint(s.appendStats(nil, z, len(z), []int32{label})[0])
	}
	return text
}

// What is written in parts, in any order, with labels of its own and to a split that grows is read again by id, in every encoding, in
// parts of any size, and after a resume.
func TestParts(t *testing.T) {
	for _, encoding := range Encodings() {
		for _, k := range []int{1, 3, 16, 17, 40} {
			for _, most := range []int{1, 3, 1000} {
				t.Run(fmt.Sprintf("%s×%d in %d", encoding, k, most), func(t *testing.T) { testParts(t, encoding, k, most) })
			}
		}
	}
}

func testParts(t *testing.T, encoding string, k, most int) {
	dir := numtest.InMemory(t) + "/run"
	m, samples := run3(20, k, encoding)
	if k == 1 {
		m.Classes = []string{"no"}
	}
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	small := func(w *Writer) {
		row := int64(8 + 4 + 48)
		for _, c := range w.parts[0].columns {
			row += c.rowBytes()
		}
		w.partBytes = row * int64(most)
	}
	small(w)
	rng := rand.New(rand.NewPCG(1, uint64(k)))
	want := map[int]map[int64]string{}
	all := samples["train"]
	for epoch := 1; epoch <= 4; epoch++ {
		want[epoch] = map[int64]string{}
		if epoch == 2 || epoch == 4 { // which brings further samples
			more := samplesOf(1000*epoch, 7, k)
			if err := w.AddSamples(epoch, "train", more); err != nil {
				t.Fatal(err)
			}
			all.IDs, all.Labels = slices.Concat(all.IDs, more.IDs), slices.Concat(all.Labels, more.Labels)
		}
		order := rng.Perm(len(all.IDs))[:len(all.IDs)-epoch] // not all of them
		z := wideLogits(len(order), k, uint64(epoch))
		for at := 0; at < len(order); {
			n := min(1+rng.IntN(9), len(order)-at)
			p := Part{Logits: z[at*k : (at+n)*k]}
			if rng.IntN(3) == 0 {
				p.Labels = make([]int32, n)
			}
			for i, place := range order[at : at+n] {
				p.IDs = append(p.IDs, all.IDs[place])
				label := all.Labels[place]
				if p.Labels != nil {
					p.Labels[i] = int32(i%(k+1)) - 1
					if p.Labels[i] < 0 {
						p.Labels[i] = Ignored
					}
					label = p.Labels[i]
				}
				want[epoch][all.IDs[place]] = wantRow(encoding, p.Logits[i*k:(i+1)*k], label)
			}
			p.IDs, p.Logits = append(p.IDs, p.IDs[0]), append(slices.Clone(p.Logits), make([]float32, k)...) // a repeated one
			if p.Labels != nil {
				p.Labels = append(p.Labels, 0)
			}
			given := slices.Clone(p.Logits)
			if err := w.AppendPart(epoch, "train", p); err != nil {
				t.Fatal(err)
			}
			if !sameBits(given, p.Logits) {
				t.Error("the caller's logits were changed")
			}
			at += n
		}
		if err := w.Commit(epoch, map[string]Measured{"train": {When: MeasuredDuring, Augmented: true}}); err != nil {
			t.Fatal(err)
		}
		if epoch == 2 { // and by another process from here on
			if err := w.Close(StateInterrupted); err != nil {
				t.Fatal(err)
			}
			if w, err = Resume(dir); err != nil {
				t.Fatal(err)
			}
			small(w)
		}
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if encoding == "float32" {
		m.Splits[0].Rows.Logits = "" // as it is kept
	}
	if got := r.Manifest(); got.FormatVersion != 3 || got.Unit != UnitStep || got.Source.Framework != "torch" || got.Splits[0] != m.Splits[0] {
		t.Errorf("%+v", got)
	}
	for epoch := 4; epoch >= 1; epoch-- {
		got := rowsByID(t, r, epoch, "train")
		for id, row := range want[epoch] {
			if got[id] != row {
				t.Fatalf("epoch %d, id %d: %s, want %s", epoch, id, got[id], row)
			}
		}
		if len(got) != len(want[epoch]) {
			t.Errorf("epoch %d: %d rows, want %d", epoch, len(got), len(want[epoch]))
		}
		info, err := r.Epoch(epoch)
		of := 20 + 7*(epoch/2)
		if err != nil || info[0].Of != of || info[0].N != of-epoch || info[0].When != MeasuredDuring || !info[0].Augmented || info[0].Repeated == 0 || info[1].N != 0 || info[1].Of != 3 {
			t.Errorf("%+v, %v", info, err)
		}
		var kept *NotKeptError
		if _, err := r.Logits(epoch, "train"); !errors.As(err, &kept) || kept.What != KeptRows || kept.Epoch != epoch || kept.Split != "train" {
			t.Errorf("all logits of some samples: %v", err)
		}
	}
	if report, err := Check(t.Context(), dir); err != nil || !report.OK() || len(report.Notes) != 0 && encoding != "float16" {
		t.Errorf("%v, %+v", err, report)
	}
}

// A whole epoch, written as in format 1, is read whole: all at once, row by row and across parts.
func TestWholeInParts(t *testing.T) {
	for _, encoding := range Encodings() {
		for _, most := range []int64{1, 700, partBytes} {
			const k = 20
			m := Manifest{Classes: make([]string, k), Head: HeadSoftmax, Columns: k, Splits: []SplitInfo{{Name: "val", N: 30, Rows: RowFormat{encoding}}}}
			s, z := samplesOf(0, 30, k), wideLogits(30, k, 1)
			dir := t.TempDir() + "/run"
			w, err := Create(dir, m, map[string]Samples{"val": s})
			if err != nil {
				t.Fatal(err)
			}
			w.partBytes = most
			if err := errors.Join(w.Append(1, "val", z[:7*k]), w.Append(1, "val", z[7*k:]), w.Close(StateComplete)); err != nil {
				t.Fatal(err)
			}
			r := openDir(t, dir)
			l, err := r.Logits(1, "val")
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(z)
			over := 0
			if encoding == "float16" {
				var halves []byte
				halves, over = appendHalves(nil, z)
				want = appendFloats(nil, halves)
			}
			if !sameBits(l.Values, want) || !slices.Equal(l.IDs, s.IDs) {
				t.Errorf("%s in parts of %d bytes: %v", encoding, most, l.Values)
			}
			l.Close()
			rows, err := r.Rows(t.Context(), 1, "val")
			if err != nil {
				t.Fatal(err)
			}
			if !rows.Whole() || !rows.Dense || !rows.Stats || rows.Overflowed != over || encoding == "float16" && over == 0 {
				t.Errorf("%+v", rows.RowsInfo)
			}
			for first := range 30 {
				for n := range 31 - first {
					b := rows.At(first, n)
					if b.First != first || len(b.IDs) != n || !slices.Equal(b.IDs, s.IDs[first:first+n]) || !sameBits(b.Logits, want[first*k:(first+n)*k]) || n > 0 && !slices.Equal(b.Labels, s.Labels[first:first+n]) {
						t.Fatalf("%s: %d rows from %d on: %+v", encoding, n, first, b)
					}
				}
			}
			rows.Close()
		}
	}
}

// stat32 is a RowStat by its definition, in float64.
func statByDefinition(z []float32, label int32) RowStat {
	nan := float32(math.NaN())
	none := RowStat{nan, nan, nan, nan, -1, -1, nan, nan, nan, nan}
	top := -1
	for j, v := range z {
		if math.IsNaN(float64(v)) || v > math.MaxFloat32 {
			return none
		}
		if v > float32(math.Inf(-1)) && (top < 0 || v > z[top]) {
			top = j
		}
	}
	if top < 0 {
		return none
	}
	sum, mean, entropy, squares, variance := 0.0, 0.0, 0.0, 0.0, 0.0
	for _, v := range z {
		sum += math.Exp(float64(v) - float64(z[top]))
	}
	logSum := math.Log(sum)
	p := make([]float64, len(z))
	for j, v := range z {
		d := float64(v) - float64(z[top])
		if p[j] = math.Exp(d - logSum); p[j] > 0 {
			mean += p[j] * d
			entropy -= p[j] * (d - logSum)
			squares += p[j] * p[j]
		}
	}
	for j, v := range z {
		if p[j] > 0 {
			d := float64(v) - float64(z[top]) - mean
			variance += p[j] * d * d
		}
	}
	s := RowStat{nan, float32(float64(z[top]) + logSum), nan, z[top], int32(top), -1, nan, float32(entropy), float32(squares), float32(variance)}
	if label < 0 {
		return s
	}
	other, rank := math.Inf(-1), int32(0)
	for j, v := range z {
		if j != int(label) {
			other = max(other, float64(v))
			if v > z[label] || v == z[label] && j < int(label) {
				rank++
			}
		}
	}
	s.NLL, s.ZLabel, s.Rank, s.Other = float32(logSum-(float64(z[label])-float64(z[top]))), z[label], rank, float32(other)
	return s
}

// Statistics of rows are what they are defined as: in the file, and where they are worked out of the logits.
func TestRowStats(t *testing.T) {
	const n, k = 300, 33
	z := wideLogits(n, k, 9)
	for i := range 5 * k {
		z[20*k+i] *= 100        // certain of one class
		z[30*k+i] /= 1e4        // of none
		z[40*k+i] += 1e6        // an offset that all share
		z[50*k+i] = -float32(i) // of many sizes
	}
	for i := range k {
		z[60*k+i] = float32(math.Inf(-1))
		z[61*k+i] = 2
	}
	s := samplesOf(0, n, k)
	for _, keep := range []bool{true, false} {
		m := Manifest{FormatVersion: 3, Classes: make([]string, k), Head: HeadSoftmax, Columns: k}
		dir := t.TempDir() + "/run"
		w, err := Create(dir, m, map[string]Samples{"val": s})
		if err != nil {
			t.Fatal(err)
		}
		w.parts[0].stats = keep
		if err := errors.Join(w.Append(1, "val", z), w.Close(StateComplete)); err != nil {
			t.Fatal(err)
		}
		r := openDir(t, dir)
		rows, err := r.Stats(t.Context(), 1, "val")
		if err != nil {
			t.Fatal(err)
		}
		if rows.RowsInfo.Stats != keep {
			t.Errorf("kept %v, want %v", rows.RowsInfo.Stats, keep)
		}
		seen := 0
		err = rows.Each(t.Context(), func(b Block) error {
			if b.Logits != nil || len(b.Stats) != len(b.IDs) {
				t.Errorf("%d logits and %d statistics", len(b.Logits), len(b.Stats))
			}
			for i, got := range b.Stats {
				row := b.First + i
				want := statByDefinition(z[row*k:(row+1)*k], s.Labels[row])
				if got.Top != want.Top || got.Rank != want.Rank {
					t.Errorf("row %d: %+v, want %+v", row, got, want)
				}
				for _, c := range []struct {
					what      string
					got, want float32
					tolerance float64
				}{
					{"nll", got.NLL, want.NLL, 2e-6},
					{"lse", got.LSE, want.LSE, 2e-6},
					{"z_label", got.ZLabel, want.ZLabel, 0},
					{"z_top", got.ZTop, want.ZTop, 0},
					{"other", got.Other, want.Other, 0},
					{"entropy", got.Entropy, want.Entropy, 3e-6},
					{"sum_p2", got.SumP2, want.SumP2, 2e-6},
					{"var_z", got.VarZ, want.VarZ, 1e-5},
				} {
					if c.want != c.want && c.got != c.got || c.got == c.want {
						continue
					}
					if diff := math.Abs(float64(c.got) - float64(c.want)); !(diff <= c.tolerance*max(1, math.Abs(float64(c.want)))) {
						t.Errorf("row %d: %s is %v, want %v", row, c.what, c.got, c.want)
					}
				}
				seen++
			}
			return nil
		})
		if err != nil || seen != n {
			t.Errorf("%d rows, %v", seen, err)
		}
		rows.Close()
	}
}

// A writer refuses what no reader could make sense of, and goes on.
func TestPartsRefused(t *testing.T) {
	dir := t.TempDir() + "/run"
	m, samples := run3(5, 3, "float32")
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	z := []float32{1, 2, 3}
	for _, test := range []struct {
		err  error
		want string
	}{
		{w.AppendPart(1, "train", Part{IDs: []int64{99}, Logits: z}), "id 99, which is no sample"},
		{w.AppendPart(1, "train", Part{IDs: []int64{0, 1}, Logits: z}), "3 logits for 2 ids"},
		{w.AppendPart(1, "train", Part{IDs: []int64{0}, Logits: z, Labels: []int32{3}}), "label 3 of 3"},
		{w.AppendPart(1, "train", Part{IDs: []int64{0}, Logits: z, Labels: []int32{}}), "0 labels for 1 ids"},
		{w.AppendPart(1, "test", Part{}), `no split "test"`},
		{w.AppendPart(-1, "train", Part{}), "want 0"},
		{w.AddSamples(1, "val", samplesOf(90, 2, 3)), "its samples are fixed"},
		{w.AddSamples(1, "train", samplesOf(0, 2, 3)), "is there already"},
		{w.AddSamples(1, "train", Samples{IDs: []int64{90, 90}, Labels: []int32{0, 0}}), "twice"},
		{w.AppendPart(2, "train", Part{IDs: []int64{0}, Logits: z}), "epoch 1 is not committed yet"},
		{w.Append(1, "train", z), "begun by AppendPart"},
		{w.Write(1, map[string][]float32{"train": make([]float32, 15), "val": make([]float32, 9)}), "epoch 1 is not whole yet"},
		{w.Commit(1, map[string]Measured{"train": {When: "before"}}), "measured"},
		{w.Commit(1, map[string]Measured{"test": {}}), `no split "test"`},
		{w.AppendPart(1, "train", Part{IDs: []int64{0}, Logits: z}), ""},
		{w.Commit(1, nil), ""},
		{w.AppendPart(1, "train", Part{IDs: []int64{0}, Logits: z}), "epoch 1 is written already"},
		{w.Append(2, "train", z), ""},
		{w.AppendPart(2, "train", Part{IDs: []int64{0}, Logits: z}), "begun by Append"},
		{w.Commit(2, nil), "begun by Append"},
		{w.Append(2, "train", make([]float32, 12)), ""},
		{w.Append(2, "val", make([]float32, 9)), ""},
		{w.Close(StateComplete), ""},
		{w.Commit(3, nil), "closed"},
	} {
		if test.want == "" && test.err != nil || test.want != "" && (test.err == nil || !strings.Contains(test.err.Error(), test.want)) {
			t.Errorf("%v, want %q", test.err, test.want)
		}
	}
	r := openDir(t, dir)
	if got := rowsByID(t, r, 1, "train"); len(got) != 1 || !slices.Equal(r.Epochs(), []int{1, 2}) {
		t.Errorf("%v, %v", got, r.Epochs())
	}
	w, err = Create(t.TempDir()+"/run", Manifest{Classes: []string{"a", "b"}, Head: HeadSoftmax, Columns: 2}, map[string]Samples{"val": samplesOf(0, 1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AppendPart(1, "val", Part{}); !errors.Is(err, errEarlierFormat) {
		t.Error(err)
	}
	w.Close(StateFailed)
}
