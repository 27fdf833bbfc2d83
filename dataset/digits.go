package dataset

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// digitsGzip is "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning
// Repository, 1998, DOI 10.24432/C50P49, used under CC BY 4.0: 64 pixel values (8×8, integers 0–16) and the digit.
//
//go:embed digits.csv.gz
var digitsGzip []byte

// digitsPath is the Options.Path that stands for the digits.
const digitsPath = "digits"

const (
	digitsSide   = 8
	digitsMax    = 16
	digitsPixels = digitsSide * digitsSide
)

// Digits returns the 1,797 handwritten digits that come with the program: 8×8 pixels scaled to [0, 1], 10 classes.
// E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
// DOI 10.24432/C50P49, CC BY 4.0.
func Digits() (*Dataset, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(digitsGzip))
	if err != nil {
		return nil, fmt.Errorf("embedded digits: %w", err)
	}
	d := &Dataset{
		Name:    digitsPath,
		Columns: digitsPixels,
		Image:   &Image{Height: digitsSide, Width: digitsSide, Channels: 1, Max: digitsMax},
	}
	for class := range 10 {
		d.Classes = append(d.Classes, strconv.Itoa(class))
	}
	d.Pipeline = &Pipeline{
		Kind: KindImage, Classes: d.Classes, Inputs: digitsPixels, Shape: &Shape{Height: digitsSide, Width: digitsSide, Channels: 1},
	}
	rows := csv.NewReader(unzipped)
	rows.FieldsPerRecord = digitsPixels + 1
	rows.ReuseRecord = true
	for {
		record, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, fmt.Errorf("embedded digits: %w", err)
		}
		for column, field := range record {
			limit := digitsMax
			if column == digitsPixels {
				limit = len(d.Classes) - 1
			}
			value, err := strconv.Atoi(field)
			if err != nil || value < 0 || value > limit {
				line, _ := rows.FieldPos(column)
				return nil, fmt.Errorf("embedded digits: line %d, column %d: %q is not an integer in [0, %d]",
					line, column+1, field, limit)
			}
			if column == digitsPixels {
				d.Labels = append(d.Labels, int32(value))
			} else {
				d.Image.Pixels = append(d.Image.Pixels, byte(value))
				d.Features = append(d.Features, float32(value)/digitsMax)
			}
		}
	}
}
