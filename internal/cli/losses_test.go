package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/loss"
)

func TestLosses(t *testing.T) {
	var text, raw, stderr bytes.Buffer
	if code := run(t.Context(), []string{"losses"}, &text, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if code := run(t.Context(), []string{"losses", "--json"}, &raw, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var listed []loss.Info
	if err := json.Unmarshal(raw.Bytes(), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != len(loss.Catalog()) || len(listed) < 6 {
		t.Errorf("%d losses in JSON, the catalogue has %d", len(listed), len(loss.Catalog()))
	}
	for _, l := range listed {
		for _, part := range []string{l.Name + ": ", l.Formula, l.Use, l.Pitfalls} {
			if part == "" || !strings.Contains(text.String(), part) {
				t.Errorf("%s: the text lacks %q", l.Name, part)
			}
		}
	}
	var help bytes.Buffer
	if code := run(t.Context(), []string{"train", "--help"}, &help, &stderr); code != 0 || !strings.Contains(help.String(), loss.Names()) {
		t.Errorf("exit code %d: the help names not every loss", code)
	}
	for _, s := range loss.AllSettings() {
		if flag := "--" + strings.ReplaceAll(s.Key, "_", "-"); s.Key != "" && (!strings.Contains(help.String(), flag+" ") || !strings.Contains(text.String(), flag+":") || !strings.Contains(help.String(), s.Text)) {
			t.Errorf("%s: help or list lack %s or what it is", s.Name, flag)
		}
		if !strings.Contains(text.String(), ":"+s.Name+"=") {
			t.Errorf("the list lacks %s", s.Name)
		}
	}
}
