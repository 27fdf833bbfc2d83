package train

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// LossConfig says what is minimised.
type LossConfig struct {
	Loss               string  `json:"loss"` // a name of loss.Catalog; empty: that of the head
	LabelSmoothing     float64 `json:"label_smoothing"`
	ClassWeights       string  `json:"class_weights"` // balanced, or one number a class: 1,2,0.5; empty: none
	PosWeights         string  `json:"pos_weights"`   // the same, of the yes of each column
	ZLoss              float64 `json:"z_loss"`
	FocalGamma         float64 `json:"focal_gamma"`
	TeacherTemperature float64 `json:"teacher_temperature"` // of kl: the T of both softmaxes; 0 stands for 1
}

// LossName returns the loss's name, which for a head of its own is that of loss.Choose.
func (c LossConfig) LossName(head nn.Head) string {
	switch {
	case c.Loss != "":
		return c.Loss
	case head.Name() == "softmax":
		return "cross-entropy"
	}
	return "binary-cross-entropy"
}

// build makes the loss for a head and the targets of the training split; soft says that they are, or become, soft ones.
func (c LossConfig) build(head nn.Head, s *Split, soft bool) (loss.Loss[float32], error) {
	name := c.LossName(head)
	if err := loss.Fits(name, head.Name(), soft); err != nil {
		return nil, err
	}
	settings := loss.Settings{LabelSmoothing: c.LabelSmoothing, ZLoss: c.ZLoss, Gamma: c.FocalGamma, Temperature: c.TeacherTemperature}
	var err error
	if settings.ClassWeights, err = weights(c.ClassWeights, head.Classes(), func() []float64 { return balancedClasses(s, head.Classes()) }); err != nil {
		return nil, fmt.Errorf("class weights: %w", err)
	}
	if settings.PosWeights, err = weights(c.PosWeights, head.Columns(), func() []float64 { return balancedPositives(s, head.Columns()) }); err != nil {
		return nil, fmt.Errorf("positive weights: %w", err)
	}
	return loss.ByName[float32](name, settings)
}

// weights reads balanced, or numbers with commas between them, or nothing.
func weights(text string, count int, balanced func() []float64) ([]float64, error) {
	switch text {
	case "":
		return nil, nil
	case "balanced":
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

// balancedClasses are N/(K·n_c), K being the classes that are there, so that each weighs the same: scikit-learn's
// "balanced". A class without a sample has the weight 0. King and Zeng, "Logistic Regression in Rare Events Data", 2001.
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

// balancedPositives are how many times more often no is than yes in each column, 1 where it is never yes.
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
