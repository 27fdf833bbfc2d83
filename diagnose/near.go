package diagnose

import (
	"math"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/record"
)

const (
	// nearShare of the root mean square distance between two samples is how far apart near-identical ones are at most: noise of
	// two in 255, not another picture of the same class.
	nearShare = 1. / 32

	// fewestValues that a window has, for few to be near one another by chance.
	fewestValues = 16

	// Locality-sensitive hashing (M. Datar et al., "Locality-sensitive hashing scheme based on p-stable distributions", SoCG 2004)
	// by sums of a sixteenth of the values each, with random signs. Of two samples so near, the sums differ by a quarter of their
	// distance, in root mean square; with cells eight times as wide one table of four sums misses them once in three times.
	nearTables, nearSums = 4, 4

	// mostValues of a window, drawn at random, tell as much as all.
	mostValues = 1024

	// mostMoved pixels, and an eighth of a side, is how far a picture is looked for beside its place.
	mostMoved = 3

	// fewNear pairs in a split are no longer chance.
	fewNear = 3

	// mostInCell are looked at: what so many share (a blank picture) is near more than one.
	mostInCell = 256
)

// windows returns, for each window, the indices of its values in a picture, in one random order that is the same for all. The first window is
// the middle of a picture; the others show it in a picture that was moved, mirrored, or both.
func windows(p *record.Preview, rng *rand.Rand) (indices [][]int32) {
	margin := min(p.Height/8, p.Width/8, mostMoved)
	height, width := p.Height-2*margin, p.Width-2*margin
	order := rng.Perm(height * width * p.Channels)
	order = order[:min(len(order), mostValues)]
	view := func(top, left int, upsideDown, mirrored bool) {
		window := make([]int32, len(order))
		for i, o := range order {
			y, x, channel := o/p.Channels/width, o/p.Channels%width, o%p.Channels
			if upsideDown {
				y = height - 1 - y
			}
			if mirrored {
				x = width - 1 - x
			}
			window[i] = int32(((top+y)*p.Width+left+x)*p.Channels + channel)
		}
		indices = append(indices, window)
	}
	view(margin, margin, false, false)
	for top := range 2*margin + 1 {
		for left := range 2*margin + 1 {
			if top != margin || left != margin {
				view(top, left, false, false)
			}
			view(top, left, true, false)
			view(top, left, false, true)
		}
	}
	return indices
}

// nearMatches returns the pairs (i,j) for which picture j of others is near picture i of train, and near no other of train: as it is, moved or
// mirrored. Pictures of others that accept does not accept are skipped.
func nearMatches(train, others []byte, p *record.Preview, accept func(j int) bool) (pairs [][2]int) {
	size, windows := p.Size(), windows(p, rand.New(rand.NewPCG(1, 2)))
	middle := windows[0]
	spread := variance(train, size, middle)
	if len(middle) < fewestValues || spread == 0 {
		return nil
	}
	// The square of the distance between two samples is 2·size·spread in the mean.
	limit := nearShare * nearShare * 2 * float64(len(middle)) * spread
	width := 2 * math.Sqrt(limit)
	cells := func(picture []byte, window []int32) (cells [nearTables]uint64) {
		var sums [nearTables * nearSums]int
		for i, at := range window {
			if v := int(picture[at]); i/len(sums)%2 == 0 {
				sums[i%len(sums)] += v
			} else {
				sums[i%len(sums)] -= v
			}
		}
		for k, s := range sums {
			h := &cells[k/nearSums]
			*h = (*h ^ uint64(int64(math.Floor(float64(s)/width+0.5)))) * 0x9E3779B97F4A7C15 // Fibonacci hashing, Knuth, TAOCP 6.4
			*h ^= *h >> 29
		}
		return cells
	}
	ofTrain := make([][nearTables]uint64, len(train)/size)
	parallel.Each(len(ofTrain), func(i int) { ofTrain[i] = cells(train[i*size:][:size], middle) })
	var in [nearTables]map[uint64][]int32
	for t := range in {
		in[t] = make(map[uint64][]int32, len(ofTrain))
		for i := range ofTrain {
			if cell := ofTrain[i][t]; len(in[t][cell]) < mostInCell {
				in[t][cell] = append(in[t][cell], int32(i))
			}
		}
	}
	const none, several = -1, -2
	found := make([]int, len(others)/size)
	parallel.Each(len(found), func(j int) {
		found[j] = none
		if !accept(j) {
			return
		}
		picture := others[j*size:][:size]
		for _, window := range windows {
			for t, cell := range cells(picture, window) {
				for _, i := range in[t][cell] {
					if int(i) == found[j] || !within(train[int(i)*size:][:size], middle, picture, window, limit) {
						continue
					}
					if found[j] != none {
						found[j] = several
						return
					}
					found[j] = int(i)
				}
			}
		}
	})
	for j, i := range found {
		if i >= 0 {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}

// within reports whether the squared distance of two windows is at most limit.
func within(a []byte, inA []int32, b []byte, inB []int32, limit float64) bool {
	const each = 64
	sum := 0
	for start := 0; start < len(inA) && float64(sum) <= limit; start += each {
		for i := start; i < min(start+each, len(inA)); i++ {
			d := int(a[inA[i]]) - int(b[inB[i]])
			sum += d * d
		}
	}
	return float64(sum) <= limit
}

// variance returns the variance over the pictures of a value in the window, averaged over the values; it looks at some thousand pictures at most.
func variance(pictures []byte, size int, window []int32) float64 {
	const most = 4096
	samples := len(pictures) / size
	step := max(samples/most, 1)
	n, sums, squares := 0.0, make([]float64, len(window)), make([]float64, len(window))
	for i := 0; i < samples; i += step {
		n++
		for j, at := range window {
			v := float64(pictures[i*size+int(at)])
			sums[j] += v
			squares[j] += v * v // whole numbers: exact
		}
	}
	if n < 2 {
		return 0
	}
	total := 0.0
	for j, s := range sums {
		total += squares[j]/n - s/n*(s/n)
	}
	return total / float64(len(window))
}
