// Package record keeps what a classifier's last layer said: every sample's logits at every epoch, in a run directory that
// is written while training goes on and read, by this or any other program, at the same time.
//
//	RUN/manifest.json               what the run is: classes, head, splits, configuration, seed, versions
//	RUN/samples/train.arrow         id, label, label before planted noise, preview: one row a sample
//	RUN/epochs/000001/train.arrow   id and logits: one row a sample, in the order of samples/train.arrow
//	RUN/epochs/000001/epoch.json    size and CRC-32C of the files beside it
//	RUN/end.json                    how the run ended; absent while it runs
//	RUN/lock                        locked by the writer while it lives
//
// An epoch is there whole or not at all: it is written to a temporary folder, synced, renamed into place, and the folder
// that holds it synced. Nothing committed is ever changed. docs/run-format.md specifies every byte.
//
// Rows are read in blocks (Run.Rows), whatever their encoding: dense logits where these are kept, and what is kept beside them or in
// their place. Where rows are wider than 16 logits, statistics stand in a file of their own (Run.Stats), from which figures follow
// without the logits. A run has the least format that can hold it: format 3 is for other encodings than float32, for such statistics,
// for epochs of some samples (Writer.AppendPart) and for samples that come later (Writer.AddSamples).
package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/logitscope/logitscope/internal/splitname"
	"github.com/logitscope/logitscope/logit"
)

// FormatVersion is the newest format of a run directory that this package reads. A run is written in the lowest format that can hold it.
const FormatVersion = 3

// Heads say how the columns of logits are to be read. They are those of package logit.
const (
	HeadSoftmax = logit.HeadSoftmax // one column a class
	HeadBinary  = logit.HeadBinary  // one column: the logit of class 1 against class 0
	HeadSigmoid = logit.HeadSigmoid // one column a class, which is the logit of the class against its absence: a sample may have several classes or none
)

// Names of the splits whose purpose a run's readers know. A run may have other splits too.
const (
	TrainSplit = "train" // the samples that the network was trained on
	ValSplit   = "val"   // samples that the network was not trained on, by which epochs are compared
)

// This does not compile unless other packages use the same names.
var _ = map[bool]struct{}{false: {}, TrainSplit == splitname.Train && ValSplit == splitname.Val: {}}

// States of a run.
const (
	StateRunning     = "running"     // a writer has the run open
	StateComplete    = "complete"    // the run ended as planned
	StateInterrupted = "interrupted" // the run was stopped, or its writer died before it could write how the run ended
	StateFailed      = "failed"      // the writer met an error
)

// Manifest says what a run is. It is written once, by Create.
type Manifest struct {
	FormatVersion int               `json:"format_version"`  // set by Create to the lowest format that the run needs, or 3 where the caller gives 3
	Needs         []string          `json:"needs,omitempty"` // set by Create: what a reader of format 3 must know beyond what every reader does
	ID            string            `json:"id,omitempty"`    // drawn at random by Create and repeated in the run's other JSON files; "" in a run of an older version
	Name          string            `json:"name"`            // [A-Za-z0-9._-]+; Create takes the directory's name where it is ""
	Created       time.Time         `json:"created"`         // when the run was created; Create takes the present where it is zero
	Classes       []string          `json:"classes"`         // K names, any UTF-8
	Head          logit.Head        `json:"head"`            // HeadSoftmax, HeadBinary or HeadSigmoid
	Columns       int               `json:"columns"`         // the number of logits a sample: K, or 1 for a binary head
	Splits        []SplitInfo       `json:"splits"`
	PlannedEpochs int               `json:"planned_epochs"` // 0 where the writer did not know
	Seed          uint64            `json:"seed"`
	Config        json.RawMessage   `json:"config,omitempty"`   // the writer's own configuration, any JSON
	Versions      map[string]string `json:"versions,omitempty"` // the version of each program or library, by its name
	Preview       *Preview          `json:"preview,omitempty"`  // how previews are laid out; nil where samples have none
	PartOf        string            `json:"part_of,omitempty"`  // for folds, the ID of the run that they are in
	Unit          string            `json:"unit,omitempty"`     // what the number of an epoch counts: UnitEpoch, which "" means too, UnitStep or UnitRound
	Source        *Source           `json:"source,omitempty"`   // where the logits came from; nil where the writer made them itself
}

// Judge returns the name of the split by which the network is judged: validation where it has samples, else training where it has samples, else the
// first split. A split whose samples come with its epochs counts as one that has samples, since the manifest is written before they are known.
func (m *Manifest) Judge() string {
	for _, name := range []string{ValSplit, TrainSplit} {
		for _, s := range m.Splits {
			if s.Name == name && (s.N > 0 || s.Grows()) {
				return name
			}
		}
	}
	if len(m.Splits) == 0 {
		return TrainSplit
	}
	return m.Splits[0].Name
}

// HeldOut returns the name of the split that tells how the network does on new samples, by which epochs are compared: the one that judges the run,
// where that is not training; else ValSplit, which the run then has no samples of.
func (m *Manifest) HeldOut() string {
	if split := m.Judge(); split != TrainSplit {
		return split
	}
	return ValSplit
}

// Follows reports whether samples of a split may have rows at several epochs. It is false for a split that the run does not have.
func (m *Manifest) Follows(split string) bool {
	i := slices.IndexFunc(m.Splits, func(s SplitInfo) bool { return s.Name == split })
	return i >= 0 && m.Splits[i].Followed()
}

// SplitInfo names a split, such as train or val, and says how many samples it has.
type SplitInfo struct {
	Name string `json:"name"` // [a-z0-9_-]+
	N    int    `json:"n"`    // the number of samples; in a split that grows, of those that are known at the start

	Rows      RowFormat `json:"rows,omitzero"`       // how rows are kept
	LogitsAre LogitsAre `json:"logits_are,omitzero"` // what the logits are
	Samples   string    `json:"samples,omitempty"`   // SamplesFixed, which "" means too, SamplesGrowing or SamplesOfEachEpoch
}

// What the previews of a run's samples are.
const (
	PreviewImage = "image" // pictures, row-major [Height,Width,Channels], 0 to Max
	PreviewText  = "text"  // texts of at most Max bytes
)

// Preview says what the previews of samples are, and how they are laid out.
type Preview struct {
	Kind     string `json:"kind"`               // PreviewImage or PreviewText
	Height   int    `json:"height,omitempty"`   // of pictures; 0 for texts, as Width and Channels are
	Width    int    `json:"width,omitempty"`    //
	Channels int    `json:"channels,omitempty"` //
	Max      int    `json:"max"`                // of pictures the value shown as full brightness, 1 to 255; of texts the most bytes that one has
}

// Size returns the number of bytes of one picture, and 0 for texts, which differ in length.
func (p *Preview) Size() int { return p.Height * p.Width * p.Channels }

// Samples are the samples of one split, row by row. Labels are in [0,K), or -100 for a sample without one.
type Samples struct {
	IDs         []int64 // [N], each once
	Labels      []int32 // [N], what the network is trained on
	CleanLabels []int32 // [N], the labels before noise was planted; nil where no noise was
	Targets     []uint8 // [N,K], 1 for each class that a sample has, else 0. Only a sigmoid head has them, and its Labels are all Ignored; else nil
	Previews    []byte  // [N,Height,Width,Channels], where previews are pictures; nil where there are none

	Texts []string // [N], UTF-8, where previews are texts; "" for a sample without one; nil where there are none
}

func (s *Samples) hasPreviews() bool { return s.Previews != nil || s.Texts != nil }

// values returns the bytes of the columns that sampleColumns lists, nil for a column that is absent.
func (s *Samples) values(m *Manifest) [][]byte {
	values := [][]byte{viewBytes(s.IDs), viewBytes(s.Labels), nil}
	if s.CleanLabels != nil {
		values[2] = viewBytes(s.CleanLabels)
	}
	if m.Head.MultiLabel() {
		values = append(values, viewBytes(s.Targets))
	}
	switch {
	case m.hasTexts():
		offsets, text := textBytes(s.Texts)
		values = append(values, offsets, text)
	case m.Preview != nil:
		values = append(values, s.Previews)
	}
	return values
}

// take sets s to copies of the columns that values returns.
func (s *Samples) take(m *Manifest, values [][]byte) {
	s.IDs = slices.Clone(view[int64](values[0]))
	s.Labels = slices.Clone(view[int32](values[1]))
	if values[2] != nil {
		s.CleanLabels = slices.Clone(view[int32](values[2]))
	}
	rest := values[3:]
	if m.Head.MultiLabel() {
		s.Targets = slices.Clone(view[uint8](rest[0]))
		rest = rest[1:]
	}
	switch {
	case m.hasTexts():
		s.Texts = textsOf(rest[0], rest[1])
	case m.Preview != nil:
		s.Previews = slices.Clone(rest[0])
	}
}

// Ignored is the label of a sample that has none.
const Ignored = logit.Ignored

// Bounds that keep a hostile manifest from costing memory, far above what anyone records.
const (
	maxColumns   = 1 << 24
	maxSplits    = 64
	maxValues    = 1 << 40 // N times Columns, N times the bytes of a preview
	maxPreview   = 1 << 24
	maxEpoch     = math.MaxInt32
	maxNameBytes = 128
)

var (
	runName   = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)
	splitName = regexp.MustCompile(`^[a-z0-9_-]+$`)
	device    = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`) // reserved by Windows, with any extension
)

// NameRule says what ValidName asks of a name, for errors.
const NameRule = "1 to 128 letters, digits, '.', '_' and '-', no dot first or last, and no name that Windows keeps for a device"

// ValidName reports whether name may name a run: letters, digits, '.', '_' and '-', not starting or ending with a dot, at
// most 128 bytes, and no device name of Windows. Such a name is safe as one component of a path or of a URL.
func ValidName(name string) bool {
	return len(name) <= maxNameBytes && runName.MatchString(name) && !strings.HasSuffix(name, ".") && !device.MatchString(name)
}

func validSplit(name string) bool {
	return len(name) <= maxNameBytes && splitName.MatchString(name) && !device.MatchString(name)
}

// validate returns the first thing that is wrong with m, nil where it describes a run that can be written and read.
func (m *Manifest) validate() error {
	switch {
	case !ValidName(m.Name):
		return fmt.Errorf("name %q: want %s", m.Name, NameRule)
	case m.Columns < 1 || m.Columns > maxColumns:
		return fmt.Errorf("%d columns: want 1 to %d", m.Columns, maxColumns)
	case m.PlannedEpochs < 0 || m.PlannedEpochs > maxEpoch:
		return fmt.Errorf("%d planned epochs: want 0 to %d", m.PlannedEpochs, maxEpoch)
	case len(m.Splits) < 1 || len(m.Splits) > maxSplits:
		return fmt.Errorf("%d splits: want 1 to %d", len(m.Splits), maxSplits)
	}
	if err := m.Head.Validate(m.Columns, len(m.Classes)); err != nil {
		return err
	}
	for i, class := range m.Classes {
		if !utf8.ValidString(class) {
			return fmt.Errorf("class %d is called %q, which is no UTF-8 and could not be read again", i, class)
		}
	}
	rowBytes := max(m.Columns, 1)
	if p := m.Preview; p != nil && p.Kind == PreviewText {
		if err := p.validateTexts(); err != nil {
			return err
		}
	} else if p != nil {
		if p.Kind != PreviewImage {
			return fmt.Errorf("previews of kind %q: want %q or %q", p.Kind, PreviewImage, PreviewText)
		}
		for _, side := range []int{p.Height, p.Width, p.Channels} {
			if side < 1 || side > maxPreview {
				return fmt.Errorf("preview of %d×%d×%d: want 1 to %d each", p.Height, p.Width, p.Channels, maxPreview)
			}
		}
		// Each factor is at most 2^24, so two of them fit an int64 and the third is tried by division.
		if int64(p.Height)*int64(p.Width) > maxPreview/int64(p.Channels) {
			return fmt.Errorf("preview of %d×%d×%d: want at most %d bytes", p.Height, p.Width, p.Channels, maxPreview)
		}
		if p.Max < 1 || p.Max > 255 {
			return fmt.Errorf("preview with a maximum of %d: want 1 to 255", p.Max)
		}
		rowBytes = max(rowBytes, p.Size())
	}
	if err := m.validateOrigin(); err != nil {
		return err
	}
	for i, s := range m.Splits {
		if err := s.validate(); err != nil {
			return fmt.Errorf("split %q: %w", s.Name, err)
		}
		if !validSplit(s.Name) {
			return fmt.Errorf("split name %q: want lower-case letters, digits, '_' and '-' only", s.Name)
		}
		if slices.ContainsFunc(m.Splits[:i], func(t SplitInfo) bool { return t.Name == s.Name }) {
			return fmt.Errorf("split %q is named twice", s.Name)
		}
		if s.N < 0 || int64(s.N) > maxValues/int64(rowBytes) {
			return fmt.Errorf("split %q: %d samples of %d columns: want 0 or more, and fewer than 2^40 values in all", s.Name, s.N, m.Columns)
		}
	}
	return nil
}

// split returns the index of the split called name, -1 where there is none.
func (m *Manifest) split(name string) int {
	return slices.IndexFunc(m.Splits, func(s SplitInfo) bool { return s.Name == name })
}

// validate returns the first thing that is wrong with s as the n samples of a split in the run that m describes, nil for nothing.
func (s *Samples) validate(m *Manifest, n int) error {
	switch {
	case len(s.IDs) != n || len(s.Labels) != n:
		return fmt.Errorf("%d ids and %d labels for %d samples", len(s.IDs), len(s.Labels), n)
	case s.CleanLabels != nil && len(s.CleanLabels) != n:
		return fmt.Errorf("%d clean labels for %d samples", len(s.CleanLabels), n)
	case m.Head.MultiLabel() && len(s.Targets) != n*m.Columns:
		return fmt.Errorf("%d targets for %d samples of %d classes", len(s.Targets), n, m.Columns)
	case !m.Head.MultiLabel() && s.Targets != nil:
		return fmt.Errorf("targets, but the head is %s", m.Head)
	case m.Preview == nil && s.Previews != nil:
		return fmt.Errorf("previews, but the manifest does not describe them")
	case s.Texts != nil && !m.hasTexts(), s.Previews != nil && m.hasTexts():
		return fmt.Errorf("previews that are not of the kind that the manifest describes")
	case s.Previews != nil && len(s.Previews) != n*m.Preview.Size():
		return fmt.Errorf("%d bytes of previews for %d samples of %d", len(s.Previews), n, m.Preview.Size())
	}
	if err := cmp.Or(eachOnce(s.IDs), validTexts(s.Texts, m, n)); err != nil {
		return err
	}
	for i, target := range s.Targets {
		if target > 1 {
			return fmt.Errorf("row %d: target %d of class %d: want 0 or 1", i/m.Columns, target, i%m.Columns)
		}
	}
	return cmp.Or(validLabels(s.Labels, m), validLabels(s.CleanLabels, m))
}

// eachOnce returns an error where an id is there twice. It needs no memory for ids that rise, as nearly all do.
func eachOnce(ids []int64) error {
	rising := 0
	for rising < len(ids) && (rising == 0 || ids[rising] > ids[rising-1]) {
		rising++
	}
	if rising == len(ids) {
		return nil
	}
	seen := make(map[int64]struct{}, len(ids))
	for i, id := range ids {
		if _, twice := seen[id]; twice {
			return fmt.Errorf("row %d: id %d is there twice", i, id)
		}
		seen[id] = struct{}{}
	}
	return nil
}
