package calibrate

import (
	"bytes"
	"fmt"
	"io"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

// formatVersion is the version of the files that are written. From version 2 on they are sealed by a checksum.
const formatVersion = 2

// maxBytes is the largest size of a calibrator's file that is read or written. The tests make it smaller.
var maxBytes int64 = 256 << 20

// Load reads a calibrator from a file. A file that is no calibrator, is damaged or is of a newer version is an error.
func Load(path string) (*Calibrator, error) {
	data, err := files.Read(path, maxBytes)
	if err != nil {
		return nil, err
	}
	c, err := Decode(bytes.TrimPrefix(data, []byte("\ufeff"))) // an editor's byte-order mark
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// LoadFrom reads the calibrator that a run keeps. The error is fs.ErrNotExist where the run has none. One that is damaged or is another
// run's is an error too.
func LoadFrom(run *record.Run) (*Calibrator, error) {
	data, _, err := run.Calibration()
	if err != nil {
		return nil, err
	}
	c, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s of run %s: %w", record.CalibrationFile, run.Manifest().Name, err)
	}
	return c, nil
}

// Decode reads a calibrator from JSON and verifies its seal, which format 1 does not have.
func Decode(data []byte) (*Calibrator, error) {
	c := &Calibrator{}
	sealed, err := record.UnsealAny(data, c)
	if err != nil {
		return nil, fmt.Errorf("it is no calibrator: %w", err)
	}
	c.Unsealed = !sealed
	return c, c.check()
}

// SaveIn keeps c with a run, in place of any calibrator that the run had.
func (c *Calibrator) SaveIn(run *record.Run) error {
	c.Version = formatVersion
	return run.WriteCalibration(c)
}

// Save writes c to a file. The file is replaced as a whole, or where Save returns an error not at all.
func (c *Calibrator) Save(path string) (err error) {
	c.Version = formatVersion
	data, err := record.Seal(c)
	if err == nil && int64(len(data)) > maxBytes {
		err = fmt.Errorf("%s would have %d bytes, and is read up to %d: take another method", path, len(data), maxBytes)
	}
	if err != nil {
		return err
	}
	return files.Write(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
