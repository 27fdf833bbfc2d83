package calibrate

import (
	"bytes"
	"fmt"
	"io"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

// formatVersion is that of the files that are written: from 2 on they are sealed.
const formatVersion = 2

// maxBytes bounds a calibrator's file, for its reader and its writer; the tests make it small.
var maxBytes int64 = 256 << 20

// Load reads the calibrator in a file.
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

// LoadFrom reads the calibrator that a run keeps, an fs.ErrNotExist where it has none. That of another run is refused, as is one
// that is damaged.
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

// Decode reads a calibrator from JSON, whose seal it verifies. Files of format 1 have none.
func Decode(data []byte) (*Calibrator, error) {
	c := &Calibrator{}
	sealed, err := record.UnsealAny(data, c)
	if err != nil {
		return nil, fmt.Errorf("it is no calibrator: %w", err)
	}
	c.Unsealed = !sealed
	return c, c.check()
}

// SaveIn keeps c with a run, in place of the calibrator that it had.
func (c *Calibrator) SaveIn(run *record.Run) error {
	c.Version = formatVersion
	return run.WriteCalibration(c)
}

// Save writes c to a file, whole or not at all.
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
