package calibrate_test

import (
	"encoding/json"
	"testing"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/record"
)

// Whatever is read as a calibrator can be applied, and written and read again as it was.
func FuzzDecodeCalibrator(f *testing.F) {
	f.Add([]byte(`{"format_version": 1, "method": "temperature", "columns": 3, "temperature": 2}`))
	f.Add([]byte(`{"format_version": 1, "method": "isotonic", "columns": 1, "curves": [{"x": [0, 1], "y": [0.1, 0.9]}]}`))
	sealed, err := record.Seal(&calibrate.Calibrator{Version: 2, Method: calibrate.ByVector, Columns: 2, Weights: []float64{1, 2}, Biases: []float64{0, 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := calibrate.Decode(data)
		if err != nil {
			return
		}
		if c.Columns <= 1<<10 {
			z := make([]float32, 2*c.Columns)
			c.Apply(z, z)
		}
		c.Version = 2
		again, err := record.Seal(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := calibrate.Decode(again)
		if err != nil || back.Unsealed {
			t.Fatalf("%v, unsealed %v", err, back.Unsealed)
		}
		c.Unsealed = false
		a, _ := json.Marshal(c)
		if b, _ := json.Marshal(back); string(a) != string(b) {
			t.Fatalf("%s came back as %s", a, b)
		}
	})
}
