package dataset

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

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
