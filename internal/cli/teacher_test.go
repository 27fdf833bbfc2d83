package cli

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/record"
)

// divergence is the mean of KL(q‖p) over the validation samples, q the teacher's softmax and p the student's at their last
// epochs, both at T = 1.
func divergence(t *testing.T, teacher, student string) float64 {
	t.Helper()
	q, p := logProbs(t, teacher), logProbs(t, student)
	if len(q) != len(p) || len(q) == 0 {
		t.Fatalf("%d and %d samples", len(q), len(p))
	}
	sum := 0.0
	for i := range q {
		for c := range q[i] {
			sum += math.Exp(q[i][c]) * (q[i][c] - p[i][c])
		}
	}
	return sum / float64(len(q))
}

// lastLogits returns the rows of logits of the validation samples at a run's last epoch.
func lastLogits(t *testing.T, dir string) [][]float32 {
	t.Helper()
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	epochs := run.Epochs()
	logits, err := run.Logits(epochs[len(epochs)-1], "val")
	if err != nil {
		t.Fatal(err)
	}
	defer logits.Close()
	return slices.Collect(slices.Chunk(slices.Clone(logits.Values), run.Manifest().Columns))
}

// logProbs returns log-softmax of the same.
func logProbs(t *testing.T, dir string) [][]float64 {
	t.Helper()
	var rows [][]float64
	for _, z := range lastLogits(t, dir) {
		largest, sum := float64(slices.Max(z)), 0.0
		for _, v := range z {
			sum += math.Exp(float64(v) - largest)
		}
		row := make([]float64, len(z))
		for c, v := range z {
			row[c] = float64(v) - largest - math.Log(sum)
		}
		rows = append(rows, row)
	}
	return rows
}

// A student comes nearer to its teacher by the teacher's logits than by the labels, and its own configuration trains the same
// bits again.
func TestTeacher(t *testing.T) {
	folder := t.TempDir()
	teacher, alone, taught := filepath.Join(folder, "teacher"), filepath.Join(folder, "alone"), filepath.Join(folder, "taught")
	common := []string{"train", "--quiet", "--train-size", "300", "--epochs", "20"}
	train := func(out string, args ...string) {
		succeed(t, append(append(slices.Clip(common), "--out", out), args...)...)
	}
	train(teacher, "--model", "mlp:128", "--label-smoothing", "0.1")
	train(alone, "--model", "mlp:32")
	train(taught, "--model", "mlp:32", "--teacher", teacher, "--teacher-temperature", "2")
	if d, by := divergence(t, teacher, alone), divergence(t, teacher, taught); !(by < 0.8*d) {
		t.Errorf("KL from the teacher is %v with it, %v without: want a fifth less", by, d)
	}
	config, err := os.ReadFile(filepath.Join(taught, experiment.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"teacher: " + teacher, `teacher_epoch: "20"`, "teacher_temperature: 2", "loss: kl"} {
		if !strings.Contains(string(config), want) {
			t.Errorf("%q is not in the configuration\n%s", want, config)
		}
	}
	again := filepath.Join(folder, "again")
	succeed(t, "train", "--quiet", "-c", filepath.Join(taught, experiment.ConfigFile), "--out", again)
	if logitsHash(t, taught) != logitsHash(t, again) {
		t.Error("the run's own configuration trains other logits")
	}
	// At T = 1 the teacher's probabilities are targets for cross-entropy too, whose gradient is that of KL.
	soft := filepath.Join(folder, "soft")
	train(soft, "--model", "mlp:32", "--teacher", teacher, "--teacher-epoch", "best", "--loss", "cross-entropy")
	if d, by := divergence(t, teacher, alone), divergence(t, teacher, soft); !(by < d) {
		t.Errorf("KL from the teacher is %v by its probabilities, %v without", by, d)
	}
	for args, want := range map[string]string{
		"--teacher " + filepath.Join(folder, "none"):                        "none: file does not exist",
		"--teacher " + teacher + " --teacher-epoch 21":                      "no epoch 21",
		"--teacher " + teacher + " --train-size 301":                        "no logits of 1 of the 301 training samples",
		"--teacher " + teacher + " --seed 2":                                "training samples, of sample",
		"--teacher " + teacher + " --loss hinge":                            "use cross-entropy, kl or brier",
		"--teacher " + teacher + " --loss brier --teacher-temperature 2":    "brier has no temperature; it belongs to kl",
		"--teacher " + teacher + " --teacher-temperature -1":                "teacher temperature -1",
		"--teacher " + teacher + " --data " + birds(t, 500) + " --epochs 1": `no class "crow"`,
		"--teacher-epoch 3":       "give --teacher RUN",
		"--teacher-temperature 2": "belongs to kl",
		"--loss kl":               "needs a teacher",
	} {
		out := filepath.Join(folder, "bad")
		code, _, said := call(t, append(append(slices.Clip(common), "--out", out), strings.Fields(args)...)...)
		if code == exitOK || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q, want %q", args, code, said, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s left a run", args)
		}
	}
}

// yes returns which validation samples a run of two classes takes for class 1 at its last epoch.
func yes(t *testing.T, dir string) (is []bool) {
	t.Helper()
	for _, z := range lastLogits(t, dir) {
		if len(z) == 2 {
			z = []float32{z[1] - z[0]}
		}
		is = append(is, z[0] > 0)
	}
	return is
}

// Of two classes a teacher's single logit is read as two, and taken for one where one is asked for; other data is found out.
func TestTeacherOfTwoClasses(t *testing.T) {
	folder := t.TempDir()
	table := func(name string, shift int) string {
		var b strings.Builder
		b.WriteString("left,right,kind\n")
		for i := range 200 {
			x, y := math.Sin(float64(7*i)), math.Cos(float64(5*i))
			kind := "no"
			if x+y > 0 != ((i+shift)%10 == 0) {
				kind = "yes"
			}
			b.WriteString(strings.Join([]string{fmt.Sprint(x), fmt.Sprint(y), kind}, ",") + "\n")
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data, other := table("data.csv", 0), table("other.csv", 1)
	teacher := filepath.Join(folder, "teacher")
	succeed(t, "train", "--quiet", "--data", data, "--epochs", "30", "--lr", "0.01", "--out", teacher)
	for _, loss := range []string{"kl", "binary-cross-entropy"} {
		student := filepath.Join(folder, loss)
		succeed(t, "train", "--quiet", "--data", data, "--epochs", "60", "--lr", "0.01", "--teacher", teacher, "--loss", loss, "--out", student)
		wrong := 0
		want := yes(t, teacher)
		for i, is := range yes(t, student) {
			if is != want[i] {
				wrong++
			}
		}
		if wrong > 4 {
			t.Errorf("%s: %d of 40 samples are taken for another class than by the teacher", loss, wrong)
		}
	}
	code, _, said := call(t, "train", "--quiet", "--data", other, "--teacher", teacher, "--out", filepath.Join(folder, "bad"))
	if code != exitUsage || !strings.Contains(said, "it was trained on other data") {
		t.Errorf("exit code %d, %q", code, said)
	}
}
