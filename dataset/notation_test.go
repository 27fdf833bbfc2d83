package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// What people write, and what it is by the rules of the place: the values are Python's decimal.Decimal of the digits.
func TestParseWritten(t *testing.T) {
	const none = -77777
	for text, want := range map[string][2]float64{ // with a decimal point, with a decimal comma
		"2919.19":       {2919.19, none},
		"2919,19":       {none, 2919.19},
		"2,919.19":      {2919.19, none},
		"2.919,19":      {none, 2919.19},
		"1.234":         {1.234, 1234},
		"1,234":         {1234, 1.234},
		"0.123":         {0.123, none},
		"0,123":         {none, 0.123},
		"1,234,567":     {1234567, none},
		"1.234.567":     {none, 1234567},
		"1.234.567,89":  {none, 1234567.89},
		"12,34,567.89":  {1234567.89, none},
		"1,00,000":      {100000, none},
		"1'234.50":      {1234.5, none},
		"1’234’567":     {1234567, 1234567},
		"1'234,5":       {none, 1234.5},
		"1 234,56":      {none, 1234.56},
		"1 234 567.5":   {1234567.5, none},
		"1\u00a0234,56": {none, 1234.56},
		"1\u202f234":    {1234, 1234},
		"1\u2009234.5":  {1234.5, none},
		"12%":           {0.12, 0.12},
		"12,5 %":        {none, 0.125},
		"12.5%":         {0.125, none},
		"%7":            {0.07, 0.07},
		"5‰":            {0.005, 0.005},
		"$1,234.50":     {1234.5, none},
		"-$5":           {-5, -5},
		"$-5":           {-5, -5},
		"($1,234.00)":   {-1234, none},
		"(12)":          {-12, -12},
		"1.234,50 €":    {none, 1234.5},
		"€ 1.234,50":    {none, 1234.5},
		"CHF 1'234.50":  {1234.5, none},
		"1234 kr":       {1234, 1234},
		"1 234,50 zł":   {none, 1234.5},
		"Rs. 12,34,567": {1234567, none},
		"R$ 1.234,56":   {none, 1234.56},
		"US$ 3":         {3, 3},
		"£3":            {3, 3},
		"¥1,000":        {1000, 1},
		"USD 12":        {12, 12},
		"12 EUR":        {12, 12},
		"+3.25":         {3.25, none},
		"+3,25":         {none, 3.25},
		"−4":            {-4, -4},
		"−4,5":          {none, -4.5},
		"5-":            {-5, -5},
		"  7  ":         {7, 7},
		"\u00a07\u00a0": {7, 7},
		"007":           {7, 7},
		"1,5e3":         {none, 1500},
		"1.5e3":         {1500, none},
		"1e-3":          {0.001, 0.001},
		".5":            {0.5, none},
		",5":            {none, 0.5},
		"5.":            {5, none},
		"3,":            {none, 3},

		"":           {none, none},
		"-":          {none, none},
		"1,23,45":    {none, none},
		"1,2345":     {none, 1.2345},
		"1.2.3":      {none, none},
		"12 kg":      {none, none},
		"1_000":      {none, none},
		"0x10":       {none, none},
		"2021-01-01": {none, none},
		"10-19":      {none, none},
		"12:30":      {none, none},
		"1/2":        {none, none},
		"1,234 567":  {none, none},
		"1 2":        {none, none},
		"12 34":      {none, none},
		"1 23":       {none, none},
		"$":          {none, none},
		"$$5":        {none, none},
		"5%%":        {none, none},
		"--5":        {none, none},
		"-5-":        {none, none},
		"(-5)":       {none, none},
		"012,345":    {none, 12.345},
		"01.234":     {1.234, none},
		"1,234.5,6":  {none, none},
		"A12":        {none, none},
		"e5":         {none, none},
		"5e":         {none, none},
		"1e5%":       {none, none},
		"Rs":         {none, none},
		"5 apples":   {none, none},
	} {
		for i, decimal := range []byte{point, comma} {
			got, ok := parseWritten([]byte(text), decimal)
			if ok != (want[i] != none) || ok && got != want[i] {
				t.Errorf("%q with a decimal %q: %v, %v, want %v", text, decimal, got, ok, want[i])
			}
		}
	}
}

// What is read with a decimal comma is what its mirror image is with a point, and what a program writes is read as it is.
func FuzzParseWritten(f *testing.F) {
	for _, seed := range []string{"1.234,5", "1,234.5", "(1)", "$1", "1 %", "1\u202f000", "−1", "5-", "R$ 1", "e", "'", "1e5", "＄1", "\xff", ")("} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mirror := []byte(text)
		for i, c := range mirror {
			switch c {
			case point:
				mirror[i] = comma
			case comma:
				mirror[i] = point
			}
		}
		a, ok := parseWritten([]byte(text), point)
		b, alike := parseWritten(mirror, comma)
		if value, plain := parseNumber([]byte(text)); plain {
			if !ok || a != value {
				t.Errorf("%q is plain, and %v, %v", text, a, ok)
			}
		} else if ok != alike || ok && a != b {
			// A point that ends a currency's letters has no mirror image.
			if !(len(text) > 0 && containsLetter(text)) {
				t.Errorf("%q: %v, %v; mirrored %v, %v", text, a, ok, b, alike)
			}
		}
	})
}

func containsLetter(text string) bool {
	for _, r := range text {
		if r >= 'A' && r != 'e' && r != 'E' {
			return true
		}
	}
	return false
}

// groups writes a number of two decimals with what stands between its thousands and before its fraction.
func groups(x float64, between, before string, indian bool) string {
	whole, fraction, _ := strings.Cut(fmt.Sprintf("%.2f", math.Abs(x)), ".")
	var parts []string
	size := 3
	for len(whole) > size {
		parts = append([]string{whole[len(whole)-size:]}, parts...)
		whole = whole[:len(whole)-size]
		if indian {
			size = 2
		}
	}
	text := strings.Join(append([]string{whole}, parts...), between) + before + fraction
	if x < 0 {
		return "-" + text
	}
	return text
}

// The same table has the same features in whatever notation its numbers are.
func TestNotations(t *testing.T) {
	rng := stream(6)
	var values []float64
	for range 200 {
		values = append(values, math.Round(100*math.Exp(4*rng.NormFloat64())*float64(1-2*rng.IntN(2)))/100)
	}
	quote := func(s string) string { return `"` + s + `"` }
	table := func(delimiter string, write func(x float64, i int) string) string {
		return "x" + delimiter + "y\n" + rowsOf(len(values), func(i int) string { return write(values[i], i) + delimiter + []string{"a", "b"}[i%2] })
	}
	plain := load(t, table(",", func(x float64, _ int) string { return fmt.Sprint(x) }), nil)
	for name, c := range map[string]struct {
		delimiter string
		write     func(x float64, i int) string
		note      string
	}{
		"American":             {",", func(x float64, _ int) string { return quote(groups(x, ",", ".", false)) }, "with a decimal point"},
		"German":               {";", func(x float64, _ int) string { return groups(x, ".", ",", false) }, "with a decimal comma"},
		"German, quoted":       {",", func(x float64, _ int) string { return quote(groups(x, ".", ",", false)) }, "with a decimal comma"},
		"German, no thousands": {";", func(x float64, _ int) string { return groups(x, "", ",", false) }, "with a decimal comma"},
		"German, tabs":         {"\t", func(x float64, _ int) string { return groups(x, "", ",", false) }, "with a decimal comma"},
		"French":               {";", func(x float64, _ int) string { return groups(x, "\u202f", ",", false) }, "with a decimal comma"},
		"French, no-break":     {";", func(x float64, _ int) string { return groups(x, "\u00a0", ",", false) }, "with a decimal comma"},
		"Swedish, spaces":      {";", func(x float64, _ int) string { return groups(x, " ", ",", false) }, "with a decimal comma"},
		"Swiss":                {",", func(x float64, _ int) string { return groups(x, "'", ".", false) }, "with a decimal point"},
		"Swiss, typographic":   {";", func(x float64, _ int) string { return groups(x, "’", ",", false) }, "with a decimal comma"},
		"Indian":               {",", func(x float64, _ int) string { return quote(groups(x, ",", ".", true)) }, "with a decimal point"},
		"plus signs":           {",", func(x float64, _ int) string { return fmt.Sprintf("%+.2f", x) }, ""},
		"padded":               {",", func(x float64, _ int) string { return fmt.Sprintf("%20.2f  ", x) }, ""},
		"zeros in front":       {",", func(x float64, _ int) string { return fmt.Sprintf("%020.2f", x) }, ""},
		"exponents":            {",", func(x float64, _ int) string { return fmt.Sprintf("%.15e", x) }, ""},
		"dollars":              {",", func(x float64, _ int) string { return quote("$" + groups(x, ",", ".", false)) }, "written as"},
		"euros":                {";", func(x float64, _ int) string { return groups(x, ".", ",", false) + " €" }, "with a decimal comma"},
		"euros, some":          {";", func(x float64, i int) string { return groups(x, ".", ",", false) + []string{"", "€"}[i%2] }, "with a decimal comma"},
		"francs":               {",", func(x float64, _ int) string { return "CHF " + groups(x, "'", ".", false) }, "written as"},
		"brackets": {",", func(x float64, _ int) string {
			if x < 0 {
				return quote("(" + groups(-x, ",", ".", false) + ")")
			}
			return quote(groups(x, ",", ".", false))
		}, "with a decimal point"},
		"a typographic minus": {";", func(x float64, _ int) string { return strings.Replace(groups(x, ".", ",", false), "-", "−", 1) }, "with a decimal comma"},
		"currencies":          {",", func(x float64, i int) string { return quote([]string{"$", "€"}[i%2] + groups(x, ",", ".", false)) }, `in several currencies ("$", "€")`},
		"percent":             {",", func(x float64, _ int) string { return fmt.Sprintf("%.2f%%", x) }, "written as"},
		"percent and comma":   {";", func(x float64, _ int) string { return groups(x, "", ",", false) + " %" }, "with a decimal comma"},
		"words for missing":   {",", func(x float64, _ int) string { return fmt.Sprint(x) }, ""},
	} {
		d := load(t, table(c.delimiter, c.write), nil)
		col := d.Pipeline.Columns[0]
		if col.Type != Numeric || !strings.Contains(strings.ReplaceAll(col.Note, "$, €", `"$", "€"`), c.note) || c.note == "" && col.Note != "" {
			t.Errorf("%s: %s, %q, want %q", name, col.Type, col.Note, c.note)
			continue
		}
		for r := range values {
			if got, want := d.Row(r)[0], plain.Row(r)[0]; !(math.Abs(float64(got-want)) <= 1e-5*max(1, math.Abs(float64(want)))) {
				t.Errorf("%s: row %d, %s: %v, want %v", name, r, c.write(values[r], r), got, want)
				break
			}
		}
	}
}

// What a column of its own could mean either way follows the file, or the option; and is said.
func TestDecimalIsDecided(t *testing.T) {
	three := func(i int, mark string) string { return fmt.Sprintf("%d%s%03d", 1+i%9, mark, i*37%1000) }
	for name, c := range map[string]struct {
		text    string
		decimal string
		want    string // decimals of the columns
		note    string
	}{
		"points of three":               {"x,y\n" + rowsOf(60, func(i int) string { return three(i, ".") + "," + alternate(i) }), "", ".", "--decimal comma"},
		"points of three, as asked":     {"x,y\n" + rowsOf(60, func(i int) string { return three(i, ".") + "," + alternate(i) }), "comma", ",", ""},
		"points of three beside commas": {"x;z;y\n" + rowsOf(60, func(i int) string { return three(i, ".") + ";0,5;" + alternate(i) }), "", ",,", "--decimal point"},
		"commas of three":               {"x\tz\ty\n" + rowsOf(60, func(i int) string { return three(i, ",") + "\t7\t" + alternate(i) }), "", "..", "--decimal comma"},
		"commas of three, semicolons":   {"x;y\n" + rowsOf(60, func(i int) string { return three(i, ",") + ";" + alternate(i) }), "", ",", "--decimal point"},
		"commas of three beside points": {"x;z;y\n" + rowsOf(60, func(i int) string { return three(i, ",") + ";0.5;" + alternate(i) }), "", "..", "--decimal comma"},
		"commas of three, one of two":   {"x;y\n" + rowsOf(60, func(i int) string { return three(i, ",")[:5-i%7/6] + ";" + alternate(i) }), "", ",", ""},
		"commas of three behind a zero": {"x;y\n" + rowsOf(60, func(i int) string { return "0" + three(i, ",")[1:] + ";" + alternate(i) }), "", ",", ""},
		"commas, point asked for":       {"x;y\n" + rowsOf(60, func(i int) string { return three(i, ",") + ";" + alternate(i) }), "point", ".", ""},
		"whole numbers":                 {"x;y\n" + rowsOf(60, func(i int) string { return fmt.Sprint(i*i%17) + ";" + alternate(i) }), "", ".", ""},
		"a column of each":              {"x;z;y\n" + rowsOf(60, func(i int) string { return fmt.Sprintf("%d,5;%d.5;%s", i%9, i%7, alternate(i)) }), "", ",.", ""},
	} {
		d := load(t, c.text, func(o *Options) { o.Decimal = c.decimal })
		got, notes := "", ""
		for _, col := range d.Pipeline.Columns {
			got += col.Decimal
			notes += col.Note
		}
		if got != c.want || !strings.Contains(notes, c.note) || c.note == "" && strings.Contains(notes, "--decimal") {
			t.Errorf("%s: decimals %q, notes %q, want %q, %q", name, got, notes, c.want, c.note)
		}
	}
	// Both in one column is no number, and says so; with the option the first that is none is named.
	text := "x;z;y\n" + rowsOf(60, func(i int) string { return fmt.Sprintf("%d%s5;%d;%s", i, []string{",", "."}[i%2], i%5, alternate(i)) })
	d := load(t, text, nil)
	if col := d.Pipeline.Columns[0]; col.Type != Categorical || !strings.Contains(col.Note, "both decimal points and decimal commas") {
		t.Errorf("both in one column: %s, %q", col.Type, col.Note)
	}
	_, err := Load(t.Context(), Options{Path: file(t, "x.csv", text), Types: map[string]string{"x": Numeric}, Decimal: "comma"}, stream(1))
	if err == nil || !strings.Contains(err.Error(), `line 3: "1.5" in column x is not a number with a decimal comma, as the column has them`) {
		t.Errorf("error %v", err)
	}
	if err := (Options{Path: "x", Decimal: ";"}).Validate(); err == nil || !strings.Contains(err.Error(), "use point or comma") {
		t.Errorf("error %v", err)
	}
}

// Marks of missing values are compared without the spaces around them, and words in a column of numbers are found.
func TestMarksAreFound(t *testing.T) {
	for _, mark := range []string{" ?", "? ", "NULL ", " N.A.", "n.a.", "-", "--", ".", "<NA>", "#N/A", "na", "NaN ", "\u00a0?", " ", "\\N", "#DIV/0!", "1.#QNAN", "unknown", "n/d", "keine Angabe", "*"} {
		d := load(t, "x,y\n"+rowsOf(120, func(i int) string {
			if i%3 == 0 {
				return mark + "," + alternate(i)
			}
			return fmt.Sprintf("%d.25,%s", i, alternate(i))
		}), nil)
		if col := d.Pipeline.Columns[0]; col.Type != Numeric || d.Columns != 2 || d.Row(0)[1] != 1 || d.Row(1)[1] != 0 {
			t.Errorf("%q: %s, %d features, %q", mark, col.Type, d.Columns, col.Note)
		}
	}
	for name, c := range map[string]struct {
		row  func(i int) string
		want string
	}{
		"a sign is a category":        {func(i int) string { return []string{"+", "-", "."}[i%3] }, Categorical},
		"a number more is a category": {func(i int) string { return []string{"2", "3", "more"}[i%3] }, Categorical},
		"three words":                 {func(i int) string { return []string{fmt.Sprint(i), "none yet", "much", "little"}[i%4] }, Categorical},
		"nearly all a word":           {func(i int) string { return []string{fmt.Sprint(i), "zero"}[min(1, i%8)] }, Categorical},
		"mostly a word":               {func(i int) string { return []string{fmt.Sprint(i), "not reported"}[min(1, i%3)] }, Numeric},
		"a word with digits":          {func(i int) string { return []string{fmt.Sprint(i), "90+"}[i%2] }, Categorical},
	} {
		d := load(t, "x,y\n"+rowsOf(120, func(i int) string { return c.row(i) + "," + alternate(i) }), nil)
		if col := d.Pipeline.Columns[0]; col.Type != c.want {
			t.Errorf("%s: %s, %q", name, col.Type, col.Note)
		}
	}
	// + and − are classes.
	d := load(t, "x,y\n"+rowsOf(60, func(i int) string { return fmt.Sprintf("%d.5,%s", i%7, []string{"+", "-"}[i/3%2]) }), nil)
	if !slices.Equal(d.Classes, []string{"+", "-"}) {
		t.Errorf("classes %q", d.Classes)
	}
}

// A column that is ignored, hashed or of many categories says why.
func TestColumnsSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		row       func(i int) string
		kind, why string
	}{
		"names":        {func(i int) string { return fmt.Sprintf("k%d", i*7) }, Ignore, `every value is another one, as in a column of names: not numbers, such as "k0"`},
		"counts":       {func(i int) string { return fmt.Sprint(i) }, Ignore, "it counts the rows"},
		"empty":        {func(int) string { return "NULL" }, Ignore, "every value is missing"},
		"hashed":       {func(i int) string { return fmt.Sprintf("k%d", i/2) }, Categorical, `more than 255 categories, hashed; not numbers, such as "k0"`},
		"many":         {func(i int) string { return fmt.Sprintf("k%d", i%60) }, Categorical, `"; not numbers, such as "k0"`},
		"half numbers": {func(i int) string { return []string{fmt.Sprint(i % 100), fmt.Sprintf("%d kg", i%100)}[i%2] }, Categorical, `300 of 600 sampled values are numbers, "1 kg" (`},
		"few":          {func(i int) string { return fmt.Sprintf("k%d", i%9) }, Categorical, "9 categories, the most frequent"},
	} {
		d := load(t, "what,x,y\n"+rowsOf(600, func(i int) string { return fmt.Sprintf("%s,%d.5,%s", c.row(i), i%7, alternate(i)) }), nil)
		line := d.Pipeline.Schema()[0]
		if line[1] != c.kind || !strings.Contains(line[3], c.why) {
			t.Errorf("%s: %q, want %s, %q", name, line, c.kind, c.why)
		}
	}
}

// A model of decimal commas reads the numbers of a file that knows types, and text in memory as it was written.
func TestDecimalCommasAndOtherFormats(t *testing.T) {
	d := load(t, "x;y\n"+rowsOf(60, func(i int) string { return fmt.Sprintf("%d,125;%s", 100+i*i, alternate(i)) }), nil)
	want := d.Row(3)[0] // 109.125
	for name, text := range map[string]string{"one.jsonl": `{"x": 109.125}`, "two.jsonl": `{"x": "109,125"}`, "one.csv": "x;\n109,125;\n"} {
		rows, err := d.Pipeline.Open(file(t, name, text+"\n"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b := rows.Next(1); b == nil || b.Features[0] != want {
			t.Errorf("%s: %+v, want %v", text, b, want)
		}
		rows.Close()
	}
	for text, same := range map[string]bool{"109,125": true, "109.125": false} {
		rows, err := d.Pipeline.Fields([]string{"x"}, [][]string{{text}})
		if err != nil {
			t.Fatal(err)
		}
		if b := rows.Next(1); (b.Features[0] == want) != same {
			t.Errorf("%s: %v, want %v", text, b.Features, want)
		}
	}
}
