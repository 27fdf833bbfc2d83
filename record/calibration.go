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

// CalibrationFile is the file of a run's calibrator, which is sealed JSON and may be written long after the training.
const CalibrationFile = "calibration.json"

// Calibration reads the JSON of the run's calibrator. The error is an fs.ErrNotExist where the run has none, and a *Damage where the file names another
// run; a calibrator that names no run was fitted to no run's logits and is accepted in any. sealed is false for a file that an older version wrote, or
// that was made by hand; such a file is accepted only in a run of an older version, which has no ID.
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

// WriteCalibration writes a calibrator to the run, in place of an earlier one. The file is replaced whole or not at all. v is encoded as JSON and sealed;
// its member run, where it has one, must be the run's ID, or readers refuse it.
func (r *Run) WriteCalibration(v any) error {
	data, err := sealAs(CalibrationFile, v)
	if err != nil {
		return err
	}
	if err := r.clearCalibrations(); err != nil {
		return named(err)
	}
	tmp := tmpPrefix + CalibrationFile + "-" + rand.Text()[:8] // another process may be writing one too
	err = writeFile(r.root, tmp, data)
	if err == nil {
		err = r.root.Rename(tmp, CalibrationFile)
	}
	if err != nil {
		r.root.RemoveAll(tmp) // frees the space
		return named(err)
	}
	return named(r.root.SyncDir("."))
}

// clearCalibrations removes files that processes left which were killed while they wrote a calibrator, an hour ago or more.
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

// UnsealAny decodes JSON into v that may be older than seals. Only JSON of format_version 1 without any trace of a seal is accepted unsealed. All other
// JSON must have an intact seal, else it is an error.
func UnsealAny(data []byte, v any) (sealed bool, err error) {
	var old struct {
		FormatVersion int `json:"format_version"`
	}
	if !bytes.Contains(data, []byte("crc32c")) && json.Unmarshal(data, &old) == nil && old.FormatVersion == 1 {
		return false, json.Unmarshal(data, v)
	}
	return true, Unseal(data, v)
}
