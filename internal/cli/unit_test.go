package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/record"
)

// Every command, the report and the pictures call an epoch of a boosting run a round, as show does. Flags keep their names.
func TestRoundsAreNotCalledEpochs(t *testing.T) {
	folder := t.TempDir()
	dir := filepath.Join(folder, "boosted")
	r := planted.Healthy()
	r.Unit, r.Epochs, r.Every, r.WrongLabels = record.UnitRound, 8, 2, 0.1
	r.Memory = func(t float64) float64 { return 30 * t }
	if err := r.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	epoch := regexp.MustCompile(`(?i)(?:[-{]*)\bepochs?\b`)
	calm := func(what, text string) {
		t.Helper()
		for _, found := range epoch.FindAllString(text, -1) {
			if !strings.HasPrefix(found, "--") {
				t.Errorf("%s says %q: %s", what, found, text)
				return
			}
		}
		if !regexp.MustCompile(`(?i)\brounds?\b`).MatchString(text) {
			t.Errorf("%s says nothing of rounds: %s", what, text)
		}
	}
	for _, line := range []string{
		"show DIR", "diagnose DIR", "explain DIR --epoch 4 --split val --sample 1001", "labels DIR --top 5", "score DIR", "calibrate DIR -o OUT/c.json", "compare DIR",
	} {
		args := strings.Fields(strings.NewReplacer("DIR", dir, "OUT", folder).Replace(line))
		calm(line, succeed(t, args...))
	}
	for _, line := range []string{
		"explain DIR --epoch 5 --split val --sample 1001", "score DIR --epoch 5", "score DIR --epoch first",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "DIR", dir))
		if code, _, said := call(t, args...); code == exitOK {
			t.Errorf("%s went well", line)
		} else {
			calm(line, said)
		}
	}
	for _, line := range []string{
		"report DIR -o OUT/report.html", "plot DIR -o OUT/four.svg", "plot DIR --kind curves -o OUT/curves.svg", "plot DIR --kind map -o OUT/map.svg", "plot DIR --kind confusion -o OUT/confusion.svg",
	} {
		args := strings.Fields(strings.NewReplacer("DIR", dir, "OUT", folder).Replace(line))
		succeed(t, args...)
		text, err := os.ReadFile(args[len(args)-1])
		if err != nil {
			t.Fatal(err)
		}
		calm(line, regexp.MustCompile(`(?s)<style.*?</style>`).ReplaceAllString(string(text), ""))
	}
}
