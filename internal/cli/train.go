package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/record"
)

func newTrain() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a classifier and record every sample's logits at every epoch",
		Example: `  logitscope train
  logitscope train --model mlp:256,256 --batch 16 --train-size 400 --label-noise 0.2 --out runs/noisy
  logitscope train --optimizer sgd --lr 0.1 --momentum 0.9 --schedule cosine --warmup 0.05 --stop-on val.nll --patience 5
  logitscope train --model linear --teacher runs/noisy --teacher-temperature 2    # distillation
  logitscope train -c runs/noisy/config.yaml --out runs/again    # the same bits again
  logitscope train --resume runs/noisy                           # after Ctrl-C, a crash or a full disk`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := teller{out: cmd.ErrOrStderr(), progress: cmd.ErrOrStderr(), quiet: f.quiet}
			if f.quiet {
				t.out = io.Discard
			}
			events := t.events(cmd.Context())
			if f.resume != "" {
				if err := onlyResume(cmd.Flags()); err != nil {
					return err
				}
				return printTrained(cmd, f.asJSON)(experiment.Resume(cmd.Context(), f.resume, events))
			}
			config, err := f.read(cmd.Flags(), experiment.Default())
			if err == nil {
				err = noneIdle(cmd.Flags(), config)
			}
			if err != nil {
				return err
			}
			if f.file != "" {
				warnOfEdited(f.file, t.out)
			}
			out := cmp.Or(f.out, freeRun(dataset.Name(config.Data.Path)))
			return printTrained(cmd, f.asJSON)(experiment.Run(cmd.Context(), config, out, events))
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// trainFlags holds the flags of train.
type trainFlags struct {
	configFlags
	out, resume   string
	quiet, asJSON bool
}

func (f *trainFlags) add(flags *pflag.FlagSet) {
	f.configFlags.add(flags)
	flags.StringVar(&f.resume, "resume", "", "run to go on with where it ended")
	flags.StringVar(&f.out, "out", "", "run directory to make (default: the first free of runs/digits, runs/digits-2, …)")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress")
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
}

// onlyResume returns an error for a flag that would change a run that is resumed.
func onlyResume(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if f.Name != "resume" && f.Name != "quiet" && f.Name != "json" {
			err = usagef("--%s beside --resume: a run goes on as it was begun; for another one use -c RUN/%s --%s …", f.Name, experiment.ConfigFile, f.Name)
		}
	})
	return err
}

// warnOfEdited writes a warning where path is the configuration file of a run and has been edited since the run was trained. The file is used
// all the same.
func warnOfEdited(path string, stderr io.Writer) {
	run, err := record.Open(filepath.Dir(path))
	if err != nil {
		return // the file does not belong to a run
	}
	defer run.Close()
	damage := (*record.Damage)(nil)
	if _, err := run.File(filepath.Base(path)); errors.As(err, &damage) {
		fmt.Fprintf(stderr, "warning: %s is not as run %s was trained with, but edited or damaged; it is taken as it is\n", path, run.Manifest().Name)
	}
}

// printTrained returns a function that prints the result of a training, as JSON or in words.
func printTrained(cmd *cobra.Command, asJSON bool) func(*experiment.Result, error) error {
	return func(result *experiment.Result, err error) error {
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if asJSON {
			return json.NewEncoder(out).Encode(result)
		}
		next := "see them with: logitscope view " + result.Run
		if result.Recorded == 0 {
			next = "use it with: logitscope predict " + result.Run + " --data …"
		}
		fmt.Fprintf(out, "%s trained and %d recorded in %s, the best is %d by %s; %s\n",
			plural(result.Epochs, "epoch"), result.Recorded, result.Run, result.Best, result.Figure, next)
		printEnd(out, result)
		if result.Refit != "" {
			fmt.Fprintf(out, "trained on all rows: use it with: logitscope predict %s --data …; what is known of it are the figures of %s\n", result.Refit, result.Run)
		}
		return nil
	}
}

// printEnd writes why training ended and, for a small table, how its validation rows could be used for training too.
func printEnd(out io.Writer, result *experiment.Result) {
	c, last := result.Experiment.Config, result.LastCycle
	switch {
	case result.OutOfTime:
		fmt.Fprintf(out, "training ended with the budget of %s, after epoch %d\n", c.Budget, result.Epochs)
	case last != nil && !last.Worth:
		fmt.Fprintf(out, "training ended where another cycle is not worth its time: on validation the last %s\n", last)
	case last != nil:
		fmt.Fprintf(out, "training ended with its %s, still falling: on validation the last %s; --epochs gives more\n", plural(result.Epochs, "epoch"), last)
	}
	const small = 1000
	splits := result.Experiment.Splits
	if n := splits[0].N(); len(splits) > 1 && splits[1].Name == record.ValSplit && c.Data.Val == "" && !c.Refit && c.Data.Path != "digits" && n < small {
		fmt.Fprintf(out, "hint: %d of %s were kept for validation: --refit trains on all of them, for what validation chose\n",
			splits[1].N(), plural(n+splits[1].N(), "row"))
	}
}

// freeRun returns the first of runs/NAME, runs/NAME-2, … that does not exist.
func freeRun(name string) string {
	for i := 1; ; i++ {
		dir := filepath.Join("runs", name)
		if i > 1 {
			dir += "-" + strconv.Itoa(i)
		}
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return dir
		}
	}
}
