package experiment

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/internal/files"
	bounded "github.com/logitscope/logitscope/internal/yaml"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/train"
)

// Config has all settings that decide a run. Settings describes each field. A run keeps it as YAML and as JSON, under the keys of the fields.
// A field that is at its zero value in Default and at its zero value here is chosen by the data, unless Given names it.
type Config struct {
	Data         dataset.Options `json:"data"`
	LabelNoise   float64         `json:"label_noise"`                // the share of the training labels that are replaced by a wrong class, [0, 1]
	NoiseKind    string          `json:"label_noise_kind,omitempty"` // by which: uniform (any other class) or confused (the same for each class)
	Head         string          `json:"head,omitempty"`             // softmax for two logits where there are two classes; "" for the head that fits the data
	Folds        int             `json:"folds,omitempty"`            // the number of folds of the training split, each predicted by a network that was not trained on it; 0 for none
	Teacher      string          `json:"teacher,omitempty"`          // the directory of a run whose recorded logits are learnt from in place of labels
	TeacherEpoch string          `json:"teacher_epoch,omitempty"`    // the epoch of these logits: a number, last or best
	Record       string          `json:"record"`                     // the epochs whose logits are recorded: all, every:N, last, best or none
	RecordRows   string          `json:"record_rows,omitempty"`      // how logits are recorded: one of record.Encodings, or "" for float32
	Budget       time.Duration   `json:"budget,omitempty"`           // the time for race and training, by the clock; 0 for no limit
	Refit        bool            `json:"refit,omitempty"`            // whether a second run follows that is trained on the validation rows too
	AllRows      bool            `json:"all_rows,omitempty"`         // whether the validation rows are trained on too, as in that second run
	train.Config `yaml:",inline"`

	// Given names the settings, by their keys, that are not chosen by the data though they are 0.
	Given map[string]bool `json:"-" yaml:"-"`
}

// digits is the Data.Path of the embedded digits.
const digits = "digits"

// Default returns the Config that logitscope train begins with: the embedded digits, and every setting that depends on the data left open.
func Default() Config {
	c := Config{Data: dataset.Options{Path: digits, ValFraction: 0.2}, NoiseKind: "uniform", Record: "all", Config: train.DefaultConfig()}
	c.Model, c.Epochs, c.Batch, c.Optimizer, c.LearningRate, c.Schedule.Schedule = "", 0, 0, "", 0, ""
	return c
}

// ConfigFile is the name of the file of a run that has its Config as YAML.
const ConfigFile = "config.yaml"

// ReadConfig reads a YAML file of settings, such as a run's ConfigFile. A setting that the file does not name is that of Default. For an
// unknown key or a wrong value it returns a *ConfigError with the line and column.
func ReadConfig(path string) (Config, error) {
	c := Default()
	text, err := files.Read(path, bounded.MaxBytes)
	if err != nil {
		return c, err
	}
	return c, c.merge(text, path)
}

// merge sets what the text of a configuration names; other settings stay. name is that of the file, for errors.
func (c *Config) merge(text []byte, name string) (err error) {
	c.Given, err = Unmarshal(text, name, c)
	return err
}

// YAML returns the whole configuration as YAML, from which the same bits are trained again. It returns an error where it could not be read
// again, because it is too large.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.Marshal(c)
	if err == nil {
		err = bounded.Check(text)
	}
	if err != nil {
		err = fmt.Errorf("the settings cannot be kept as %s: %w", ConfigFile, err)
	}
	return text, err
}

// Unmarshal sets what YAML text names in the value that into points to, a Config or a struct with one inline, and returns the keys at the top
// of the text. For an unknown key or a wrong value it returns a *ConfigError with the place. name is that of the file, for errors.
func Unmarshal(text []byte, name string, into any) (keys map[string]bool, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // an editor's byte-order mark
	err = bounded.Unmarshal(text, into)
	var located yaml.Error
	if errors.As(err, &located) {
		place := name
		if token := located.GetToken(); token != nil && token.Position != nil {
			place = fmt.Sprintf("%s:%d:%d", name, token.Position.Line, token.Position.Column)
		}
		message := located.GetMessage()
		if wrong := (*yaml.TypeError)(nil); errors.As(err, &wrong) && located.GetToken() != nil {
			message = fmt.Sprintf("%q is no %s", located.GetToken().Value, kindOf(wrong.DstType))
		}
		if unknown := (*yaml.UnknownFieldError)(nil); errors.As(err, &unknown) && located.GetToken() != nil {
			message += nearest(located.GetToken().Value)
		}
		return nil, configErrorf("%s: %s", place, message)
	}
	if err != nil && strings.HasPrefix(err.Error(), "time: ") { // from time.ParseDuration, for text such as "5 minutes"; it has no place
		return nil, configErrorf("%s: %w: write a %s", name, err, kindOf(reflect.TypeFor[time.Duration]()))
	}
	if err != nil {
		return nil, configErrorf("%s: %w", name, err)
	}
	var named map[string]any
	if err := yaml.Unmarshal(text, &named); err != nil {
		return nil, err
	}
	keys = map[string]bool{}
	for key := range named {
		keys[key] = true
	}
	return keys, nil
}

// kindOf returns in words what a setting of a type is.
func kindOf(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "time with its unit, such as 90s or 1h30m"
	}
	switch t.Kind() {
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "group of settings"
	}
	return "text"
}

// Validate returns a *ConfigError for the first setting that no data could be trained with. It says what the setting may be.
func (c Config) Validate() error {
	c.fill(digitsDefaults)
	if err := c.Config.Validate(); err != nil {
		return &ConfigError{err}
	}
	_, err := c.recording()
	switch {
	case c.Head != "" && c.Head != string(logit.HeadSoftmax):
		return configErrorf("unknown head %q: give softmax, or nothing for the one that fits the data", c.Head)
	case !(c.LabelNoise >= 0 && c.LabelNoise <= 1):
		return configErrorf("share of wrong labels %v is not in [0, 1]", c.LabelNoise)
	case planters[c.NoiseKind] == nil:
		return configErrorf("unknown kind of label noise %q: use uniform or confused", c.NoiseKind)
	case c.Budget < 0:
		return configErrorf("budget of %s: give a time above 0, as in 90s, or 0 for none", c.Budget)
	}
	return err
}

// ConfigError says why a Config cannot be followed: a setting is unknown, out of range, or does not fit another setting or the data.
type ConfigError struct{ Err error }

// Error implements error.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

func configErrorf(format string, args ...any) error { return &ConfigError{fmt.Errorf(format, args...)} }

// asConfigError returns err as a *ConfigError, or nil where it is nil.
func asConfigError(err error) error {
	if err == nil {
		return nil
	}
	return &ConfigError{err}
}
