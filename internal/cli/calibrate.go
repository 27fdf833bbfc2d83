package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// calibration is what calibrate prints as JSON.
type calibration struct {
	calibrate.Fitted
	Written string `json:"written"` // the path of the file; "" where none was written
	analysis.Lacking
}

func newCalibrate() *cobra.Command {
	var from source
	var method, path string
	var o calibrate.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "calibrate [RUN]",
		Short: "Fit a temperature, or more, that makes the probabilities true",
		Long: `Fits a calibrator to labelled logits that the model was not trained on: the validation split of a run, at its best epoch, or
two arrays (NumPy or safetensors). A run keeps it as calibration.json, for predict. The held-out figures are of rows that the
calibrator of their fold was not fitted on; auto takes the method whose held-out NLL is lowest, none among them. What does worse
than none on those rows is not written, unless --method names it.`,
		Example: `  logitscope calibrate runs/demo
  logitscope calibrate runs/demo --method auto --json
  logitscope calibrate --logits z.npy --labels y.npy -o calibration.json`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.Folds < 2 || o.Folds > 100:
				return usagef("--folds %d: give 2 to 100", o.Folds)
			case o.Bins < 1 || o.Bins > 10_000:
				return usagef("--bins %d: give 1 to 10000", o.Bins)
			}
			if err := files.CheckGiven(path); err != nil {
				return err
			}
			by, err := calibrate.ParseMethod(method)
			if err != nil {
				return usagef("--%w", err)
			}
			var fitted *calibrate.Calibrator
			var source string
			err = from.read(cmd.Context(), args, func(rows summary.Rows, name string) (err error) {
				source = name
				b := rows.Part(0, rows.Len()) // cross-fitting draws rows from all of them
				if err := from.checkFinite(cmd.Context(), b); err != nil {
					return err
				}
				fitted, err = calibrate.Fit(cmd.Context(), b, by, o)
				return err
			})
			if err != nil {
				return err
			}
			fitted.Run, fitted.Epoch = from.run, from.readEpoch
			if len(args) == 1 && from.split == record.TrainSplit {
				from.note = "these rows are those that the model was trained on, of which it is surer than of others: fit on a split that it was not trained on"
			}
			if fitted.Fit.Clipped > 0 {
				from.note = joinNotes(from.note, fmt.Sprintf("%d of the probabilities are 0, and taken as the least that is not, 2.2e-16 at most", fitted.Fit.Clipped))
			}
			run := ""
			if path == "" && len(args) == 1 {
				run, path = args[0], filepath.Join(args[0], record.CalibrationFile)
			}
			written, left, err := keep(fitted, run, path, method, cmd.Flags().Changed("method"))
			if err != nil {
				return err
			}
			fitted.Fit.Note = joinNotes(joinNotes(fitted.Fit.Note, left), from.note)
			out := calibration{Fitted: fitted.Fitted(), Written: written, Lacking: from.lacks}
			if asJSON {
				err = writeJSON(cmd, out)
			} else {
				err = printCalibration(cmd, source, &out)
			}
			return cmp.Or(err, from.lacking(args))
		},
	}
	flags := cmd.Flags()
	from.flags(flags, "best")
	flags.StringVar(&method, "method", "temperature", "temperature, vector, platt, isotonic, histogram, or auto for the best by held-out NLL, which may be none")
	flags.IntVar(&o.Bins, "bins", 15, "bins of the calibration error")
	flags.IntVar(&o.Folds, "folds", 5, "folds of cross-fitting, for the held-out figures")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of the folds")
	flags.StringVarP(&path, "output", "o", "", "file to write the calibrator to (default: calibration.json in the run; none for arrays)")
	flags.BoolVar(&asJSON, "json", false, "print the fit as JSON")
	return cmd
}

// keep writes a calibrator to path, or into the run where run is not "", and returns where. A calibrator that does worse than none is written only
// where its method was asked for; otherwise left says why it was not written.
func keep(c *calibrate.Calibrator, run, path, method string, asked bool) (written, left string, err error) {
	switch {
	case path == "":
		return "", "", nil
	case c.Method == calibrate.None || c.Fit.HeldOut.Worse() && !asked:
	case run != "":
		return path, "", keepCalibration(run, c)
	default:
		return path, "", c.Save(path)
	}
	if run != "" && method == "auto" {
		left, err = removed(path)
		return "", left, err
	}
	left = "nothing is written"
	if c.Method != calibrate.None {
		left += fmt.Sprintf("; --method %s writes it all the same", c.Method)
	}
	if _, err := os.Stat(path); err == nil {
		left += fmt.Sprintf(", and %s of an earlier fit stays", path)
	}
	return "", left, nil
}

// keepCalibration keeps a calibrator with the run in dir.
func keepCalibration(dir string, c *calibrate.Calibrator) error {
	run, err := record.Open(dir)
	if err != nil {
		return err
	}
	defer run.Close()
	if err := c.SaveIn(run); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// joinNotes puts a semicolon between two notes where there are two.
func joinNotes(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// removed deletes the calibrator of a run, which predict would use although it does worse than none, and returns a note that says so.
func removed(path string) (string, error) {
	old, err := calibrate.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "nothing is written", nil
	}
	if err := os.Remove(path); err != nil {
		return "", err
	}
	if old == nil {
		return "the calibrator of an earlier fit is removed", nil
	}
	return fmt.Sprintf("the calibrator of an earlier fit, by %s, is removed", old.Method), nil
}

func printCalibration(cmd *cobra.Command, from string, c *calibration) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s: %s of %d classes, by %s", from, plural(c.N, "labelled row"), c.Classes, c.Method)
	if c.Temperature != nil {
		fmt.Fprintf(out, ", T = %.6g", *c.Temperature)
	}
	fmt.Fprintf(out, " (%s)\n\n", c.Verdict)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tbefore\tafter\t")
	fmt.Fprintf(table, "NLL\t%.6f\t%.6f\t\n", c.NLLBefore, c.NLLAfter)
	fmt.Fprintf(table, "ECE\t%.6f\t%.6f\t\n", c.ECEBefore, c.ECEAfter)
	if held := c.HeldOut; held.Folds > 0 {
		fmt.Fprintf(table, "held-out NLL\t%.6f\t%.6f\t\n", held.NLLBefore, held.NLLAfter)
		fmt.Fprintf(table, "held-out ECE\t%.6f\t%.6f\t\n", held.ECEBefore, held.ECEAfter)
	}
	for _, tried := range c.Tried {
		fmt.Fprintf(table, "%s\t\t%.6f\t\n", tried.Method, tried.NLL)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if c.Note != "" {
		fmt.Fprintf(out, "\nnote: %s\n", c.Note)
	}
	if c.Undefined > 0 {
		fmt.Fprintf(out, "\n%s without a softmax left out\n", plural(c.Undefined, "labelled row"))
	}
	if c.Written != "" {
		fmt.Fprintf(out, "\nwritten to %s\n", c.Written)
	}
	return nil
}
