package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/logitscope/logitscope/internal/parallel"
)

// A column that alone tells the class of nearly every held-out row is probably the class under another name. These are the thresholds.
const (
	leakAccuracy      = 0.995 // share of the held-out rows that the column must get right
	leakGain          = 0.9   // share that it must get right of the rows that naming the most frequent class gets wrong
	leakTrainAccuracy = 0.99  // share of the training rows that it must get right, each judged by the other rows
	leakOtherRows     = 5     // held-out rows that must have another class than the most frequent one
	leakRows          = 20000 // training rows that are looked at, and as many held-out ones
	leakFirstRows     = 1000  // training rows that are enough to rule out most columns
	leakNeighbours    = 5     // training rows around a number that vote on its class
)

// labelledRows holds some rows of a table, with their classes.
type labelledRows struct {
	read   []values // the table's columns
	rows   []int32  // indices of the rows in the table
	labels []int32  // the class of each of the rows
}

// labelledRowsOf returns the rows of a part. read holds the columns of the part's table, whose first row is row first of the dataset.
func (d *Dataset) labelledRowsOf(p Part, read []values, first int) labelledRows {
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

// checkLeaks warns of each column that alone tells the class of nearly every held-out row, as learned on the training rows, and of nearly
// every training row, as learned on the other training rows: a few held-out rows may be right by chance. Without held-out rows, only the
// training rows count.
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
	frequent := slices.Max(counts) // rows that are right where the most frequent class is always named
	if n < 20 || n-frequent < leakOtherRows {
		return
	}
	warnings := make([]string, len(d.Pipeline.Columns))
	parallel.Each(len(warnings), func(i int) {
		col := &d.Pipeline.Columns[i]
		if col.Features == 0 || col.Type == Text {
			return
		}
		if glance := train.first(leakFirstRows); len(d.Classes) <= leakFirstRows/20 && tellsClass(i, glance, glance, true) < 0.9*float64(len(glance.rows)) {
			return
		}
		ofTraining := tellsClass(i, train, train, true)
		right := ofTraining
		if !alone {
			right = tellsClass(i, train, held, false)
		}
		if right >= leakAccuracy*float64(n) && right-float64(frequent) >= leakGain*float64(n-frequent) && ofTraining >= leakTrainAccuracy*float64(len(train.rows)) {
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

// tellsClass returns the expected number of held-out rows whose class column c tells, as learned on the training rows. leaveOneOut says
// that the held-out rows are the training rows themselves, each of which is then judged by the others.
func tellsClass(c int, train, held labelledRows, leaveOneOut bool) float64 {
	if train.read[c].numbers != nil {
		line := newNumberLine(train.read[c].numbers, train)
		// A narrow range finds boundaries that noise would hide from a wide one, and a wide one is not misled by single rows.
		return max(line.countRight(held.read[c].numbers, held, 1, leaveOneOut), line.countRight(held.read[c].numbers, held, leakNeighbours, leaveOneOut))
	}
	ballotOf, right := voters(train, c), 0.0
	for i, r := range held.rows {
		if right += ballotOf(&held.read[c], r, leaveOneOut).credit(held.labels[i], leaveOneOut); hopeless(i+1, right, len(held.rows)) {
			break
		}
	}
	return right
}

// voters returns a function that gives the ballot of the training rows with the same category as a row. Where no training row has it, the
// category says nothing, and the ballot is that of all training rows.
func voters(train labelledRows, c int) func(v *values, r int32, leaveOneOut bool) *ballot {
	level, missing, all := map[string]*ballot{}, newBallot(), newBallot()
	ballotFor := func(v *values, r int32) *ballot {
		if v.codes[r] < 0 {
			return missing
		}
		return level[v.levels[v.codes[r]]]
	}
	v := &train.read[c]
	for i, r := range train.rows {
		b := ballotFor(v, r)
		if b == nil {
			b = newBallot()
			level[v.levels[v.codes[r]]] = b
		}
		b.add(train.labels[i])
		all.add(train.labels[i])
	}
	return func(v *values, r int32, leaveOneOut bool) *ballot {
		if b := ballotFor(v, r); b != nil && (b.rows > 1 || b.rows == 1 && !leaveOneOut) {
			return b
		}
		return all
	}
}

// ballot counts the classes of some rows.
type ballot struct {
	counts map[int32]int // rows of each class
	rows   int
	// While settled is true, most is the greatest count and tied the number of classes that have it; second and tiedSecond are the same for
	// the next lower count.
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

// credit returns the probability that the majority names the class, where one of the classes that tie is drawn at random. leaveOneOut takes
// one row of the class out of the ballot first.
func (b *ballot) credit(class int32, leaveOneOut bool) float64 {
	if !b.settled {
		b.settle()
	}
	n, most, tied := b.counts[class], b.most, b.tied
	if leaveOneOut {
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

// numberLine holds the different numbers of the training rows in ascending order, with the classes that come with each.
type numberLine struct {
	numbers []float64
	starts  []int32 // the labels of numbers[i] are labels[starts[i]:starts[i+1]]
	labels  []int32
	missing *ballot // rows without a number
	all     *ballot // all rows
}

func newNumberLine(numbers []float64, train labelledRows) *numberLine {
	l := &numberLine{missing: newBallot(), all: newBallot()}
	type pair struct {
		x     float64
		label int32
	}
	pairs := make([]pair, 0, len(train.rows))
	for i, r := range train.rows {
		l.all.add(train.labels[i])
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

// countRight returns the expected number of held-out rows whose class the nearest training numbers tell. As many numbers vote as hold n
// rows, not counting the row itself where leaveOneOut is set.
func (l *numberLine) countRight(numbers []float64, held labelledRows, n int, leaveOneOut bool) float64 {
	right := 0.0
	near, self := newBallot(), 0
	if leaveOneOut {
		self = 1
	}
	for i, r := range held.rows {
		x := numbers[r]
		b := near
		switch {
		case math.IsNaN(x) && l.missing.rows > self:
			b = l.missing
		case math.IsNaN(x) || len(l.numbers) == 0:
			b = l.all
		default:
			near.reset()
			l.addNearest(near, x, n+self)
		}
		if right += b.credit(held.labels[i], leaveOneOut); hopeless(i+1, right, len(held.rows)) {
			break
		}
	}
	return right
}

// hopeless reports whether too many of the rows judged so far are wrong for the column to be a leak, whatever the rest of the n rows are.
func hopeless(judged int, right float64, n int) bool {
	return float64(judged)-right > (1-leakTrainAccuracy)*float64(n)+1
}

// addNearest adds to b the rows of the numbers nearest to x, at least n of them.
func (l *numberLine) addNearest(b *ballot, x float64, n int) {
	above := sort.SearchFloat64s(l.numbers, x)
	below := above - 1
	for added := 0; added < n && (below >= 0 || above < len(l.numbers)); {
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
		added += len(rows)
	}
}
