package dynamics

import (
	"context"

	"github.com/logitscope/logitscope/analysis"
)

// AveragePrecision is averagePrecision.
func AveragePrecision(score []float64, positive []bool) float64 {
	return averagePrecision(score, positive)
}

// Follow opens a split's epochs, calls before, and follows the first sample through them.
func Follow(a *analysis.Analyzer, split string, before func()) error {
	files, err := openEpochs(context.Background(), a, split)
	if err != nil {
		return err
	}
	defer files.close()
	before()
	columns := a.Source().Manifest().Columns
	return newBlock(1, max(columns, 2)).follow(context.Background(), make([]Sample, 1), columns, files, 0)
}
