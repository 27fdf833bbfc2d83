package experiment

import (
	"slices"
	"strings"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// Setting describes a field of Config. Configuration files, flags, help and docs/settings.md are made from it.
type Setting struct {
	Key     string            // the key in YAML and JSON, such as epochs or data.path
	Flag    string            // the flag of the command line without its hyphens, such as epochs or data; "" where there is none
	Group   string            // the heading in help: Data, Model, Training or Loss; "" for the rest
	Text    string            // what it is, for help
	Allowed string            // what it may be, in words; "" where Text says so
	Field   func(*Config) any // returns a pointer to the field, such as a *float64

	Idle func(Config) bool // whether it has no effect beside the others; nil for settings that always have one
}

// Settings describes every field of Config, in the order of help.
func Settings() []Setting {
	all := slices.Clone(dataSettings)
	for _, s := range train.Settings() {
		all = append(all, settingsBefore[s.Key]...)
		all = append(all, Setting{
			Key: s.Key, Flag: strings.ReplaceAll(s.Key, "_", "-"), Group: s.Group, Text: s.Text, Allowed: s.Allowed(),
			Field: func(c *Config) any { return s.Field(&c.Config) }, Idle: func(c Config) bool { return s.Idle(c.Config) },
		})
	}
	return append(all, Setting{
		Key: "record", Flag: "record", Field: func(c *Config) any { return &c.Record },
		Text: "epochs whose logits are kept: all, every:N (and the last), last, best or none",
	}, Setting{
		Key: "record_rows", Flag: "record-rows", Field: func(c *Config) any { return &c.RecordRows }, Allowed: strings.Join(record.Encodings(), ", "),
		Text: "how logits are kept: float32, or float16, which takes half the room and keeps 11 bits of each (default float32)",
	})
}

// settingsBefore lists the settings that stand before a setting of package train, by its key.
var settingsBefore = map[string][]Setting{
	"activation": {{
		Key: "head", Flag: "head", Group: "Model", Field: func(c *Config) any { return &c.Head },
		Text: "softmax: two logits for two classes (default: one logit for two, else softmax)",
	}},
	"loss": {{
		Key: "budget", Flag: "budget", Group: "Training", Field: func(c *Config) any { return &c.Budget },
		Text: "time for race and training by the clock, as in 90s: how many epochs there are then differs from machine to machine (default: none)",
	}, {
		Key: "refit", Flag: "refit", Group: "Training", Field: func(c *Config) any { return &c.Refit },
		Text: "train once more, on the validation rows too, for what validation chose: the run RUN-refit",
	}, {
		Key: "all_rows", Group: "Training", Field: func(c *Config) any { return &c.AllRows },
		Text: "the validation rows are trained on too: what a refit's own configuration has",
	}},
	"seed": {{
		Key: "teacher", Flag: "teacher", Group: "Loss", Field: func(c *Config) any { return &c.Teacher },
		Text: "run whose recorded logits are learnt from instead of the labels (distillation)",
	}, {
		Key: "teacher_epoch", Flag: "teacher-epoch", Group: "Loss", Field: func(c *Config) any { return &c.TeacherEpoch },
		Text: "epoch of the teacher: a number, last, or best by validation NLL (default last)",
	}, {
		Key: "label_noise", Flag: "label-noise", Field: func(c *Config) any { return &c.LabelNoise },
		Text: "share of training labels to replace by a wrong class",
	}, {
		Key: "label_noise_kind", Flag: "label-noise-kind", Field: func(c *Config) any { return &c.NoiseKind },
		Text: "uniform: any wrong class; confused: the one that its class is mistaken for",
	}, {
		Key: "folds", Flag: "folds", Field: func(c *Config) any { return &c.Folds },
		Text: "train as many networks more, each without a fold of the training samples, for logitscope labels",
	}},
}

// formatNames lists the kinds of file that are read.
func formatNames() string {
	var names []string
	for _, f := range dataset.Formats() {
		if f.Instead == "" {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

// dataSettings are those of what is trained on.
var dataSettings = []Setting{
	{
		Key: "data.path", Flag: "data", Group: "Data", Field: func(c *Config) any { return &c.Data.Path },
		Text: "digits, a folder of images or texts a class, or a file: " + formatNames() + " (see docs/data.md)",
	},
	{
		Key: "data.labels", Flag: "labels", Group: "Data", Field: func(c *Config) any { return &c.Data.Labels },
		Text: "file of labels, for arrays and IDX images",
	},
	{
		Key: "data.target", Flag: "target", Group: "Data", Field: func(c *Config) any { return &c.Data.Target },
		Text: "column that holds the classes (default: target, label, class or y, else the last)",
	},
	{
		Key: "data.multi_label", Flag: "multi-label", Group: "Data", Field: func(c *Config) any { return &c.Data.MultiLabel },
		Text: "the target lists several classes, as in red|round",
	},
	{
		Key: "data.text", Flag: "text-column", Group: "Data", Field: func(c *Config) any { return &c.Data.Text },
		Text: "learn from this column alone, as text",
	},
	{
		Key: "data.types", Flag: "types", Group: "Data", Field: func(c *Config) any { return &c.Data.Types },
		Text: "types of columns: NAME=numeric, categorical, text or ignore",
	},
	{
		Key: "data.missing", Flag: "missing", Group: "Data", Field: func(c *Config) any { return &c.Data.Missing },
		Text: "what else stands for a missing value",
	},
	{
		Key: "data.decimal", Flag: "decimal", Group: "Data", Field: func(c *Config) any { return &c.Data.Decimal },
		Text: "what stands before the fraction of a number: point or comma (default: found out, a column at a time)",
	},
	{
		Key: "data.keep_na", Flag: "keep-na", Group: "Data", Field: func(c *Config) any { return &c.Data.KeepNA },
		Text: "classes and categories called None, NA and the like are kept as such, where they stand for a missing value else",
	},
	{
		Key: "data.fold_labels", Flag: "fold-labels", Group: "Data", Field: func(c *Config) any { return &c.Data.FoldLabels },
		Text: "labels that differ in case, spaces or the form of a number (Red, red; 1, 1.0) are one class",
	},
	{
		Key: "data.drop_unlabelled", Flag: "drop-unlabelled", Group: "Data", Field: func(c *Config) any { return &c.Data.DropUnlabelled },
		Text: "leave out rows without a class, however many, and those of --val and --test whose class training does not have",
	},
	{
		Key: "data.standardize", Flag: "standardize", Group: "Data", Field: func(c *Config) any { return &c.Data.Standardize },
		Text: "yes or no: whether vectors are treated as a table's columns, and standardised (default: those of fewer than 128 values)",
	},
	{
		Key: "data.delimiter", Flag: "delimiter", Group: "Data", Field: func(c *Config) any { return &c.Data.Delimiter },
		Text: "delimiter of a table: one character, tab, or space for one or several (default: found out)",
	},
	{
		Key: "data.quote", Flag: "quote", Group: "Data", Field: func(c *Config) any { return &c.Data.Quote },
		Text: "none: quotes in a table are characters as any other",
	},
	{
		Key: "data.encoding", Flag: "encoding", Group: "Data", Field: func(c *Config) any { return &c.Data.Encoding },
		Text: "of texts that are not UTF-8 and bear no mark: latin1, windows-1251, utf-16, shift_jis, …",
	},
	{
		Key: "data.header", Flag: "header", Group: "Data", Field: func(c *Config) any { return &c.Data.Header },
		Text: "whether a table's first row names its columns: yes or no (default: found out)",
	},
	{
		Key: "data.val", Flag: "val", Group: "Data", Field: func(c *Config) any { return &c.Data.Val },
		Text: "file of validation rows, instead of a share of the data",
	},
	{
		Key: "data.val_labels", Flag: "val-labels", Group: "Data", Field: func(c *Config) any { return &c.Data.ValLabels },
		Text: "labels of --val, for arrays and IDX images",
	},
	{
		Key: "data.val_fraction", Flag: "val-fraction", Group: "Data", Field: func(c *Config) any { return &c.Data.ValFraction },
		Text: "share of the samples kept for validation",
	},
	{
		Key: "data.test", Flag: "test", Group: "Data", Field: func(c *Config) any { return &c.Data.Test },
		Text: "file of test rows: measured, never trained on",
	},
	{
		Key: "data.test_labels", Flag: "test-labels", Group: "Data", Field: func(c *Config) any { return &c.Data.TestLabels },
		Text: "labels of --test, for arrays and IDX images",
	},
	{
		Key: "data.group", Flag: "group", Group: "Data", Field: func(c *Config) any { return &c.Data.Group },
		Text: "column whose groups stay whole: all in training or all in validation",
	},
	{
		Key: "data.train_size", Flag: "train-size", Group: "Data", Field: func(c *Config) any { return &c.Data.TrainSize },
		Text: "training samples; 0 takes all that validation leaves",
	},
	{
		Key: "data.image_size", Flag: "image-size", Group: "Data", Field: func(c *Config) any { return &c.Data.ImageSize },
		Text: "side that a folder's images are resized to (default 32)",
	},
	{
		Key: "data.max_bytes", Group: "Data", Field: func(c *Config) any { return &c.Data.MaxBytes },
		Text: "largest file read, unpacked; 0: 4 GiB",
	},
}

// nearest returns the end of an error about an unknown key: which settings may be meant, and where all are listed.
func nearest(key string) string {
	var meant []string
	for _, s := range Settings() {
		last := s.Key[strings.LastIndex(s.Key, ".")+1:]
		if distance(key, last) <= 1+len(last)/4 || strings.HasPrefix(s.Text, strings.ReplaceAll(key, "_", " ")+" (") {
			meant = append(meant, s.Key)
		}
	}
	if meant == nil {
		return "; docs/settings.md lists what there is"
	}
	return ": is it " + strings.Join(meant, " or ") + "? docs/settings.md lists what there is"
}

// distance returns the Levenshtein distance of two words: how many letters have to be changed, added or left out to make one of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
