package experiment

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/dataset"
)

// defaults are the values of settings that depend on the data. They apply where neither a flag nor a file gives the setting.
type defaults struct {
	data         string // the kind of data that they are for, such as "a table"
	model        string
	epochs       int
	batch        int
	optimizer    string
	penalty              // its dropout applies with the default model, its weight decay with the default optimizer
	rivals       []rival // these race for model and penalty where validation decides; those of one model stand from a weak penalty to a strong one
	cycle, most  int     // the epochs of the first cycle, and the largest number of all, where validation decides when to stop; 0 where it does not
	learningRate float64
	schedule     string
	warmup       float64           // applies with the default schedule
	raced        bool              // whether the penalty won a race
	reasons      map[string]string // why each setting, by its key, has its value
}

// digitsDefaults are the defaults for the digits. README and demo tell the story of this run, which is long enough to see a network overfit.
var digitsDefaults = defaults{
	data: "the digits", model: "mlp:64", epochs: 45, batch: 32, optimizer: "adam", learningRate: 0.001, schedule: "constant",
	reasons: reasons("the README tells its story, long enough to see a network overfit"),
}

// reasons returns a map with the same reason for each of the settings.
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

// rival is an entrant of a race: a model with a penalty.
type rival struct {
	model string
	penalty
}

// On a table of at most mostBins columns the network overBins races too. It learns where classes follow from thresholds, which a plain network
// learns slowly. It is narrow, so that it takes no more time than a plain one, and its penalty is strong, since the many values of the bins
// make it easy to learn rows by heart. docs/decisions/bins.md has the measurements.
const (
	overBins = "mlp:128,64+bins=16"
	mostBins = 24
)

// Constants for data of which validation decides how long is trained. Work is counted in multiply-adds rather than seconds, so that the same
// data trains the same epochs on any machine.
const (
	cycleSteps = 200  // the steps of the first cycle
	worthGain  = 0.01 // the gain of a cycle, as a share of the NLL, for which another one, twice as long, is worth its time
	mostWork   = 2e12 // the bound on all of training, a minute or two on two cores
	mostCycles = 4    // the largest number of cycles
	quickWork  = 2e10 // training of less work, about a second, may have two cycles more
	fewTexts   = 2000 // the largest number of texts for which validation decides
)

// defaultsFor returns the defaults for data of which n samples are trained on, by the kind of the data. bench/data.py measures how well they do.
// A small set has more epochs and smaller batches, so that there are enough steps.
func defaultsFor(data *dataset.Dataset, n int) defaults {
	input := inputOf(data)
	d := defaults{optimizer: "adam", schedule: "cosine", reasons: reasons("does well on such data wherever it was measured")}
	steps, least, most := 0, 0, 60 // the steps of all training, and the bounds on the epochs that they are
	smallest, perEpoch := 16, 100  // the batch is halved, down to smallest, until an epoch has perEpoch steps
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
		// As few steps as these texts have may not be enough where the classes differ in little. More of them take hardly any time.
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

// textDim returns how many values the vector of an n-gram has by default: 1 where a sample has a single logit, else the number of classes
// rounded up to 8, 16 or 32, which fill the processor's vectors, and 32 for more classes. More values took more time and improved nothing
// wherever it was measured.
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

// embeddingWidth is the number of values from which on a vector is taken for one that a foundation model made. A linear head does well on these.
const embeddingWidth = 128

// whyPenalty returns the reason for the penalty. It is raced for where there are validation rows, since it depends on the data how strong it
// should be: noisy rows want a strong one, and rows that hardly contradict each other want next to none.
func (d defaults) whyPenalty() string {
	if d.raced {
		return "it won the race for the lowest validation NLL"
	}
	return "noisy rows want as much, and nothing was raced that says otherwise"
}

// fill sets each setting that is not given to its value in d, and returns these settings with their reasons. Validation decides when training
// ends only where d has a cycle, and neither the epochs nor the schedule are given.
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

// restarts is the schedule of the learning rate that has cycles. After each cycle validation can decide whether another follows.
const restarts = "restarts"
