package experiment

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/dataset"
)

// defaults are the settings that depend on the data, where neither a flag nor a file gives them.
type defaults struct {
	data         string // what they are for
	model        string
	epochs       int
	batch        int
	optimizer    string
	penalty              // with the model and the optimizer that are chosen
	rivals       []rival // what is raced against each other in its place, of a model from weak to strong, where validation decides
	cycle, most  int     // epochs of the first cycle and of all, where validation decides when to stop; 0: it does not
	learningRate float64
	schedule     string
	warmup       float64 // with the schedule that is chosen
	raced        bool    // the penalty won a race
	reasons      map[string]string
}

// digitsDefaults are the defaults for the digits. README and demo tell the story of this run, which is long enough to see a network overfit.
var digitsDefaults = defaults{
	data: "the digits", model: "mlp:64", epochs: 45, batch: 32, optimizer: "adam", learningRate: 0.001, schedule: "constant",
	reasons: reasons("the README tells its story, long enough to see a network overfit"),
}

// reasons are one reason for every setting.
func reasons(why string) map[string]string {
	all := map[string]string{}
	for _, setting := range []string{"model", "epochs", "batch", "optimizer", "lr", "schedule"} {
		all[setting] = why
	}
	return all
}

// penalty is what holds a network back from learning its rows by heart.
type penalty struct {
	dropout, decay float64
}

func (p penalty) String() string {
	if p.dropout == 0 {
		return fmt.Sprintf("no dropout, weight decay %v", p.decay)
	}
	return fmt.Sprintf("dropout %v, weight decay %v", p.dropout, p.decay)
}

// rival is what races: a model with a penalty.
type rival struct {
	model string
	penalty
}

// Of a table of few columns a network over bins races too: it learns thresholds, which it takes a plain one long to. It is as narrow as to cost no
// more, and strongly held back, since so many values tell rows apart.
const (
	overBins = "mlp:128,64+bins=16"
	mostBins = 24 // columns
)

// Where validation decides: the steps of the first cycle, the gain of a cycle that is worth the time of one twice as long, and
// a bound on all of training, in multiply-adds, so that no clock decides: a minute or two on two cores.
const (
	cycleSteps = 200
	worthGain  = 0.01
	mostWork   = 2e12
	mostCycles = 4
	quickWork  = 2e10 // about a second: up to here there may be two cycles more
	fewTexts   = 2000 // up to so many texts validation decides how long they are learnt from
)

// defaultsFor chooses by the kind of the data and the number n of training samples. bench/data.py measures them. A small set
// has more epochs, of smaller batches, so that there are steps enough.
func defaultsFor(data *dataset.Dataset, n int) defaults {
	input := inputOf(data)
	d := defaults{optimizer: "adam", schedule: "cosine", reasons: reasons("does well on such data wherever it was measured")}
	steps, least, most := 0, 0, 60
	smallest, perEpoch := 16, 100 // the batch is halved, down to smallest, where an epoch has fewer batches
	switch {
	case input.Buckets > 0:
		d.reasons["model"] = "tf-idf vectors are nearly linearly separable: a value of an n-gram for each logit, in whole vectors"
		d.reasons["batch"] = "large batches share their n-grams, so that fewer rows are stepped"
		d.reasons["lr"] = "what one value does not move, the others do"
		d.reasons["epochs"] = "what a few passes do not learn is noise"
		dim := textDim(data)
		d.data, d.model, d.batch = "texts", fmt.Sprintf("text:%d", dim), 256
		d.learningRate = math.Round(100/math.Sqrt(float64(dim))) / 1000
		steps, least, most = 200, 3, 30
		smallest, perEpoch = 64, 30
	case input.Height > 0:
		d.reasons["warmup"] = "a rate that rises first may be high: a better NLL in fewer epochs, and no network whose ReLUs die in the first steps"
		d.data, d.model, d.batch, d.learningRate, d.warmup = "images", "cnn", 64, 0.008, 0.3
		steps, least, smallest = 640, 5, 32
	case data.Columns >= embeddingWidth && data.Pipeline.Kind == dataset.KindVectors:
		d.reasons["model"] = "a linear head does well on what a foundation model made"
		d.data, d.model, d.batch, d.learningRate = "embeddings", "linear", 128, 0.002
		steps, least = 3000, 10
	default:
		d.reasons["model"] = "wide does better than narrow wherever it was measured"
		d.data, d.model, d.batch, d.learningRate = "a table", "mlp:256,128", 128, 0.005
		d.optimizer = "adamw"
		for _, p := range []penalty{{0, 0.01}, {0.1, 0.1}, {0.2, 0.3}, {0.2, 1}} {
			d.rivals = append(d.rivals, rival{d.model, p})
		}
		d.penalty = d.rivals[2].penalty
		if data.Columns <= mostBins {
			d.rivals = append(d.rivals, rival{overBins, d.rivals[3].penalty})
		}
		steps, least, most = 2500, 16, 20
		perEpoch = 40
	}
	for d.batch > smallest && n < perEpoch*d.batch {
		d.batch /= 2
		d.reasons["batch"] = fmt.Sprintf("%s has %d training samples, and an epoch shall have %d steps or so", d.data, n, perEpoch)
	}
	d.epochs = min(max(steps*d.batch/max(n, 1), least), most)
	if input.Buckets > 0 && n <= fewTexts {
		// So few steps may not be enough where little tells the classes apart, and more of them take no time to speak of.
		d.cycle, d.most = d.epochs, d.epochs*(1<<mostCycles-1)
	}
	if d.rivals != nil {
		d.reasons["lr"] = "the noise of a step is as the rate over the batch: small batches go more slowly"
		d.learningRate *= min(1, float64(d.batch)/64)
		d.cycle = min(max(int(math.Round(cycleSteps*float64(d.batch)/float64(max(n, 1)))), 1), 25)
		work := 3 * float64(n) * float64(256*data.Columns+256*128+128*len(data.Classes)) // of an epoch
		for k := range mostCycles + 2 {
			bound := mostWork
			if k >= mostCycles {
				bound = quickWork
			}
			if epochs := d.cycle * (1<<(k+1) - 1); k < 2 || work*float64(epochs) <= bound {
				d.most = epochs
			}
		}
	}
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

// whyPenalty is why the penalty is what it is. How much holds a network back is raced for: noisy rows want much, rows that hardly
// contradict each other want next to nothing.
func (d defaults) whyPenalty() string {
	if d.raced {
		return "it won the race for the lowest validation NLL"
	}
	return "noisy rows want as much, and nothing was raced that says otherwise"
}

// fill takes d for what is not given, and returns what that is. Without validation rows, or with a length that is given, nothing is
// left to them.
func (c *Config) fill(d defaults) (choices []Choice) {
	chosen := func(setting string, value any, why string) { choices = append(choices, Choice{setting, value, why}) }
	if c.Model == "" {
		c.Model = d.model
		chosen("model", d.model, d.reasons["model"])
		if d.dropout != 0 && c.Dropout == 0 && !c.Given["dropout"] {
			c.Dropout = d.dropout
			chosen("dropout", d.dropout, d.whyPenalty())
		}
	}
	open := d.cycle > 0 && c.Epochs == 0 && c.Schedule.Schedule == ""
	switch {
	case open:
		c.Epochs, c.Schedule.Schedule, c.Cycle = d.most, restarts, d.cycle
		chosen("epochs", d.most, "at most: validation decides after each cycle of the learning rate")
		chosen("schedule", restarts, "training may end with any of its cycles")
		chosen("lr_cycle", d.cycle, fmt.Sprintf("about %d steps of the batch", cycleSteps))
		if !c.Given["min_gain"] {
			c.MinGain = worthGain
			chosen("min_gain", worthGain, "a cycle twice as long is not worth less")
		}
	case c.Epochs == 0:
		c.Epochs = d.epochs
		chosen("epochs", d.epochs, d.reasons["epochs"])
	}
	if c.Batch == 0 {
		c.Batch = d.batch
		chosen("batch", d.batch, d.reasons["batch"])
	}
	if c.Optimizer == "" {
		c.Optimizer = d.optimizer
		chosen("optimizer", d.optimizer, d.reasons["optimizer"])
		if d.decay != 0 && c.WeightDecay == 0 && !c.Given["weight_decay"] {
			c.WeightDecay = d.decay
			chosen("weight_decay", d.decay, d.whyPenalty())
		}
	}
	if c.LearningRate == 0 {
		c.LearningRate = d.learningRate
		chosen("lr", d.learningRate, d.reasons["lr"])
	}
	if c.Schedule.Schedule == "" {
		c.Schedule.Schedule = d.schedule
		chosen("schedule", d.schedule, d.reasons["schedule"])
		if d.warmup != 0 && c.Warmup == 0 && !c.Given["warmup"] {
			c.Warmup = d.warmup
			chosen("warmup", d.warmup, d.reasons["warmup"])
		}
	}
	return choices
}

// restarts is the schedule whose cycles validation judges.
const restarts = "restarts"
