package cli

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// addDataFlags adds the flags that say what to train on.
func addDataFlags(flags *pflag.FlagSet, o *dataset.Options) {
	flags.StringVar(&o.Path, "data", o.Path, "digits, a table (.csv, .tsv, .parquet, also gzipped), arrays (.npy, .npz, .safetensors), IDX images or a folder of images a class")
	flags.StringVar(&o.Labels, "labels", o.Labels, "file of labels, for arrays and IDX images")
	flags.StringVar(&o.Target, "target", o.Target, "column that holds the classes (default: target, label, class or y, else the last)")
	flags.BoolVar(&o.MultiLabel, "multi-label", o.MultiLabel, "the target lists several classes, as in red|round")
	flags.StringVar(&o.Text, "text-column", o.Text, "learn from this column alone, as text")
	flags.StringToStringVar(&o.Types, "types", o.Types, "types of columns: NAME=numeric, categorical, text or ignore")
	flags.StringSliceVar(&o.Missing, "missing", o.Missing, "what else stands for a missing value")
	flags.StringVar(&o.Delimiter, "delimiter", o.Delimiter, "delimiter of a table, one character or tab (default: found out)")
	flags.StringVar(&o.Header, "header", o.Header, "whether a table's first row names its columns: yes or no (default: found out)")
	flags.StringVar(&o.Val, "val", o.Val, "file of validation rows, instead of a share of the data")
	flags.StringVar(&o.ValLabels, "val-labels", o.ValLabels, "labels of --val, for arrays and IDX images")
	flags.Float64Var(&o.ValFraction, "val-fraction", o.ValFraction, "share of the samples kept for validation")
	flags.StringVar(&o.Test, "test", o.Test, "file of test rows: measured, never trained on")
	flags.StringVar(&o.TestLabels, "test-labels", o.TestLabels, "labels of --test, for arrays and IDX images")
	flags.StringVar(&o.Group, "group", o.Group, "column whose groups stay whole: all in training or all in validation")
	flags.IntVar(&o.TrainSize, "train-size", o.TrainSize, "training samples; 0 takes all that validation leaves")
	flags.IntVar(&o.ImageSize, "image-size", o.ImageSize, "side that a folder's images are resized to (default 32)")
}

// load reads the job's data and says what was made of it.
func (j job) load() (*dataset.Dataset, error) {
	data, err := dataset.Load(j.Data, rand.New(rand.NewPCG(j.Seed, streamSplit)))
	if err != nil {
		var option dataset.OptionError
		if errors.As(err, &option) {
			return nil, usageError{err}
		}
		return nil, err
	}
	if j.said != nil && j.Data.Path != "digits" {
		describe(j.said, data)
	}
	return data, nil
}

// headOf is the head that fits the data's classes: for two of them a single logit, unless two are asked for or the loss is one
// of a softmax.
func (j job) headOf(data *dataset.Dataset) nn.Head {
	ofSoftmax := j.Head == "softmax" || j.ClassWeights != "" || j.LabelSmoothing != 0 || j.ZLoss != 0 || j.FocalGamma != 0 ||
		j.Loss != "" && loss.Fits(j.Loss, "binary", false) != nil
	switch {
	case data.Targets != nil:
		return nn.Sigmoid(len(data.Classes))
	case len(data.Classes) == 2 && !ofSoftmax:
		return nn.Binary()
	}
	return nn.Softmax(len(data.Classes))
}

// describe says what the data is taken for, before it is trained on.
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
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", line[0], line[1], line[2], line[3])
	}
	table.Flush()
	for _, note := range data.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	for _, warning := range data.Warnings {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
}
