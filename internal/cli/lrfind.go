package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/train"
)

func newLRFind() *cobra.Command {
	var f configFlags
	var output string
	var low, high float64
	var steps int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lr-find",
		Short: "Find a learning rate: a step at each of rising rates, and where the loss falls fastest",
		Long: `Trains the network that train would, one step at each of rising learning rates, and suggests the rate at which the
smoothed loss falls fastest; -o draws it. Nothing is recorded.`,
		Example: `  logitscope lr-find -o rates.png
  logitscope lr-find --data new.csv --model mlp:256 --optimizer sgd
  logitscope lr-find -c runs/digits/config.yaml --json`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" {
				if err := plot.Check(output); err != nil {
					return err
				}
			}
			config, err := f.read(cmd.Flags(), experiment.Default())
			if err != nil {
				return err
			}
			found, err := experiment.FindRate(cmd.Context(), config, low, high, steps)
			if err != nil {
				return err
			}
			if output != "" {
				if err := plot.Rates(dataset.Name(config.Data.Path), found).Save(output); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(found)
			}
			printRates(cmd, found)
			return nil
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	flags.Float64Var(&low, "from", 1e-6, "lowest learning rate")
	flags.Float64Var(&high, "to", 10, "highest learning rate")
	flags.IntVar(&steps, "steps", 200, "how many rates to try")
	flags.StringVarP(&output, "output", "o", "", "picture to write: .png or .svg")
	flags.BoolVar(&asJSON, "json", false, "print every rate and loss as JSON")
	return cmd
}

// printRates prints about twenty of the rates with their losses, and the suggested rate.
func printRates(cmd *cobra.Command, found *train.RateRange) {
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "rate\tloss\tsmoothed\t")
	each := max(1, len(found.Rates)/20)
	for i := 0; i < len(found.Rates); i += each {
		fmt.Fprintf(table, "%.2e\t%.4f\t%.4f\t\n", found.Rates[i], found.Losses[i], found.Smoothed[i])
	}
	table.Flush()
	switch {
	case found.Suggested == 0:
		fmt.Fprintln(cmd.OutOrStdout(), "the loss never falls: try other rates (--from, --to), or look at the data")
	case found.Diverged != 0:
		fmt.Fprintf(cmd.OutOrStdout(), "suggested: --lr %.2g (the loss blows up at %.2g)\n", found.Suggested, found.Diverged)
	default:
		fmt.Fprintf(cmd.OutOrStdout(), "suggested: --lr %.2g\n", found.Suggested)
	}
}
