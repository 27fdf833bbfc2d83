// Package cli is the command line: each file a subcommand that parses, calls and prints.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/internal/kernel"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// run executes the program with its arguments and returns its exit code. Errors are written to errOut, in one line each.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	stdout, stderr := &output{to: out}, &output{to: errOut}
	code := execute(ctx, args, stdout, stderr)
	if err := stdout.flush(); err != nil && code != exitFailure {
		if !errors.Is(err, syscall.EPIPE) { // a reader such as head closed the pipe: that is no error to report
			fmt.Fprintf(stderr, "logitscope: the standard output cannot be written: %s\n", oneLine(err))
		}
		code = exitFailure
	}
	_ = stderr.flush()
	return code
}

// execute parses the arguments, calls the subcommand and writes its error.
func execute(ctx context.Context, args []string, stdout, stderr *output) int {
	if _, err := kernel.Path(); err != nil {
		fmt.Fprintf(stderr, "logitscope: %v\n", err)
		return exitUsage
	}
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	// An error before the subcommand starts is an error in how it was called.
	started := false
	for _, cmd := range root.Commands() {
		work := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			started = true
			return work(cmd, args)
		}
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var usage usageError
	var config *experiment.ConfigError
	if stdout.err != nil && errors.Is(err, stdout.err) {
		return exitOK // run reports that the output cannot be written
	}
	if !started || errors.As(err, &usage) || errors.As(err, &config) {
		fmt.Fprintf(stderr, "logitscope: %s; see %s --help\n", oneLine(err), cmd.CommandPath())
		return exitUsage
	}
	if interrupted(ctx, err) {
		err = errStopped
	}
	fmt.Fprintf(stderr, "logitscope: %s\n", oneLine(err))
	return exitFailure
}

// errStopped is the error of a command that was interrupted.
var errStopped = errors.New("stopped")

// unmade returns err or, where it says that ctx ended, an error that says so of what the command was making: it was written aside, and is gone.
func unmade(ctx context.Context, path string, err error) error {
	if !interrupted(ctx, err) {
		return err
	}
	return fmt.Errorf("%w: %s was not written, and nothing else is left; the same command begins again", errStopped, path)
}

// interrupted reports whether err says no more than that ctx ended, and what was read at that moment, which helps nobody. What is left
// of a training that broke off is said, and so is what became of each run of a sweep, whose errors are joined.
func interrupted(ctx context.Context, err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if _, ok := err.(*experiment.BrokenOff); ok {
			return false
		}
		if err == context.Canceled || err == context.Cause(ctx) {
			return true
		}
	}
	return false
}

// newRoot returns the program's command with all its subcommands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "logitscope",
		Short: "A scope for the last layer of a classifier",
		Long: `logitscope trains classifiers, records every sample's logits at every epoch, and shows
raw logit → softmax → log-softmax → NLL for training and validation.`,
		Example: `  logitscope demo                      train on handwritten digits and watch it in the browser
  logitscope train --label-noise 0.2   record a run under runs/
  logitscope view runs                 the dashboard over recorded runs
  logitscope show runs/digits          the same figures as a table
  logitscope learn                     from a logit to overfitting, in ten steps to touch`,
		Version:       experiment.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), flagUsages, flagUsagesUnder, 1))
	root.AddCommand(newDemo(), newTrain(), newLRFind(), newPredict(), newView(), newShow(), newExplain(), newCheck(), newScore(), newCalibrate(), newPlot(), newBench(), newLabels(), newDiagnose(), newReport(), newCompare(), newSweep(), newLosses(), newLearn(), newImport(), newPush(), newExport())
	return root
}

// flagUsages is the part of cobra's help template that lists a command's flags; flagUsagesUnder, which replaces it, lists them under headings.
const (
	flagUsages      = "Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}"
	flagUsagesUnder = "{{underHeadings .LocalFlags | trimTrailingWhitespaces}}"
)

func init() { cobra.AddTemplateFunc("underHeadings", underHeadings) }

const heading = "heading" // the annotation that holds a flag's heading

// under sets the heading of the flags that have none yet.
func under(flags *pflag.FlagSet, name string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Annotations == nil {
			f.Annotations = map[string][]string{heading: {name}}
		}
	})
}

// underHeadings lists flags under their headings, in the order in which these were given; the rest come last.
func underHeadings(flags *pflag.FlagSet) string {
	var order []string
	sets := map[string]*pflag.FlagSet{}
	flags.VisitAll(func(f *pflag.Flag) {
		name := ""
		if given := f.Annotations[heading]; len(given) > 0 {
			name = given[0]
		}
		if sets[name] == nil {
			order = append(order, name)
			sets[name] = pflag.NewFlagSet(name, pflag.ContinueOnError)
			sets[name].SortFlags = flags.SortFlags
		}
		sets[name].AddFlag(f)
	})
	var text strings.Builder
	for _, name := range order {
		title := "Flags"
		if name != "" {
			title = name + " flags"
		}
		fmt.Fprintf(&text, "%s:\n%s\n", title, sets[name].FlagUsages())
	}
	return text.String()
}

// oneLine returns the text of an error with all white space as single spaces.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
