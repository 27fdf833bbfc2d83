package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/logitscope/logitscope/internal/parallel"
)

// Where one column alone tells the class of nearly every held-out row, it is likely the class by another name.
const (
	leakAccuracy = 0.995
	leakGain     = 0.9   // of the rows that naming the most frequent class gets wrong, the share that the column gets right
	leakAmong    = 0.99  // of the training rows, each told by the others
	leakOthers   = 5     // rows of other classes than that one: fewer show nothing
	leakRows     = 20000 // of training, and as many held out
	leakGlance   = 1000  // of training, by which most columns are seen to tell nothing
	leakRange    = 5     // training rows that a range of numbers is judged by
)

// labelledRows are some rows of a table that has been read, with their classes.
type labelledRows struct {
	read   []values
	rows   []int32 // of the table
	labels []int32 // of each of them
}

// ofPart returns the rows of a part whose table was read as read, that table's first row being the dataset's row first.
func (d *Dataset) ofPart(p Part, read []values, first int) labelledRows {
	l := labelledRows{read: read}
	for _, r := range p.Rows[:min(len(p.Rows), leakRows)] {
		l.rows, l.labels = append(l.rows, r-int32(first)), append(l.labels, d.Labels[r])
	}
	return l
}

func (l labelledRows) first(n int) labelledRows {
	n = min(n, len(l.rows))
	return labelledRows{l.read, l.rows[:n], l.labels[:n]}
}

// checkLeaks warns of columns that tell the class alone: of the held-out rows, as learned on the training rows, and of nearly every
// training row, as learned on the others, since a few held-out rows may be told by chance. Where none are held out, the training rows count.
func (d *Dataset) checkLeaks(train, held labelledRows) {
	if d.Targets != nil || d.Pipeline.Kind != KindTable {
		return
	}
	what := "held-out rows"
	alone := len(held.rows) == 0
	if alone {
		held, what = train, "training rows, by the others"
	}
	n := len(held.rows)
	if n == leakRows {
		what = "the first " + fmt.Sprint(n) + " " + what
	}
	counts := make([]int, len(d.Classes))
	for _, label := range held.labels {
		counts[label]++
	}
	frequent := slices.Max(counts) // rows that always naming the most frequent class gets right
	if n < 20 || n-frequent < leakOthers {
		return
	}
	warnings := make([]string, len(d.Pipeline.Columns))
	parallel.Each(len(warnings), func(i int) {
		col := &d.Pipeline.Columns[i]
		if col.Features == 0 || col.Type == Text {
			return
		}
		if glance := train.first(leakGlance); len(d.Classes) <= leakGlance/20 && tellsClass(i, glance, glance, true) < 0.9*float64(len(glance.rows)) {
			return
		}
		among := tellsClass(i, train, train, true)
		right := among
		if !alone {
			right = tellsClass(i, train, held, false)
		}
		if right >= leakAccuracy*float64(n) && right-float64(frequent) >= leakGain*float64(n-frequent) && among >= leakAmong*float64(len(train.rows)) {
			warnings[i] = fmt.Sprintf("column %s alone tells the class of %.0f of %d %s: is it known before the class is? --types %s=ignore leaves it out",
				col.Name, math.Floor(right), n, what, quoted(col.Name))
		}
	})
	for _, w := range warnings {
		if w != "" {
			d.Warnings = append(d.Warnings, w)
		}
	}
}

// tellsClass is how many of the held-out rows column c can be expected to tell the class of, as the training rows have it. own says
// that the held-out rows are the training rows themselves, each of which is then left out where it is told.
func tellsClass(c int, train, held labelledRows, own bool) float64 {
	if train.read[c].numbers != nil {
		line := newNumberLine(train.read[c].numbers, train)
		// A narrow range finds boundaries that noise would hide from a wide one, and a wide one is not misled by single rows.
		return max(line.right(held.read[c].numbers, held, 1, own), line.right(held.read[c].numbers, held, leakRange, own))
	}
	ballotOf, right := voters(train, c), 0.0
	for i, r := range held.rows {
		if right += ballotOf(&held.read[c], r, own).credit(held.labels[i], own); hopeless(i+1, right, len(held.rows)) {
			break
		}
	}
	return right
}

// voters returns the training rows that share a row's category; all of them where none does, since the value says nothing then.
func voters(train labelledRows, c int) func(v *values, r int32, own bool) *ballot {
	level, missing, all := map[string]*ballot{}, newBallot(), newBallot()
	of := func(v *values, r int32) *ballot {
		if v.codes[r] < 0 {
			return missing
		}
		return level[v.levels[v.codes[r]]]
	}
	v := &train.read[c]
	for i, r := range train.rows {
		b := of(v, r)
		if b == nil {
			b = newBallot()
			level[v.levels[v.codes[r]]] = b
		}
		b.add(train.labels[i])
		all.add(train.labels[i])
	}
	return func(v *values, r int32, own bool) *ballot {
		if b := of(v, r); b != nil && (b.rows > 1 || b.rows == 1 && !own) {
			return b
		}
		return all
	}
}

// ballot counts the classes of some rows.
type ballot struct {
	counts map[int32]int
	rows   int
	// The greatest count and how many classes have it, then those of the other classes; as long as settled says so.
	most, tied, second, tiedSecond int
	settled                        bool
}

func newBallot() *ballot { return &ballot{counts: map[int32]int{}} }

func (b *ballot) add(class int32) {
	b.counts[class]++
	b.rows++
	b.settled = false
}

func (b *ballot) reset() {
	clear(b.counts)
	*b = ballot{counts: b.counts}
}

func (b *ballot) settle() {
	b.most, b.tied, b.second, b.tiedSecond, b.settled = 0, 0, 0, 0, true
	for _, n := range b.counts {
		switch {
		case n > b.most:
			b.second, b.tiedSecond = b.most, b.tied
			b.most, b.tied = n, 1
		case n == b.most:
			b.tied++
		case n > b.second:
			b.second, b.tiedSecond = n, 1
		case n == b.second:
			b.tiedSecond++
		}
	}
}

// credit is how probable it is that the majority names the class: among classes that tie, one is drawn. own leaves out one row
// of the class, which is in the ballot.
func (b *ballot) credit(class int32, own bool) float64 {
	if !b.settled {
		b.settle()
	}
	n, most, tied := b.counts[class], b.most, b.tied
	if own {
		if n == b.most && b.tied == 1 {
			most, tied = b.second, b.tiedSecond
			if n-1 > most {
				return 1
			}
			tied++
		}
		n--
	}
	if n < 1 || n != most {
		return 0
	}
	return 1 / float64(tied)
}

// numberLine holds the different numbers of training rows in their order, and the classes that come with each.
type numberLine struct {
	numbers []float64
	starts  []int32 // into labels, one more than numbers
	labels  []int32
	missing *ballot // rows without a number
	any     *ballot // all rows
}

func newNumberLine(numbers []float64, train labelledRows) *numberLine {
	l := &numberLine{missing: newBallot(), any: newBallot()}
	type pair struct {
		x     float64
		label int32
	}
	pairs := make([]pair, 0, len(train.rows))
	for i, r := range train.rows {
		l.any.add(train.labels[i])
		if x := numbers[r]; math.IsNaN(x) {
			l.missing.add(train.labels[i])
		} else {
			pairs = append(pairs, pair{x, train.labels[i]})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.label, b.label)) })
	for i, p := range pairs {
		if i == 0 || p.x != pairs[i-1].x {
			l.numbers, l.starts = append(l.numbers, p.x), append(l.starts, int32(i))
		}
		l.labels = append(l.labels, p.label)
	}
	l.starts = append(l.starts, int32(len(pairs)))
	return l
}

// right is how many of the held-out rows the nearest training numbers can be expected to tell: as many of them as hold n rows,
// beside the row itself where it is one of them.
func (l *numberLine) right(numbers []float64, held labelledRows, n int, own bool) float64 {
	right := 0.0
	near, itself := newBallot(), 0
	if own {
		itself = 1
	}
	for i, r := range held.rows {
		x := numbers[r]
		b := near
		switch {
		case math.IsNaN(x) && l.missing.rows > itself:
			b = l.missing
		case math.IsNaN(x) || len(l.numbers) == 0:
			b = l.any
		default:
			near.reset()
			l.around(near, x, n+itself)
		}
		if right += b.credit(held.labels[i], own); hopeless(i+1, right, len(held.rows)) {
			break
		}
	}
	return right
}

// hopeless reports whether, of n rows, too many of those looked at are wrong already.
func hopeless(looked int, right float64, n int) bool {
	return float64(looked)-right > (1-leakAmong)*float64(n)+1
}

// around adds to b the rows of the numbers nearest to x, at least n of them.
func (l *numberLine) around(b *ballot, x float64, n int) {
	above := sort.SearchFloat64s(l.numbers, x)
	below := above - 1
	for had := 0; had < n && (below >= 0 || above < len(l.numbers)); {
		at := above
		if above == len(l.numbers) || below >= 0 && x-l.numbers[below] < l.numbers[above]-x {
			at = below
			below--
		} else {
			above++
		}
		rows := l.labels[l.starts[at]:l.starts[at+1]]
		for _, label := range rows {
			b.add(label)
		}
		had += len(rows)
	}
}
