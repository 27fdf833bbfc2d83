package train

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// LossConfig says what is minimised: a loss of package loss, with its settings behind its name, or in the fields beside it that older
// settings have.
type LossConfig struct {
	Loss               string  `json:"loss"` // as loss.ParseSpec reads it: focal, or focal:gamma=2; empty: that of the head
	LabelSmoothing     float64 `json:"label_smoothing"`
	ClassWeights       string  `json:"class_weights"` // balanced, or one number a class: 1,2,0.5; empty: none
	PosWeights         string  `json:"pos_weights"`   // the same, of the yes of each column
	ZLoss              float64 `json:"z_loss"`
	FocalGamma         float64 `json:"focal_gamma"`
	TeacherTemperature float64 `json:"teacher_temperature"` // of kl: the T of both softmaxes; 0 stands for 1
}

// Beside returns pointers to the fields that hold settings beside Loss, by the settings' keys: a *float64, where 0 means that it is not
// given, or a *string, where "" means so.
func (c *LossConfig) Beside() map[string]any {
	return map[string]any{
		"label_smoothing": &c.LabelSmoothing, "class_weights": &c.ClassWeights, "pos_weights": &c.PosWeights,
		"z_loss": &c.ZLoss, "focal_gamma": &c.FocalGamma, "teacher_temperature": &c.TeacherTemperature,
	}
}

// beside returns the text of a setting that is given in a field beside Loss, or "".
func (c *LossConfig) beside(s loss.Setting) string {
	switch field := c.Beside()[s.Key].(type) {
	case *string:
		return *field
	case *float64:
		if *field != 0 {
			return strconv.FormatFloat(*field, 'g', -1, 64)
		}
	}
	return ""
}

// LossName returns the name of the loss, which is the head's default where Loss is empty.
func (c LossConfig) LossName(head nn.Head) string {
	if c.Loss == "" {
		return loss.Default(head.Kind())
	}
	name, _, _ := strings.Cut(c.Loss, ":")
	return name
}

// Fits reports whether a head can be trained on labels with the loss and with all settings that are given.
func (c LossConfig) Fits(head logit.Head) bool {
	if name, _, _ := strings.Cut(c.Loss, ":"); name != "" && loss.Fits(name, head, false) != nil {
		return false
	}
	for _, s := range loss.AllSettings() {
		if c.beside(s) != "" && !slices.ContainsFunc(loss.Catalog(), func(l loss.Info) bool {
			return slices.Contains(l.Heads, head) && slices.Contains(l.Settings, s)
		}) {
			return false
		}
	}
	return true
}

// spec returns the loss for a head with all settings that are given, behind its name and beside it.
func (c LossConfig) spec(head nn.Head) (loss.Spec, error) {
	spec, err := loss.ParseSpec(cmp.Or(c.Loss, loss.Default(head.Kind())))
	if err != nil {
		return spec, err
	}
	for _, s := range loss.AllSettings() {
		text := c.beside(s)
		if text == "" {
			continue
		}
		if _, twice := spec.Values[s.Name]; twice {
			return spec, fmt.Errorf("the %s of the loss is given twice: in %q, and as %s", s.Title, c.Loss, s.Key)
		}
		spec.Values[s.Name] = text
	}
	return spec, nil
}

// build returns the loss for a head and the targets of the training split s. soft says whether it is given soft targets.
func (c LossConfig) build(head nn.Head, s *Split, soft bool) (loss.Loss[float32], error) {
	spec, err := c.spec(head)
	if err != nil {
		return nil, err
	}
	if err := loss.Fits(spec.Name, head.Kind(), soft); err != nil {
		return nil, err
	}
	settings := loss.Settings{}
	for _, name := range slices.Sorted(maps.Keys(spec.Values)) {
		text := spec.Values[name]
		setting, err := loss.SettingNamed(name)
		if err != nil {
			return nil, err
		}
		switch setting.Per {
		case loss.PerClass:
			settings[name], err = weights(text, head.Classes(), func() []float64 { return balancedClasses(s, head.Classes()) })
		case loss.PerColumn:
			settings[name], err = weights(text, head.Columns(), func() []float64 { return balancedPositives(s, head.Columns()) })
		case loss.PerLoss:
			var v float64
			if v, err = strconv.ParseFloat(text, 64); err != nil {
				err = fmt.Errorf("%q is no number", text)
			}
			settings[name] = []float64{v}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting.Title, err)
		}
		if why := unlearnt(setting.Per, settings[name], s); why != "" {
			return nil, fmt.Errorf("%s %s: %s", setting.Title, text, why)
		}
	}
	return loss.ByName[float32](spec.Name, settings)
}

// unlearnt returns why a setting's weights leave nothing to be learnt, and what to do, or "" where they do not.
func unlearnt(per loss.Per, weights []float64, s *Split) string {
	some := slices.ContainsFunc(weights, func(w float64) bool { return w > 0 })
	switch {
	case per == loss.PerColumn && !some:
		return "every yes has the weight 0, so that nothing but no is learnt: give one above 0"
	case per != loss.PerClass || s.Soft != nil:
		return ""
	case !some:
		return "every class has the weight 0, so that nothing is learnt: give one of them a weight above 0"
	case !slices.ContainsFunc(s.Labels, func(label int32) bool { return label != loss.Ignored && weights[label] > 0 }):
		return "every class that has training samples has the weight 0, so that nothing is learnt: give one of them a weight above 0"
	}
	return ""
}

// weights reads count weights: the word balanced, or numbers with commas between them.
func weights(text string, count int, balanced func() []float64) ([]float64, error) {
	if text == "balanced" {
		return balanced(), nil
	}
	var values []float64
	for word := range strings.SplitSeq(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || !(v >= 0 && v <= 1e30) {
			return nil, fmt.Errorf("%q in %q: give balanced, or %d numbers of 0 or more", word, text, count)
		}
		values = append(values, v)
	}
	if len(values) != count {
		return nil, fmt.Errorf("%d in %q: give balanced, or %d numbers of 0 or more", len(values), text, count)
	}
	return values, nil
}

// balancedClasses returns the weights N/(K·n_c), so that all classes weigh the same: N is the number of labelled samples, n_c that of class
// c, and K the number of classes that have samples. A class without a sample has the weight 0. scikit-learn calls this "balanced". King and
// Zeng, "Logistic Regression in Rare Events Data", 2001.
func balancedClasses(s *Split, classes int) []float64 {
	counts := make([]float64, classes)
	total, present := 0.0, 0.0
	for _, label := range s.Labels {
		if label != loss.Ignored {
			if counts[label] == 0 {
				present++
			}
			counts[label]++
			total++
		}
	}
	for c, n := range counts {
		if n > 0 {
			counts[c] = total / (present * n)
		}
	}
	return counts
}

// balancedPositives returns the weight no/yes for each column, from the number of samples for which it is no and yes; 1 where it is never
// yes.
func balancedPositives(s *Split, columns int) []float64 {
	weights := make([]float64, columns)
	for c := range weights {
		yes, no := 0.0, 0.0
		for i, label := range s.Labels {
			y := float64(label)
			if s.Soft != nil {
				y = float64(s.Soft[i*columns+c])
			} else if label == loss.Ignored {
				continue
			}
			yes += y
			no += 1 - y
		}
		weights[c] = 1
		if yes > 0 {
			weights[c] = no / yes
		}
	}
	return weights
}
