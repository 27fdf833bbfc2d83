package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/internal/files"
	bounded "github.com/logitscope/logitscope/internal/yaml"
	"github.com/logitscope/logitscope/record"
)

func newSweep() *cobra.Command {
	var gridFlags, randomFlags []string
	var out, configFile string
	var runs, jobs int
	var seed uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sweep --grid FLAG=VALUE,… [--random FLAG=LOW..HIGH] [-- TRAIN FLAGS]",
		Short: "Train with every combination of settings, or with random ones, and compare the runs",
		Long: `Trains once for each combination of the values that --grid gives to flags of logitscope train and, with --random, --runs times for
each with numbers drawn from ranges. The settings of -c and what comes after -- go to every run. Each is recorded in a folder of its own; at the end
a table shows them by validation NLL, as logitscope compare does.

Values are parted by commas or, where one has commas itself, by semicolons. A range of two whole numbers gives whole
numbers; log: before it draws evenly over the logarithms.`,
		Example: `  logitscope sweep --grid lr=0.001,0.01 --grid 'hidden=64;128,64'
  logitscope sweep --random lr=log:0.0001..0.1 --random batch=8..64 --runs 20 -- --epochs 20
  logitscope sweep -c runs/digits/config.yaml --grid seed=1,2,3
  logitscope sweep -c sweep.yaml        # grid: {lr: [0.001, 0.01]} and random: {batch: 8..64} among the settings of train
  logitscope sweep --grid dropout=0,0.2,0.5 --out runs/dropout -- --data table.csv --target label`,
		RunE: func(cmd *cobra.Command, common []string) error {
			if cmd.ArgsLenAtDash() != 0 && len(common) > 0 {
				return usagef("%s: flags for every run come after --", common[0])
			}
			grid, err := assignments(gridFlags, "grid")
			random, err2 := assignments(randomFlags, "random")
			if err := cmp.Or(err, err2); err != nil {
				return usageError{err}
			}
			dir := cmp.Or(out, freeRun("sweep"))
			var file *sweepFile
			if configFile != "" {
				if file, err = readSweep(configFile); err != nil {
					return err
				}
				given := slices.Concat(grid, random)
				grid, random = append(grid, axesOf(file.Grid, given)...), append(random, axesOf(file.Random, given)...)
				if file.Runs != 0 && !cmd.Flags().Changed("runs") {
					runs = file.Runs
				}
			}
			settings, err := sweepSettings(grid, random, runs, rand.New(rand.NewPCG(seed, streamSweep)))
			if err != nil {
				return usageError{err}
			}
			if jobs < 1 {
				return usagef("--jobs %d: give 1 or more", jobs)
			}
			s := sweep{dir: dir, base: experiment.Default(), common: common, settings: settings}
			if file != nil {
				s.base = file.Settings
				if err := file.save(dir); err != nil {
					return err
				}
			}
			trials, failed := s.trials()
			ended := endsInOrder(cmd.Context())
			_, err = experiment.Sweep(cmd.Context(), trials, jobs, s.progressEvents(cmd.ErrOrStderr()))
			ended()
			failed = append(failed, err)
			if dirs := s.recorded(); len(dirs) > 0 {
				rows, err := compareRuns(cmd.Context(), dirs)
				if err == nil && asJSON {
					err = writeJSON(cmd, rows)
				} else if err == nil {
					err = printCompared(cmd.OutOrStdout(), rows)
				}
				failed = append(failed, err)
			}
			return errors.Join(failed...)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&gridFlags, "grid", nil, "flag of train and its values: lr=0.001,0.01")
	flags.StringArrayVar(&randomFlags, "random", nil, "flag of train and its range: lr=log:0.0001..0.1")
	flags.StringVarP(&configFile, "config", "c", "", "YAML file of settings of every run, with the keys grid, random and runs where flags do not give them; what is swept over wins")
	flags.IntVar(&runs, "runs", 10, "runs for each combination of the grid, with --random")
	flags.IntVar(&jobs, "jobs", runtime.NumCPU(), "runs at a time")
	flags.Uint64Var(&seed, "seed", 1, "seed of the random settings; that of training is a flag of train")
	flags.StringVar(&out, "out", "", "folder of the runs (default: the first free of runs/sweep, runs/sweep-2, …)")
	flags.BoolVar(&asJSON, "json", false, "print the table as JSON")
	return cmd
}

// sweepFile is the content of the file that sweep -c reads: settings of train, and the settings to sweep over.
type sweepFile struct {
	Settings experiment.Config `yaml:",inline"`          // settings of every run
	Grid     yaml.MapSlice     `yaml:"grid,omitempty"`   // for each key of train, a value or a list of values
	Random   yaml.MapSlice     `yaml:"random,omitempty"` // for each key of train, a range
	Runs     int               `yaml:"runs,omitempty"`
}

func readSweep(path string) (*sweepFile, error) {
	text, err := files.Read(path, bounded.MaxBytes)
	if err != nil {
		return nil, err
	}
	f := &sweepFile{Settings: experiment.Default()}
	f.Settings.Given, err = experiment.Unmarshal(text, path, f)
	return f, err
}

// save writes the settings that every run has to the sweep's folder, where the file holds a grid or ranges beside them.
func (f *sweepFile) save(dir string) error {
	if f.Grid == nil && f.Random == nil && f.Runs == 0 {
		return nil
	}
	text, err := f.Settings.YAML()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return files.Write(filepath.Join(dir, experiment.ConfigFile), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// sweep is a set of runs to train, each in its folder within dir.
type sweep struct {
	dir      string
	base     experiment.Config // settings of every run, from the file
	common   []string          // flags of train for every run, which win over base
	settings [][]setting
}

// trials returns the runs whose settings can be read, and an error for each of the others.
func (s sweep) trials() (trials []experiment.Trial, failed []error) {
	for i := range s.settings {
		config, err := s.config(i)
		if err != nil {
			failed = append(failed, fmt.Errorf("run %s: %w", s.name(i), err))
			continue
		}
		trials = append(trials, experiment.Trial{Dir: filepath.Join(s.dir, s.name(i)), Config: config})
	}
	return trials, failed
}

// config returns the configuration of run i: its own settings win over s.common, and these over s.base.
func (s sweep) config(i int) (experiment.Config, error) {
	var f trainFlags
	flags := pflag.NewFlagSet("train", pflag.ContinueOnError)
	f.add(flags)
	err := flags.Parse(s.common)
	for _, set := range s.settings[i] {
		if err == nil {
			err = flags.Set(set.flag, set.value)
		}
	}
	switch {
	case err != nil:
		return f.config, flagError(nil, err)
	case flags.NArg() > 0:
		return f.config, usagef("logitscope train takes no argument and was given %q", flags.Arg(0))
	case f.resume != "":
		return f.config, usagef("--resume: every run of a sweep is a new one")
	}
	return f.read(flags, s.base)
}

// progressEvents returns a function that writes a line for each run that has been trained.
func (s sweep) progressEvents(out io.Writer) experiment.Events {
	return func(event experiment.Event) {
		if done, ok := event.(experiment.TrialDone); ok && done.Err == nil {
			i := slices.IndexFunc(s.runs(), func(dir string) bool { return dir == done.Dir })
			fmt.Fprintf(out, "trained %d of %d: %s\n", i+1, len(s.settings), s.name(i))
		}
	}
}

// runs returns the directories of all runs.
func (s sweep) runs() []string {
	dirs := make([]string, len(s.settings))
	for i := range dirs {
		dirs[i] = filepath.Join(s.dir, s.name(i))
	}
	return dirs
}

// recorded returns the directories of the runs that can be opened.
func (s sweep) recorded() []string {
	return slices.DeleteFunc(s.runs(), func(dir string) bool {
		run, err := record.Open(dir)
		if err == nil {
			run.Close()
		}
		return err != nil
	})
}

// name returns the name of the folder of run i: its number and settings, in characters that every file system allows.
func (s sweep) name(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%0*d", len(strconv.Itoa(len(s.settings))), i+1)
	for _, set := range s.settings[i] {
		b.WriteString("_" + set.flag + "-" + set.value)
	}
	name := strings.Map(func(r rune) rune {
		if r < 128 && (r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}, b.String())
	return name[:min(len(name), 80)]
}
