package convert

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/record"
)

var csvFormat = Format{
	Name: "csv", Endings: []string{".csv"},
	Text: "a row a sample and epoch: epoch, split, id, label (and clean_label, where labels were changed on purpose), text where samples have one, logit:CLASS; labels by name",
	file: writeCSV,
}

func writeCSV(w io.Writer, s *selection) error {
	out := csv.NewWriter(w)
	header := []string{"epoch", "split", "id", "label"}
	if s.hasCleanLabels() {
		header = append(header, "clean_label")
	}
	if s.hasTexts() {
		header = append(header, "text")
	}
	for _, name := range s.logitNames() {
		header = append(header, "logit:"+name)
	}
	if err := out.Write(header); err != nil {
		return err
	}
	k := s.manifest.Columns
	err := s.each(func(epoch int, part split, logits []float32) error {
		var row []string
		for i, id := range part.IDs {
			row = append(row[:0], strconv.Itoa(epoch), part.name, strconv.FormatInt(id, 10), s.labelText(part, i))
			if s.hasCleanLabels() {
				row = append(row, s.cleanLabel(part, i))
			}
			if s.hasTexts() {
				row = append(row, part.text(i))
			}
			for _, z := range logits[i*k : (i+1)*k] {
				row = append(row, strconv.FormatFloat(float64(z), 'g', -1, 32))
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func (s *selection) hasCleanLabels() bool {
	return slices.ContainsFunc(s.splits, func(part split) bool { return part.CleanLabels != nil })
}

// hasTexts reports whether the previews of samples are texts.
func (s *selection) hasTexts() bool {
	return s.manifest.Preview != nil && s.manifest.Preview.Kind == record.PreviewText
}

// text returns the text of a sample, "" for a sample without one.
func (of split) text(i int) string {
	if of.Texts == nil {
		return ""
	}
	return of.Texts[i]
}

// labelText returns the name of a sample's class, or the names of its classes with | between them.
func (s *selection) labelText(part split, i int) string {
	return strings.Join(s.labelsOf(part, i), "|")
}

func (s *selection) labelsOf(part split, i int) []string {
	if part.Targets == nil {
		if name := s.className(part.Labels[i]); part.Labels[i] != record.Ignored {
			return []string{name}
		}
		return nil
	}
	k := len(s.manifest.Classes)
	names := []string{}
	for j, has := range part.Targets[i*k : (i+1)*k] {
		if has != 0 {
			names = append(names, s.manifest.Classes[j])
		}
	}
	return names
}

func (s *selection) cleanLabel(part split, i int) string {
	if part.CleanLabels == nil {
		return s.labelText(part, i)
	}
	return s.className(part.CleanLabels[i])
}

var jsonLines = Format{
	Name: "jsonl", Endings: []string{".jsonl", ".ndjson"},
	Text: `an object a line: epoch, split, id, label (labels with several a sample), text where the sample has one, logits in the order of the manifest's classes; a logit that is not finite is "NaN", "Infinity" or "-Infinity"`,
	file: writeJSONLines,
}

type jsonRow struct {
	Epoch      int       `json:"epoch"`
	Split      string    `json:"split"`
	ID         int64     `json:"id"`
	Label      *string   `json:"label,omitempty"`
	Labels     *[]string `json:"labels,omitempty"`
	CleanLabel *string   `json:"clean_label,omitempty"`
	Text       string    `json:"text,omitempty"`
	Logits     logitList `json:"logits"`
}

func writeJSONLines(w io.Writer, s *selection) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	k := s.manifest.Columns
	err := s.each(func(epoch int, part split, logits []float32) error {
		for i, id := range part.IDs {
			row := jsonRow{Epoch: epoch, Split: part.name, ID: id, Text: part.text(i), Logits: logits[i*k : (i+1)*k]}
			if names := s.labelsOf(part, i); part.Targets != nil {
				row.Labels = &names
			} else if len(names) > 0 {
				row.Label = &names[0]
			}
			if part.CleanLabels != nil {
				clean := s.cleanLabel(part, i)
				row.CleanLabel = &clean
			}
			if err := out.Encode(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return buffered.Flush()
}

// logitList is written as a JSON array of numbers. NaN and infinity, which JSON does not have, are written as strings.
type logitList []float32

// MarshalJSON implements json.Marshaler.
func (l logitList) MarshalJSON() ([]byte, error) {
	text := []byte{'['}
	for i, z := range l {
		if i > 0 {
			text = append(text, ',')
		}
		switch v := float64(z); {
		case math.IsNaN(v):
			text = append(text, `"NaN"`...)
		case math.IsInf(v, 1):
			text = append(text, `"Infinity"`...)
		case math.IsInf(v, -1):
			text = append(text, `"-Infinity"`...)
		default:
			text = strconv.AppendFloat(text, v, 'g', -1, 32)
		}
	}
	return append(text, ']'), nil
}

var cartography = Format{
	Name: "cartography", Folder: true,
	Text:   "a folder of dynamics_epoch_0.jsonl and so on, one for each recorded epoch in order, as Dataset Cartography (Swayamdipta et al., 2020) reads training dynamics: guid, logits_epoch_0, gold; of one split",
	folder: writeCartography,
}

// writeCartography writes a file for each epoch. Their numbers begin at 0 and have no gaps, as the programs that read them want it.
func writeCartography(dir string, s *selection) error {
	if len(s.splits) != 1 {
		var names []string
		for _, one := range s.splits {
			names = append(names, one.name)
		}
		return fmt.Errorf("training dynamics are those of one split: name with --splits one of %s", strings.Join(names, ", "))
	}
	if s.manifest.Head.MultiLabel() {
		return fmt.Errorf("training dynamics have one label a sample, and run %s has several", s.manifest.Name)
	}
	number, k := 0, s.manifest.Columns
	return s.each(func(_ int, part split, logits []float32) error {
		file, err := os.Create(filepath.Join(dir, fmt.Sprintf("dynamics_epoch_%d.jsonl", number)))
		if err != nil {
			return err
		}
		defer file.Close()
		out := bufio.NewWriterSize(stoppable{s.ctx, file}, 1<<16)
		for i, id := range part.IDs {
			if part.Labels[i] == record.Ignored {
				continue // training dynamics are about the label, and the sample has none
			}
			row := logitList(logits[i*k : (i+1)*k])
			if k == 1 {
				row = logitList{0, row[0]} // a single logit is the second of two, the first of which is 0
			}
			text, err := row.MarshalJSON()
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(out, "{\"guid\": %d, \"logits_epoch_%d\": %s, \"gold\": %d}\n", id, number, text, part.Labels[i]); err != nil {
				return err
			}
		}
		number++
		if err := out.Flush(); err != nil {
			return err
		}
		return file.Close()
	})
}
