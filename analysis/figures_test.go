package analysis

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/summary"
)

// A figure says all of itself, no two have one key, and none has that of something else in the answer.
func TestFiguresSayAllOfThemselves(t *testing.T) {
	keys := map[string]bool{}
	for field := range reflect.TypeFor[Score]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		keys[name] = true
	}
	for _, f := range Figures() {
		if keys[f.Name] || f.Name == "" {
			t.Errorf("key %q is another's", f.Name)
		}
		keys[f.Name] = true
		if f.Text == "" || f.Needs == "" || f.Of == nil {
			t.Errorf("%s: %+v leaves something out", f.Name, f)
		}
	}
}

// What a figure needs is what it says: it is the same without the rest.
func TestFiguresNeedNoMoreThanTheySay(t *testing.T) {
	b := summary.Batch{Columns: 3, Logits: []float32{1, 2, 3, 5, 1, 0, 0, 0, 1, 2, 2, 1}, Labels: []int32{2, 0, 1, 1}}
	s := scoreOf(t, b, ScoreOptions{})
	table, classBins := summary.TableOf(b, 15, nil)
	for _, f := range Figures() {
		c := &Counted{Table: table}
		switch f.Needs {
		case NeedsRanks:
			continue
		case NeedsLogits:
			c.ClassBins = classBins
		}
		if got := f.Of(c); got != float64(s.Figure(f.Name)) {
			t.Errorf("%s is %v from %s alone, %v from all", f.Name, got, f.Needs, s.Figure(f.Name))
		}
	}
}

// A score is read from its JSON as it was, what is null included.
func TestScoreIsReadBack(t *testing.T) {
	inf := float32(math.Inf(1))
	s := scoreOf(t, summary.Batch{Logits: []float32{-inf, 2, 2, 1}, Labels: []int32{0, 0}, Columns: 2}, ScoreOptions{Bootstrap: 3})
	written, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var read Score
	if err := json.Unmarshal(written, &read); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(&read)
	if err != nil || string(again) != string(written) {
		t.Errorf("%v\n%s\nis read as\n%s", err, written, again)
	}
	for _, bad := range []string{`{"nll":"low"}`, `{"nll":[1]}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &read); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}
