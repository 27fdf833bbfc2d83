package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is an error in how the program was called: exit code 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// asInUse checks a command's arguments against the line Use of its help: NAME is an argument, [NAME] may be left out, and NAME… stands for
// one or more.
func asInUse(cmd *cobra.Command, args []string) error {
	call := cmd.Root().Name() + " " + cmd.Use
	names := strings.Fields(cmd.Use)[1:]
	for i, name := range names {
		if i >= len(args) && !strings.HasPrefix(name, "[") {
			return usagef("%s is missing: give %s", strings.TrimSuffix(name, "…"), call)
		}
	}
	for i, arg := range args {
		switch {
		case len(names) == 0:
			return usagef("%s takes no argument and was given %q", cmd.CommandPath(), arg)
		case i >= len(names) && !strings.HasSuffix(names[len(names)-1], "…"):
			return usagef("%q is one argument too many: give %s", arg, call)
		}
		name := strings.Trim(names[min(i, len(names)-1)], "[]…")
		switch {
		case arg == "":
			return usagef("%s is empty: give %s", name, call)
		case name != "URL" && (strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://")):
			return usagef("%s is %s, an address: fetch it, and give the path of the copy on this machine", name, arg)
		}
	}
	return nil
}

// flagError says in words what is wrong with a flag that pflag could not read.
func flagError(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var empty *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		return usagef("--%s %s", invalid.GetFlag().Name, invalidValue(invalid))
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usagef("unknown flag: -%s", unknown.GetSpecifiedName())
	case errors.As(err, &empty):
		return usagef("--%s needs a value, %s", empty.GetFlag().Name, valueOfType(empty.GetFlag().Value.Type()))
	}
	return err
}

// invalidValue quotes the value that a flag was given, and says what to give.
func invalidValue(invalid *pflag.InvalidValueError) string {
	want := valueOfType(invalid.GetFlag().Value.Type())
	switch {
	case errors.Is(invalid, strconv.ErrRange):
		return fmt.Sprintf("%q: the number does not fit into 64 bits", invalid.GetValue())
	case want == "":
		return fmt.Sprintf("%q: %v", invalid.GetValue(), invalid.Unwrap())
	}
	return fmt.Sprintf("%q: give %s", invalid.GetValue(), want)
}

// valueOfType says in words what a flag of a type of pflag takes; "" where the type is not one of those that this program uses.
func valueOfType(name string) string {
	return map[string]string{
		"bool":           "true or false",
		"duration":       "a time with its unit, such as 90s or 1h30m",
		"float64":        "a number",
		"int":            "a whole number",
		"int64":          "a whole number",
		"uint64":         "a whole number, 0 or more",
		"intSlice":       "whole numbers with commas between them",
		"ints":           "whole numbers with commas between them, such as 256,128",
		"string":         "a text",
		"stringArray":    "a text",
		"stringSlice":    "texts with commas between them",
		"stringToString": "NAME=VALUE, several with commas between them",
	}[name]
}
