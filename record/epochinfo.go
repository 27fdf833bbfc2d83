package record

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// epochJSON is epoch.json.
type epochJSON struct {
	owner
	Epoch  int         `json:"epoch"`
	Index  int         `json:"index"` // how many epochs were committed before it
	Splits epochSplits `json:"splits"`
}

// epochSplit says what an epoch holds of a split: in formats 1 and 2 one file of all its samples, in format 3 parts.
type epochSplit struct {
	Name string `json:"name"`
	N    int    `json:"n"`
	content
	Of    int       `json:"of,omitempty"`
	Parts partInfos `json:"parts,omitempty"`
	Measured
	Overflowed int        `json:"overflowed,omitempty"`
	Repeated   int        `json:"repeated,omitempty"`
	Samples    *grownFile `json:"samples,omitempty"`
}

// partInfo says what the files of a part must be.
type partInfo struct {
	N     int      `json:"n"`
	Rows  *content `json:"rows,omitempty"`
	Stats *content `json:"stats,omitempty"`
}

// grownFile is the file of the samples that came with an epoch.
type grownFile struct {
	N int `json:"n"`
	content
}

// Bounds on what an epoch.json of format 3 may say.
const (
	maxParts       = 1 << 16
	maxEpoch3Bytes = 16 << 20
)

// epochPath is the path of a file in an epoch's folder.
func epochPath(epoch int, name string) string { return epochsDir + "/" + epochName(epoch) + "/" + name }

// partFile is the name of the file of a part's rows, or of its statistics.
func partFile(split string, part int, stats bool) string {
	if part > 0 {
		split = fmt.Sprintf("%s.%d", split, part)
	}
	if stats {
		split += ".stats"
	}
	return split + ".arrow"
}

// samplesFile is the name of the file of the samples that came with an epoch.
func samplesFile(split string) string { return split + ".samples.arrow" }

// brought is how many samples came with the epoch.
func (s *epochSplit) brought() int {
	if s.Samples == nil {
		return 0
	}
	return s.Samples.N
}

// before is how many samples came with earlier epochs, where this one has rows of its own alone; else 0.
func (s *epochSplit) before(is *SplitInfo) int {
	if is.Followed() {
		return 0
	}
	return s.Of - s.brought()
}

// info says what the split holds.
func (s *epochSplit) info(is *SplitInfo, e encoding) RowsInfo {
	info := RowsInfo{Split: s.Name, N: s.N, Of: s.Of - s.before(is), Measured: s.Measured, Overflowed: s.Overflowed, Repeated: s.Repeated, Dense: e.dense, Stats: true}
	for _, p := range s.Parts {
		info.Dense = info.Dense && p.Rows != nil
		info.Stats = info.Stats && p.Stats != nil
	}
	info.Stats = info.Stats && len(s.Parts) > 0
	return info
}

// Epoch says what an epoch holds of each split. It reads no rows.
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

// Splits returns the manifest's splits, each with as many samples as are known now: those that epochs brought, too. What of them is damaged does not count.
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

// readEpoch reads an epoch's epoch.json. Whatever the format, its splits have parts.
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

// validate returns what is wrong with what an epoch says of the i-th split. It gives those of formats 1 and 2 the part that they are.
func (s *epochSplit) validate(m *Manifest, i int) error {
	is := m.Splits[i]
	if m.FormatVersion < 3 {
		if s.N != is.N {
			return errors.New("its splits are not those of the manifest")
		}
		file := s.content
		*s = epochSplit{Name: s.Name, N: s.N, Of: s.N, Parts: []partInfo{{N: s.N, Rows: &file}}}
		return nil
	}
	growing := is.Grows()
	switch {
	case s.Of < is.N || s.Of > is.N && !growing || int64(s.Of) > maxValues/int64(m.Columns):
		return fmt.Errorf("split %q: it is of %d samples, and %d are in the manifest", s.Name, s.Of, is.N)
	case s.N < 0 || s.N > s.Of:
		return fmt.Errorf("split %q: %d rows of %d samples", s.Name, s.N, s.Of)
	case len(s.Parts) > maxParts:
		return fmt.Errorf("split %q: %d parts: want at most %d", s.Name, len(s.Parts), maxParts)
	case s.Overflowed < 0 || s.Repeated < 0:
		return fmt.Errorf("split %q: %d overflowed, %d repeated", s.Name, s.Overflowed, s.Repeated)
	case s.Samples != nil && (!growing || s.Samples.N < 1 || s.Samples.N > s.Of-is.N):
		return fmt.Errorf("split %q: it brings samples that it cannot", s.Name)
	}
	if !is.Followed() && s.N > s.brought() {
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
