package predict_test

import (
	"fmt"

	"github.com/logitscope/logitscope/predict"
)

// A run that logitscope train wrote, used on new rows.
func Example() {
	m, err := predict.Open("testdata/birds")
	if err != nil {
		panic(err)
	}
	p, err := m.Fields([]string{"wing", "colour"}, [][]string{{"11.5", "grey"}, {"21", "black"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(p[0].Label, p[1].Label)
	// Output: gull swan
}
