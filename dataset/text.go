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

	// Fitted on the training texts; absent from pipelines of before, whose ids are all buckets and have no weight.
	Texts  int    `json:"texts,omitempty"`  // n
	Kept   packed `json:"kept,omitempty"`   // buckets that become ids 0, 1, …; ascending
	Counts packed `json:"counts,omitempty"` // df of each: the training texts that have it

	// The buckets kept, as bits, and how many of them come before each word of 64: a set that stays in cache, which an array of
	// Buckets ids would not. Nil where nothing was fitted.
	set    []uint64
	before []int32
	idf    []float32 // by id
}

// newNgrams are words and pairs of words, and four characters: three or five beside them add time and nothing else wherever it was
// measured.
func newNgrams() *Ngrams { return &Ngrams{Buckets: 1 << 22, Words: 2, CharMin: 4, CharMax: 4} }

// maxKept bounds the ids: of more, those that the most texts have are kept.
const maxKept = 1 << 18

// IDs returns how many ids there are.
func (g *Ngrams) IDs() int {
	if g.set == nil {
		return g.Buckets
	}
	return len(g.Kept)
}

// id returns what a bucket became, -1 where it is not kept.
func (g *Ngrams) id(bucket int32) int32 {
	word, bit := g.set[bucket>>6], uint64(1)<<(bucket&63)
	if word&bit == 0 {
		return -1
	}
	return g.before[bucket>>6] + int32(bits.OnesCount64(word&(bit-1)))
}

// fit keeps the n-grams that two or more of the given texts have: one that a single text has would say what that text is. Where
// none has two, all are kept.
func (g *Ngrams) fit(texts []counted, rows []int32) {
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
	if g.Kept = members(twice); len(g.Kept) == 0 {
		g.Kept = members(once)
	}
	g.index()
	g.Counts = make(packed, len(g.Kept))
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

// members returns the numbers of a set, ascending.
func members(set []uint64) packed {
	n := 0
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	all := make(packed, 0, n)
	for i, word := range set {
		for ; word != 0; word &= word - 1 {
			all = append(all, uint32(64*i+bits.TrailingZeros64(word)))
		}
	}
	return all
}

// prune leaves the maxKept n-grams that the most texts have; of those that as many have, the first.
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

// index makes of Kept what a bucket is looked up in.
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

// packed are numbers that JSON holds as base64 of little-endian words.
type packed []uint32

func (p packed) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 4*len(p))
	for _, v := range p {
		raw = binary.LittleEndian.AppendUint32(raw, v)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

func (p *packed) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err == nil && len(raw)%4 != 0 {
		err = fmt.Errorf("%d bytes are no words of 4", len(raw))
	}
	if err != nil {
		return err
	}
	*p = make(packed, len(raw)/4)
	for i := range *p {
		(*p)[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return nil
}

// counted are the different buckets of some texts in the order in which they come, text i's being buckets[offsets[i]:offsets[i+1]].
// One that comes n > 1 times in its text is followed by -n.
type counted struct{ buckets, offsets []int32 }

// times returns how often the bucket at comes in its text, and where the next bucket is.
func (c *counted) times(at int32) (n, next int32) {
	if next = at + 1; int(next) < len(c.buckets) && c.buckets[next] < 0 {
		return -c.buckets[next], next + 1
	}
	return 1, next
}

// tokens are the ids of some texts with their weights, text i's being ids[offsets[i]:offsets[i+1]].
type tokens struct {
	ids, offsets []int32
	weights      []float32
}

// size returns how many ids c becomes.
func (g *Ngrams) size(c *counted) int {
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

// weigh adds ids and weights of the texts of c to t. Without something fitted a bucket is an id that comes as often as it does,
// and has no weight.
func (g *Ngrams) weigh(t *tokens, c *counted) {
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

// tokenizer holds what is used again from text to text.
type tokenizer struct {
	Ngrams
	words   []uint64 // hashes of the text's words
	word    []byte   // the word in lower case, between boundaries
	ends    []int    // where each of its characters ends
	buckets []int32  // of the text, as they come
	seen    []seen   // a hash table of them, a power of two in size
	slots   []uint32 // where in it the text's different buckets are
	text    uint32   // whose entries of seen count
}

type seen struct {
	text          uint32
	bucket, times int32
}

// add adds a text to c.
func (g *tokenizer) add(c *counted, text []byte) {
	g.buckets, g.slots = g.append(g.buckets[:0], text), g.slots[:0]
	if size := 2 * len(g.buckets); len(g.seen) < size || g.text == math.MaxUint32 {
		g.seen, g.text = make([]seen, 1<<bits.Len(uint(size))), 0
	}
	g.text++
	mask := uint32(len(g.seen) - 1)
	for _, bucket := range g.buckets {
		at := uint32(bucket) & mask // already a hash
		for g.seen[at].text == g.text && g.seen[at].bucket != bucket {
			at = (at + 1) & mask
		}
		if s := &g.seen[at]; s.text == g.text {
			s.times++
		} else {
			*s = seen{g.text, bucket, 1}
			g.slots = append(g.slots, at)
		}
	}
	for _, at := range g.slots {
		s := &g.seen[at]
		c.buckets = append(c.buckets, s.bucket)
		if s.times > 1 {
			c.buckets = append(c.buckets, -s.times)
		}
	}
	c.offsets = append(c.offsets, int32(len(c.buckets)))
}

// append adds the buckets of text's n-grams to tokens. Words are runs of letters, digits and marks, in lower case; a text
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

// textBlock is how many texts are tokenized at a time.
const textBlock = 1024

// tokenize turns n texts into buckets, textBlock texts a part.
func (g *Ngrams) tokenize(n int, text func(row int) []byte) ([]counted, error) {
	parts := make([]counted, (n+textBlock-1)/textBlock)
	parallel.Each(len(parts), func(b int) {
		t, from, to, bytes := tokenizer{Ngrams: *g}, b*textBlock, min((b+1)*textBlock, n), 0
		for r := from; r < to; r++ {
			bytes += len(text(r))
		}
		// A word of n characters and what parts it from the next give at most n+1 of newNgrams.
		p := counted{make([]int32, 0, bytes+to-from), append(make([]int32, 0, to-from+1), 0)}
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

// weighAll turns the texts of all parts into ids and weights; parts are given up as that is done.
func (g *Ngrams) weighAll(parts []counted) (*tokens, error) {
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
		parts[b] = counted{}
	})
	return all, nil
}

func tooMany(texts int) error {
	return fmt.Errorf("more than %d n-grams in %d texts: leave out some of them, or shorten the texts", math.MaxInt32, texts)
}
