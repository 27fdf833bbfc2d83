package experiment

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/internal/files"
	bounded "github.com/logitscope/logitscope/internal/yaml"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/train"
)

// Config is all that decides a run; Settings describes each field. It is YAML and JSON under the fields' keys and kept with the run in both.
// What is left at its zero value in Default is chosen by the data.
type Config struct {
	Data         dataset.Options `json:"data"`
	LabelNoise   float64         `json:"label_noise"` // share of the training labels that name a wrong class, [0, 1)
	NoiseKind    string          `json:"label_noise_kind,omitempty"`
	Head         string          `json:"head,omitempty"`          // softmax asks for two logits where there are two classes
	Folds        int             `json:"folds,omitempty"`         // networks that say what they take the samples for that they never saw
	Teacher      string          `json:"teacher,omitempty"`       // run whose recorded logits are learnt from, instead of labels
	TeacherEpoch string          `json:"teacher_epoch,omitempty"` // of them
	Record       string          `json:"record"`                  // epochs whose logits are kept
	RecordRows   string          `json:"record_rows,omitempty"`   // how: one of record.Encodings; float32 where it is ""
	Budget       time.Duration   `json:"budget,omitempty"`        // of race and training, by the clock; 0: none
	Refit        bool            `json:"refit,omitempty"`         // another run follows, of all rows
	AllRows      bool            `json:"all_rows,omitempty"`      // is that one: the validation rows are trained on too
	train.Config `yaml:",inline"`

	// Given names the settings, by their keys, that stand though they are 0, and are not chosen by the data.
	Given map[string]bool `json:"-" yaml:"-"`
}

// digits is the path of the embedded data.
const digits = "digits"

// Default is the Config of logitscope train: the embedded digits, and all that depends on the data left open.
func Default() Config {
	c := Config{Data: dataset.Options{Path: digits, ValFraction: 0.2}, NoiseKind: "uniform", Record: "all", Config: train.DefaultConfig()}
	c.Model, c.Epochs, c.Batch, c.Optimizer, c.LearningRate, c.Schedule.Schedule = "", 0, 0, "", 0, ""
	return c
}

// ConfigFile is the file of a run that holds its Config as YAML.
const ConfigFile = "config.yaml"

// ReadConfig reads a YAML file of settings, such as a run's ConfigFile, over Default. A *ConfigError names an unknown key or a
// wrong value with its line and column.
func ReadConfig(path string) (Config, error) {
	c := Default()
	text, err := files.Read(path, bounded.MaxBytes)
	if err != nil {
		return c, err
	}
	return c, c.merge(text, path)
}

// merge reads a configuration over this one: what it does not name stays. name is the file's, for errors.
func (c *Config) merge(text []byte, name string) (err error) {
	c.Given, err = Unmarshal(text, name, c)
	return err
}

// YAML is the whole configuration, from which the same bits are trained again. What could not be read again is refused.
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

// Unmarshal reads YAML over what into points to, a Config or what has one inline, and returns the keys that it names. An unknown key or a
// wrong value is a *ConfigError with its place; name is the file's.
func Unmarshal(text []byte, name string, into any) (keys map[string]bool, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // an editor's byte-order mark
	err = bounded.Unmarshal(text, into)
	var at yaml.Error
	if errors.As(err, &at) {
		place := name
		if token := at.GetToken(); token != nil && token.Position != nil {
			place = fmt.Sprintf("%s:%d:%d", name, token.Position.Line, token.Position.Column)
		}
		message := at.GetMessage()
		if wrong := (*yaml.TypeError)(nil); errors.As(err, &wrong) && at.GetToken() != nil {
			message = fmt.Sprintf("%q is no %s", at.GetToken().Value, kindOf(wrong.DstType))
		}
		if unknown := (*yaml.UnknownFieldError)(nil); errors.As(err, &unknown) && at.GetToken() != nil {
			message += nearest(at.GetToken().Value)
		}
		return nil, configErrorf("%s: %s", place, message)
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

// kindOf names what a setting of a type is.
func kindOf(t reflect.Type) string {
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

// Validate returns a *ConfigError that names the first setting which no data could be trained with, and what it may be.
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

// A ConfigError says that a Config cannot be followed: a setting is unknown, out of its bounds, or does not fit another setting or the data.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }

func (e *ConfigError) Unwrap() error { return e.Err }

func configErrorf(format string, args ...any) error { return &ConfigError{fmt.Errorf(format, args...)} }

// asConfigError is err as a *ConfigError, nil where it is nil.
func asConfigError(err error) error {
	if err == nil {
		return nil
	}
	return &ConfigError{err}
}
