package dataset

import (
	"errors"
	"fmt"
	"math"
	"unicode"
	"unicode/utf8"
)

// Ngrams says how text becomes token ids: n-grams of words and of the characters within words, hashed to buckets.
// Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009; Bojanowski et al., "Enriching Word
// Vectors with Subword Information", 2017.
type Ngrams struct {
	Buckets int `json:"buckets"`  // ids lie in [0,Buckets)
	Words   int `json:"words"`    // n-grams of 1 to Words words
	CharMin int `json:"char_min"` // n-grams of CharMin to CharMax characters of a word between its boundaries; CharMax 0: none
	CharMax int `json:"char_max"`
}

// DefaultNgrams are words and pairs of words, and three to five characters.
func DefaultNgrams() *Ngrams { return &Ngrams{Buckets: 1 << 18, Words: 2, CharMin: 3, CharMax: 5} }

func (g *Ngrams) validate() error {
	switch {
	case g == nil:
		return errors.New("no n-grams")
	case g.Buckets < 1 || g.Buckets > 1<<26:
		return fmt.Errorf("%d buckets of n-grams", g.Buckets)
	case g.Words < 1 || g.Words > 5 || g.CharMin < 0 || g.CharMax > 10 || (g.CharMax > 0 && (g.CharMin < 1 || g.CharMin > g.CharMax)):
		return fmt.Errorf("n-grams of %d words and %d to %d characters", g.Words, g.CharMin, g.CharMax)
	}
	return nil
}

// tokenizer holds what is used again from text to text.
type tokenizer struct {
	Ngrams
	words []uint64 // hashes of the text's words
	word  []byte   // the word in lower case, between boundaries
	ends  []int    // where each of its characters ends
}

// append adds the ids of text's n-grams to tokens. Words are runs of letters, digits and marks, in lower case; a text
// without any gives one token, so that no text is empty.
func (g *tokenizer) append(tokens []int32, text []byte) []int32 {
	before := len(tokens)
	g.words = g.words[:0]
	for len(text) > 0 {
		g.word = append(g.word[:0], '<')
		g.ends = append(g.ends[:0], 1)
		for len(text) > 0 {
			r, size := rune(text[0]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRune(text)
			}
			if !isWord(r) {
				text = text[size:]
				break
			}
			if r < utf8.RuneSelf {
				g.word = append(g.word, lower(byte(r)))
			} else {
				g.word = utf8.AppendRune(g.word, unicode.ToLower(r))
			}
			g.ends = append(g.ends, len(g.word))
			text = text[size:]
		}
		if len(g.word) == 1 {
			continue
		}
		g.words = append(g.words, hashBytes(g.word[1:]))
		g.word = append(g.word, '>')
		g.ends = append(g.ends, len(g.word))
		tokens = g.characters(tokens)
	}
	for i := range g.words {
		h := g.words[i]
		tokens = append(tokens, g.bucket(h))
		for n := 1; n < g.Words && i+n < len(g.words); n++ {
			h = mix(h ^ g.words[i+n]*0x9e3779b97f4a7c15)
			tokens = append(tokens, g.bucket(h))
		}
	}
	if len(tokens) == before {
		tokens = append(tokens, 0)
	}
	return tokens
}

// characters adds the n-grams of characters of the current word. One that is the whole of it says no more than the word.
func (g *tokenizer) characters(tokens []int32) []int32 {
	for first := range g.ends {
		from := 0
		if first > 0 {
			from = g.ends[first-1]
		}
		h, at := uint64(fnvOffset), from
		for n := 1; n <= g.CharMax && first+n <= len(g.ends); n++ {
			for ; at < g.ends[first+n-1]; at++ {
				h = (h ^ uint64(g.word[at])) * fnvPrime
			}
			if n >= g.CharMin && n < len(g.ends) {
				tokens = append(tokens, g.bucket(mix(h)))
			}
		}
	}
	return tokens
}

// bucket maps a hash to an id, evenly for any number of buckets.
func (g *tokenizer) bucket(h uint64) int32 { return int32((h >> 32) * uint64(g.Buckets) >> 32) }

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
	}
	return unicode.In(r, unicode.L, unicode.N, unicode.M)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// bagOfWords adds a text's words to dst [buckets], hashed, scaled so that their squares sum to 1.
func bagOfWords(dst []float32, text []byte, words []uint64) []uint64 {
	words = words[:0]
	h, inside := uint64(fnvOffset), false
	for _, c := range text {
		if c >= utf8.RuneSelf || isWord(rune(c)) {
			h, inside = (h^uint64(lower(c)))*fnvPrime, true
		} else if inside {
			words = append(words, mix(h))
			h, inside = fnvOffset, false
		}
	}
	if inside {
		words = append(words, mix(h))
	}
	for _, h := range words {
		dst[h%uint64(len(dst))]++
	}
	sum := 0.0
	for _, x := range dst {
		sum += float64(x) * float64(x)
	}
	if sum > 0 {
		scale := float32(1 / math.Sqrt(sum))
		for i := range dst {
			dst[i] *= scale
		}
	}
	return words
}

// FNV-1a of 64 bits (Fowler, Noll, Vo), and a finaliser that spreads it over all bits (splitmix64).
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

func hashBytes(b []byte) uint64 {
	h := uint64(fnvOffset)
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return mix(h)
}

func hashString(s string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// tokenize turns n texts into tokens, row r's being tokens[offsets[r]:offsets[r+1]].
func (g *Ngrams) tokenize(n int, text func(row int) []byte) (tokens, offsets []int32, err error) {
	const block = 1024
	blocks := (n + block - 1) / block
	part := make([][]int32, blocks)
	offsets = make([]int32, n+1)
	_ = inParallel(blocks, func(b int) error {
		t := tokenizer{Ngrams: *g}
		var ids []int32
		for r := b * block; r < min((b+1)*block, n); r++ {
			before := len(ids)
			ids = t.append(ids, text(r))
			offsets[r+1] = int32(len(ids) - before)
		}
		part[b] = ids
		return nil
	})
	total := 0
	for r := range n {
		total += int(offsets[r+1])
		if total > math.MaxInt32 {
			return nil, nil, fmt.Errorf("more than %d n-grams in %d texts: leave out the n-grams of characters, or shorten the texts", math.MaxInt32, n)
		}
		offsets[r+1] = int32(total)
	}
	tokens = make([]int32, 0, total)
	for b := range part {
		tokens = append(tokens, part[b]...)
		part[b] = nil
	}
	return tokens, offsets, nil
}
