package train_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// The keys of the configuration are those of the losses' settings, in JSON as in Beside.
func TestLossConfigHasTheSettings(t *testing.T) {
	var c train.LossConfig
	var keys, fields, beside []string
	for _, s := range loss.AllSettings() {
		if s.Key != "" {
			keys = append(keys, s.Key)
		}
	}
	kind := reflect.TypeFor[train.LossConfig]()
	for i := range kind.NumField() {
		if name := kind.Field(i).Tag.Get("json"); name != "loss" {
			fields = append(fields, name)
		}
	}
	for key := range c.Beside() {
		beside = append(beside, key)
	}
	slices.Sort(keys)
	slices.Sort(fields)
	slices.Sort(beside)
	if !slices.Equal(keys, fields) || !slices.Equal(keys, beside) {
		t.Errorf("settings have the keys %v, the configuration %v, Beside %v", keys, fields, beside)
	}
}

func TestLossConfigFits(t *testing.T) {
	for _, c := range []struct {
		config                   train.LossConfig
		softmax, binary, sigmoid bool
	}{
		{train.LossConfig{}, true, true, true},
		{train.LossConfig{Loss: "focal:gamma=2"}, true, false, false},
		{train.LossConfig{Loss: "binary-cross-entropy:pos_weights=3"}, false, true, true},
		{train.LossConfig{PosWeights: "balanced"}, false, true, true},
		{train.LossConfig{ClassWeights: "balanced"}, true, false, false},
		{train.LossConfig{FocalGamma: 1}, true, false, false},
		{train.LossConfig{Loss: "spam"}, false, false, false},
	} {
		for head, want := range map[logit.Head]bool{logit.HeadSoftmax: c.softmax, logit.HeadBinary: c.binary, logit.HeadSigmoid: c.sigmoid} {
			if got := c.config.Fits(head); got != want {
				t.Errorf("%+v fits a %s head: %v", c.config, head, got)
			}
		}
	}
}

// A setting behind the loss's name trains what the same setting beside it trains; both at once are an error.
func TestSettingsBehindTheName(t *testing.T) {
	train1 := func(change func(*train.Config)) ([]float32, error) {
		c := config()
		c.Epochs = 2
		change(&c)
		split := train.Split{Name: "train", Width: 2, Features: make([]float32, 24), Labels: make([]int32, 12)}
		for i := range split.Labels {
			split.Labels[i] = int32(i % 4 % 3) // class 0 is twice as frequent
			split.Features[2*i], split.Features[2*i+1] = float32(i%5)-2, float32(i%7)-3
		}
		var logits []float32
		err := train.Run(t.Context(), c, nn.Softmax(3), []train.Split{split}, func(e train.Epoch) error {
			logits = append(logits, e.Splits[0].Logits...)
			return nil
		})
		return logits, err
	}
	for spec, beside := range map[string]func(*train.Config){
		"focal:gamma=2": func(c *train.Config) { c.Loss, c.FocalGamma = "focal", 2 },
		"cross-entropy:label_smoothing=0.1,z-loss=0.001": func(c *train.Config) { c.LabelSmoothing, c.ZLoss = 0.1, 0.001 },
		"cross-entropy:class_weights=1,2,0.5":            func(c *train.Config) { c.ClassWeights = "1,2,0.5" },
		"focal:class_weights=balanced,gamma=0.5":         func(c *train.Config) { c.Loss, c.ClassWeights, c.FocalGamma = "focal", "balanced", 0.5 },
	} {
		want, err := train1(beside)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := train1(func(c *train.Config) { c.Loss = spec }); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s trains something else than its settings beside it (%v)", spec, err)
		}
		if plain, err := train1(func(*train.Config) {}); err != nil || slices.Equal(plain, want) {
			t.Errorf("%s trains what plain cross-entropy trains (%v)", spec, err)
		}
	}
	for want, change := range map[string]func(*train.Config){
		`the gamma of the loss is given twice: in "focal:gamma=2", and as focal_gamma`: func(c *train.Config) { c.Loss, c.FocalGamma = "focal:gamma=2", 2 },
		`focal has no setting "gama"`:                     func(c *train.Config) { c.Loss = "focal:gama=2" },
		`gamma: "two" is no number`:                       func(c *train.Config) { c.Loss = "focal:gamma=two" },
		"gamma NaN: give a number 0 or more":              func(c *train.Config) { c.Loss = "focal:gamma=nan" },
		`gamma: "1,2" is no number`:                       func(c *train.Config) { c.Loss = "focal:gamma=1,2" },
		"label smoothing 1 is not in [0, 1)":              func(c *train.Config) { c.Loss = "cross-entropy:label_smoothing=1" },
		"label smoothing -0.1 is not in [0, 1)":           func(c *train.Config) { c.LabelSmoothing = -0.1 },
		"kl has no gamma; it belongs to focal":            func(c *train.Config) { c.Loss = "kl:gamma=2" },
		"cross-entropy has no gamma; it belongs to focal": func(c *train.Config) { c.FocalGamma = 2 },
		"or 3 numbers of 0 or more":                       func(c *train.Config) { c.Loss = "focal:class_weights=1,2" },
		"every class has the weight 0":                    func(c *train.Config) { c.Loss = "focal:class_weights=0,0,0" },
	} {
		if _, err := train1(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
