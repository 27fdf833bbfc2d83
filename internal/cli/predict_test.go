package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	if _, _, said := call(t, "predict", dir, "--data", rows); !strings.Contains(said, "calibrated by temperature, T = ") || !strings.Contains(said, "on rows it was not fitted on, NLL") {
		t.Errorf("said %q", said)
	}
	for args, want := range map[string]string{
		"--data nowhere.csv":                                                 "nowhere.csv",
		"--data " + rows + " --decode beam":                                  "use argmax or multinomial",
		"--data " + rows + " --top-p 0.5":                                    "belong to --decode multinomial",
		"--data " + rows + " --min-p 0.5":                                    "belong to --decode multinomial",
		"--data " + rows + " --temperature 0":                                "above 0",
		"--data " + rows + " --decode multinomial --order top-k,beam":        `no step "beam"`,
		"--data " + rows + " --decode multinomial --order top-k,top-k":       "twice",
		"--data " + rows + " --decode multinomial --order top-k --top-p 0.5": "leaves one out that is set",
		"--data " + rows + " --decode multinomial --min-p 2":                 "min-p 2 is not in [0, 1]",
		"--data " + rows + " --format xml":                                   `unknown format "xml"`,
		"--data " + filepath.Join(dir, "samples"):                            "another kind",
	} {
		if code, _, said := call(t, append([]string{"predict", dir}, strings.Fields(args)...)...); code == exitOK || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q, want %q", args, code, said, want)
		}
	}
}

// Steps before a draw do what they say, in the order given: among classes of p = softmax(z), a high temperature before min-p lets
// all of them through, behind it none but the first.
func TestPredictOrder(t *testing.T) {
	folder := t.TempDir()
	dir, out := filepath.Join(folder, "run"), filepath.Join(folder, "out.jsonl")
	data := birds(t, 300)
	succeed(t, "train", "--quiet", "--data", data, "--epochs", "20", "--out", dir)
	drawn := func(order string) (others, rows int) {
		succeed(t, "predict", dir, "--data", data, "-o", out, "--decode", "multinomial", "--temperature", "50", "--min-p", "0.6", "--order", order)
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			var p struct {
				Label string
				Top   []struct{ Label string }
			}
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				t.Fatal(err)
			}
			rows++
			if p.Label != p.Top[0].Label {
				others++
			}
		}
		return others, rows
	}
	if others, rows := drawn("min-p,temperature"); rows != 300 || others > 30 {
		t.Errorf("%d of %d draws are of other classes than the most probable", others, rows)
	}
	if others, rows := drawn("temperature,min-p"); others < rows/2 {
		t.Errorf("only %d of %d draws are of other classes than the most probable, at T = 50", others, rows)
	}
}

// Several classes a row, from a table to a table: what is predicted is what the rows have.
func TestSeveralLabels(t *testing.T) {
	folder := t.TempDir()
	data, dir, out := filepath.Join(folder, "data.csv"), filepath.Join(folder, "run"), filepath.Join(folder, "out.jsonl")
	var b strings.Builder
	var want []string
	b.WriteString("hue,edge,tags\n")
	for i := range 400 {
		hue, edge := i*7%10, i*3%11
		var tags []string
		if hue >= 5 {
			tags = append(tags, "red")
		}
		if edge >= 5 {
			tags = append(tags, "round")
		}
		if hue >= 5 != (edge >= 5) {
			tags = append(tags, "odd")
		}
		if len(tags) == 0 {
			tags = append(tags, "plain")
		}
		slices.Sort(tags)
		want = append(want, strings.Join(tags, "|"))
		fmt.Fprintf(&b, "%d,%d,%s\n", hue, edge, want[i])
	}
	if err := os.WriteFile(data, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, said := call(t, "train", "--data", data, "--target", "tags", "--multi-label", "--epochs", "80", "--lr", "0.01", "--pos-weights", "balanced", "--out", dir)
	if code != exitOK || !strings.Contains(said, "yes-or-no question") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	succeed(t, "predict", dir, "--data", data, "-o", out)
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	right, row := 0, 0
	for line := range strings.Lines(string(raw)) {
		var p struct{ Labels []string }
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		if strings.Join(p.Labels, "|") == want[row] {
			right++
		}
		row++
	}
	if row != 400 || right < 380 {
		t.Errorf("all labels are right of %d rows of %d", right, row)
	}
	for args, want := range map[string]string{"--decode multinomial": "no one class to draw", "-o " + filepath.Join(folder, "out.csv"): ""} {
		code, _, said := call(t, append([]string{"predict", dir, "--data", data}, strings.Fields(args)...)...)
		if (code == exitOK) != (want == "") || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q, want %q", args, code, said, want)
		}
	}
	table, err := os.ReadFile(filepath.Join(folder, "out.csv"))
	if err != nil || !strings.HasPrefix(string(table), "row,label,probability,labels,top_1,probability_1") || !strings.Contains(string(table), "|") {
		t.Errorf("%v, %.200s", err, table)
	}
	for _, args := range []string{"--loss cross-entropy", "--sampling balanced", "--label-smoothing 0.1"} {
		code, _, said := call(t, append([]string{"train", "--data", data, "--target", "tags", "--multi-label", "--out", filepath.Join(folder, "bad")}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(said, "use ") && !strings.Contains(said, "belongs to") {
			t.Errorf("%s: exit code %d, %q", args, code, said)
		}
	}
}
