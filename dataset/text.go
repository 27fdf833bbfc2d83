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

	ids []int32   // [Buckets]: 1 + the id, 0 for none; nil where nothing was fitted
	idf []float32 // by id
}

// newNgrams are words and pairs of words, and three and four characters: five add time and nothing else wherever it was measured.
func newNgrams() *Ngrams { return &Ngrams{Buckets: 1 << 22, Words: 2, CharMin: 3, CharMax: 4} }

// maxKept bounds the ids: of more, those that the most texts have are kept.
const maxKept = 1 << 18

// IDs returns how many ids there are.
func (g *Ngrams) IDs() int {
	if g.ids == nil {
		return g.Buckets
	}
	return len(g.Kept)
}

// fit keeps the n-grams that two or more of the given texts have: one that a single text has would say what that text is.
func (g *Ngrams) fit(t *tokens, rows []int32) {
	counts := make([]uint32, g.Buckets)
	for _, row := range rows {
		for _, bucket := range t.ids[t.offsets[row]:t.offsets[row+1]] {
			counts[bucket]++
		}
	}
	having := make([]int, len(rows)+2) // buckets by their count
	for _, n := range counts {
		having[n]++
	}
	least, kept := len(rows)+1, 0
	for least > 1 && kept+having[least-1] <= maxKept && (least > 2 || kept == 0) {
		least--
		kept += having[least]
	}
	g.Texts = len(rows)
	g.Kept, g.Counts = make(packed, 0, kept), make(packed, 0, kept)
	for bucket, n := range counts {
		if int(n) >= least {
			g.Kept, g.Counts = append(g.Kept, uint32(bucket)), append(g.Counts, n)
		}
	}
	g.index()
}

// index makes of what was fitted what a text is looked up in.
func (g *Ngrams) index() {
	g.ids, g.idf = make([]int32, g.Buckets), make([]float32, len(g.Kept))
	for id, bucket := range g.Kept {
		g.ids[bucket] = 1 + int32(id)
		g.idf[id] = float32(math.Log(float64(1+g.Texts)/float64(1+g.Counts[id])) + 1)
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

// tokens are those of some texts, text i's being ids[offsets[i]:offsets[i+1]]: different buckets with how often they come, and
// once weighed ids with their weights.
type tokens struct {
	ids, offsets []int32
	weights      []float32
}

// weigh makes ids and weights of buckets and counts; without something fitted ids repeat, and have no weight.
func (g *Ngrams) weigh(t *tokens) {
	if g.ids == nil {
		g.repeat(t)
		return
	}
	kept, from := 0, int32(0)
	for i, to := range t.offsets[1:] {
		first, sum := kept, 0.0
		for at := from; at < to; at++ {
			id := g.ids[t.ids[at]] - 1
			if id < 0 {
				continue
			}
			w := g.idf[id]
			if tf := t.weights[at]; tf > 1 {
				w *= 1 + float32(math.Log(float64(tf)))
			}
			sum += float64(w) * float64(w)
			t.ids[kept], t.weights[kept] = id, w
			kept++
		}
		scale := float32(1 / math.Sqrt(max(sum, 1e-30)))
		for j := range t.weights[first:kept] {
			t.weights[first+j] *= scale
		}
		from, t.offsets[i+1] = to, int32(kept)
	}
	t.ids, t.weights = t.ids[:kept], t.weights[:kept]
}

// repeat names each bucket as often as it comes.
func (g *Ngrams) repeat(t *tokens) {
	var all []int32
	from := int32(0)
	for i, to := range t.offsets[1:] {
		for at := from; at < to; at++ {
			for range int(t.weights[at]) {
				all = append(all, t.ids[at])
			}
		}
		from, t.offsets[i+1] = to, int32(len(all))
	}
	t.ids, t.weights = all, nil
}

// tokenizer holds what is used again from text to text.
type tokenizer struct {
	Ngrams
	words   []uint64 // hashes of the text's words
	word    []byte   // the word in lower case, between boundaries
	ends    []int    // where each of its characters ends
	buckets []int32  // of the text, as they come
	seen    []seen   // a hash table of them, a power of two in size
	text    uint32   // whose entries of seen count
}

type seen struct {
	text       uint32
	bucket, at int32
}

// add adds the different buckets of a text, in the order in which they come, and how often they come, to t.
func (g *tokenizer) add(t *tokens, text []byte) {
	g.buckets = g.append(g.buckets[:0], text)
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
			t.weights[s.at]++
		} else {
			*s = seen{g.text, bucket, int32(len(t.ids))}
			t.ids, t.weights = append(t.ids, bucket), append(t.weights, 1)
		}
	}
	t.offsets = append(t.offsets, int32(len(t.ids)))
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

// tokenize turns n texts into tokens that are not weighed yet.
func (g *Ngrams) tokenize(n int, text func(row int) []byte) (*tokens, error) {
	const block = 1024
	parts := make([]tokens, (n+block-1)/block)
	parallel.Each(len(parts), func(b int) {
		t, from, to, bytes := tokenizer{Ngrams: *g}, b*block, min((b+1)*block, n), 0
		for r := from; r < to; r++ {
			bytes += len(text(r))
		}
		p := tokens{make([]int32, 0, 2*bytes), make([]int32, 0, to-from), make([]float32, 0, 2*bytes)} // a byte begins about two n-grams
		for r := from; r < to; r++ {
			t.add(&p, text(r))
		}
		parts[b] = p
	})
	total := 0
	for _, p := range parts {
		total += len(p.ids)
	}
	if total > math.MaxInt32 {
		return nil, fmt.Errorf("more than %d n-grams in %d texts: leave out the n-grams of characters, or shorten the texts", math.MaxInt32, n)
	}
	all := &tokens{ids: make([]int32, 0, total), weights: make([]float32, 0, total), offsets: make([]int32, 1, n+1)}
	for b, p := range parts {
		first := int32(len(all.ids))
		for _, to := range p.offsets {
			all.offsets = append(all.offsets, first+to)
		}
		all.ids, all.weights = append(all.ids, p.ids...), append(all.weights, p.weights...)
		parts[b] = tokens{}
	}
	return all, nil
}
