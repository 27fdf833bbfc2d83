package record

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// epochJSON is the content of epoch.json.
type epochJSON struct {
	owner
	Epoch  int         `json:"epoch"`
	Index  int         `json:"index"` // the number of epochs that were committed before this one
	Splits epochSplits `json:"splits"`
}

// epochSplit says what an epoch holds of a split. In formats 1 and 2 that is one file of the rows of all samples, in format 3 it is parts.
type epochSplit struct {
	Name       string     `json:"name"`
	N          int        `json:"n"` // the number of rows
	content               // the size and checksum of the one file, in formats 1 and 2
	Of         int        `json:"of,omitempty"`    // the number of samples that the split has at the epoch
	Parts      partInfos  `json:"parts,omitempty"` // the parts that the rows are in
	Measured              // how the logits were measured
	Overflowed int        `json:"overflowed,omitempty"` // the number of finite logits that the encoding made infinite
	Repeated   int        `json:"repeated,omitempty"`   // the number of rows that were left out because their sample had one already
	Samples    *grownFile `json:"samples,omitempty"`    // the samples that came with the epoch; nil for none
}

// partInfo says what the files of a part must be.
type partInfo struct {
	N     int      `json:"n"`               // the number of rows
	Rows  *content `json:"rows,omitempty"`  // the file of rows; nil where there is none
	Stats *content `json:"stats,omitempty"` // the file of row statistics; nil where there is none
}

// grownFile says what the file of the samples that came with an epoch must be.
type grownFile struct {
	N int `json:"n"` // the number of samples
	content
}

// Bounds on what an epoch.json of format 3 may say.
const (
	maxParts       = 1 << 16
	maxEpoch3Bytes = 16 << 20
)

// epochPath returns the path, in the run, of a file in an epoch's folder.
func epochPath(epoch int, name string) string { return epochsDir + "/" + epochName(epoch) + "/" + name }

// partFile returns the name of the file of a part's rows, or of its statistics where stats is true.
func partFile(split string, part int, stats bool) string {
	if part > 0 {
		split = fmt.Sprintf("%s.%d", split, part)
	}
	if stats {
		split += ".stats"
	}
	return split + ".arrow"
}

// samplesFile returns the name of the file of the samples that came with an epoch.
func samplesFile(split string) string { return split + ".samples.arrow" }

// brought returns the number of samples that came with the epoch.
func (s *epochSplit) brought() int {
	if s.Samples == nil {
		return 0
	}
	return s.Samples.N
}

// before returns the number of samples that came with earlier epochs, for a split whose epochs have rows of their own samples only; else 0.
func (s *epochSplit) before(split *SplitInfo) int {
	if split.Followed() {
		return 0
	}
	return s.Of - s.brought()
}

// info returns what the epoch holds of the split, whose rows have the encoding e.
func (s *epochSplit) info(split *SplitInfo, e encoding) RowsInfo {
	info := RowsInfo{Split: s.Name, N: s.N, Of: s.Of - s.before(split), Measured: s.Measured, Overflowed: s.Overflowed, Repeated: s.Repeated, Dense: e.dense, Stats: true}
	for _, p := range s.Parts {
		info.Dense = info.Dense && p.Rows != nil
		info.Stats = info.Stats && p.Stats != nil
	}
	info.Stats = info.Stats && len(s.Parts) > 0
	return info
}

// Epoch returns what an epoch holds of each split, in the order of the manifest. It reads no rows. The error is ErrNoEpoch where the run does not have
// the epoch, and a *Damage where its epoch.json is damaged.
func (r *Run) Epoch(epoch int) ([]RowsInfo, error) {
	info, err := r.readEpoch(epoch)
	if err != nil {
		return nil, err
	}
	var splits []RowsInfo
	for i := range info.Splits {
		splits = append(splits, info.Splits[i].info(&r.manifest.Splits[i].SplitInfo, r.manifest.encodingOf(i)))
	}
	return splits, nil
}

// Splits returns the manifest's splits. The N of each is the number of samples that are known now, those that came with epochs included. A damaged
// epoch.json is passed over.
func (r *Run) Splits() []SplitInfo {
	splits := slices.Clone(r.Manifest().Splits)
	for _, epoch := range slices.Backward(r.Epochs()) {
		if !slices.ContainsFunc(splits, func(s SplitInfo) bool { return s.Grows() }) {
			break
		}
		if info, err := r.readEpoch(epoch); err == nil {
			for i := range splits {
				splits[i].N = info.Splits[i].Of
			}
			break
		}
	}
	return splits
}

// readEpoch reads an epoch's epoch.json. The splits that it returns have parts in every format.
func (r *Run) readEpoch(epoch int) (*epochJSON, error) {
	name := epochPath(epoch, epochFile)
	var info epochJSON
	data, err := r.sealed(name, &info)
	if err == nil && r.manifest.FormatVersion < 3 && len(data) > maxEpochBytes {
		err = fmt.Errorf("%d bytes: want at most %d", len(data), maxEpochBytes)
	}
	if errors.Is(err, fs.ErrNotExist) && !r.has(epochsDir+"/"+epochName(epoch)) {
		return nil, lacks(ErrNoEpoch, "run %s has no epoch %d", r.manifest.Name, epoch)
	}
	if err == nil && info.Epoch != epoch {
		err = fmt.Errorf("it is of epoch %d", info.Epoch)
	}
	if err == nil && !slices.EqualFunc(info.Splits, r.manifest.Splits, func(a epochSplit, b splitFile) bool { return a.Name == b.Name }) {
		err = errors.New("its splits are not those of the manifest")
	}
	for i := range info.Splits {
		if s := &info.Splits[i]; err == nil {
			err = s.validate(r.Manifest(), i)
		}
	}
	if err != nil {
		return nil, r.damage(name, epoch, "", err)
	}
	return &info, nil
}

// validate returns what is wrong with what an epoch says of the i-th split, nil for nothing. In formats 1 and 2 it turns the one file into a part.
func (s *epochSplit) validate(m *Manifest, i int) error {
	split := m.Splits[i]
	if m.FormatVersion < 3 {
		if s.N != split.N {
			return errors.New("its splits are not those of the manifest")
		}
		file := s.content
		*s = epochSplit{Name: s.Name, N: s.N, Of: s.N, Parts: []partInfo{{N: s.N, Rows: &file}}}
		return nil
	}
	growing := split.Grows()
	switch {
	case s.Of < split.N || s.Of > split.N && !growing || int64(s.Of) > maxValues/int64(m.Columns):
		return fmt.Errorf("split %q: it is of %d samples, and %d are in the manifest", s.Name, s.Of, split.N)
	case s.N < 0 || s.N > s.Of:
		return fmt.Errorf("split %q: %d rows of %d samples", s.Name, s.N, s.Of)
	case len(s.Parts) > maxParts:
		return fmt.Errorf("split %q: %d parts: want at most %d", s.Name, len(s.Parts), maxParts)
	case s.Overflowed < 0 || s.Repeated < 0:
		return fmt.Errorf("split %q: %d overflowed, %d repeated", s.Name, s.Overflowed, s.Repeated)
	case s.Samples != nil && (!growing || s.Samples.N < 1 || s.Samples.N > s.Of-split.N):
		return fmt.Errorf("split %q: it brings samples that it cannot", s.Name)
	}
	if !split.Followed() && s.N > s.brought() {
		return fmt.Errorf("split %q: %d rows of the %d samples that the epoch has", s.Name, s.N, s.brought())
	}
	rows := 0
	for _, p := range s.Parts {
		if p.N < 1 || p.N > s.N-rows || p.Rows == nil && p.Stats == nil {
			return fmt.Errorf("split %q: its parts are not %d rows together", s.Name, s.N)
		}
		rows += p.N
	}
	if rows != s.N {
		return fmt.Errorf("split %q: its parts are %d rows together, want %d", s.Name, rows, s.N)
	}
	return s.Measured.validate()
}
