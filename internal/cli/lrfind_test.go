package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/train"
)

// lr-find prints and draws the rate that it suggests, and records nothing.
func TestLRFind(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "rates.svg")
	var found train.RateRange
	args := []string{"lr-find", "--from", "1e-5"}
	if err := json.Unmarshal([]byte(succeed(t, append(args, "--json", "-o", picture)...)), &found); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(picture)
	if err != nil || !strings.Contains(string(drawn), "falls fastest") || !strings.Contains(string(drawn), "digits") {
		t.Errorf("%v: %.300s", err, drawn)
	}
	if !(found.Suggested >= 1e-4 && found.Suggested <= 0.05) || found.Rates[0] != 1e-5 || len(found.Rates) < 50 {
		t.Errorf("suggests %v of %d rates from %v, want what Adam learns the digits with", found.Suggested, len(found.Rates), found.Rates[0])
	}
	if said := succeed(t, args...); !strings.Contains(said, "suggested: --lr") {
		t.Errorf("said %q", said)
	}
	for extra, want := range map[string]string{"-o rates.pdf": ".png or .svg", "--from 1 --to 0.1": "rising range", "--steps 3": "at least 10"} {
		if code, _, said := call(t, append(args, strings.Fields(extra)...)...); code == exitOK || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q", extra, code, said)
		}
	}
}
