package loss

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Setting describes one setting of a loss.
type Setting struct {
	Name  string // the name in NAME:setting=value
	Title string // the name in words, for messages
	// Key is the setting's own key in a configuration file and, with hyphens, its own flag. Only settings that are older than
	// NAME:setting=value have one. A new setting needs none and leaves it empty: NAME:setting=value sets it everywhere.
	Key     string
	Symbol  string  // the letter that stands for it in the loss's formula
	Text    string  // what it is, for help and docs
	Per     Per     // whether it is one number or several
	Range   Range   // the range that each number has to lie in
	Default float64 // the number that is used where none is given
	Usual   float64 // a value that is a good first try
}

// Per says how many numbers a setting has.
type Per string

// The values of Per.
const (
	PerLoss   Per = ""       // one number
	PerClass  Per = "class"  // one number for each class, with commas between them, or "balanced"
	PerColumn Per = "column" // one number for each column of logits, or "balanced"
)

// Range is the range that a number has to lie in.
type Range struct {
	Low, High         float64 // High is +Inf where there is no upper bound
	LowOpen, HighOpen bool    // whether Low and High themselves lie outside
}

// maxSetting is the largest value of any setting, so that products of settings and logits are finite.
const maxSetting = 1e30

// Contains reports whether v lies in the range. NaN, infinities and numbers above 1e30 never do.
func (r Range) Contains(v float64) bool {
	return v >= r.Low && v <= min(r.High, maxSetting) && !(r.LowOpen && v == r.Low) && !(r.HighOpen && v == r.High)
}

// String returns the range in words or as an interval: "0 or more", "[0, 1)".
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

// MarshalText implements encoding.TextMarshaler: it returns the setting's name.
func (s Setting) MarshalText() ([]byte, error) { return []byte(s.Name), nil }

// UnmarshalText implements encoding.TextUnmarshaler: it takes the name of a setting of a loss in Catalog.
func (s *Setting) UnmarshalText(name []byte) (err error) {
	*s, err = SettingNamed(string(name))
	return err
}

// AllSettings returns the settings of all losses in Catalog, each once.
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

// SettingNamed returns the setting of that name, or an error that lists the names there are.
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

// Settings are the values of settings by their names: one number each, or one for each class or column.
type Settings map[string][]float64

// number returns the value of a setting of one number, or its default where none is given.
func (s Settings) number(setting Setting) float64 {
	if v := s[setting.Name]; len(v) == 1 {
		return v[0]
	}
	return setting.Default
}

// check returns an error that names the first thing that is wrong with settings of the loss, or nil.
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
		for place, v := range values {
			switch {
			case setting.Range.Contains(v):
			case setting.Per != PerLoss:
				return fmt.Errorf("%s: weight %v of %s %d: give %v", setting.Title, v, setting.Per, place, setting.Range)
			case math.IsInf(setting.Range.High, 1):
				return fmt.Errorf("%s %v: give a number %v", setting.Title, v, setting.Range)
			default:
				return fmt.Errorf("%s %v is not in %v", setting.Title, v, setting.Range)
			}
		}
	}
	return nil
}

// setting returns the loss's setting of that name, or an error that says which losses have it.
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

// Spec is a loss with its settings as a user writes them, not yet read as numbers.
type Spec struct {
	Name   string            // the name of the loss
	Values map[string]string // the text of each setting that is given, by its name
}

// ParseSpec reads NAME or NAME:setting=value,setting=value. A value may itself have commas, as weights do. It returns an error for an
// unknown loss, an unknown setting and one that is given twice; the values are checked by ByName, once they are numbers.
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
