package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// plotKinds are the pictures there are.
var plotKinds = []string{"four", "reliability", "map", "confusion", "curves", "classes"}

func newPlot() *cobra.Command {
	var epochs []int
	var path, split string
	kind := plotKinds[0]
	cmd := &cobra.Command{
		Use:   "plot RUN",
		Short: "A picture of a run: the four graphs, reliability, data map, confusion, curves or classes",
		Long: `Draws one picture:
  four         raw logit, softmax, log-softmax and NLL of each split, a row for each epoch and split
  reliability  how often the answers of each confidence are right, for each split
  map          each sample by mean and spread of its p over the epochs (data map)
  confusion    which class is taken for which
  curves       NLL with the onset of overfitting, NLL taken apart, accuracy
  classes      recall and precision of each class`,
		Example: `  logitscope plot runs/demo --epochs 5,45 -o four.png
  logitscope plot runs/demo --kind reliability -o reliability.svg
  logitscope plot runs/demo --kind map --split train`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(plotKinds, kind) {
				return usagef("--kind %q: use %s", kind, strings.Join(plotKinds, ", "))
			}
			if kind != "four" && len(epochs) > 1 {
				return usagef("--epochs: a picture of kind %s shows one epoch", kind)
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			a := analysis.New(run)
			last, err := a.Epoch("last")
			if err != nil {
				return err
			}
			if len(epochs) == 0 {
				epochs = []int{last}
			}
			if path == "" {
				path = kind + ".png"
			}
			picture, err := pictureOf(a, run.Manifest(), kind, epochs, split)
			if err != nil {
				return err
			}
			return picture.Save(path)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", kind, "what to draw: "+strings.Join(plotKinds, ", "))
	cmd.Flags().IntSliceVar(&epochs, "epochs", nil, "epochs to draw; several for the four graphs alone (default: the last)")
	cmd.Flags().StringVar(&split, "split", "", "split to draw (default: train for the map, val for confusion and classes, all for the rest)")
	cmd.Flags().StringVarP(&path, "output", "o", "", "picture to write: .png or .svg (default: KIND.png)")
	return cmd
}

func pictureOf(a *analysis.Analyzer, m *record.Manifest, kind string, epochs []int, split string) (*plot.Picture, error) {
	switch kind {
	case "four":
		graphs := make([]*analysis.Graphs, len(epochs))
		for i, epoch := range epochs {
			var err error
			if graphs[i], err = a.Graphs(epoch); err != nil {
				return nil, err
			}
		}
		return plot.Four(graphs)
	case "curves":
		curves, err := a.Curves()
		if err != nil {
			return nil, err
		}
		return plot.Curves(curves), nil
	case "map":
		if split == "" {
			split = m.Splits[0].Name
		}
		d, err := a.Dynamics(split)
		if err != nil {
			return nil, err
		}
		return plot.Map(d), nil
	case "reliability":
		var names []string
		for _, s := range m.Splits {
			if split == "" && s.N > 0 || split == s.Name {
				names = append(names, s.Name)
			}
		}
		if len(names) == 0 {
			names = []string{split} // whose error says what there is
		}
		var scores []plot.Scored
		for _, name := range names {
			s, err := scoreSplit(a, m, epochs[0], name)
			if err != nil {
				return nil, err
			}
			scores = append(scores, *s)
		}
		return plot.Reliability(scores), nil
	}
	if split == "" {
		split = "val"
		if !slices.ContainsFunc(m.Splits, func(s record.SplitInfo) bool { return s.Name == split && s.N > 0 }) {
			split = m.Splits[0].Name
		}
	}
	s, err := scoreSplit(a, m, epochs[0], split)
	if err != nil {
		return nil, err
	}
	if kind == "classes" {
		return plot.Classes(*s), nil
	}
	return plot.Confusion(*s)
}

// scoreSplit scores a split at an epoch.
func scoreSplit(a *analysis.Analyzer, m *record.Manifest, epoch int, split string) (*plot.Scored, error) {
	if m.Head == record.HeadSigmoid {
		return nil, errors.New("this picture is of heads with one label a sample")
	}
	s := &plot.Scored{Run: m.Name, Split: split, Epoch: epoch, Classes: m.Classes}
	err := a.Batch(epoch, split, func(b summary.Batch) { s.Score = analysis.ScoreOf(b, analysis.ScoreOptions{}) })
	if err == nil && s.N == 0 {
		err = fmt.Errorf("split %s at epoch %d has no labelled sample with a softmax", split, epoch)
	}
	return s, err
}
