package record

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// What the number of an epoch counts.
const (
	UnitEpoch = "epoch" // passes over the training samples
	UnitStep  = "step"  // steps of the optimizer
	UnitRound = "round" // rounds of boosting
)

// What is known of a split's samples when a run begins.
const (
	SamplesFixed       = "fixed"         // all samples are known
	SamplesGrowing     = "growing"       // some samples may be known, and an epoch may bring more
	SamplesOfEachEpoch = "of_each_epoch" // no sample is known: each epoch brings its own samples, and has rows of no others
)

// When the logits of an epoch's rows were measured.
const (
	MeasuredAfter  = "after"  // after the epoch, with the same weights for all rows
	MeasuredDuring = "during" // during the epoch, when each sample was trained on, while the weights changed
)

// What the columns of logits hold.
const (
	LogitsRaw              = "raw"               // the output of the last layer
	LogitsLogProbabilities = "log_probabilities" // the logarithms of probabilities
	LogitsProcessed        = "processed"         // something was done to them: divided by a temperature, masked, penalized
)

// LogitsAre says what the columns of logits hold.
type LogitsAre struct {
	Kind        string  `json:"kind,omitempty"`        // LogitsRaw where it is "", LogitsLogProbabilities or LogitsProcessed
	Temperature float64 `json:"temperature,omitempty"` // the temperature that they were divided by; 0 for none
	Note        string  `json:"note,omitempty"`        // what else was done to them, in words
}

// Source says where logits came from that the run's writer did not compute itself. Each field is optional.
type Source struct {
	Program          string       `json:"program,omitempty"`
	Version          string       `json:"version,omitempty"`
	Framework        string       `json:"framework,omitempty"`
	FrameworkVersion string       `json:"framework_version,omitempty"`
	Files            []SourceFile `json:"files,omitempty"`
}

// SourceFile is a file that logits were read from.
type SourceFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Measured says how the logits of an epoch's rows came about.
type Measured struct {
	When      string `json:"measured,omitempty"`  // MeasuredAfter, which "" means too, or MeasuredDuring
	Augmented bool   `json:"augmented,omitempty"` // whether the inputs were augmented
}

// oneOf returns an error unless value is "" or one of allowed. what names the value in the error.
func oneOf(what, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s %q: want one of %q", what, value, allowed)
}

func (m Measured) validate() error {
	return oneOf("measured", m.When, MeasuredAfter, MeasuredDuring)
}

// Grows reports whether epochs may bring samples that were not known before.
func (s *SplitInfo) Grows() bool {
	return s.Samples == SamplesGrowing || s.Samples == SamplesOfEachEpoch
}

// Followed reports whether a sample may have rows at several epochs, so that these can be compared.
func (s *SplitInfo) Followed() bool { return s.Samples != SamplesOfEachEpoch }

// validate returns what is wrong with the members of a split that format 3 adds, nil for nothing.
func (s *SplitInfo) validate() error {
	if _, err := s.Rows.encoding(); err != nil {
		return err
	}
	if err := oneOf("samples", s.Samples, SamplesFixed, SamplesGrowing, SamplesOfEachEpoch); err != nil {
		return err
	}
	if s.Samples == SamplesOfEachEpoch && s.N > 0 {
		return fmt.Errorf("%d samples are known at the start, but its samples are %s", s.N, s.Samples)
	}
	if t := s.LogitsAre.Temperature; !(t >= 0 && t <= math.MaxFloat64) {
		return fmt.Errorf("logits at temperature %v: want more than 0", t)
	}
	if !utf8.ValidString(s.LogitsAre.Note) {
		return fmt.Errorf("note %q is no UTF-8", s.LogitsAre.Note)
	}
	return oneOf("logits_are", s.LogitsAre.Kind, LogitsRaw, LogitsLogProbabilities, LogitsProcessed)
}

// needs3 reports whether a split needs format 3.
func (s *SplitInfo) needs3() bool {
	e, err := s.Rows.encoding()
	return err != nil || e.name != floatEncoding.name || s.LogitsAre != LogitsAre{} || s.Grows()
}

// validateOrigin returns what is wrong with the members of the manifest that format 3 adds, nil for nothing.
func (m *Manifest) validateOrigin() error {
	if len(m.Versions) > maxVersions {
		return errManyVersions
	}
	if m.Source != nil {
		if n := len(m.Source.Files); n > maxSourceFiles {
			return fmt.Errorf("%d source files: want at most %d; name the folder", n, maxSourceFiles)
		}
		for _, f := range m.Source.Files {
			if f.Size < 0 {
				return fmt.Errorf("source file %q of %d bytes", f.Name, f.Size)
			}
		}
	}
	return oneOf("unit", m.Unit, UnitEpoch, UnitStep, UnitRound)
}

// uses3 reports whether the manifest has members that formats 1 and 2 do not have.
func (m *Manifest) uses3() bool {
	return m.Unit != "" && m.Unit != UnitEpoch || m.Source != nil || len(m.Needs) > 0 || m.hasTexts() ||
		slices.ContainsFunc(m.Splits, func(s SplitInfo) bool { return s.needs3() })
}

// leastFormat returns the format that the run needs.
func (m *Manifest) leastFormat() int {
	for i := range m.Splits {
		if m.keepsStats(i) || m.uses3() {
			return 3
		}
	}
	if m.Head.MultiLabel() {
		return 2
	}
	return 1
}
