package dataset

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// delimiter returns the delimiter that o names, or else the one that cuts the first records into the most fields, with the same number in
// each. The delimiter of the rows that a model was fitted on comes first; a .tsv file prefers the tab; spaces are taken where nothing else cuts.
func (o Options) delimiter(path string, text []byte) (byte, error) {
	switch {
	case o.Delimiter == `\t` || o.Delimiter == "tab":
		return '\t', nil
	case o.Delimiter == "space":
		return ' ', nil
	case len(o.Delimiter) == 1 && o.Delimiter[0] < utf8.RuneSelf && !strings.Contains("\"\r\n", o.Delimiter):
		return o.Delimiter[0], nil
	case o.Delimiter != "":
		return 0, optionErrorf("delimiter %q: give one character such as , ; |, or tab or space", o.Delimiter)
	}
	candidates := []byte{',', '\t', ';', '|'} // of those that cut into as many fields, the first wins
	if o.tabFirst {
		candidates[0], candidates[1] = '\t', ','
	}
	best, most, weak := candidates[0], 1, true
	for _, candidate := range candidates {
		fields, rowNames := countFields(text, candidate, o.Quote == "none")
		switch {
		case fields > 1 && o.like != nil && o.like.Parted == string(candidate):
			return candidate, nil
		case fields < 2 || rowNames && !weak:
			continue
		case weak && !rowNames, best == ',' && commasInNumbers(text): // commas stand before fractions, or between thousands
			most = 1
		}
		if fields > most {
			best, most, weak = candidate, fields, rowNames
		}
	}
	if most == 1 && o.like != nil && o.like.Parted != "" {
		return o.like.Parted[0], nil // a file of one column, or of one row with spaces in it
	}
	if (most == 1 || best == ',' && commasInNumbers(text)) && !o.oneColumn && cutBySpaces(path, text, o) {
		best, most = ' ', 2
	}
	if most == 1 && !o.oneColumn && o.like == nil {
		best = belowTitles(text, candidates, best, o.Quote == "none")
	}
	return best, nil
}

// belowTitles returns the delimiter that cuts the rows below the first lines into three fields or more, which may be a title; else best.
func belowTitles(text []byte, candidates []byte, best byte, literal bool) byte {
	const sample = 64 << 10
	if len(text) > sample {
		text = text[:bytes.LastIndexByte(text[:sample], '\n')+1]
	}
	for range maxTitles {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			break
		}
		text = text[end+1:]
		for _, candidate := range candidates {
			if fields, rowNames := countFields(text, candidate, literal); fields > 2 && !rowNames {
				return candidate
			}
		}
	}
	return best
}

// cutBySpaces reports whether spaces cut all first records into the same number of fields: three or more, or two of which one is always a
// number. Sentences differ in their number of words.
func cutBySpaces(path string, text []byte, o Options) bool {
	const sample = 64 << 10
	open := len(text) > sample
	text = squeeze(slices.Clone(text[:min(len(text), sample)]), o.Quote != "none", open)
	s := scanner{path: path, data: text, delimiter: ' ', literal: o.Quote == "none", moreFollows: open}
	fields, records := 0, 0
	var numeric []bool
	for ; records < sampledRecords; records++ {
		starts, err := s.record(nil)
		got := len(starts) - 1
		if err != nil || got >= 0 && records > 0 && got != fields && !(records == 1 && got == fields+1) {
			return false
		}
		if got < 0 {
			break
		}
		fields = got // the second row may have one field more than the first: see namesRows
		if records == 0 {
			numeric = slices.Repeat([]bool{true}, fields)
			continue // the first record may be a header
		}
		row := table{data: text, starts: starts, names: make([]string, fields)}
		for c := range min(len(numeric), fields) {
			_, isNumber := parseNumber(row.field(0, c))
			numeric[c] = numeric[c] && isNumber
		}
	}
	return records > 1 && (fields > 2 || fields == 2 && slices.Contains(numeric, true))
}

// tabbed reports whether a file's name is that of a table separated by tabs.
func tabbed(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".tsv") || strings.HasSuffix(name, ".tab")
}

// countFields returns how many fields the first records have with this delimiter, 0 where they differ. Empty fields at the ends of records
// do not count. The first record may have one field less than the others: R writes names of rows under a header that has none for them.
func countFields(text []byte, delimiter byte, literal bool) (n int, rowNames bool) {
	s := scanner{data: text, delimiter: delimiter, literal: literal}
	var room []uint32
	fields, short, lacking := 0, 0, 0
	for i := range sampledRecords {
		starts, err := s.record(room[:0])
		if err != nil {
			return 0, false
		}
		room = starts
		if len(starts) == 0 {
			break
		}
		had := len(starts) - 1
		for len(starts) > 2 && starts[len(starts)-1]-starts[len(starts)-2] == 1 {
			starts = starts[:len(starts)-1]
		}
		if fields = max(fields, len(starts)-1); i == 0 {
			lacking = had
		} else if short == 0 || had < short {
			short = had
		}
	}
	switch {
	case short > 0 && short < fields:
		return 0, false
	case lacking < fields:
		if lacking < fields-1 || lacking < 2 || short == 0 {
			return 0, false
		}
		return lacking, true
	}
	return fields, false
}

// commasInNumbers reports whether every comma of the first lines stands between digits.
func commasInNumbers(text []byte) bool {
	digit := func(at int) bool { return at >= 0 && at < len(text) && text[at] >= '0' && text[at] <= '9' }
	lines := 0
	for at, c := range text {
		switch {
		case c == ',' && !(digit(at-1) && digit(at+1)):
			return false
		case c == '\n':
			if lines++; lines == sampledRecords {
				return true
			}
		}
	}
	return true
}
