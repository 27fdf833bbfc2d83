package calibrate_test

import (
	"context"
	"fmt"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/summary"
)

// A network that is right in three of four rows claims to be sure. The temperature that suits it gives p = 3/4.
func Example() {
	var b summary.Batch
	b.Columns = 2
	for i := range 40 {
		b.Logits = append(b.Logits, 4, 0) // p = 0.98 of class 0
		label := int32(0)
		if i%4 == 0 {
			label = 1
		}
		b.Labels = append(b.Labels, label)
	}
	c, err := calibrate.Fit(context.Background(), b, calibrate.ByTemperature, calibrate.Options{})
	if err != nil {
		panic(err)
	}
	logits := []float32{4, 0}
	c.Apply(logits, logits)
	fmt.Printf("T = %.2f, which makes z = [4, 0] %.2f\n", c.Temperature, logits)
	// Output: T = 3.64, which makes z = [4, 0] [1.10 0.00]
}
