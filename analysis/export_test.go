package analysis

// Read is Analyzer.read.
func Read(a *Analyzer, epoch int, split string, use func(logits []float32)) error {
	return a.read(epoch, split, use)
}

// AveragePrecision is averagePrecision.
func AveragePrecision(score []float64, positive []bool) float64 {
	return averagePrecision(score, positive)
}

// Follow opens a split's epochs, calls before, and follows the first sample through them.
func Follow(a *Analyzer, split string, before func()) error {
	files := a.openEpochs(split)
	defer files.close()
	before()
	columns := a.run.Manifest().Columns
	return newBlock(1, max(columns, 2)).follow(make([]SampleDynamics, 1), columns, files, 0)
}
