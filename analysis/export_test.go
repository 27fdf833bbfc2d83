package analysis

// Read is Analyzer.read.
func Read(a *Analyzer, epoch int, split string, use func(logits []float32)) error {
	return a.read(epoch, split, use)
}
