package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/internal/benchmark"
)

func newBench() *cobra.Command {
	var asJSON bool
	var threads int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Time softmax, cross-entropy, matrix product, head and training step on this machine",
		Long: `Time what logitscope spends its time on, on this machine: the median of seven calls or more each, about fifteen seconds in all.
The largest job holds 0.6 GB.`,
		Example: `  logitscope bench
  logitscope bench --threads 1 --json | jq '.[] | select(.name == "mlp_step")'`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if threads < 1 || threads > runtime.NumCPU() {
				return usagef("--threads %d: this machine has 1 to %d", threads, runtime.NumCPU())
			}
			results := []benchmark.Result{}
			out := cmd.OutOrStdout()
			report := func(r benchmark.Result) {
				results = append(results, r)
				fmt.Fprintf(out, "%-32s%-18s%7d%14.4f\n", r.Name, r.Shape, r.Threads, r.Median)
			}
			if asJSON {
				out = cmd.ErrOrStderr() // progress
			}
			fmt.Fprintf(out, "%-32s%-18s%7s%14s\n", "work", "shape", "threads", "median ms")
			if err := benchmark.Run(cmd.Context(), threads, report); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd, results)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON; progress goes to standard error")
	cmd.Flags().IntVar(&threads, "threads", runtime.NumCPU(), "threads to use")
	return cmd
}
