package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// append adds all buckets of a text to tokens, as they come.
func (g *tokenizer) append(tokens []int32, text []byte) []int32 {
	g.read(text, func() { tokens = append(tokens, g.buckets...) })
	return tokens
}

// bucketsOf are the different n-grams of a text.
func bucketsOf(g *Ngrams, text string) []int32 {
	t := tokenizer{Ngrams: *g}
	return slices.Compact(slices.Sorted(slices.Values(t.append(nil, []byte(text)))))
}

// Where texts of two classes differ in a sign alone, some n-gram tells them apart: all texts of a class have it, and no other's.
func TestSignsAreContent(t *testing.T) {
	words := []string{"phone day this shop", "and it use", "the the all today", "We bought it, then sold it.", ""}
	for name, pair := range map[string][2]string{
		"emoji":                    {"😀", "😭"},
		"families":                 {"👨‍👩‍👧", "👨‍👩‍👦"},
		"shades of skin":           {"👍🏻", "👍🏿"},
		"flags":                    {"🇩🇪", "🇫🇷"},
		"flags of the same letter": {"🇮🇪", "🇮🇹"},
		"a heart and its outline":  {"❤️", "♡"},
		"emoticons":                {":)", ":("},
		"emoticons with a nose":    {":-)", ":-("},
		"tears":                    {":'(", ":')"},
		"a wink":                   {";)", ":)"},
		"stars":                    {"★★★☆☆", "★★☆☆☆"},
		"stars of ASCII":           {"****", "***"},
		"currencies":               {"€", "¥"},
		"a question":               {"?", "!"},
		"runs":                     {"!!!", "..."},
		"lengths of runs":          {"!!!!!", "!!!!"},
		"arrows":                   {"→", "←"},
		"checks":                   {"✔", "✘"},
		"mathematics":              {"≤", "≥"},
		"programming":              {"=>", "->"},
		"Chinese":                  {"我喜欢这部电影", "我讨厌这部电影"},
		"Japanese":                 {"とても良い", "とても悪い"},
		"Thai":                     {"ดีมาก", "แย่มาก"},
		"Arabic":                   {"جيد جدا", "سيئ جدا"},
		"Hindi":                    {"अच्छा", "बुरा"},
		"one character of Chinese": {"好", "坏"},
	} {
		g := newNgrams()
		var have [2][]map[int32]bool
		for class, sign := range pair {
			for _, w := range words {
				for _, text := range []string{w + " " + sign, w + sign, sign + " " + w} {
					set := map[int32]bool{}
					for _, b := range bucketsOf(g, text) {
						set[b] = true
					}
					have[class] = append(have[class], set)
				}
			}
		}
		for class := range pair {
			found := false
			for b := range have[class][len(words)*3-2] { // the sign alone
				all := !slices.ContainsFunc(have[class], func(s map[int32]bool) bool { return !s[b] })
				none := !slices.ContainsFunc(have[1-class], func(s map[int32]bool) bool { return s[b] })
				found = found || all && none
			}
			// Beside letters words of an alphabet grow.
			if !found && name != "Arabic" && name != "Hindi" {
				t.Errorf("%s: nothing tells %q", name, pair[class])
			}
		}
		if slices.Equal(bucketsOf(g, pair[0]), bucketsOf(g, pair[1])) {
			t.Errorf("%s: %q and %q are one", name, pair[0], pair[1])
		}
	}
}

// The tokens of a text by their definition: words and their pairs, four characters of them, clusters of signs, their pairs and their run.
func TestTokensOfSigns(t *testing.T) {
	g := &Ngrams{Buckets: 1 << 22, Words: 2, Signs: true}
	at := tokenizer{Ngrams: *g}
	one := func(s string) int32 { return at.bucket(hashBytes([]byte(s))) }
	two := func(a, b string) int32 {
		return at.bucket(mix(hashBytes([]byte(a)) ^ hashBytes([]byte(b))*0x9e3779b97f4a7c15))
	}
	for text, want := range map[string][]int32{
		"Good, bad":  {one(","), one("good"), two("good", "bad"), one("bad")},
		":-(":        {one(":"), one("-"), two(":", "-"), one("("), two("-", "("), one(":-(")},
		"!!!★★★★":    {one("!"), one("!"), two("!", "!"), one("!"), two("!", "!"), at.bucket(mix(hashBytes([]byte("!")) + 3)), one("★"), two("!", "★"), one("★"), two("★", "★"), one("★"), two("★", "★"), one("★"), two("★", "★"), at.bucket(mix(hashBytes([]byte("★")) + 4)), one("!!!★★★★")},
		"!!":         {one("!"), one("!"), two("!", "!")},
		"👍🏽 👍🏽":      {one("👍🏽"), one("👍🏽")},
		"🇩🇪🇫🇷":       {one("🇩🇪"), one("🇫🇷"), two("🇩🇪", "🇫🇷")},
		"好吃":         {one("好"), two("好", "吃"), one("吃")},
		"ok好":        {one("ok"), two("ok", "好"), one("好")},
		"C++":        {one("+"), one("+"), two("+", "+"), one("c")},
		"5€\u00a0\t": {one("€"), one("5")},
		"e\u0301":    {one("e\u0301")},
		" \n\t":      {0},
		"":           {0},
	} {
		got := at.append(nil, []byte(text))
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// What the tokeniser made of a text before it knew signs, it makes of it in pipelines of that time: numbers that the program of before gave.
func TestTokensOfBefore(t *testing.T) {
	g := &Ngrams{Buckets: 1 << 22, Words: 2, CharMin: 4, CharMax: 4}
	for text, want := range tokensOfBefore {
		at := tokenizer{Ngrams: *g}
		if got := at.append(nil, []byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// Texts without spaces, of signs alone or of names are learned from.
func TestWhatIsText(t *testing.T) {
	for name, c := range map[string]struct {
		row  func(i int) string
		want string
	}{
		"sentences": {func(i int) string { return fmt.Sprintf("this is sentence number %d", i) }, Text},
		"Chinese":   {func(i int) string { return strings.Repeat("这部电影很好看", 1+i%3) + fmt.Sprint(i) }, Text},
		"Thai":      {func(i int) string { return "อาหารอร่อยมาก" + fmt.Sprint(i) }, Text},
		"emoji": {func(i int) string {
			return strings.Repeat("😀", i/20) + "🎉😭👎" + strings.Repeat("🔥", i%20)
		}, Text},
		"names":            {func(i int) string { return fmt.Sprintf("name%cx%d", 'a'+i%26, i) }, Text},
		"dates":            {func(i int) string { return fmt.Sprintf("20%02d-%02d-%02d", i%90+10, i%12+1, i%28+1) }, Text}, // where nothing else is there
		"stars":            {func(i int) string { return strings.Repeat("★", 1+i%5) + strings.Repeat("☆", 4-i%5) }, Categorical},
		"few words":        {func(i int) string { return []string{"red", "blue"}[i%2] }, Categorical},
		"few in Chinese":   {func(i int) string { return []string{"红色", "蓝色"}[i%2] }, Categorical},
		"numbers":          {func(i int) string { return fmt.Sprintf("%d.5", i*i) }, Numeric},
		"names, not alone": {func(i int) string { return fmt.Sprintf("name%cx%d", 'a'+i%26, i) }, Ignore},
		"dates, not alone": {func(i int) string { return fmt.Sprintf("20%02d-%02d-%02d", i%90+10, i%12+1, i%28+1) }, Ignore},
	} {
		more, other := "", ""
		if strings.HasSuffix(name, "not alone") {
			more, other = ",x", ",1.5"
		}
		d := load(t, "what"+more+",y\n"+rowsOf(200, func(i int) string {
			if other != "" {
				other = fmt.Sprintf(",%d.5", i%7)
			}
			return c.row(i) + other + "," + []string{"a", "b"}[i/3%2]
		}), nil)
		if got := d.Pipeline.Columns[0]; got.Type != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Type, got.Note, c.want)
		}
	}
}

var tokensOfBefore = map[string][]int32{
	"Good, bad :-(":       {3649278, 4047520, 690377, 3390909, 1318594, 4047520, 1340854, 2350897},
	"":                    {0},
	"!!! ★★★":             {0},
	"café naïve é":       {615612, 3682383, 139100, 1186469, 4017461, 3421981, 3615394, 3682383, 2005206, 3644129, 2382448, 3333826},
	"snake_case C++ 3.14": {1115211, 2595762, 2179641, 842478, 408884, 186485, 1432990, 3320169, 2394245, 409740, 3796123, 2023957, 1328063, 2180086, 501675, 1544667},
	"好吃 ดีมาก ❤️":         {4124344, 1217513, 3812186, 4034274, 1082398, 477317, 3406752, 4190917, 1385139},
	"O'Neil's 50% off":    {532643, 307528, 2570071, 3594181, 3877025, 564536, 4016219, 307528, 780580, 3112035, 553956, 886817, 3063296, 3343900},
}
