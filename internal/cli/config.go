package cli

import (
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/train"
)

// addConfigFlags adds a flag for each setting of a configuration.
func addConfigFlags(flags *pflag.FlagSet, c *experiment.Config) {
	flags.SortFlags = false
	settings := experiment.Settings()
	for i, s := range settings {
		if s.Flag != "" {
			addFlag(flags, s, c)
		}
		if s.Key == "head" {
			flags.Var(hiddenFlag{&c.Model}, "hidden", "units of each hidden layer, as in 256,128: short for --model mlp:256,128")
		}
		if i+1 == len(settings) || settings[i+1].Group != s.Group {
			under(flags, s.Group)
		}
	}
}

func addFlag(flags *pflag.FlagSet, s experiment.Setting, c *experiment.Config) {
	switch field := s.Field(c).(type) {
	case *string:
		flags.StringVar(field, s.Flag, *field, s.Text)
	case *float64:
		flags.Float64Var(field, s.Flag, *field, s.Text)
	case *int:
		flags.IntVar(field, s.Flag, *field, s.Text)
	case *uint64:
		flags.Uint64Var(field, s.Flag, *field, s.Text)
	case *bool:
		flags.BoolVar(field, s.Flag, *field, s.Text)
	case *time.Duration:
		flags.DurationVar(field, s.Flag, *field, s.Text)
	case *[]string:
		flags.StringSliceVar(field, s.Flag, *field, s.Text)
	case *map[string]string:
		flags.StringToStringVar(field, s.Flag, *field, s.Text)
	default:
		panic(fmt.Sprintf("no flag for %s, a %T", s.Key, field)) // unreachable: experiment.Settings has no other types
	}
}

// hiddenFlag is the value of --hidden: it sets the model to a perceptron with hidden layers of the given widths.
type hiddenFlag struct{ model *string }

func (f hiddenFlag) Type() string { return "ints" }

func (f hiddenFlag) String() string {
	if f.model == nil {
		return ""
	}
	return strings.TrimPrefix(*f.model, "mlp:")
}

func (f hiddenFlag) Set(text string) error {
	var hidden []int
	for word := range strings.SplitSeq(text, ",") {
		if text == "" {
			break // the flag's empty value stands for no hidden layer
		}
		width, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return fmt.Errorf("%q is not a whole number", word)
		}
		hidden = append(hidden, width)
	}
	*f.model = train.MLP(hidden)
	return nil
}

// configFlags are the flags that say what to train: one for each setting, and --config for a file of settings, over which the flags win.
type configFlags struct {
	config experiment.Config
	file   string
}

func (f *configFlags) add(flags *pflag.FlagSet) {
	f.config = experiment.Default()
	addConfigFlags(flags, &f.config)
	flags.StringVarP(&f.file, "config", "c", "", "YAML file of settings, such as a run's config.yaml; flags win over it")
}

// read returns the configuration of the flags that were given. Settings without a flag are those of the file or, where there is none, of base.
func (f *configFlags) read(given *pflag.FlagSet, base experiment.Config) (experiment.Config, error) {
	for _, name := range []string{"epochs", "batch", "lr"} { // in a configuration, 0 stands for a value that is chosen by the data
		if flag := given.Lookup(name); flag.Changed && flag.Value.String() == "0" {
			return base, usagef("--%s 0: give a number above 0", name)
		}
	}
	if f.file != "" {
		var err error
		if base, err = experiment.ReadConfig(f.file); err != nil {
			return base, err
		}
	}
	base.Given = maps.Clone(base.Given)
	if base.Given == nil {
		base.Given = map[string]bool{}
	}
	for _, setting := range experiment.Settings() {
		flag := given.Lookup(setting.Flag)
		short := given.Lookup("hidden")
		if flag != nil && (flag.Changed || setting.Key == "model" && short.Changed) {
			reflect.ValueOf(setting.Field(&base)).Elem().Set(reflect.ValueOf(setting.Field(&f.config)).Elem())
			base.Given[setting.Key] = true
		}
	}
	return base, nil
}

// noneIdle returns an error for a flag of a schedule that is not the one named: it would have no effect. A file may have such settings, since a
// run's own has all of them, and so may a sweep, whose grid may set the schedule.
func noneIdle(given *pflag.FlagSet, config experiment.Config) error {
	for _, setting := range experiment.Settings() {
		flag := given.Lookup(setting.Flag)
		if flag == nil || !flag.Changed || flag.Value.String() == "" || setting.Idle == nil || !setting.Idle(config) {
			continue
		}
		named := "no --schedule is given"
		if schedule := config.Schedule.Schedule; schedule != "" {
			named = "the schedule is " + schedule
		}
		return usagef("--%s (%s) has no effect, since %s: leave it out, or give the --schedule that it is for", flag.Name, setting.Text, named)
	}
	return nil
}
