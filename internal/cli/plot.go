package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/record"
)

func newPlot() *cobra.Command {
	var epochs []int
	var path, split string
	name := "four"
	var list strings.Builder
	defaults := map[string][]string{} // the kinds of pictures, by the splits that they show
	for _, k := range plot.Kinds() {
		fmt.Fprintf(&list, "  %-12s %s\n", k.Name, k.Text)
		defaults[k.Splits] = append(defaults[k.Splits], k.Name)
	}
	cmd := &cobra.Command{
		Use:   "plot RUN",
		Short: "A picture of a run: the four graphs, reliability, data map, confusion, curves or classes",
		Long:  "Draws one picture:\n" + strings.TrimSuffix(list.String(), "\n"),
		Example: `  logitscope plot runs/demo --epochs 5,45 -o four.png
  logitscope plot runs/demo --kind reliability -o reliability.svg
  logitscope plot runs/demo --kind map --split train`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := plot.KindNamed(name)
			if err != nil {
				return usagef("--kind: %w", err)
			}
			if !kind.SeveralEpochs && len(epochs) > 1 {
				return usagef("--epochs: a picture of kind %s shows one epoch", name)
			}
			path = cmp.Or(path, name+".png")
			if err := plot.Check(path); err != nil {
				return err
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			a := analysis.New(run)
			last, lacking, err := a.Epoch(cmd.Context(), "last")
			if err != nil {
				return err
			}
			if len(epochs) > 0 {
				lacking = analysis.Lacking{}
			} else {
				epochs = []int{last}
			}
			subject := &plot.Subject{Analyzer: a, Epochs: epochs, Split: split, Lacking: lacking}
			picture, err := kind.Draw(cmd.Context(), subject)
			if err != nil {
				return err
			}
			return cmp.Or(picture.Save(path), lackingError(subject.Lacking, args[0], "the picture is of the rest"))
		},
	}
	cmd.Flags().StringVar(&name, "kind", name, "what to draw: "+plot.KindNames())
	cmd.Flags().IntSliceVar(&epochs, "epochs", nil, "epochs to draw; several for the four graphs alone (default: the last)")
	cmd.Flags().StringVar(&split, "split", "", fmt.Sprintf("split to draw (default: %s for %s, %s for %s, all for the rest)",
		record.TrainSplit, strings.Join(defaults[record.TrainSplit], " and "), record.ValSplit, strings.Join(defaults[record.ValSplit], " and ")))
	cmd.Flags().StringVarP(&path, "output", "o", "", "picture to write: .png or .svg (default: KIND.png)")
	return cmd
}
