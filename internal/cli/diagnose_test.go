package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/internal/planted"
)

func TestDiagnose(t *testing.T) {
	healthy, leaky := filepath.Join(t.TempDir(), "healthy"), filepath.Join(t.TempDir(), "leaky")
	r := planted.Healthy()
	if err := r.Write(healthy, 1); err != nil {
		t.Fatal(err)
	}
	r.Leaked = 3
	if err := r.Write(leaky, 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, level string
		code       int
	}{
		{healthy, "none", exitOK},
		{healthy, "warning", exitOK},
		{healthy, "info", exitFailure},
		{leaky, "none", exitOK},
		{leaky, "warning", exitFailure},
		{leaky, "error", exitOK},
		{leaky, "fatal", exitUsage},
	} {
		code, stdout, stderr := call(t, "diagnose", c.dir, "--fail-on", c.level)
		if code != c.code {
			t.Errorf("%s --fail-on %s: exit code %d, want %d: %s", filepath.Base(c.dir), c.level, code, c.code, stderr)
		}
		if c.code != exitUsage && !strings.Contains(stdout, "Ship epoch") {
			t.Errorf("%s --fail-on %s: the findings are not printed:\n%s", filepath.Base(c.dir), c.level, stdout)
		}
	}
	var d diagnose.Diagnosis
	if err := json.Unmarshal([]byte(succeed(t, "diagnose", leaky, "--json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Findings) != 2 || d.Findings[0].ID != "leakage" || d.Findings[0].Evidence.Samples[0] != 1000 || d.Run != "leaky" {
		t.Errorf("%+v", d)
	}
	if code, _, stderr := call(t, "diagnose", t.TempDir()); code != exitFailure || !strings.Contains(stderr, "not a run") {
		t.Errorf("no run: exit code %d: %s", code, stderr)
	}
}

// A damaged epoch is named, and the rest is diagnosed.
func TestDiagnoseDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := planted.Healthy().Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "epochs", "000020", "val.arrow"), 100); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t, "diagnose", dir)
	if code != exitFailure || !strings.Contains(stdout, "epochs 1 to 19") || !strings.Contains(stderr, "000020") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
}

// The demo overfits, since it has wrong labels, and says so.
func TestDiagnoseDemo(t *testing.T) {
	dir, _ := demo(t)
	out := succeed(t, "diagnose", dir)
	for _, want := range []string{"Overfitting from epoch 12", "Wrong labels in the training set", "Over-confident at epoch 45", "Ship epoch"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// Of epochs whose logits are not recorded the figures alone are known: what rests on them says so, and no temperature is guessed.
func TestDiagnoseUnrecorded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "last")
	succeed(t, "train", "--quiet", "--hidden", "256,256", "--batch", "16", "--epochs", "60", "--label-noise", "0.4", "--train-size", "400",
		"--record", "last", "--out", dir)
	out := succeed(t, "diagnose", dir)
	for _, want := range []string{"by the figures of epochs that are not recorded", "likely: ", "at a temperature that is not known", "59 epochs more without recorded logits: at most their NLL"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestWrapped(t *testing.T) {
	if got, want := wrapped("one two three", "  ", 9), "  one two\n  three\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := wrapped("", "  ", 9); got != "" {
		t.Errorf("%q of nothing", got)
	}
}
