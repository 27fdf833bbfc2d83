package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// Texts are weighted as scikit-learn's TfidfVectorizer weights them, and the pipeline that was written and read again does it
// too; what the fitted texts do not have counts for nothing.
func TestWeightsAreScikitLearns(t *testing.T) {
	var want struct {
		Texts         []string
		Fitted, Terms int
		Weights       [][]float64
	}
	numtest.ReadGolden(t, "testdata/tfidf.json", &want)
	if len(want.Texts) < 10 {
		t.Fatalf("tfidf.json holds %d texts", len(want.Texts))
	}
	g := newNgrams()
	g.CharMin, g.CharMax, g.Signs = 0, 0, false
	text := func(r int) []byte { return []byte(want.Texts[r]) }
	texts, err := g.tokenize(len(want.Texts), text)
	if err != nil {
		t.Fatal(err)
	}
	var rows []int32
	for r := range want.Fitted {
		rows = append(rows, int32(r))
	}
	g.fit(texts, rows)
	if g.IDs() != want.Terms {
		t.Fatalf("%d n-grams are kept, scikit-learn keeps %d", g.IDs(), want.Terms)
	}
	all, err := g.weighAll(texts)
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, got *tokens) {
		for r, weights := range want.Weights {
			from, to := got.offsets[r], got.offsets[r+1]
			row := slices.Sorted(slices.Values(got.weights[from:to]))
			numtest.AllNear(t, want.Texts[r], row, weights, 1e-6)
			if ids := slices.Compact(slices.Sorted(slices.Values(got.ids[from:to]))); len(ids) != int(to-from) {
				t.Errorf("%q names an n-gram twice", want.Texts[r])
			}
		}
	}
	check(t, all)

	p := &Pipeline{Kind: KindText, Classes: []string{"a", "b"}, Columns: []Column{{Name: "text", Type: Text}}, Tokens: g}
	raw, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePipeline(raw)
	if err != nil {
		t.Fatal(err)
	}
	fields := make([][]string, len(want.Texts))
	for r := range fields {
		fields[r] = []string{want.Texts[r]}
	}
	read, err := again.Fields([]string{"text"}, fields)
	if err != nil {
		t.Fatal(err)
	}
	b := read.Next(len(fields))
	check(t, &tokens{b.Tokens, b.Offsets, b.Weights})
}

// A pipeline of before has no n-grams fitted: its tokens are buckets, as often as they come, and have no weights.
func TestNgramsOfBefore(t *testing.T) {
	raw := `{"kind":"text","classes":["a","b"],"inputs":0,"columns":[{"name":"text","type":"text","missing":0}],` +
		`"tokens":{"buckets":1000,"words":1,"char_min":0,"char_max":0}}`
	p, err := ParsePipeline([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.Fields([]string{"text"}, [][]string{{"ball ball goal"}, {"goal"}, {""}})
	if err != nil {
		t.Fatal(err)
	}
	b := rows.Next(3)
	if !slices.Equal(b.Offsets, []int32{0, 3, 4, 5}) || b.Tokens[0] != b.Tokens[1] || b.Tokens[2] != b.Tokens[3] || b.Weights != nil || p.Tokens.IDs() != 1000 {
		t.Errorf("%+v", *b)
	}
}

// Of more n-grams than there is room for, those that the most texts have are kept; where none comes twice, all are.
func TestKeptNgrams(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  int
	}{{[]string{"one two", "three four"}, 4}, {[]string{"one two", "one four"}, 1}, {[]string{"", "!"}, 1}} {
		g := &Ngrams{Buckets: 1 << 20, Words: 1}
		all, err := g.tokenize(len(c.texts), func(r int) []byte { return []byte(c.texts[r]) })
		if err != nil {
			t.Fatal(err)
		}
		g.fit(all, []int32{0, 1})
		if g.IDs() != c.want {
			t.Errorf("%q: %d n-grams kept, want %d", c.texts, g.IDs(), c.want)
		}
	}
}

// Of equals those that come first are kept, until there is no more room.
func TestMoreNgramsThanRoom(t *testing.T) {
	var many, few strings.Builder
	for i := range maxKept + 50_000 {
		fmt.Fprintf(&many, "w%d ", i)
		if i%1000 == 0 {
			fmt.Fprintf(&few, "w%d ", i)
		}
	}
	texts := []string{many.String(), few.String(), many.String()}
	g := &Ngrams{Buckets: 1 << 26, Words: 1}
	all, err := g.tokenize(len(texts), func(r int) []byte { return []byte(texts[r]) })
	if err != nil {
		t.Fatal(err)
	}
	g.fit(all, []int32{0, 1, 2})
	frequent := 0
	for _, n := range g.Counts {
		if n == 3 {
			frequent++
		}
	}
	if g.IDs() != maxKept || frequent < 300 || frequent > 313 {
		t.Errorf("%d n-grams kept, %d of them in all three texts; want %d and 313", g.IDs(), frequent, maxKept)
	}
	if err := g.validate(); err != nil {
		t.Error(err)
	}
}

// A pipeline that is too large to be read is not written.
func TestPipelineWithinBounds(t *testing.T) {
	p := &Pipeline{Kind: KindTable, Classes: []string{strings.Repeat("x", maxPipelineBytes)}}
	if _, err := p.Encode(); err == nil || !strings.Contains(err.Error(), "are read") {
		t.Errorf("a long name is written: %v", err)
	}
	for name, raw := range map[string]string{
		"a long name":  `{"kind":"` + strings.Repeat("x", maxPipelineBytes) + `"}`,
		"many columns": `{"columns":[` + strings.Repeat("{},", maxPipelineParts) + `{}]}`,
	} {
		if _, err := ParsePipeline([]byte(raw)); err == nil || !strings.Contains(err.Error(), "are read") {
			t.Errorf("%s is read: %v", name, err)
		}
	}
}

func FuzzParsePipeline(f *testing.F) {
	f.Add([]byte(`{"kind":"table","classes":["a","b"],"inputs":1,"columns":[{"name":"x","type":"numeric","missing":0,"mean":1,"scale":2,"features":1}]}`))
	f.Add([]byte(`{"kind":"text","classes":["a"],"columns":[{"name":"x","type":"text"}],"tokens":{"buckets":8,"words":2,"char_min":3,"char_max":4,"texts":3,"kept":"AQAAAAMAAAA=","counts":"AgAAAAMAAAA="}}`))
	f.Add([]byte(`{"kind":"image","classes":["a"],"inputs":4,"shape":{"height":2,"width":2,"channels":1}}`))
	f.Add([]byte(`{"kind":"table","classes":["a"],"inputs":3,"columns":[{"name":"x","type":"categorical","missing":1,"levels":["p","q"],"features":3}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePipeline(raw)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePipeline(again); err != nil {
			t.Fatalf("what was read is refused when it is written: %v", err)
		}
		if (p.Kind != KindTable && p.Kind != KindText) || p.Inputs > 1<<16 {
			return
		}
		names, row := []string{}, []string{}
		for i, col := range p.Columns {
			names, row = append(names, col.Name), append(row, []string{"1", "a", ""}[i%3])
		}
		rows, err := p.Fields(names, [][]string{row, row})
		if err != nil {
			return
		}
		b := rows.Next(2)
		if b.N != 2 || len(b.Features) != 2*p.Inputs && p.Kind == KindTable {
			t.Fatalf("%d rows of %d features for 2 of %d", b.N, len(b.Features), p.Inputs)
		}
		for _, id := range b.Tokens {
			if int(id) >= p.Tokens.IDs() || id < 0 {
				t.Fatalf("token %d of %d", id, p.Tokens.IDs())
			}
		}
	})
}
