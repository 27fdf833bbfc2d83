package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

func newExplain() *cobra.Command {
	var epoch int
	var split string
	var sample int64
	var temperature float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain RUN",
		Short: "One sample through every stage: z, z/T, softmax, log-softmax, NLL, gradient",
		Example: `  logitscope explain runs/demo --epoch 45 --split val --sample 12
  logitscope explain runs/demo --epoch 45 --split val --sample 12 --temperature 2 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !analysis.ValidTemperature(temperature) {
				return usagef("--temperature %v: give a finite number above 0", temperature)
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			e, err := analysis.Explain(run, epoch, split, sample, temperature)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd, e)
			}
			return printExplanation(cmd, e)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&epoch, "epoch", 0, "epoch, counted from 1")
	flags.StringVar(&split, "split", "", "split: train or val")
	flags.Int64Var(&sample, "sample", 0, "id of the sample")
	flags.Float64Var(&temperature, "temperature", 1, "T that the logits are divided by")
	flags.BoolVar(&asJSON, "json", false, "print the stages as JSON")
	for _, name := range []string{"epoch", "split", "sample"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}
