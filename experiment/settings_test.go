package experiment

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// leaves are the keys of a struct's fields, as YAML has them, with pointers to the fields.
func leaves(v reflect.Value, prefix string, into map[string]any) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported() || key == "-":
		case field.Anonymous:
			leaves(v.Field(i), prefix, into)
		case field.Type.Kind() == reflect.Struct:
			leaves(v.Field(i), prefix+key+".", into)
		default:
			into[prefix+key] = v.Field(i).Addr().Interface()
		}
	}
}

// Every field of Config is described once, at its own place, and a file may name it by its key.
func TestSettingsDescribeEveryField(t *testing.T) {
	var c Config
	fields := map[string]any{}
	leaves(reflect.ValueOf(&c).Elem(), "", fields)
	flags := map[string]bool{}
	for _, s := range Settings() {
		if fields[s.Key] == nil || fields[s.Key] != s.Field(&c) {
			t.Errorf("%s is described with another field than it has, or twice", s.Key)
		}
		delete(fields, s.Key)
		if s.Flag != "" && flags[s.Flag] {
			t.Errorf("--%s is given twice", s.Flag)
		}
		flags[s.Flag] = true
		if s.Text == "" {
			t.Errorf("%s has no text", s.Key)
		}
	}
	for key := range fields {
		t.Errorf("%s is not described", key)
	}
}

// A configuration read back from its own YAML or JSON is the same.
func TestConfigIsReadBack(t *testing.T) {
	c := Default()
	c.Data.Types = map[string]string{"a": "numeric"}
	for i, s := range Settings() {
		switch field := s.Field(&c).(type) {
		case *string:
			*field = s.Key
		case *float64:
			*field = float64(i) + 0.25
		case *int:
			*field = i + 1
		case *bool:
			*field = true
		case *uint64:
			*field = 1<<64 - 1
		}
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var back, fromJSON Config
	raw, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(raw, &fromJSON)
	}
	if err != nil || !reflect.DeepEqual(fromJSON, c) {
		t.Errorf("%v: %+v, want %+v", err, fromJSON, c)
	}
	if _, err := Unmarshal(text, "config.yaml", &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, c) {
		t.Errorf("%+v, want %+v", back, c)
	}
	if again, err := yaml.Marshal(back); err != nil || string(again) != string(text) {
		t.Errorf("%v: %s", err, again)
	}
}

// A wrong value is refused before any data is read, with its name and what it may be.
func TestValidateNamesTheSetting(t *testing.T) {
	for _, c := range []struct {
		set  func(*Config)
		want string
	}{
		{func(c *Config) { c.Epochs = -2_000_000 }, "-2000000 epochs: give at least 1"},
		{func(c *Config) { c.Batch = -1 }, "batch of -1: give at least 1"},
		{func(c *Config) { c.LearningRate = -0.5 }, "learning rate -0.5: give a number above 0"},
		{func(c *Config) { c.WeightDecay = -1 }, "weight decay -1: give 0 or more"},
		{func(c *Config) { c.Dropout = 1 }, "dropout 1 is not in [0, 1)"},
		{func(c *Config) { c.Warmup = 1.5 }, "warm-up 1.5 is not in [0, 1), a share of all steps"},
		{func(c *Config) { c.MinGain = 1 }, "least gain of a cycle 1 is not in [0, 1), a share of the validation NLL"},
		{func(c *Config) { c.Mixup = -1 }, "mixup -1: give 0 (none) to 1000; 0.2 is usual"},
		{func(c *Config) { c.ClipNorm = -1 }, "clip norm -1: give a number above 0, or 0 for no bound"},
		{func(c *Config) { c.Patience = -1 }, "patience of -1 epochs: give 0 or more"},
		{func(c *Config) { c.Activation = "tanh" }, `unknown activation "tanh": use relu or gelu`},
		{func(c *Config) { c.Init = "zero" }, `unknown initialisation "zero": use uniform, he or xavier`},
		{func(c *Config) { c.Optimizer = "lion" }, `unknown optimizer "lion": use adam, adamw or sgd`},
		{func(c *Config) { c.Schedule.Schedule = "poly" }, `unknown schedule "poly": use constant, cosine, restarts, step or plateau`},
		{func(c *Config) { c.Schedule.Schedule, c.Factor = "step", 1 }, "learning rate factor 1 is not in (0, 1)"},
		{func(c *Config) { c.Schedule.Schedule, c.Every = "step", 0 }, "learning rate changed every 0 epochs: give at least 1"},
		{func(c *Config) { c.Schedule.Schedule, c.Cycle = "restarts", 0 }, "first cycle of 0 epochs: give at least 1"},
		{func(c *Config) { c.Min = 1 }, "lowest learning rate 1 is not in [0, 0.001]"},
		{func(c *Config) { c.Momentum = 0.9 }, "momentum belongs to the optimizer sgd; adam has its own"},
		{func(c *Config) { c.Head = "tanh" }, `unknown head "tanh": give softmax, or nothing for the one that fits the data`},
		{func(c *Config) { c.Record = "some" }, `--record "some": give all, every:N (and the last), last, best or none`},
		{func(c *Config) { c.LabelNoise = -0.1 }, "share of wrong labels -0.1 is not in [0, 1]"},
		{func(c *Config) { c.NoiseKind = "loud" }, `unknown kind of label noise "loud": use uniform or confused`},
		{func(c *Config) { c.Budget = -1 }, "budget of -1ns: give a time above 0, as in 90s, or 0 for none"},
	} {
		config := Default()
		c.set(&config)
		config.Data.Path = "no such file" // which is not looked for
		_, err := Plan(t.Context(), config, nil)
		if refused := (*ConfigError)(nil); !errors.As(err, &refused) || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// A key that there is none of is answered with those that may be meant.
func TestUnknownKeys(t *testing.T) {
	for text, want := range map[string]string{
		"epoch: 3\n":            `c.yaml:1:1: unknown field "epoch": is it epochs? docs/settings.md lists what there is`,
		"learning_rate: 1\n":    `unknown field "learning_rate": is it lr?`,
		"data: {pth: a}\n":      `c.yaml:1:8: unknown field "pth": is it data.path?`,
		"weight-decay: 1\n":     `is it weight_decay?`,
		"label_smothing: 0.1\n": `is it label_smoothing?`,
		"colour: red\n":         `unknown field "colour"; docs/settings.md`,
		"x: 1\n":                `unknown field "x"; docs/settings.md`,
	} {
		c := Default()
		_, err := Unmarshal([]byte(text), "c.yaml", &c)
		if refused := (*ConfigError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"epoch", "epochs", 1}, {"flaw", "lawn", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
