package loss

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Setting is what a loss lets its user choose.
type Setting struct {
	Name    string  // in NAME:setting=value
	Title   string  // in words
	Key     string  // of a configuration that has it beside the loss, and with hyphens its flag; "" where only NAME:setting=value sets it
	Symbol  string  // in the loss's formula
	Text    string  // what it is, for help and docs
	Per     Per     // whether it is one number, or several
	Range   Range   // of each number
	Default float64 // what is taken where it is not given
	Usual   float64 // a value that is a good first try
}

// Per says how many numbers a setting has.
type Per string

// What a setting has a number for.
const (
	PerLoss   Per = ""       // one number
	PerClass  Per = "class"  // a weight a class: numbers with commas between them, or "balanced"
	PerColumn Per = "column" // a weight a column of logits, likewise
)

// Range is where a number has to lie.
type Range struct {
	Low, High         float64 // High is +Inf where there is no bound
	LowOpen, HighOpen bool    // the bound itself is outside
}

// maxSetting keeps a product of settings and logits finite.
const maxSetting = 1e30

// Contains reports whether v lies in the range; NaN and infinities do not.
func (r Range) Contains(v float64) bool {
	return v >= r.Low && v <= min(r.High, maxSetting) && !(r.LowOpen && v == r.Low) && !(r.HighOpen && v == r.High)
}

// String is the range in words or as an interval: "0 or more", "[0, 1)".
func (r Range) String() string {
	switch {
	case math.IsInf(r.High, 1) && r.LowOpen:
		return fmt.Sprintf("above %v", r.Low)
	case math.IsInf(r.High, 1):
		return fmt.Sprintf("%v or more", r.Low)
	}
	return fmt.Sprintf("%c%v, %v%c", map[bool]rune{false: '[', true: '('}[r.LowOpen], r.Low, r.High, map[bool]rune{false: ']', true: ')'}[r.HighOpen])
}

var (
	nonNegative = Range{Low: 0, High: math.Inf(1)}
	positive    = Range{Low: 0, High: math.Inf(1), LowOpen: true}
)

// MarshalText is the setting's name.
func (s Setting) MarshalText() ([]byte, error) { return []byte(s.Name), nil }

// UnmarshalText takes the name of a setting of Catalog.
func (s *Setting) UnmarshalText(name []byte) (err error) {
	*s, err = SettingNamed(string(name))
	return err
}

// AllSettings lists the settings of all losses, each once.
func AllSettings() (all []Setting) {
	for i := range catalog {
		for _, s := range catalog[i].Settings {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// SettingNamed returns the setting of that name.
func SettingNamed(name string) (Setting, error) {
	var names []string
	for _, s := range AllSettings() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Setting{}, fmt.Errorf("no loss has a setting %q: there are %s", name, strings.Join(names, ", "))
}

// Settings are values by the names of settings: one number each, or one a class or column.
type Settings map[string][]float64

// number is the setting of one number, or its default where it is not given.
func (s Settings) number(setting Setting) float64 {
	if v := s[setting.Name]; len(v) == 1 {
		return v[0]
	}
	return setting.Default
}

// check returns the first thing wrong with settings for the loss.
func (d *definition) check(s Settings) error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		setting, err := d.setting(name)
		if err != nil {
			return err
		}
		values := s[name]
		if setting.Per == PerLoss && len(values) != 1 {
			return fmt.Errorf("%s: %d numbers, want one", setting.Title, len(values))
		}
		for at, v := range values {
			switch {
			case setting.Range.Contains(v):
			case setting.Per != PerLoss:
				return fmt.Errorf("%s: weight %v of %s %d: give %v", setting.Title, v, setting.Per, at, setting.Range)
			case math.IsInf(setting.Range.High, 1):
				return fmt.Errorf("%s %v: give a number %v", setting.Title, v, setting.Range)
			default:
				return fmt.Errorf("%s %v is not in %v", setting.Title, v, setting.Range)
			}
		}
	}
	return nil
}

// setting returns the loss's setting of that name, or says whose it is.
func (d *definition) setting(name string) (Setting, error) {
	names := make([]string, len(d.Settings))
	for i, s := range d.Settings {
		if s.Name == name {
			return s, nil
		}
		names[i] = s.Name
	}
	owners := named(func(i *Info) bool {
		return slices.ContainsFunc(i.Settings, func(s Setting) bool { return s.Name == name })
	})
	switch {
	case owners != "":
		return Setting{}, fmt.Errorf("%s has no %s; it belongs to %s", d.Name, strings.ReplaceAll(name, "_", " "), owners)
	case len(names) == 0:
		return Setting{}, fmt.Errorf("%s has no settings, so no %q either", d.Name, name)
	}
	return Setting{}, fmt.Errorf("%s has no setting %q: it has %s", d.Name, name, strings.Join(names, ", "))
}

// Spec is a loss as text names it, with the text of its settings.
type Spec struct {
	Name   string
	Values map[string]string // by the names of settings
}

// ParseSpec reads NAME or NAME:setting=value,setting=value. A value may itself hold commas, as weights do. Whether a value
// is in its setting's range, ByName says.
func ParseSpec(text string) (Spec, error) {
	name, list, settings := strings.Cut(text, ":")
	s := Spec{Name: name, Values: map[string]string{}}
	d, err := find(name)
	if err != nil {
		return s, err
	}
	if !settings {
		return s, nil
	}
	current := ""
	for piece := range strings.SplitSeq(list, ",") {
		key, value, starts := strings.Cut(piece, "=")
		if !starts {
			if current == "" {
				return s, fmt.Errorf("loss %q: %q sets nothing: give %s:setting=value", text, piece, name)
			}
			s.Values[current] += "," + piece
			continue
		}
		current = strings.ReplaceAll(strings.TrimSpace(key), "-", "_")
		if _, twice := s.Values[current]; twice {
			return s, fmt.Errorf("loss %q: %s is given twice", text, current)
		}
		if _, err := d.setting(current); err != nil {
			return s, fmt.Errorf("loss %q: %w", text, err)
		}
		s.Values[current] = strings.TrimSpace(value)
	}
	return s, nil
}
