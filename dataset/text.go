package dataset

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/logitscope/logitscope/internal/parallel"
)

// Ngrams says how text becomes token ids: n-grams of words and of the characters within words, hashed to buckets.
// Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009; Bojanowski et al., "Enriching Word
// Vectors with Subword Information", 2017.
//
// Once fitted, only the buckets of the training texts count: a text's tokens are then different ones, each with the weight
// (1+ln tf)·idf, idf = ln((1+n)/(1+df))+1, so that its squares sum to 1. That is scikit-learn's TfidfVectorizer with
// sublinear_tf; Salton and Buckley, "Term-weighting Approaches in Automatic Text Retrieval", 1988.
type Ngrams struct {
	Buckets int `json:"buckets"`  // n-grams are hashed to [0,Buckets)
	Words   int `json:"words"`    // n-grams of 1 to Words words
	CharMin int `json:"char_min"` // n-grams of CharMin to CharMax characters of a word between its boundaries; CharMax 0: none
	CharMax int `json:"char_max"`
	// Signs says that characters which are neither letters nor digits count, and that each letter of a script without spaces is a word. It is
	// false in older pipelines.
	Signs bool `json:"signs,omitempty"`

	// These fields are fitted on the training texts. Older pipelines do not have them: all buckets are ids there, and have no weight.
	Texts  int         `json:"texts,omitempty"`  // n, the training texts
	Kept   base64Words `json:"kept,omitempty"`   // buckets that become ids 0, 1, …; ascending
	Counts base64Words `json:"counts,omitempty"` // df of each: the training texts that have it

	// The buckets kept, as bits, and how many of them come before each word of 64: a set that stays in cache, which an array of
	// Buckets ids would not. Nil where nothing was fitted.
	set    []uint64
	before []int32
	idf    []float32 // by id
}

// newNgrams returns the n-grams of new pipelines: words, pairs of words, and four characters. Three or five characters in addition cost time
// and gained nothing wherever it was measured.
func newNgrams() *Ngrams {
	return &Ngrams{Buckets: 1 << 22, Words: 2, CharMin: 4, CharMax: 4, Signs: true}
}

// maxKept bounds the number of ids. Where there are more n-grams, those that the most texts have are kept.
const maxKept = 1 << 18

// IDs returns how many ids there are.
func (g *Ngrams) IDs() int {
	if g.set == nil {
		return g.Buckets
	}
	return len(g.Kept)
}

// id returns the id of a bucket, -1 where it is not kept.
func (g *Ngrams) id(bucket int32) int32 {
	word, bit := g.set[bucket>>6], uint64(1)<<(bucket&63)
	if word&bit == 0 {
		return -1
	}
	return g.before[bucket>>6] + int32(bits.OnesCount64(word&(bit-1)))
}

// fit keeps the n-grams that two or more of the given texts have. An n-gram of a single text would only let the model remember that text.
// Where no n-gram has two texts, all are kept.
func (g *Ngrams) fit(texts []bucketCounts, rows []int32) {
	training := make([]bool, len(texts)*textBlock)
	for _, row := range rows {
		training[row] = true
	}
	each := func(do func(bucket int32)) {
		for b, c := range texts {
			for i, to := range c.offsets[1:] {
				if !training[b*textBlock+i] {
					continue
				}
				for _, bucket := range c.buckets[c.offsets[i]:to] {
					if bucket >= 0 {
						do(bucket)
					}
				}
			}
		}
	}
	once, twice := make([]uint64, g.Buckets/64+1), make([]uint64, g.Buckets/64+1)
	each(func(bucket int32) {
		word, bit := bucket>>6, uint64(1)<<(bucket&63)
		twice[word] |= once[word] & bit
		once[word] |= bit
	})
	g.Texts = len(rows)
	if g.Kept = setMembers(twice); len(g.Kept) == 0 {
		g.Kept = setMembers(once)
	}
	g.index()
	g.Counts = make(base64Words, len(g.Kept))
	each(func(bucket int32) {
		if id := g.id(bucket); id >= 0 {
			g.Counts[id]++
		}
	})
	if len(g.Kept) > maxKept {
		g.prune()
		g.index()
	}
	g.weighIDs()
}

// setMembers returns the numbers in a set of bits, in ascending order.
func setMembers(set []uint64) base64Words {
	n := 0
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	all := make(base64Words, 0, n)
	for i, word := range set {
		for ; word != 0; word &= word - 1 {
			all = append(all, uint32(64*i+bits.TrailingZeros64(word)))
		}
	}
	return all
}

// prune keeps the maxKept n-grams that the most texts have, and the first ones among equals.
func (g *Ngrams) prune() {
	having := make([]int, g.Texts+1) // n-grams by their count
	for _, n := range g.Counts {
		having[n]++
	}
	least, room := g.Texts, maxKept
	for ; having[least] <= room; least-- {
		room -= having[least]
	}
	kept := 0
	for i, n := range g.Counts {
		if int(n) < least || int(n) == least && room == 0 {
			continue
		}
		if int(n) == least {
			room--
		}
		g.Kept[kept], g.Counts[kept] = g.Kept[i], n
		kept++
	}
	g.Kept, g.Counts = g.Kept[:kept], g.Counts[:kept]
}

// index builds set and before, in which id looks a bucket up, from Kept.
func (g *Ngrams) index() {
	g.set, g.before = make([]uint64, g.Buckets/64+1), make([]int32, g.Buckets/64+1)
	for _, bucket := range g.Kept {
		g.set[bucket>>6] |= 1 << (bucket & 63)
	}
	n := 0
	for i, word := range g.set {
		g.before[i] = int32(n)
		n += bits.OnesCount64(word)
	}
}

// weighIDs computes idf from Counts.
func (g *Ngrams) weighIDs() {
	g.idf = make([]float32, len(g.Kept))
	for id, n := range g.Counts {
		g.idf[id] = float32(math.Log(float64(1+g.Texts)/float64(1+n)) + 1)
	}
}

func (g *Ngrams) validate() error {
	switch {
	case g == nil:
		return errors.New("no n-grams")
	case g.Buckets < 1 || g.Buckets > 1<<26:
		return fmt.Errorf("%d buckets of n-grams", g.Buckets)
	case g.Words < 1 || g.Words > 5 || g.CharMin < 0 || g.CharMax > 10 || (g.CharMax > 0 && (g.CharMin < 1 || g.CharMin > g.CharMax)):
		return fmt.Errorf("n-grams of %d words and %d to %d characters", g.Words, g.CharMin, g.CharMax)
	case len(g.Kept) != len(g.Counts) || len(g.Kept) > maxKept || g.Texts < 0:
		return fmt.Errorf("%d n-grams kept, %d counts of %d texts", len(g.Kept), len(g.Counts), g.Texts)
	}
	for i, bucket := range g.Kept {
		if int(bucket) >= g.Buckets || i > 0 && bucket <= g.Kept[i-1] || int(g.Counts[i]) > g.Texts {
			return fmt.Errorf("n-gram %d is bucket %d of %d, of %d texts in %d", i, bucket, g.Buckets, g.Counts[i], g.Texts)
		}
	}
	if len(g.Kept) > 0 {
		g.index()
		g.weighIDs()
	}
	return nil
}

// base64Words are numbers that JSON holds as the base64 form of little-endian 32-bit words.
type base64Words []uint32

func (p base64Words) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 4*len(p))
	for _, v := range p {
		raw = binary.LittleEndian.AppendUint32(raw, v)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

func (p *base64Words) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err == nil && len(raw)%4 != 0 {
		err = fmt.Errorf("%d bytes are no words of 4", len(raw))
	}
	if err != nil {
		return err
	}
	*p = make(base64Words, len(raw)/4)
	for i := range *p {
		(*p)[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return nil
}

// bucketCounts holds the different buckets of some texts in the order of their first occurrence; those of text i are
// buckets[offsets[i]:offsets[i+1]]. A bucket that occurs n > 1 times in its text is followed by -n.
type bucketCounts struct{ buckets, offsets []int32 }

// times returns how often the bucket at index at occurs in its text, and the index of the next bucket.
func (c *bucketCounts) times(at int32) (n, next int32) {
	if next = at + 1; int(next) < len(c.buckets) && c.buckets[next] < 0 {
		return -c.buckets[next], next + 1
	}
	return 1, next
}

// tokens holds the ids of some texts with their weights; those of text i are ids[offsets[i]:offsets[i+1]].
type tokens struct {
	ids, offsets []int32
	weights      []float32
}

// size returns the number of ids that c becomes.
func (g *Ngrams) size(c *bucketCounts) int {
	n := 0
	for _, bucket := range c.buckets {
		switch {
		case bucket < 0 && g.set == nil:
			n -= int(bucket) + 1
		case bucket >= 0 && (g.set == nil || g.id(bucket) >= 0):
			n++
		}
	}
	return n
}

// weigh adds the ids and weights of the texts of c to t. Where g is not fitted, every bucket is an id, repeated as often as it occurs, and has no
// weight.
func (g *Ngrams) weigh(t *tokens, c *bucketCounts) {
	for i, to := range c.offsets[1:] {
		first, sum := len(t.ids), 0.0
		for at := c.offsets[i]; at < to; {
			bucket := c.buckets[at]
			tf, next := c.times(at)
			at = next
			if g.set == nil {
				for range tf {
					t.ids = append(t.ids, bucket)
				}
				continue
			}
			id := g.id(bucket)
			if id < 0 {
				continue
			}
			w := g.idf[id]
			if tf > 1 {
				w *= 1 + float32(math.Log(float64(tf)))
			}
			sum += float64(w) * float64(w)
			t.ids, t.weights = append(t.ids, id), append(t.weights, w)
		}
		if g.set != nil {
			scale := float32(1 / math.Sqrt(max(sum, 1e-30)))
			for j := range t.weights[first:] {
				t.weights[first+j] *= scale
			}
		}
		t.offsets = append(t.offsets, int32(len(t.ids)))
	}
}

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

// textBlock is the number of texts that are tokenized at a time.
const textBlock = 1024

// tokenize turns n texts into buckets, textBlock texts a part.
func (g *Ngrams) tokenize(n int, text func(row int) []byte) ([]bucketCounts, error) {
	parts := make([]bucketCounts, (n+textBlock-1)/textBlock)
	parallel.Each(len(parts), func(b int) {
		t, from, to, bytes := tokenizer{Ngrams: *g}, b*textBlock, min((b+1)*textBlock, n), 0
		for r := from; r < to; r++ {
			bytes += min(len(text(r)), 2*g.Buckets)
		}
		// A word of n characters and its boundary give at most n+1 n-grams of newNgrams; only runs of signs can give more.
		p := bucketCounts{make([]int32, 0, bytes+to-from), append(make([]int32, 0, to-from+1), 0)}
		for r := from; r < to; r++ {
			t.add(&p, text(r))
		}
		parts[b] = p
	})
	for b := range parts {
		if len(parts[b].buckets) > math.MaxInt32 {
			return nil, tooMany(n)
		}
	}
	return parts, nil
}

// weighAll turns the texts of all parts into ids and weights. It clears each part when it is done with it, so that its memory is free.
func (g *Ngrams) weighAll(parts []bucketCounts) (*tokens, error) {
	starts, rows := make([]int, len(parts)+1), make([]int, len(parts)+1)
	parallel.Each(len(parts), func(b int) { starts[b+1] = g.size(&parts[b]) })
	for b := range parts {
		starts[b+1] += starts[b]
		rows[b+1] = rows[b] + len(parts[b].offsets) - 1
	}
	total, n := starts[len(parts)], rows[len(parts)]
	if total > math.MaxInt32 {
		return nil, tooMany(n)
	}
	all := &tokens{ids: make([]int32, total), offsets: make([]int32, n+1)}
	if g.set != nil {
		all.weights = make([]float32, total)
	}
	parallel.Each(len(parts), func(b int) {
		from := starts[b]
		own := tokens{ids: all.ids[from:from:starts[b+1]], offsets: all.offsets[rows[b]+1 : rows[b]+1 : rows[b+1]+1]}
		if g.set != nil {
			own.weights = all.weights[from:from:starts[b+1]]
		}
		g.weigh(&own, &parts[b])
		for i := range own.offsets {
			own.offsets[i] += int32(from)
		}
		parts[b] = bucketCounts{}
	})
	return all, nil
}

func tooMany(texts int) error {
	return fmt.Errorf("more than %d n-grams in %d texts: leave out some of them, or shorten the texts", math.MaxInt32, texts)
}
