package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/predict"
)

// stepNames are the flags of a sampler's steps, by their number.
var stepNames = []string{logit.StepTemperature: "temperature", logit.StepTopK: "top-k", logit.StepTopP: "top-p", logit.StepMinP: "min-p"}

func newPredict() *cobra.Command {
	var o predict.Options
	var data, output, format, decode string
	var order []string
	var raw bool
	cmd := &cobra.Command{
		Use:   "predict RUN",
		Short: "Use a trained run on new data: label, probability, the most probable classes and the logits of every row",
		Long: `Reads new rows as the training rows were read, puts them through the run's best checkpoint, and writes a line for each.
Probabilities are calibrated where the run has a calibration.json (see logitscope calibrate).`,
		Example: `  logitscope predict runs/birds --data new.csv -o predicted.csv
  logitscope predict runs/birds --data new.csv --top 5 -o predicted.parquet
  logitscope predict runs/birds --data new.csv --decode multinomial --temperature 0.8 --top-p 0.9 --seed 7 --format jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case decode != "argmax" && decode != "multinomial":
				return usagef("--decode %q: use argmax or multinomial", decode)
			case decode == "argmax" && slices.ContainsFunc([]string{"top-k", "top-p", "min-p", "order", "seed"}, cmd.Flags().Changed):
				return usagef("--top-k, --top-p, --min-p, --order and --seed belong to --decode multinomial; --top lists more classes")
			case !(o.Sampler.Temperature > 0):
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
			m, err := predict.Open(args[0])
			if err != nil {
				return err
			}
			m.Options = o
			if raw {
				m.Calibrator = nil
			}
			rows, err := m.Open(data)
			if err != nil {
				return err
			}
			defer rows.Close()
			if err := predictTo(cmd, output, format, m, func(write func([]predict.Prediction) error) error {
				return m.Each(rows, func(block []predict.Prediction) error {
					if err := cmd.Context().Err(); err != nil {
						return err
					}
					return write(block)
				})
			}); err != nil {
				return err
			}
			said := cmd.ErrOrStderr()
			how := "not calibrated"
			if m.Calibrator != nil {
				how = fmt.Sprintf("calibrated by %s", m.Calibrator.Method)
			}
			fmt.Fprintf(said, "%s of %s, epoch %d, probabilities %s\n", plural(rows.Read(), "row"), args[0], m.Epoch, how)
			for _, warning := range rows.Counts.Warnings() {
				fmt.Fprintf(said, "warning: %s\n", warning)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "new rows: a table with the columns of the training data, arrays, IDX images or a folder of images")
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
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic(err)
	}
	return cmd
}

// predictTo writes what each hands out to the file output, whole or not at all, or to the standard output.
func predictTo(cmd *cobra.Command, output, format string, m *predict.Model, each func(write func([]predict.Prediction) error) error) (err error) {
	var out io.Writer = cmd.OutOrStdout()
	if output != "" {
		file, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+"-")
		if err != nil {
			return err
		}
		defer os.Remove(file.Name()) // gone by then where all went well
		defer file.Close()
		out = file
	}
	w, err := predict.NewWriter(out, format, m)
	if err != nil {
		return usageError{err}
	}
	if err := each(w.Write); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if file, ok := out.(*os.File); ok && output != "" {
		if err := file.Chmod(0o644); err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		return os.Rename(file.Name(), output)
	}
	return nil
}
