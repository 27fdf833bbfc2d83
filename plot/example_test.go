package plot_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/plot"
)

// The curves of a run as an SVG; of a run that is recorded they come from analysis.Analyzer.Curves.
func Example() {
	curves := &analysis.Curves{Run: "digits", Story: analysis.Story{BestEpoch: 2, Mark: "overfits from 2"}}
	for i, nll := range []analysis.Number{1.2, 0.7, 0.9} {
		curves.Epochs = append(curves.Epochs, analysis.EpochScores{
			Epoch: i + 1, Splits: map[string]analysis.SplitScores{"val": {N: 360, NLL: nll, Accuracy: 0.8}},
		})
	}
	svg, err := plot.Curves(curves).SVG()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes.Contains(svg, []byte("overfits from 2")))
	// Output: true
}
