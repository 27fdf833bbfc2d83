package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPredict(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	succeed(t, "train", "--quiet", "--data", birds(t, 300), "--epochs", "20", "--out", dir)
	rows := filepath.Join(t.TempDir(), "new.csv")
	// Another order, a column more, a colour that is new and a wing that is missing.
	body := "extra,colour,wing\n1,grey,11.5\n2,black,16.5\n3,blue,21\n4,grey,\n"
	if err := os.WriteFile(rows, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, said := call(t, "predict", dir, "--data", rows, "--top", "2")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != exitOK || len(lines) != 5 || !strings.HasPrefix(lines[0], "row,label,probability,top_1,probability_1,top_2,probability_2,logit:crow") {
		t.Fatalf("exit code %d, %q, %q", code, stdout, said)
	}
	for i, want := range []string{"0,gull,", "1,crow,", "2,swan,"} {
		if !strings.HasPrefix(lines[i+1], want) {
			t.Errorf("line %q, want %q", lines[i+1], want)
		}
	}
	for _, want := range []string{"4 rows of", "not calibrated", "column colour: 1 value of categories", "column wing: 1 value missing"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in %q", want, said)
		}
	}
	for _, name := range []string{"p.csv", "p.jsonl", "p.parquet"} {
		path := filepath.Join(t.TempDir(), name)
		succeed(t, "predict", dir, "--data", rows, "-o", path, "--decode", "multinomial", "--temperature", "0.5", "--top-p", "0.9", "--seed", "3")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case name == "p.parquet" && !strings.HasPrefix(string(raw), "PAR1"):
			t.Errorf("%s begins %q", name, raw[:4])
		case name == "p.jsonl":
			var p struct {
				Label  string
				Logits []float64
			}
			if err := json.Unmarshal(raw[:strings.IndexByte(string(raw), '\n')], &p); err != nil || p.Label != "gull" || len(p.Logits) != 3 {
				t.Errorf("%+v, %v", p, err)
			}
		}
		// What was written is read as data again.
		if name != "p.jsonl" {
			if code, _, said := call(t, "train", "--quiet", "--data", path, "--target", "nothing"); code != exitUsage || !strings.Contains(said, "it has row, label, probability") {
				t.Errorf("%s read again: %s", name, said)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(rows), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	// Calibrated, once the run is.
	succeed(t, "calibrate", dir, "--method", "temperature")
	if _, _, said := call(t, "predict", dir, "--data", rows); !strings.Contains(said, "calibrated by temperature") {
		t.Errorf("said %q", said)
	}
	for args, want := range map[string]string{
		"--data nowhere.csv":                      "nowhere.csv",
		"--data " + rows + " --decode beam":       "use argmax or multinomial",
		"--data " + rows + " --top-p 0.5":         "belong to --decode multinomial",
		"--data " + rows + " --temperature 0":     "above 0",
		"--data " + rows + " --format xml":        `unknown format "xml"`,
		"--data " + filepath.Join(dir, "samples"): "another kind",
	} {
		if code, _, said := call(t, append([]string{"predict", dir}, strings.Fields(args)...)...); code == exitOK || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q, want %q", args, code, said, want)
		}
	}
}
