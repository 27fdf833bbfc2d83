package record

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"time"
)

// CalibrationFile is what a run keeps its calibrator in: JSON under a seal, which may come long after the training.
const CalibrationFile = "calibration.json"

// Calibration reads the run's calibrator, an fs.ErrNotExist where it has none. One that names another run is damage; one that names
// none is of no run's logits, and anyone's. sealed is false for one of an older version, or made by hand, which is taken where the
// run itself is of an older version.
func (r *Run) Calibration() (data []byte, sealed bool, err error) {
	data, err = readSmall(r.root, CalibrationFile, ruleOf(CalibrationFile).sealed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	var of owner
	if err == nil {
		sealed, err = UnsealAny(data, &of)
	}
	switch {
	case err != nil:
	case of.Run != "" && of.Run != r.manifest.ID:
		err = errOtherRun
	case !sealed && r.manifest.ID != "":
		err = errors.New("it is not sealed, which this run's calibrators are: calibrate again")
	}
	if err != nil {
		return nil, false, r.damage(CalibrationFile, -1, "", err)
	}
	return data, sealed, nil
}

// WriteCalibration keeps a calibrator with the run, in place of the one before, whole or not at all: v is sealed as JSON, and a
// member run in it must be the run's ID.
func (r *Run) WriteCalibration(v any) error {
	data, err := sealAs(CalibrationFile, v)
	if err != nil {
		return err
	}
	if err := r.clearCalibrations(); err != nil {
		return named(err)
	}
	tmp := tmpPrefix + CalibrationFile + "-" + rand.Text()[:8] // another process may be at it
	err = writeFile(r.root, tmp, data)
	if err == nil {
		err = r.root.Rename(tmp, CalibrationFile)
	}
	if err != nil {
		r.root.RemoveAll(tmp) // to give back the room
		return named(err)
	}
	return named(r.root.SyncDir("."))
}

// clearCalibrations removes what was left by who was killed as it wrote one.
func (r *Run) clearCalibrations() error {
	entries, err := r.root.ReadDir(".")
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), tmpPrefix+CalibrationFile) {
			continue
		}
		if info, e := entry.Info(); e == nil && time.Since(info.ModTime()) > time.Hour {
			err = cmp.Or(err, r.root.RemoveAll(entry.Name()))
		}
	}
	return err
}

// UnsealAny reads JSON that may be of before there were seals into v. What has a seal, or any part of one, or a format_version that
// is always sealed, must be as it was sealed.
func UnsealAny(data []byte, v any) (sealed bool, err error) {
	var old struct {
		FormatVersion int `json:"format_version"`
	}
	if !bytes.Contains(data, []byte("crc32c")) && json.Unmarshal(data, &old) == nil && old.FormatVersion == 1 {
		return false, json.Unmarshal(data, v)
	}
	return true, Unseal(data, v)
}
