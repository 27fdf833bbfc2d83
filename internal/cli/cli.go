// Package cli is the command line: each file a subcommand that parses, calls and prints.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// Main runs the program with its arguments and returns its exit code. Ctrl-C ends what is running in good order; a second
// one kills the process.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, stdout, stderr)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if _, err := kernel.Path(); err != nil {
		fmt.Fprintf(stderr, "logitscope: %v\n", err)
		return exitUsage
	}
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	// What goes wrong before a subcommand starts is the way it was called.
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
	if !started || errors.As(err, &usage) {
		fmt.Fprintf(stderr, "logitscope: %s; see %s --help\n", oneLine(err), cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(stderr, "logitscope: %s\n", oneLine(err))
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "logitscope",
		Short: "A scope for the last layer of a classifier",
		Long: `logitscope trains classifiers, records every sample's logits at every epoch, and shows
raw logit → softmax → log-softmax → NLL for training and validation.`,
		Example: `  logitscope demo                      train on handwritten digits and watch it in the browser
  logitscope train --label-noise 0.2   record a run under runs/
  logitscope view runs                 the dashboard over recorded runs
  logitscope show runs/digits          the same figures as a table`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), flagUsages, flagUsagesUnder, 1))
	root.AddCommand(newDemo(), newTrain(), newLRFind(), newPredict(), newView(), newShow(), newExplain(), newCheck(), newScore(), newCalibrate(), newPlot(), newBench(), newLabels(), newDiagnose(), newReport(), newCompare(), newSweep(), newLosses())
	return root
}

// Where cobra's template of the help lists a command's flags, and what lists them under their headings.
const (
	flagUsages      = "Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}"
	flagUsagesUnder = "{{underHeadings .LocalFlags | trimTrailingWhitespaces}}"
)

func init() { cobra.AddTemplateFunc("underHeadings", underHeadings) }

const heading = "heading" // annotation of a flag

// under puts the flags that have no heading yet under one.
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

// usageError is an error in how the program was called: exit code 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// version is what the build recorded of its own source.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
