package analysis

// Read is Analyzer.read.
func Read(a *Analyzer, epoch int, split string, use func(logits []float32)) error {
	return a.read(epoch, split, use)
}

// AveragePrecision is averagePrecision.
func AveragePrecision(score []float64, positive []bool) float64 {
	return averagePrecision(score, positive)
}
