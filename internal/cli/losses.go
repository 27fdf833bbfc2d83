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
		Args: asInUse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return writeJSON(cmd, loss.Catalog())
			}
			for i, l := range loss.Catalog() {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n  heads     %s\n  targets   %s\n  use       %s\n  pitfalls  %s\n",
					l.Name, l.Formula, loss.Join(l.Heads, ", "), l.Targets, l.Use, l.Pitfalls)
				for i, s := range l.Settings {
					fmt.Fprintf(cmd.OutOrStdout(), "  %-8s  %s\n", map[bool]string{true: "settings"}[i == 0], settingLine(l, s))
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}

// settingLine says how a setting of a loss is given, and which values it takes.
func settingLine(l loss.Info, s loss.Setting) string {
	line := fmt.Sprintf("%s:%s=%s", l.Name, s.Name, s.Symbol)
	if s.Key != "" {
		line += ", --" + strings.ReplaceAll(s.Key, "_", "-")
	}
	line += fmt.Sprintf(": %v", s.Range)
	if s.Per != loss.PerLoss {
		line += fmt.Sprintf(" for each %s, or balanced", s.Per)
	}
	if s.Usual != 0 {
		line += fmt.Sprintf("; %v is usual", s.Usual)
	}
	return line
}
