package cli

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/predict"
)

// stepNames are the names of a sampler's steps, as --order takes them, by the number of the step.
var stepNames = []string{logit.StepTemperature: "temperature", logit.StepTopK: "top-k", logit.StepTopP: "top-p", logit.StepMinP: "min-p"}

func newPredict() *cobra.Command {
	var o predict.Options
	var data, output, format, decode string
	var order []string
	var raw bool
	cmd := &cobra.Command{
		Use:   "predict RUN [FILE]",
		Short: "Use a trained run on new data: label, probability, the most probable classes and the logits of every row",
		Long: `Reads new rows as the training rows were read, puts them through the run's best checkpoint, and writes a line for each. FILE may be - for the
standard input: lines of a table, or JSON objects, are answered as they come.
Probabilities are calibrated where the run has a calibration.json (see logitscope calibrate).`,
		Example: `  logitscope predict runs/birds new.csv -o predicted.csv
  tail -f new.jsonl | logitscope predict runs/birds - --format jsonl
  logitscope predict runs/birds --data new.csv --top 5 -o predicted.parquet
  logitscope predict runs/birds --data new.csv --decode multinomial --temperature 0.8 --top-p 0.9 --seed 7 --format jsonl`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && data != "" {
				return usagef("rows are given twice: %s and --data %s", args[1], data)
			}
			if len(args) == 2 {
				data = args[1]
			}
			switch {
			case data == "":
				return usagef("give the new rows: logitscope predict %s FILE, or - for the standard input", args[0])
			case decode != "argmax" && decode != "multinomial":
				return usagef("--decode %q: use argmax or multinomial", decode)
			case decode == "argmax" && slices.ContainsFunc([]string{"top-k", "top-p", "min-p", "order", "seed"}, cmd.Flags().Changed):
				return usagef("--top-k, --top-p, --min-p, --order and --seed belong to --decode multinomial; --top lists more classes")
			case !analysis.ValidTemperature(o.Sampler.Temperature):
				return usagef("--temperature %v: give a finite number above 0", o.Sampler.Temperature)
			}
			o.Sample = decode == "multinomial"
			for _, name := range order {
				step := slices.Index(stepNames, name)
				if step < 0 {
					return usagef("--order: no step %q: use %s", name, strings.Join(stepNames, ", "))
				}
				o.Sampler.Order = append(o.Sampler.Order, logit.Step(step))
			}
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			if format == "" {
				format = predict.CSV
				if ext := strings.TrimPrefix(filepath.Ext(output), "."); output != "" {
					format = ext
				}
			}
			if err := files.CheckGiven(output); err != nil {
				return err
			}
			m, err := predict.Open(args[0])
			if err != nil {
				return err
			}
			m.Options = o
			if raw {
				m.Calibrator = nil
			}
			counts, read, err := predictFrom(cmd, data, output, format, m)
			if err != nil {
				return err
			}
			said := cmd.ErrOrStderr()
			how := "not calibrated"
			if m.Calibrator != nil {
				how = fmt.Sprintf("calibrated by %s", m.Calibrator)
			} else if raw {
				how += " (--uncalibrated)"
			}
			fmt.Fprintf(said, "%s of %s, epoch %d, probabilities %s\n", plural(read, "row"), args[0], m.Epoch, how)
			if m.Calibrator != nil && m.Calibrator.Unsealed {
				fmt.Fprintf(said, "warning: the calibration.json of %s is not sealed: written by an older version, so that damage to it would go unseen; logitscope calibrate %s writes it anew\n", args[0], args[0])
			}
			for _, warning := range counts.Warnings() {
				fmt.Fprintf(said, "warning: %s\n", printable(warning))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "FILE, said by a flag: a table with the columns of the training data, arrays, IDX images or a folder of images")
	flags.StringVarP(&output, "output", "o", "", "file to write: .csv, .jsonl or .parquet (default: CSV to the standard output)")
	flags.StringVar(&format, "format", "", "csv, jsonl or parquet (default: by the output's extension)")
	flags.IntVar(&o.Top, "top", 3, "how many of the most probable classes are listed")
	flags.StringVar(&decode, "decode", "argmax", "how the label is picked: argmax or multinomial (drawn from the probabilities)")
	flags.Float64Var(&o.Sampler.Temperature, "temperature", 1, "T that the logits are divided by, after calibration")
	flags.IntVar(&o.Sampler.TopK, "top-k", 0, "draw from the k most probable classes alone")
	flags.Float64Var(&o.Sampler.TopP, "top-p", 0, "draw from the fewest classes whose probabilities sum to this")
	flags.Float64Var(&o.Sampler.MinP, "min-p", 0, "draw from the classes with at least this share of the largest probability")
	flags.StringSliceVar(&order, "order", nil, "order of the steps before the draw (default "+strings.Join(stepNames, ",")+")")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of what is drawn")
	flags.BoolVar(&raw, "uncalibrated", false, "leave the run's calibration.json aside")
	return cmd
}

// predictFrom predicts the rows of a file, or those of the standard input as they come. It returns how many rows it read, and counts of the values
// in them that the training rows did not have.
func predictFrom(cmd *cobra.Command, data, output, format string, m *predict.Model) (counts dataset.Counts, read int, err error) {
	ctx := cmd.Context()
	if data == "-" {
		err = predictTo(cmd, output, format, m, func(w predict.Writer) error {
			counts, read, err = m.Stream(ctx, cmd.InOrStdin(), func(block []predict.Prediction) error {
				return cmp.Or(ctx.Err(), w.Write(block), w.Flush())
			})
			return err
		})
		return counts, read, err
	}
	rows, err := m.Open(data)
	if err != nil {
		return counts, 0, err
	}
	defer rows.Close()
	err = predictTo(cmd, output, format, m, func(w predict.Writer) error {
		return m.Each(rows, func(block []predict.Prediction) error { return cmp.Or(ctx.Err(), w.Write(block)) })
	})
	return rows.Counts, rows.Read(), err
}

// predictTo calls each with a writer to the file output, which is written completely or not at all, or to the standard output where output is "".
func predictTo(cmd *cobra.Command, output, format string, m *predict.Model, each func(w predict.Writer) error) error {
	write := func(out io.Writer) error {
		w, err := predict.NewWriter(out, format, m)
		if err != nil {
			return usageError{err}
		}
		if err := each(w); err != nil {
			return err
		}
		return w.Close()
	}
	if output != "" {
		return files.Write(output, write)
	}
	return write(plainly(cmd.OutOrStdout()))
}
