package plot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// Kind is a kind of picture of a run: its description, and how it is drawn.
type Kind struct {
	Name          string // the name that a user gives
	Text          string // what it shows
	Splits        string // which splits it shows where none is chosen: all, train or val
	SeveralEpochs bool   // whether it shows several epochs at once

	draw func(ctx context.Context, s *Subject) (*Picture, error)
	// report returns the picture's title and caption in a report, "" where the report does without the picture. It is nil where every
	// report does.
	report func(ctx context.Context, s *Subject) (title, caption string, err error)
}

// kinds are all kinds, in the order of a report.
var kinds = []Kind{curvesKind, fourKind, reliabilityKind, confusionKind, mapKind, classesKind}

// Kinds returns all kinds, in the order in which a report shows them.
func Kinds() []Kind { return slices.Clone(kinds) }

// KindNamed returns the kind of that name, or an error that lists the names.
func KindNamed(name string) (Kind, error) {
	for _, k := range kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("no picture is called %q: use %s", name, KindNames())
}

// KindNames returns the names of all kinds as text: "a, b, c".
func KindNames() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.Name
	}
	return strings.Join(names, ", ")
}

// Subject says what is drawn: a run, epochs and a split. Several kinds may draw the same Subject.
type Subject struct {
	Analyzer *analysis.Analyzer         // of the run
	Epochs   []int                      // one or more; a kind without SeveralEpochs shows the first
	Split    string                     // "" for the splits that the kind shows by default
	Scores   map[string]*analysis.Score // the scores of splits at the first of the epochs; those that are missing are added when needed

	analysis.Lacking // what the pictures had to do without
}

// ErrNothing is the error of a kind that has nothing to draw, such as the classes of a split without a label.
var ErrNothing = errors.New("there is nothing to draw")

// Draw draws the subject. The error is ErrNothing where there is nothing to draw.
func (k Kind) Draw(ctx context.Context, s *Subject) (*Picture, error) { return k.draw(ctx, s) }

// Report draws the subject for a report, with a title and a caption. The picture is nil, without an error, where a report does without it or
// there is nothing to draw.
func (k Kind) Report(ctx context.Context, s *Subject) (p *Picture, title, caption string, err error) {
	if k.report == nil {
		return nil, "", "", nil
	}
	if title, caption, err = k.report(ctx, s); err == nil && title != "" {
		p, err = k.draw(ctx, s)
	}
	if errors.Is(err, ErrNothing) {
		return nil, "", "", nil
	}
	return p, title, caption, err
}

func (s *Subject) manifest() *record.Manifest { return s.Analyzer.Source().Manifest() }

// unit is what the numbers of the run's epochs count.
func (s *Subject) unit() words.Unit { return words.Unit(s.manifest().Unit) }

// judge returns the chosen split, or else the one that judges the run.
func (s *Subject) judge() string {
	if s.Split == "" {
		return s.manifest().Judge()
	}
	return s.Split
}

// score returns the score of a split at the first of the epochs.
func (s *Subject) score(ctx context.Context, split string) (*Scored, error) {
	m := s.manifest()
	if m.Head.MultiLabel() {
		return nil, errors.New("this picture is of heads with one label a sample")
	}
	if s.Scores[split] == nil {
		score, err := s.Analyzer.Score(ctx, s.Epochs[0], split, analysis.ScoreOptions{})
		if err != nil {
			return nil, err
		}
		if s.Scores == nil {
			s.Scores = map[string]*analysis.Score{}
		}
		s.Scores[split] = score
	}
	if s.Scores[split].N == 0 {
		return nil, fmt.Errorf(s.unit().In("split %s at epoch %d has no labelled sample with a softmax: %w"), split, s.Epochs[0], ErrNothing)
	}
	return &Scored{Run: m.Name, Split: split, Epoch: s.Epochs[0], Unit: m.Unit, Classes: m.Classes, Score: s.Scores[split]}, nil
}

var fourKind = Kind{
	Name: "four", Text: "raw logit, softmax, log-softmax and NLL of each split, a row for each epoch and split", Splits: "all", SeveralEpochs: true,
	draw: func(ctx context.Context, s *Subject) (*Picture, error) {
		graphs := make([]*analysis.Graphs, len(s.Epochs))
		for i, epoch := range s.Epochs {
			var err error
			if graphs[i], err = s.Analyzer.Graphs(ctx, epoch); err != nil {
				return nil, err
			}
			s.Add(graphs[i].Lacking)
		}
		return Four(graphs)
	},
	report: func(_ context.Context, s *Subject) (title, caption string, err error) {
		return "From logit to loss", s.unit().Sprintf("Raw logit, softmax, log-softmax and NLL of each split at epoch %d.", s.Epochs[0]), nil
	},
}

var curvesKind = Kind{
	Name: "curves", Text: "NLL with the onset of overfitting, NLL taken apart, accuracy", Splits: "all",
	draw: func(ctx context.Context, s *Subject) (*Picture, error) {
		c, err := s.Analyzer.Curves(ctx)
		if err != nil {
			return nil, err
		}
		s.Add(c.Lacking)
		return Curves(c), nil
	},
	report: func(ctx context.Context, s *Subject) (title, caption string, err error) {
		c, err := s.Analyzer.Curves(ctx)
		if err != nil {
			return "", "", err
		}
		return s.unit().In("Over the epochs"), c.Story.Sentence, nil
	},
}

var reliabilityKind = Kind{
	Name: "reliability", Text: "how often the answers of each confidence are right, for each split", Splits: "all",
	draw: func(ctx context.Context, s *Subject) (*Picture, error) {
		var scores []Scored
		for _, split := range s.manifest().Splits {
			if s.Split != "" || split.N == 0 {
				continue
			}
			scored, err := s.score(ctx, split.Name)
			if errors.Is(err, ErrNothing) {
				continue // the others have labels
			}
			if err != nil {
				return nil, err
			}
			scores = append(scores, *scored)
		}
		if len(scores) == 0 { // a split is chosen, or none has a label, which the error of score says
			scored, err := s.score(ctx, s.judge())
			if err != nil {
				return nil, err
			}
			scores = []Scored{*scored}
		}
		return Reliability(scores), nil
	},
	report: func(ctx context.Context, s *Subject) (title, caption string, err error) {
		scored, err := s.score(ctx, s.judge())
		if err != nil {
			return "", "", err
		}
		return "Reliability", fmt.Sprintf("How often answers are right, by the confidence they claim: ECE %.4f in %s.", scored.Figure("ece"), scored.Split), nil
	},
}

var confusionKind = Kind{
	Name: "confusion", Text: "which class is taken for which", Splits: record.ValSplit,
	draw: func(ctx context.Context, s *Subject) (*Picture, error) {
		scored, err := s.score(ctx, s.judge())
		if err != nil {
			return nil, err
		}
		return Confusion(*scored)
	},
	report: func(ctx context.Context, s *Subject) (title, caption string, err error) {
		const most = 100 // classes that a page has room for
		scored, err := s.score(ctx, s.judge())
		if err != nil || len(scored.Confusion) == 0 || len(scored.Confusion) > most {
			return "", "", err
		}
		return "Confusion", "Which class is taken for which.", nil
	},
}

var classesKind = Kind{
	Name: "classes", Text: "recall and precision of each class", Splits: record.ValSplit,
	draw: func(ctx context.Context, s *Subject) (*Picture, error) {
		scored, err := s.score(ctx, s.judge())
		if err != nil {
			return nil, err
		}
		return Classes(*scored), nil
	},
}

var mapKind = Kind{
	Name: "map", Text: "each sample by mean and spread of its p over the epochs (data map)", Splits: record.TrainSplit,
	draw: func(ctx context.Context, s *Subject) (*Picture, error) {
		split := s.Split
		if split == "" {
			split = s.manifest().Splits[0].Name
		}
		d, err := dynamics.Of(ctx, s.Analyzer, split)
		if err != nil {
			return nil, err
		}
		s.Add(d.Lacking)
		return Map(d), nil
	},
	report: func(_ context.Context, s *Subject) (title, caption string, err error) {
		if first := s.manifest().Splits[0]; first.Name != record.TrainSplit || !first.Followed() {
			return "", "", nil
		}
		return "Data map", s.unit().In("Each training sample by how sure the network is of its label over the epochs."), nil
	},
}
