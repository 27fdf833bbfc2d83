package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

func newImport() *cobra.Command {
	var out, kind, classes string
	var first int
	var o convert.ImportOptions
	var forms strings.Builder
	for _, f := range convert.Readable() {
		fmt.Fprintf(&forms, "  %s\n      %s\n", f[0], f[1])
	}
	cmd := &cobra.Command{
		Use:   "import FILE…",
		Short: "A run of logits that another program wrote: .npy, .npz, safetensors, Parquet, Arrow, CSV, JSON lines",
		Long: `Makes a run of logits in files, so that every command and the page work on it. A whole history is named by a pattern in which {epoch} stands for
a number and {split} for a name. The files are read block by block, twice: once to see that all is well, once to write.

` + forms.String(),
		Example: `  logitscope import z.npy --labels y.npy --out runs/mine
  logitscope import 'logits/{epoch}_{split}.npz' --classes names.txt --out runs/mine
  logitscope import val.parquet --kind probs --out runs/mine
  logitscope import training_dynamics/ --split train --out runs/dynamics`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case out == "":
				return usagef("say with --out which run to make")
			case first < 0:
				return usagef("--first %d: give 0 or more", first)
			}
			switch o.Kind = analysis.Scale(kind); o.Kind {
			case "", analysis.Logits, analysis.Probs, analysis.LogProbs:
			default:
				return usagef("--kind %s: want logits, probs or logprobs", kind)
			}
			if cmd.Flags().Changed("first") {
				o.First = &first
			}
			if classes != "" {
				names, err := readClasses(classes)
				if err != nil {
					return err
				}
				o.Classes = names
			}
			if errOut := cmd.ErrOrStderr(); isTerminal(errOut) {
				o.Progress = func(done, total int) { fmt.Fprintf(errOut, "\r%d of %d files", done, total) }
				defer fmt.Fprint(errOut, "\r\x1b[K")
			}
			made, err := convert.Import(cmd.Context(), args, out, o)
			if err != nil {
				return unmade(cmd.Context(), out, err)
			}
			var splits []string
			for _, s := range made.Splits {
				splits = append(splits, fmt.Sprintf("%s %d", s.Name, s.N))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %s of %d classes; samples: %s\n", out, plural(len(made.Epochs), "epoch"), made.K, strings.Join(splits, ", "))
			for _, note := range made.Notes {
				fmt.Fprintf(cmd.OutOrStdout(), "note: %s\n", note)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&out, "out", "o", "", "run to make, which must not exist")
	flags.StringVar(&o.Labels, "labels", "", "labels [N] of the rows, where they are not with the logits: .npy, .npz:NAME, or text with one a line; {epoch} and {split} as in FILE")
	flags.StringVar(&o.IDs, "ids", "", "ids [N] of the rows, likewise (default: the rows' numbers)")
	flags.StringVar(&o.Text, "text", "", "column of the samples' texts, which the page and labels show (default: a column of text called text; - for none)")
	flags.StringVar(&classes, "classes", "", "names of the classes, one a line in the order of the logits")
	flags.StringVar(&o.Split, "split", record.ValSplit, "split of rows that name none")
	flags.IntVar(&first, "first", 0, "number of the first epoch; the others keep their distance (default: the files' numbers, and 1 where they name none)")
	flags.StringVar(&kind, "kind", "", "what the values are: logits, probs or logprobs (default: logits, and an error where they look otherwise)")
	return cmd
}

// readClasses reads the names of classes from a file, one on each line.
func readClasses(path string) ([]string, error) {
	const most = 64 << 20
	raw, err := files.Read(path, most)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(string(raw), "\ufeff"), "\r\n", "\n"), "\n")
	if text == "" {
		return nil, fmt.Errorf("%s is empty: give the names of the classes, one a line", path)
	}
	return strings.Split(text, "\n"), nil
}
