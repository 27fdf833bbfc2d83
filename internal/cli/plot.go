package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/record"
)

func newPlot() *cobra.Command {
	var epochs []int
	var path string
	cmd := &cobra.Command{
		Use:   "plot RUN",
		Short: "The four graphs as a picture, training and validation, for each epoch named",
		Example: `  logitscope plot runs/demo --epochs 5,45 -o four.png
  logitscope plot runs/demo -o last.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			if len(epochs) == 0 {
				recorded := run.Epochs()
				if len(recorded) == 0 {
					return fmt.Errorf("%s holds no epoch yet: wait for the first one", args[0])
				}
				epochs = recorded[len(recorded)-1:]
			}
			analyzer := analysis.New(run)
			graphs := make([]*analysis.Graphs, len(epochs))
			for i, epoch := range epochs {
				if graphs[i], err = analyzer.Graphs(epoch); err != nil {
					return err
				}
			}
			return plot.Four(graphs, path)
		},
	}
	cmd.Flags().IntSliceVar(&epochs, "epochs", nil, "epochs to draw, a row each (default: the last)")
	cmd.Flags().StringVarP(&path, "output", "o", "four.png", "picture to write: .png or .svg")
	return cmd
}
