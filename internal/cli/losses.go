package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/loss"
)

func newLosses() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "losses",
		Short: "The losses that train knows: formula, use and pitfalls",
		Example: `  logitscope losses
  logitscope losses --json | jq -r '.[].name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return writeJSON(cmd, loss.Catalog())
			}
			for i, l := range loss.Catalog() {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n  heads     %s\n  targets   %s\n  use       %s\n  pitfalls  %s\n",
					l.Name, l.Formula, strings.Join(l.Heads, ", "), targetsOf(l), l.Use, l.Pitfalls)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}

func targetsOf(l loss.Info) string {
	switch l.Targets {
	case "soft":
		return "a probability for each class"
	case "both":
		return "labels, or a probability for each class"
	}
	return "labels"
}
