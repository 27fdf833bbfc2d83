package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/dataset"
)

// defaults are the settings that depend on the data, where neither a flag nor a file gives them.
type defaults struct {
	data         string // what they are for
	model        string
	epochs       int
	batch        int
	optimizer    string
	decay        float64 // of the optimizer that is chosen
	learningRate float64
	schedule     string
	warmup       float64 // with the schedule that is chosen
}

// ofDigits are those of the example, which README and demo tell a story of: long enough to see a network overfit.
var ofDigits = defaults{data: "the digits", model: "mlp:64", epochs: 45, batch: 32, optimizer: "adam", learningRate: 0.001, schedule: "constant"}

// defaultsFor chooses by the kind of the data and the number n of training samples. bench/data.py measures them. A small set
// has more epochs, of smaller batches, so that there are steps enough.
func defaultsFor(data *dataset.Dataset, n int) defaults {
	input := inputOf(data)
	d := defaults{optimizer: "adam", schedule: "cosine"}
	steps, least, most := 0, 0, 60
	smallest, perEpoch := 16, 100 // the batch is halved, down to smallest, where an epoch has fewer batches
	switch {
	case input.Buckets > 0:
		// tf-idf vectors are nearly linearly separable: what a few passes do not learn is noise. Large batches share their n-grams,
		// so that fewer rows are stepped.
		dim := textDim(data)
		d.data, d.model, d.batch = "texts", fmt.Sprintf("text:%d", dim), 256
		d.learningRate = math.Round(100/math.Sqrt(float64(dim))) / 1000 // what one value does not move, the others do
		steps, least, most = 200, 3, 30
		smallest, perEpoch = 64, 30
	case input.Height > 0:
		// A rate that rises first may be high: a better NLL in fewer epochs, and no network whose ReLUs die in the first steps.
		d.data, d.model, d.batch, d.learningRate, d.warmup = "images", "cnn", 64, 0.008, 0.3
		steps, least, smallest = 640, 5, 32
	case data.Columns >= embeddingWidth && data.Pipeline.Kind == dataset.KindVectors:
		d.data, d.model, d.batch, d.learningRate = "embeddings", "linear", 128, 0.002
		steps, least = 3000, 10
	default:
		// Wide does better than narrow wherever it was measured; with dropout and decay the NLL is not past its best long
		// before accuracy is. Of few rows the best epoch is an early one: 20 epochs end where 60 do.
		d.data, d.model, d.batch, d.learningRate = "a table", "mlp:256,128+dropout=0.2", 128, 0.002
		d.optimizer, d.decay = "adamw", 0.3
		steps, least, most = 2500, 16, 20
	}
	for d.batch > smallest && n < perEpoch*d.batch {
		d.batch /= 2
	}
	d.epochs = min(max(steps*d.batch/max(n, 1), least), most)
	return d
}

// textDim is how many values an n-gram has by default: one where a sample has one logit, else as many as there are classes, in whole
// vectors, up to 32. More add time and nothing else wherever it was measured.
func textDim(data *dataset.Dataset) int {
	classes := len(data.Classes)
	if classes == 2 && data.Targets == nil {
		return 1
	}
	dim := 8
	for dim < min(classes, 32) {
		dim *= 2
	}
	return dim
}

// embeddingWidth is from how many values on a vector is taken for a foundation model's, on which a linear head does well.
const embeddingWidth = 128

// fill takes d for what is not given, and says so.
func (j *job) fill(d defaults) string {
	var taken []string
	set := func(name string, value any) { taken = append(taken, fmt.Sprintf("%s %v", name, value)) }
	if j.Model == "" {
		j.Model = d.model
		set("model", d.model)
	}
	if j.Epochs == 0 {
		j.Epochs = d.epochs
		set("epochs", d.epochs)
	}
	if j.Batch == 0 {
		j.Batch = d.batch
		set("batch", d.batch)
	}
	if j.Optimizer == "" {
		j.Optimizer = d.optimizer
		set("optimizer", d.optimizer)
		if d.decay != 0 && j.WeightDecay == 0 {
			j.WeightDecay = d.decay
			set("weight decay", d.decay)
		}
	}
	if j.LearningRate == 0 {
		j.LearningRate = d.learningRate
		set("lr", d.learningRate)
	}
	if j.Schedule.Schedule == "" {
		j.Schedule.Schedule = d.schedule
		set("schedule", d.schedule)
		if d.warmup != 0 && j.Warmup == 0 {
			j.Warmup = d.warmup
			set("warm-up", d.warmup)
		}
	}
	if taken == nil {
		return ""
	}
	return fmt.Sprintf("chosen for %s: %s", d.data, strings.Join(taken, ", "))
}

// validate is Validate before the data is known.
func (j job) validate() error {
	j.fill(ofDigits)
	return j.Validate()
}

// notZero refuses a 0 that was given: it would stand for what the data asks for.
func notZero(flags *pflag.FlagSet) error {
	for _, name := range []string{"epochs", "batch", "lr"} {
		if f := flags.Lookup(name); f.Changed && f.Value.String() == "0" {
			return usagef("--%s 0: give a number above 0", name)
		}
	}
	return nil
}
