package numtest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Values are numbers of a golden file. JSON has no infinity and no NaN: there they are the strings "+Inf", "-Inf", "NaN".
type Values []float64

// UnmarshalJSON implements json.Unmarshaler.
func (v *Values) UnmarshalJSON(raw []byte) error {
	var mixed []Value
	if err := json.Unmarshal(raw, &mixed); err != nil {
		return err
	}
	for _, m := range mixed {
		*v = append(*v, float64(m))
	}
	return nil
}

// Value is one such number.
type Value float64

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("golden value %s is no number", raw)
	}
	*v = Value(f)
	return nil
}

// ReadGolden reads a golden file, JSON or JSON in gzip, into the value that into points to.
func ReadGolden(t testing.TB, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".gz") {
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(raw)); err == nil {
			raw, err = io.ReadAll(r)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Panics fails the test unless call panics with a message that holds want.
func Panics(t testing.TB, want string, call func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if message := fmt.Sprint(recover()); !strings.Contains(message, want) {
			t.Errorf("panic %q, want one that says %q", message, want)
		}
	}()
	call()
}
