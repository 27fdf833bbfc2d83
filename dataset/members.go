package dataset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/internal/splitname"
)

// elements gives the elements of one array, row-major. Elements that cannot be had as the type that is asked for are an error.
type elements interface {
	Float32() ([]float32, error)
	Float64() ([]float64, error)
	Int64() ([]int64, error)
	Uint8() ([]uint8, error)
	Texts() ([]string, error)
	Close() error
}

// member is one array of a file: what its header says, and the function that reads it.
type member struct {
	name  string // "" in a file of a single array without a name
	shape []int
	kind  string // the type as NumPy names it, such as float32; or "text"; "" where the array cannot be read
	open  func() (elements, error)
}

// arrayFile lists the arrays of a file.
type arrayFile struct {
	path    string
	members []member
	close   func() error // nil where there is nothing to release
	sparse  bool         // the rows list only the features that are not 0
}

// Words in the names of arrays that tell their role, features or labels, and their split.
var (
	featureWords = []string{"x", "features", "feature", "embeddings", "embedding", "emb", "images", "image", "data", "inputs", "input", "vectors", "samples", "feats"}
	labelWords   = []string{"y", "labels", "label", "targets", "target", "classes", "class", "lab"}
	splitWords   = map[string]string{
		"train": splitname.Train, "training": splitname.Train, "tr": splitname.Train, "test": splitname.Test, "testing": splitname.Test, "te": splitname.Test,
		"val": splitname.Val, "valid": splitname.Val, "validation": splitname.Val, "dev": splitname.Val,
	}
)

// role tells by an array's name whether it holds features ("x") or labels ("y"), and of which split; "" where the name does not tell.
func (m *member) role() (role, split string) {
	words := strings.FieldsFunc(strings.ToLower(m.name), func(r rune) bool { return strings.ContainsRune("_-./ ", r) })
	rest := words[:0]
	for _, w := range words {
		if s := splitWords[w]; s != "" && split == "" {
			split = s
			continue
		}
		rest = append(rest, w)
	}
	if len(rest) == 0 || len(rest) > 1 {
		return "", split
	}
	// Names without an underscore, such as Xtrain and ytest, are understood too.
	for word, s := range splitWords {
		if base, ok := strings.CutSuffix(rest[0], word); ok && split == "" && (base == "x" || base == "y") {
			rest[0], split = base, s
		}
	}
	switch {
	case slices.Contains(featureWords, rest[0]):
		return "x", split
	case slices.Contains(labelWords, rest[0]):
		return "y", split
	}
	return "", split
}

func (f *arrayFile) member(name string) (*member, error) {
	for i := range f.members {
		if f.members[i].name == name {
			return &f.members[i], nil
		}
	}
	return nil, optionErrorf("%s has no array %q: it has %s", f.path, name, f.describe())
}

// describe lists the arrays with their shapes.
func (f *arrayFile) describe() string {
	var names []string
	for _, m := range f.members {
		names = append(names, fmt.Sprintf("%s %v", m.name, m.shape))
	}
	if len(names) == 0 {
		return "none"
	}
	return listed(names)
}

// withRole returns the array of a role and split, nil if there is none. Of several it is the one whose name has the first of the words.
func (f *arrayFile) withRole(role, split string, words []string) *member {
	var best *member
	rank := len(words)
	for i := range f.members {
		m := &f.members[i]
		r, s := m.role()
		if r != role || s != split || m.kind == "" {
			continue
		}
		at := slices.IndexFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(m.name), w) })
		if best == nil || at < rank {
			best, rank = m, at
		}
	}
	return best
}

// features returns the array of samples: the one called name, else the one whose name says so, else the only one of a fitting shape.
func (f *arrayFile) features(name string) (*member, error) {
	if name != "" {
		return f.member(name)
	}
	if len(f.members) == 1 {
		return &f.members[0], nil
	}
	for _, split := range []string{"", splitname.Train} {
		if m := f.withRole("x", split, featureWords); m != nil {
			return m, nil
		}
	}
	var fit []*member
	for i := range f.members {
		m := &f.members[i]
		role, _ := m.role()
		if len(m.shape) >= 2 && len(m.shape) <= 4 && m.shape[1] > 1 && m.kind != "" && m.kind != "text" && role != "y" {
			fit = append(fit, m)
		}
	}
	if len(fit) == 2 { // one may be the features, the other a column of 0 and 1 for each class
		switch first, second := fit[0].isOneHot(), fit[1].isOneHot(); {
		case first && !second:
			fit = fit[1:]
		case second && !first:
			fit = fit[:1]
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	return nil, optionErrorf("%s has no array that is called like features (x, features, embeddings, images), nor one alone of such a shape: name it as %s:NAME, of %s",
		f.path, f.path, f.describe())
}

// isOneHot reports whether each row has one 1 and is 0 otherwise.
func (m *member) isOneHot() bool {
	if len(m.shape) != 2 {
		return false
	}
	_, err := m.labelsOf("", false)
	return err == nil
}

// labels returns the array of the labels of x: the one called name, else the one whose name says so, else the only one with one value for each
// sample of x, else the only one with one row for each.
func (f *arrayFile) labels(x *member, name string) (*member, error) {
	if name != "" {
		if m, err := f.member(name); err == nil {
			return m, nil
		}
	}
	_, split := x.role()
	if m := f.withRole("y", split, labelWords); m != nil {
		return m, nil
	}
	var one, many []*member
	for i := range f.members {
		m := &f.members[i]
		if m == x || len(m.shape) == 0 || len(x.shape) == 0 || m.shape[0] != x.shape[0] || m.kind == "" {
			continue
		}
		switch {
		case len(m.shape) == 1 || len(m.shape) == 2 && m.shape[1] == 1:
			one = append(one, m)
		case len(m.shape) == 2:
			many = append(many, m)
		}
	}
	switch {
	case len(one) == 1:
		return one[0], nil
	case len(one) == 0 && len(many) == 1:
		return many[0], nil
	}
	return nil, optionErrorf("%s has no array that is called like labels (y, labels, target), nor one alone of such a shape beside %s: name it with --target NAME or --labels %s:NAME, of %s",
		f.path, x.name, f.path, f.describe())
}

// labelFile returns the array of labels in a file that the user named as the file of labels.
func (f *arrayFile) labelFile(name string) (*member, error) {
	switch {
	case name != "":
		return f.member(name)
	case len(f.members) == 1:
		return &f.members[0], nil
	}
	for _, split := range []string{"", splitname.Train} {
		if m := f.withRole("y", split, labelWords); m != nil {
			return m, nil
		}
	}
	return nil, optionErrorf("%s holds several arrays: name the labels as %s:NAME, of %s", f.path, f.path, f.describe())
}

// otherParts sets o's validation and test files to the arrays of those splits beside the training array x, where o names none, and returns
// notes that say so.
func (f *arrayFile) otherParts(o *Options, x *member) (notes []string) {
	if _, split := x.role(); split != splitname.Train {
		return nil
	}
	for _, p := range []struct {
		split        string
		path, labels *string
	}{{splitname.Val, &o.Val, &o.ValLabels}, {splitname.Test, &o.Test, &o.TestLabels}} {
		features, labels := f.withRole("x", p.split, featureWords), f.withRole("y", p.split, labelWords)
		if features == nil || labels == nil || *p.path != "" || p.split == splitname.Val && o.Group != "" {
			continue
		}
		*p.path, *p.labels = f.path+":"+features.name, f.path+":"+labels.name
		notes = append(notes, fmt.Sprintf("%s and %s of %s are the %s split", features.name, labels.name, f.path, map[string]string{splitname.Val: "validation", splitname.Test: "test"}[p.split]))
	}
	return notes
}

// labelsOf reads m as labels: whole numbers or text, one a sample as [N] or [N,1], or a column of 0 and 1 for each class, [N,K]. Where several is
// set, a row may have several ones.
func (m *member) labelsOf(path string, several bool) (*values, error) {
	in, err := m.open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	wide := len(m.shape) == 2 && m.shape[1] > 1
	switch {
	case len(m.shape) < 1 || len(m.shape) > 2:
		return nil, fmt.Errorf("%s: labels of shape %v: give one a sample, [N]", path, m.shape)
	case m.kind == "text" && !wide:
		texts, err := in.Texts()
		if err != nil {
			return nil, err
		}
		return codesOfTexts(texts), nil
	}
	numbers, err := in.Int64()
	if err != nil {
		return nil, fmt.Errorf("%s: labels: %w", path, err)
	}
	if !wide {
		return codesOf(numbers), nil
	}
	classes := m.shape[1]
	codes := make([]string, m.shape[0])
	for i := range codes {
		var on []string
		for k, v := range numbers[i*classes : (i+1)*classes] {
			if v != 0 && v != 1 {
				return nil, fmt.Errorf("%s: labels of shape %v, sample %d of which has %d: give one number a sample, or a column of 0 and 1 for each class", path, m.shape, i, v)
			}
			if v == 1 {
				on = append(on, strconv.Itoa(k))
			}
		}
		if len(on) != 1 && !several {
			return nil, fmt.Errorf("%s: labels of shape %v, sample %d of which has %d classes: with --multi-label a sample may have several", path, m.shape, i, len(on))
		}
		codes[i] = strings.Join(on, labelSeparator)
	}
	return codesOfTexts(codes), nil
}

// codesOfTexts turns names into codes. An empty name is a missing value.
func codesOfTexts(names []string) *values {
	v := &values{codes: make([]int32, len(names))}
	index := map[string]int32{}
	for i, name := range names {
		name = className([]byte(strings.TrimSpace(name)))
		code, known := index[name]
		if !known {
			if code = -1; name != "" {
				code = int32(len(v.levels))
				v.levels = append(v.levels, name)
			}
			index[name] = code
		}
		v.codes[i] = code
	}
	return v
}
