package dataset

import (
	"math"
	"math/bits"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// tokenizer cuts texts into n-grams. It keeps buffers that it reuses for the next text.
type tokenizer struct {
	Ngrams
	words   []uint64 // hashes of the text's words whose pairs are not made yet
	word    []byte   // the current word in lower case, between boundaries
	ends    []int    // where each character of word ends
	buckets []int32  // buckets of the text that are not counted yet
	slots   []slot   // a hash table of the counted buckets, a power of two in size and never full
	used    []uint32 // indices of the slots that belong to the current text
	current uint32   // number of the current text; slots of other texts are free
}

// slot is an entry of tokenizer's hash table: a bucket, and how often it occurs in a text.
type slot struct {
	text          uint32
	bucket, times int32
}

// add adds a text to c.
func (g *tokenizer) add(c *bucketCounts, text []byte) {
	g.used = g.used[:0]
	if len(g.slots) == 0 || g.current == math.MaxUint32 {
		g.slots, g.current = make([]slot, max(len(g.slots), 1<<10)), 0
	}
	g.current++
	g.read(text, g.count)
	for _, at := range g.used {
		s := &g.slots[at]
		c.buckets = append(c.buckets, s.bucket)
		if s.times > 1 {
			c.buckets = append(c.buckets, -s.times)
		}
	}
	c.offsets = append(c.offsets, int32(len(c.buckets)))
}

// count moves the buckets into the hash table.
func (g *tokenizer) count() {
	if size := 2 * (len(g.used) + len(g.buckets)); len(g.slots) < size {
		g.grow(size)
	}
	mask := uint32(len(g.slots) - 1)
	for _, bucket := range g.buckets {
		at := uint32(bucket) & mask // already a hash
		for g.slots[at].text == g.current && g.slots[at].bucket != bucket {
			at = (at + 1) & mask
		}
		if s := &g.slots[at]; s.text == g.current {
			s.times++
		} else {
			*s = slot{g.current, bucket, 1}
			g.used = append(g.used, at)
		}
	}
}

// grow enlarges the hash table to at least size slots.
func (g *tokenizer) grow(size int) {
	old := g.slots
	g.slots = make([]slot, 1<<bits.Len(uint(size)))
	mask := uint32(len(g.slots) - 1)
	for i, from := range g.used {
		at := uint32(old[from].bucket) & mask
		for g.slots[at].text == g.current {
			at = (at + 1) & mask
		}
		g.slots[at] = old[from]
		g.used[i] = at
	}
}

// heldBuckets is the number of buckets or words of a text that are held before they are counted, so that a long text needs no more memory.
const heldBuckets = 1 << 16

// read puts the buckets of a text's n-grams into g.buckets. A word is a run of letters, digits, marks and underscores, in lower case. Where Signs is
// set, each letter of a script without spaces is a word too, and runs of other characters give n-grams of their own. A text with none of these gives one
// bucket, so that no text is empty. take is called whenever there are many buckets, and at the end.
func (g *tokenizer) read(text []byte, take func()) {
	g.words, g.buckets = g.words[:0], g.buckets[:0]
	taken := 0
	some := func() {
		taken += len(g.buckets)
		take()
		g.buckets = g.buckets[:0]
	}
	for len(text) > 0 {
		r, size := decode(text)
		switch {
		case g.Signs && isDense(r):
			size = clusterSize(text)
			g.words = append(g.words, hashBytes(text[:size]))
			text = text[size:]
		case isWord(r) && !(g.Signs && unicode.Is(unicode.M, r)):
			text = g.takeWord(text)
			g.words = append(g.words, hashBytes(g.word[1:]))
			g.word = append(g.word, '>')
			g.ends = append(g.ends, len(g.word))
			g.buckets = g.characters(g.buckets)
		case g.Signs && !isBlank(r):
			text = g.signs(text, some)
		default:
			text = text[size:]
		}
		if len(g.buckets) >= heldBuckets {
			some()
		}
		if len(g.words) >= heldBuckets {
			g.pair(len(g.words) - g.Words + 1) // the last ones have pairs with those that follow
		}
	}
	g.pair(len(g.words))
	if len(g.buckets)+taken == 0 {
		g.buckets = append(g.buckets, 0)
	}
	some()
}

// pair adds the buckets of the first n words, and of those with the words that follow them.
func (g *tokenizer) pair(n int) {
	for i := range n {
		h := g.words[i]
		g.buckets = append(g.buckets, g.bucket(h))
		for m := 1; m < g.Words && i+m < len(g.words); m++ {
			h = mix(h ^ g.words[i+m]*0x9e3779b97f4a7c15)
			g.buckets = append(g.buckets, g.bucket(h))
		}
	}
	g.words = append(g.words[:0], g.words[n:]...)
}

// takeWord reads the word that text begins with to g.word, behind a boundary, and returns what follows.
func (g *tokenizer) takeWord(text []byte) []byte {
	g.word = append(g.word[:0], '<')
	g.ends = append(g.ends[:0], 1)
	for len(text) > 0 && len(g.ends) < heldBuckets { // a longer word is cut into several
		r, size := decode(text)
		if !isWord(r) || g.Signs && isDense(r) {
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
	return text
}

// signs adds the n-grams of the run of signs that text begins with, and returns what follows. They are each grapheme cluster (what a reader takes
// for one character: Unicode Standard Annex 29), each pair of neighbours, the number of repetitions of a cluster that occurs three times or more in a
// row, and the whole run where it is longer than a pair.
func (g *tokenizer) signs(text []byte, take func()) []byte {
	run := text
	last := uint64(0)
	n, repeated := 0, 1
	for len(text) > 0 {
		r, size := decode(text)
		if isBlank(r) || isWord(r) && !unicode.Is(unicode.M, r) {
			break
		}
		if r >= utf8.RuneSelf || len(text) > 1 && text[1] >= utf8.RuneSelf {
			size = clusterSize(text)
		}
		h := hashBytes(text[:size])
		g.buckets = append(g.buckets, g.bucket(h))
		if n > 0 {
			g.buckets = append(g.buckets, g.bucket(mix(last^h*0x9e3779b97f4a7c15)))
		}
		if n > 0 && h != last {
			g.repeats(last, repeated)
			repeated = 0
		}
		if n > 0 {
			repeated++
		}
		last = h
		n++
		text = text[size:]
		if len(g.buckets) >= heldBuckets {
			take()
		}
	}
	g.repeats(last, repeated)
	if n > 2 {
		g.buckets = append(g.buckets, g.bucket(hashBytes(run[:len(run)-len(text)])))
	}
	return text
}

// repeats adds the bucket that stands for a sign repeated so many times, if there are three or more.
func (g *tokenizer) repeats(sign uint64, times int) {
	if times >= 3 {
		g.buckets = append(g.buckets, g.bucket(mix(sign+uint64(times))))
	}
}

func decode(text []byte) (rune, int) {
	if text[0] < utf8.RuneSelf {
		return rune(text[0]), 1
	}
	return utf8.DecodeRune(text)
}

func isBlank(r rune) bool {
	return r == ' ' || r == '\n' || r == '\t' || r == '\r' || r >= 0x80 && unicode.IsSpace(r) || r < ' '
}

// clusterSize returns the number of bytes of the first grapheme cluster.
func clusterSize(text []byte) int {
	cluster, _, _, _ := uniseg.FirstGraphemeCluster(text, -1)
	return len(cluster)
}

// characters adds the n-grams of characters of the current word, without the one that is the whole word.
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

// dense lists the scripts that are written without spaces between words.
var dense = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Tibetan}

func isDense(r rune) bool { return r >= 0x0e00 && unicode.In(r, dense...) }

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
	scaleToOne(dst)
	return words
}

// bag adds a text's words and signs to dst [buckets], hashed, scaled so that their squares sum to 1.
func (g *tokenizer) bag(dst []float32, text []byte) {
	g.read(text, func() {
		for _, bucket := range g.buckets {
			dst[bucket]++
		}
	})
	scaleToOne(dst)
}

func scaleToOne(dst []float32) {
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
