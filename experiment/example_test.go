package experiment_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/logitscope/logitscope/experiment"
)

// folder is one that the examples write to.
func folder() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "experiment-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

// A table is trained on with all defaults, and every row's logits are recorded at every epoch.
func Example() {
	dir, remove := folder()
	defer remove()
	config := experiment.Default()
	config.Data.Path = "testdata/t.csv"
	result, err := experiment.Run(context.Background(), config, filepath.Join(dir, "run"), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Recorded == result.Epochs, result.Figure, result.Splits["val"].Accuracy > 0.5)
	// Output: true val.nll true
}

// A plan says what would be done, and why, before anything is written.
func ExamplePlan() {
	config := experiment.Default()
	config.Data.Path, config.Model = "testdata/t.csv", "mlp:16"
	config.Epochs, config.Optimizer = 20, "adam"
	plan, err := experiment.Plan(context.Background(), config, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.Kind, "of", len(plan.Data.Classes), "classes;", plan.Loss.Value, "since", plan.Loss.Why)
	for _, c := range plan.Choices {
		fmt.Printf("%s %v: %s\n", c.Setting, c.Value, c.Why)
	}
	// Output:
	// a table of 3 classes; cross-entropy since a sample has exactly one of 3 classes
	// batch 16: a table has 96 training samples, and an epoch shall have 40 steps or so
	// lr 0.00125: the noise of a step is as the rate over the batch: small batches go more slowly
	// schedule cosine: does well on such data wherever it was measured
}

// A run whose context ends keeps what it recorded; it goes on, to the same bits, by Resume or by logitscope train --resume.
func ExampleResume() {
	dir, remove := folder()
	defer remove()
	run := filepath.Join(dir, "run")
	config := experiment.Default()
	config.Data.Path, config.Epochs = "testdata/t.csv", 10
	ctx, stop := context.WithCancel(context.Background())
	_, err := experiment.Run(ctx, config, run, func(event experiment.Event) {
		if e, ok := event.(experiment.EpochDone); ok && e.Number == 4 {
			stop()
		}
	})
	var broken *experiment.BrokenOff
	if !errors.As(err, &broken) {
		log.Fatal(err)
	}
	fmt.Println("stopped after epoch", broken.Epoch)
	result, err := experiment.Resume(context.Background(), run, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Recorded, "epochs are recorded")
	// Output:
	// stopped after epoch 4
	// 10 epochs are recorded
}

// A sweep trains one run for each Config.
func ExampleSweep() {
	dir, remove := folder()
	defer remove()
	var trials []experiment.Trial
	for _, rate := range []float64{0.001, 0.01} {
		config := experiment.Default()
		config.Data.Path, config.Epochs, config.LearningRate = "testdata/t.csv", 5, rate
		trials = append(trials, experiment.Trial{Dir: filepath.Join(dir, fmt.Sprint(rate)), Config: config})
	}
	results, err := experiment.Sweep(context.Background(), trials, 2, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(filepath.Base(r.Run), r.Epochs)
	}
	// Output:
	// 0.001 5
	// 0.01 5
}
