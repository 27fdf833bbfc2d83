package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/experiment"
)

// teller writes what happens in an experiment, for a person to read.
type teller struct {
	out      io.Writer // receives what is said of data and settings
	progress io.Writer // receives the progress: a bar, or a line for each epoch
	quiet    bool      // whether progress is left out
}

// events returns the function that an experiment calls with its events. While the experiment writes a run, Ctrl-C lets it end in good order.
func (t teller) events(ctx context.Context) experiment.Events {
	var bar *progress
	var ended func()
	return func(event experiment.Event) {
		switch e := event.(type) {
		case experiment.DataRead:
			if e.Path != "digits" {
				describe(t.out, e.Data)
			}
		case experiment.Raced:
			t.raced(e.Race)
		case experiment.RunIsLarge:
			t.large(e)
		case experiment.Created:
			t.chosen(e.Experiment)
		case experiment.Warning:
			fmt.Fprintf(t.out, "warning: %s\n", e.Text)
		case experiment.Resumed:
			fmt.Fprintf(t.out, "%s: going on after epoch %d of %s\n", e.Dir, e.Done, e.Experiment.Config.EpochsInWords())
		case experiment.Refitting:
			fmt.Fprintf(t.out, "training anew on all rows, %s as validation chose: %s\n", plural(e.Epochs, "epoch"), e.Dir)
		case experiment.TrainingBegan:
			ended = endsInOrder(ctx)
			bar = newProgress(t.progress, e.Epochs, t.quiet)
		case experiment.EpochDone:
			bar.epoch(e.Epoch)
		case experiment.TrainingEnded:
			bar.finish()
			ended()
		}
	}
}

// describe writes how the data was read, before training on it.
func describe(out io.Writer, data *dataset.Dataset) {
	fmt.Fprintf(out, "%s: %s", data.Name, plural(data.Len(), "sample"))
	for _, p := range data.Parts {
		fmt.Fprintf(out, ", %d %s", len(p.Rows), p.Name)
	}
	fmt.Fprintf(out, "; %d classes", len(data.Classes))
	if data.Columns > 0 {
		fmt.Fprintf(out, "; %s", plural(data.Columns, "feature"))
	}
	fmt.Fprintln(out)
	const most = 40
	schema := data.Pipeline.Schema()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(schema) > 0 {
		fmt.Fprintln(table, "column\ttype\tfeatures\t")
	}
	for i, line := range schema {
		if i == most {
			fmt.Fprintf(table, "… and %d more\t\t\t\n", len(schema)-most)
			break
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(line[0]), line[1], line[2], printable(line[3]))
	}
	table.Flush()
	for _, note := range data.Notes {
		fmt.Fprintf(out, "note: %s\n", printable(note))
	}
	for _, warning := range data.Warnings {
		fmt.Fprintf(out, "warning: %s\n", printable(warning))
	}
}

func (t teller) raced(r *experiment.Race) {
	fmt.Fprintf(t.out, "raced by validation NLL, at the end of cycles of %d, %d, %d epochs:\n", r.Cycle, 2*r.Cycle, 4*r.Cycle)
	for i, e := range r.Entrants {
		chosen := ""
		if i == r.Chosen {
			chosen = ", the lowest: chosen"
		}
		dropout := "no dropout"
		if e.Dropout != 0 {
			dropout = fmt.Sprintf("dropout %v", e.Dropout)
		}
		what := fmt.Sprintf("%s, weight decay %v", dropout, e.WeightDecay)
		if e.Model != r.Entrants[0].Model {
			what = e.Model + ", " + what
		}
		fmt.Fprintf(t.out, "  %-50s  %s%s\n", what, e, chosen)
	}
}

// large writes a warning that says how large the run will be.
func (t teller) large(e experiment.RunIsLarge) {
	disk := ""
	if e.Free >= 0 {
		disk = fmt.Sprintf("; the disk has %s free", gibibytes(e.Free))
	}
	fmt.Fprintf(t.out, "warning: the logits of %s of %s make a run of %s%s; --record every:10, last, best or none keeps fewer, --record-rows float16 half of each\n",
		plural(e.Epochs, "epoch"), gibibytes(e.PerEpoch), gibibytes(e.Bytes), disk)
}

func gibibytes(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.0f MiB", math.Ceil(float64(n)/(1<<20)))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// chosen writes the settings that were chosen by the data, and the loss. Where validation decides on the length of training, the settings that this
// takes are told in one sentence.
func (t teller) chosen(e *experiment.Experiment) {
	c := e.Config
	var words []string
	open := false
	for _, choice := range e.Choices {
		open = open || choice.Setting == "lr_cycle"
	}
	for _, choice := range e.Choices {
		name := strings.ReplaceAll(choice.Setting, "_", " ")
		switch choice.Setting {
		case "epochs", "schedule", "lr_cycle", "min_gain":
			if open {
				continue
			}
		case "warmup":
			name = "warm-up"
		}
		words = append(words, fmt.Sprintf("%s %v", name, choice.Value))
	}
	if open {
		words = append(words, fmt.Sprintf("cycles of %d, %d, … epochs until one gains less than %v %% of the validation NLL or its own standard error, at most %s in all",
			c.Cycle, 2*c.Cycle, 100*c.MinGain, plural(c.Epochs, "epoch")))
	}
	if words != nil {
		fmt.Fprintf(t.out, "chosen for %s: %s\n", e.Kind, strings.Join(words, ", "))
	}
	switch {
	case c.Teacher != "" || c.Loss != "":
		fmt.Fprintf(t.out, "loss: %s, %s\n", e.Loss.Value, e.Loss.Why)
	default:
		fmt.Fprintf(t.out, "loss: %s on a %s head, since %s\n", e.Loss.Value, e.Head.Kind(), e.Loss.Why)
	}
}
