package yaml_test

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/yaml"
)

// bomb is ten anchors, each ten times the one before: ten thousand million values.
func bomb(entry string) string {
	var s strings.Builder
	s.WriteString("x0: &x0 {k: v}\n")
	for i := 1; i <= 10; i++ {
		fmt.Fprintf(&s, entry+"\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i-1), 10), ","))
	}
	return s.String()
}

func numbered(format string, n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, format, i)
	}
	return s.String()
}

// What would cost too much is refused, and to refuse it costs little.
func TestRefused(t *testing.T) {
	long := strings.Repeat("k", 400_000)
	for name, c := range map[string]struct{ text, says string }{
		"merge keys":       {bomb("x%[1]d: &x%[1]d {<<: [%[2]s]}"), "aliases stand for more"},
		"aliases":          {bomb("x%[1]d: &x%[1]d [%[2]s]"), "aliases stand for more"},
		"block merge":      {bomb("x%[1]d: &x%[1]d\n  <<: [%[2]s]"), "aliases stand for more"},
		"recursive":        {"a: &a [*a]", "stands within"},
		"recursive merge":  {"a: &a {<<: *a}", "stands within"},
		"no anchor":        {"a: *b", "stands for nothing"},
		"brackets":         {strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19), "deep"},
		"open brackets":    {strings.Repeat("[", 101), "deep"},
		"braces":           {strings.Repeat("{a: ", 101) + strings.Repeat("}", 101), "deep"},
		"open braces":      {strings.Repeat("{", 1<<20), "deep"},
		"both":             {strings.Repeat("[{a: ", 60), "deep"},
		"dashes":           {strings.Repeat("- ", 101) + "a", "deep"},
		"many dashes":      {strings.Repeat("- ", 1<<19), "deep"},
		"steps":            {steps(101), "deep"},
		"lists at columns": {columns(60), "deep"},
		"question marks":   {strings.Repeat("? ", 1000) + "a", "do not need"},
		"tags":             {strings.Repeat("! ", 1000) + "a", "do not need"},
		"one tag":          {"a: !!binary aGVsbG8=", "do not need"},
		"directive":        {"%YAML 1.2\n---\na: b", "do not need"},
		"anchors":          {strings.Repeat("&a ", 5000) + "b", "unexpected"},
		"keys":             {numbered("k%d: v\n", 5_000), "too many"},
		"keys in braces":   {"{" + numbered("k%d: v, ", 60_000), "too many"},
		"values":           {strings.Repeat("- a\n", 200_000), "too many"},
		"colons":           {strings.Repeat(": ", 1<<19), "deep"},
		"documents":        {strings.Repeat("--- a\n", 3), "3 documents"},
		"many documents":   {strings.Repeat("---\n", 200_000), "too many"},
		"a long key":       {long + ":\n" + numbered("  k%d: v\n", 1000), "keys too long"},
		"a long key, flow": {long + ": {" + numbered("k%d: v, ", 1000) + "}", "keys too long"},
		"a long key, list": {long + ":\n" + numbered("- %d\n", 1000), "keys too long"},
		"bytes":            {strings.Repeat("#", yaml.MaxBytes+1), "want at most"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var into any
		err := yaml.Unmarshal([]byte(c.text), &into)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
		// Of which the collector leaves a part.
		if spent := after.TotalAlloc - before.TotalAlloc; !(spent < 128<<20) {
			t.Errorf("%s: %d MiB were allocated to refuse %d bytes", name, spent>>20, len(c.text))
		}
	}
}

// steps is mappings each a column further in.
func steps(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "%sa:\n", strings.Repeat(" ", i))
	}
	return s.String()
}

// columns is a mapping of a list of a mapping, a list standing in its mapping's own column.
func columns(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "%sa:\n%s- ", strings.Repeat(" ", 2*i*min(i, 1)), strings.Repeat(" ", 2*i))
		fmt.Fprintf(&s, "b:\n")
	}
	return s.String()
}

// What settings are written as is read, with anchors and merge keys where they are of use.
func TestRead(t *testing.T) {
	deep := strings.Repeat("[", 90) + strings.Repeat("]", 90)
	for text, want := range map[string]any{
		"":                     nil,
		"# nothing\n":          nil,
		"---\na: b\n":          map[string]any{"a": "b"},
		"---\na: b\n...\n":     map[string]any{"a": "b"},
		"a: [1, x, true]":      map[string]any{"a": []any{uint64(1), "x", true}},
		"a:\n- 1\n- b:\n  - c": map[string]any{"a": []any{uint64(1), map[string]any{"b": []any{"c"}}}},
		"a: &x [1]\nb: *x\n":   map[string]any{"a": []any{uint64(1)}, "b": []any{uint64(1)}},
		"a: &x {k: 1}\nb: {<<: *x, l: 2}\n": map[string]any{
			"a": map[string]any{"k": uint64(1)}, "b": map[string]any{"k": uint64(1), "l": uint64(2)},
		},
		"a: '[[[[ &x *y'": map[string]any{"a": "[[[[ &x *y"},
	} {
		var got any
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, %v; want %#v", text, got, err, want)
		}
	}
	var got any
	if err := yaml.Unmarshal([]byte(deep), &got); err != nil {
		t.Errorf("90 deep: %v", err)
	}
	brackets := "a: '" + strings.Repeat("[", 1000) + "'\nb: |\n  " + strings.Repeat("- ", 1000) + "\n"
	if err := yaml.Unmarshal([]byte(brackets), &got); err != nil {
		t.Errorf("signs within a text: %v", err)
	}
	if err := yaml.Unmarshal([]byte(numbered("k%d: v\n", 3000)), &got); err != nil || len(got.(map[string]any)) != 3000 {
		t.Errorf("3,000 keys: %v", err)
	}
	var strict struct {
		A int `yaml:"a"`
	}
	if err := yaml.Unmarshal([]byte("b: 1"), &strict); err == nil || !strings.Contains(err.Error(), "unknown field") {
		t.Errorf("an unknown key: error %v", err)
	}
}

// Whatever the bytes, reading them ends, without a panic.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range []string{
		bomb("x%[1]d: &x%[1]d {<<: [%[2]s]}"), "a: &a [*a]", "[[[[", "- - - a", "? a", "a: |\n  b\n", "a: 'b", "\"\\x", "a: >+2\n b", "{a: [b, {c: d}]}", "a:\n- b\n-\n  c: d\n",
		"data:\n  path: digits\n  val_fraction: 0.2\nmodel: mlp:64\nhidden: [1, 2]\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var into any
		_ = yaml.Unmarshal(text, &into)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; !(spent < 512<<20) {
			t.Errorf("%d MiB were allocated for %d bytes", spent>>20, len(text))
		}
	})
}
