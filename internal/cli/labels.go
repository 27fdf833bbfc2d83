package cli

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

func newLabels() *cobra.Command {
	var split, out string
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "labels RUN",
		Short: "Samples whose label may be wrong, with the likelier class and why",
		Long: `Ranks the samples of a split by the evidence that their label is wrong: what the network took them for while it had
not yet learned them by heart, weighed by how often each class is mistaken for each other. Flagged are the most suspect, as many as the
network contradicts beyond the rate at which it contradicts the labels of validation: the others may well be right. --top ranks more.`,
		Example: `  logitscope labels runs/demo
  logitscope labels runs/demo --top 100 -o suspects.csv
  logitscope labels runs/demo --json | jq '.suspects[0]'`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 0 {
				return usagef("--top %d: give 0 or more", top)
			}
			if err := files.CheckGiven(out); err != nil {
				return err
			}
			run, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer run.Close()
			a := analysis.New(run)
			if split == "" {
				if split = record.TrainSplit; a.CheckSplit(split) != nil {
					split = run.Manifest().Judge()
				}
			}
			if _, _, err := a.Epoch(cmd.Context(), "last"); err != nil {
				return err
			}
			w, err := dynamics.FindWrongLabels(cmd.Context(), a, split, top)
			if err != nil {
				return err
			}
			if out != "" {
				if err := files.Write(out, func(f io.Writer) error { return writeSuspects(f, w) }); err != nil {
					return err
				}
			}
			switch {
			case asJSON:
				err = writeJSON(cmd, w)
			case out != "":
				fmt.Fprintf(cmd.OutOrStdout(), "wrote %s to %s\n", plural(len(w.Suspects), "suspect"), out)
				if w.Note != "" {
					fmt.Fprintln(cmd.OutOrStdout(), w.Note)
				}
			default:
				err = printSuspects(cmd.OutOrStdout(), w)
			}
			return cmp.Or(err, lackingError(w.Lacking, args[0], "the ranking is that of the rest"))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&split, "split", "", "split whose labels to look at (default: train where there is one)")
	flags.IntVar(&top, "top", 0, "how many suspects, the most suspect first; 0 for those that are flagged: as many as exceed validation's own rate")
	flags.StringVarP(&out, "out", "o", "", "CSV file to write the suspects to")
	flags.BoolVar(&asJSON, "json", false, "print the suspects as JSON")
	return cmd
}

func printSuspects(out io.Writer, w *dynamics.WrongLabels) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(w.Suspects) > 0 {
		fmt.Fprintln(table, "rank\tsample\tflagged\tlabel\tlikelier\tscore\twhy"+textColumn(w, "\ttext"))
	}
	for _, s := range w.Suspects {
		flagged := ""
		if s.Flagged {
			flagged = "yes"
		}
		const inLine = 120 // bytes of a text; --json and -o have all of it
		text := textColumn(w, "\t"+printable(record.CutText(strings.Join(strings.Fields(s.Text), " "), inLine)))
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%.3f\t%s%s\n", s.Rank, s.ID, flagged, printable(w.Classes[s.Label]), printable(w.Classes[s.Likelier]), s.Score, printable(s.Why), text)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nOf %s of %s %d are taken for another class than their label; %d are flagged, %d shown. Confident learning counts %.0f wrong labels.\n",
		plural(w.Samples, "sample"), w.Split, w.Against, w.Flagged, len(w.Suspects), w.Expected)
	if w.Note != "" {
		fmt.Fprintln(out, w.Note)
	}
	if t := w.Truth; t != nil && t.Wrong > 0 {
		fmt.Fprintf(out, "%s known to be wrong: average precision of the ranking %.4f, by mean confidence %.4f.\n",
			plural(t.Wrong, "label"), t.AveragePrecision, t.ByConfidence)
	}
	return nil
}

// textColumn returns what stands in the column of texts, "" where no suspect has one.
func textColumn(w *dynamics.WrongLabels, text string) string {
	if slices.ContainsFunc(w.Suspects, func(s dynamics.Suspect) bool { return s.Text != "" }) {
		return text
	}
	return ""
}

// writeSuspects writes a row of CSV for each suspect. A figure that is not finite is an empty field.
func writeSuspects(out io.Writer, w *dynamics.WrongLabels) error {
	number := func(n analysis.Number) string {
		raw, _ := n.MarshalJSON()
		if string(raw) == "null" {
			return ""
		}
		return string(raw)
	}
	rows := csv.NewWriter(out)
	rows.Write([]string{
		"rank", "id", "label", "likelier", "score", "p_label", "p_likelier", "confidence", "variability", "correctness",
		"forgotten", "learned", "aum", "el2n", "why", "flagged", "text",
	})
	for _, s := range w.Suspects {
		rows.Write([]string{
			strconv.Itoa(s.Rank), strconv.FormatInt(s.ID, 10), w.Classes[s.Label], w.Classes[s.Likelier], number(s.Score),
			number(s.PLabel), number(s.PLikelier), number(s.Confidence), number(s.Variability), number(s.Correctness),
			strconv.Itoa(s.Forgotten), strconv.Itoa(s.Learned), number(s.AUM), number(s.EL2N), s.Why, strconv.FormatBool(s.Flagged), s.Text,
		})
	}
	rows.Flush()
	return rows.Error()
}
