package predict_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/predict"
	"github.com/logitscope/logitscope/record"
)

// A run of an older version predicts with the calibrator that an older version wrote, and says that nothing verifies it; with one
// of this version; and with none that is damaged.
func TestOlderRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "birds")
	if err := os.CopyFS(dir, os.DirFS("testdata/birds")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, record.CalibrationFile)
	const old = `{"format_version": 1, "method": "temperature", "columns": 3, "temperature": 2}`
	keep := func(data string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keep(old)
	m, err := predict.Open(dir)
	if err != nil || m.Calibrator.Temperature != 2 || !m.Calibrator.Unsealed {
		t.Fatalf("%+v, %v", m, err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if err := m.Calibrator.SaveIn(run); err != nil {
		t.Fatal(err)
	}
	if m, err = predict.Open(dir); err != nil || m.Calibrator.Temperature != 2 || m.Calibrator.Unsealed {
		t.Fatalf("sealed: %+v, %v", m, err)
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range sealed {
		flipped := append([]byte{}, sealed...)
		flipped[at] ^= 1 << (at % 8)
		keep(string(flipped))
		if m, err := predict.Open(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("byte %d flipped: %+v, %v", at, m, err)
		}
		keep(string(sealed[:at]))
		if m, err := predict.Open(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("cut to %d bytes: %+v, %v", at, m, err)
		}
	}
}
