package cli

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// axis is a flag of train with the values, or the range, to sweep over.
type axis struct {
	flag   string
	values []string
}

// assignments reads the values of --grid or --random, each FLAG=VALUES. The values are separated by semicolons where there is one, else by commas.
func assignments(texts []string, what string) ([]axis, error) {
	var axes []axis
	for _, text := range texts {
		flag, values, ok := strings.Cut(text, "=")
		if !ok || values == "" {
			return nil, fmt.Errorf("--%s %q is not FLAG=VALUES", what, text)
		}
		parting := ","
		if strings.Contains(values, ";") {
			parting = ";"
		}
		axes = append(axes, axis{flag, strings.Split(values, parting)})
	}
	return axes, nil
}

// axesOf reads the grid or the ranges of a file. Those of flags that are in given are left out.
func axesOf(items yaml.MapSlice, given []axis) []axis {
	var axes []axis
	for _, item := range items {
		a := axis{flag: strings.ReplaceAll(fmt.Sprint(item.Key), "_", "-")}
		if slices.ContainsFunc(given, func(g axis) bool { return g.flag == a.flag }) {
			continue
		}
		values, ok := item.Value.([]any)
		if !ok && item.Value != nil {
			values = []any{item.Value}
		}
		for _, v := range values {
			a.values = append(a.values, word(v))
		}
		axes = append(axes, a)
	}
	return axes
}

// word returns a YAML value in the form in which a flag takes it.
func word(v any) string {
	items, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = fmt.Sprint(item)
	}
	return strings.Join(words, ",")
}

// streamSweep is the number of the random stream that settings are drawn from.
const streamSweep = 200

// setting is a flag of train with a value.
type setting struct{ flag, value string }

// sweepSettings returns the settings of each run: every combination of the grid, and with ranges so many runs of each.
func sweepSettings(grid, random []axis, runs int, rng *rand.Rand) ([][]setting, error) {
	if len(grid)+len(random) == 0 {
		return nil, errors.New("give --grid FLAG=VALUES or --random FLAG=LOW..HIGH")
	}
	all, seen := [][]setting{nil}, map[string]bool{}
	check := func(a axis) (err error) {
		switch {
		case len(a.values) == 0:
			err = fmt.Errorf("%s has no value", a.flag)
		case seen[a.flag]:
			err = fmt.Errorf("%s is given twice", a.flag)
		case a.flag == "out" || a.flag == "json" || a.flag == "quiet" || newTrain().Flags().Lookup(a.flag) == nil:
			err = fmt.Errorf("%s is no flag of logitscope train to sweep over", a.flag)
		}
		seen[a.flag] = true
		return err
	}
	for _, a := range grid {
		if err := check(a); err != nil {
			return nil, err
		}
		var more [][]setting
		for _, have := range all {
			for _, value := range a.values {
				more = append(more, append(have[:len(have):len(have)], setting{a.flag, strings.TrimSpace(value)}))
			}
		}
		all = more
	}
	if len(random) == 0 {
		return all, nil
	}
	if runs < 1 {
		return nil, fmt.Errorf("--runs %d: give 1 or more", runs)
	}
	draws := make([]func() setting, len(random))
	for i, a := range random {
		if err := check(a); err != nil {
			return nil, err
		}
		draw, err := parseRange(strings.Join(a.values, ","), rng)
		if err != nil {
			return nil, fmt.Errorf("--random %s=%s: %w", a.flag, strings.Join(a.values, ","), err)
		}
		draws[i] = func() setting { return setting{a.flag, draw()} }
	}
	var more [][]setting
	for _, have := range all {
		for range runs {
			own := have[:len(have):len(have)]
			for _, draw := range draws {
				own = append(own, draw())
			}
			more = append(more, own)
		}
	}
	return more, nil
}

// parseRange returns a function that draws from LOW..HIGH, both ends included, or evenly over the logarithms from log:LOW..HIGH.
func parseRange(text string, rng *rand.Rand) (func() string, error) {
	span, logarithmic := strings.CutPrefix(text, "log:")
	lowText, highText, ok := strings.Cut(span, "..")
	low, err := strconv.ParseFloat(lowText, 64)
	high, err2 := strconv.ParseFloat(highText, 64)
	if !ok || err != nil || err2 != nil || !(low < high) || math.IsInf(high-low, 0) {
		return nil, errors.New("want LOW..HIGH, two numbers of which the second is larger")
	}
	if logarithmic && !(low > 0) {
		return nil, errors.New("the logarithm wants numbers above 0")
	}
	_, err = strconv.Atoi(lowText)
	_, err2 = strconv.Atoi(highText)
	whole := err == nil && err2 == nil
	return func() string {
		u := rng.Float64()
		v := low + u*(high-low)
		switch {
		case logarithmic && whole:
			v = min(math.Floor(low*math.Pow((high+1)/low, u)), high)
		case logarithmic:
			v = low * math.Pow(high/low, u)
		case whole:
			v = min(low+math.Floor(u*(high-low+1)), high)
		}
		if whole {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(v, 'g', 4, 64)
	}, nil
}
