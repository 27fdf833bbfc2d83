package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/record"
)

// A run whose only split is no validation is judged by that split, and by every command to the same figures as if it were called val.
func TestRunOfOneSplitIsJudgedByIt(t *testing.T) {
	dirs := map[string]string{}
	for _, split := range []string{"val", "test"} {
		samples, epochs := record.Samples{}, map[int]map[string][]float32{}
		for i := range 300 {
			samples.IDs, samples.Labels = append(samples.IDs, int64(i)), append(samples.Labels, int32(i%2))
		}
		for epoch := 1; epoch <= 6; epoch++ { // one in six is wrong, and the network gets ever surer
			var z []float32
			for i := range 300 {
				sure := float32(epoch) * 0.9
				if i%6 == 0 {
					sure = -sure
				}
				row := []float32{0, 0}
				row[i%2] = sure
				z = append(z, row...)
			}
			epochs[epoch] = map[string][]float32{split: z}
		}
		_, dirs[split] = runtest.Run(t, record.Manifest{Name: "run", Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2}, map[string]record.Samples{split: samples}, epochs)
	}
	out := t.TempDir()
	for _, line := range []string{
		"show DIR --json", "diagnose DIR --json", "score DIR --epoch best --json", "calibrate DIR --json -o OUT/c.json --method temperature", "compare DIR --json",
		"labels DIR --json --top 5", "explain DIR --epoch 3 --split SPLIT --sample 6 --json",
	} {
		var answers [2]string
		for i, split := range []string{"val", "test"} {
			args := strings.Fields(strings.NewReplacer("DIR", dirs[split], "OUT", out, "SPLIT", split).Replace(line))
			text := succeed(t, args...)
			if split == "test" && strings.Contains(text, "alidation") {
				t.Errorf("%s speaks of validation: %s", line, text)
			}
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Fatalf("%s: %v: %s", line, err, text)
			}
			answers[i] = text
		}
		if a, b := figuresOf(t, answers[0]), figuresOf(t, answers[1]); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %v of val, %v of test", line, a, b)
		}
	}
	if text := succeed(t, "show", dirs["test"]); !strings.Contains(text, "NLL on test was lowest at epoch 2") {
		t.Errorf("show says %s", text)
	}
	report := filepath.Join(out, "report.html")
	succeed(t, "report", dirs["test"], "-o", report)
	if text, err := os.ReadFile(report); err != nil || !strings.Contains(string(text), "NLL on test was lowest at epoch 2") {
		t.Errorf("the report does not say how NLL on test moved: %v", err)
	}
}

// figuresOf returns every number of a JSON text, in its order.
func figuresOf(t *testing.T, text string) (figures []float64) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if v, ok := token.(float64); ok {
			figures = append(figures, v)
		}
	}
	if len(figures) == 0 {
		t.Errorf("no figure in %s", text)
	}
	return figures
}
