package summary

import (
	"math"
	"sync"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Class counts the rows of one class.
type Class struct {
	N         int     // the rows labelled with the class
	Predicted int     // the rows in which the class has the largest logit
	Right     int     // the rows that are both
	NLL       float64 // the sum of the NLL, in nats, over the N rows
	PTrue     float64 // the sum of the class's probability over the N rows

	nllRest, pTrueRest float64 // what rounding took from the sums
}

// Classes are the counts of each class [K], from which the averages over classes follow.
type Classes []Class

// NewClasses returns counts for k classes, with no row counted yet.
func NewClasses(k int) *Classes {
	c := make(Classes, k)
	return &c
}

// Add counts the rows of b. It panics unless b has as many classes as c.
func (c Classes) Add(b Batch) {
	checkSameSize("Classes.Add", "classes", len(c), b.Classes())
	b.Stats(func(rows Batch, stats []logit.RowStats) {
		for i := range stats {
			if rows.Labels[i] != loss.Ignored && stats[i].LSE == stats[i].LSE {
				c.add(&stats[i], int(rows.Labels[i]))
			}
		}
	})
	c.settle()
}

func (c Classes) settle() {
	for j := range c {
		settle(&c[j].NLL, &c[j].nllRest)
		settle(&c[j].PTrue, &c[j].pTrueRest)
	}
}

func (c Classes) add(r *logit.RowStats, label int) {
	class := &c[label]
	class.N++
	addTo(&class.NLL, &class.nllRest, r.NLL)
	addTo(&class.PTrue, &class.pTrueRest, math.Exp(-r.NLL))
	c[r.Argmax].Predicted++
	if int(r.Argmax) == label {
		c[label].Right++
	}
}

// Merge adds other's counts. It returns an error, and changes nothing, unless both have as many classes.
func (c Classes) Merge(other *Classes) error {
	if err := sameSize("Classes.Merge", "classes", len(c), len(*other)); err != nil {
		return err
	}
	for j := range c {
		o := &(*other)[j]
		c[j].N += o.N
		c[j].Predicted += o.Predicted
		c[j].Right += o.Right
		mergeSum(&c[j].NLL, &c[j].nllRest, o.NLL, o.nllRest)
		mergeSum(&c[j].PTrue, &c[j].pTrueRest, o.PTrue, o.pTrueRest)
	}
	return nil
}

// F1 returns the harmonic mean of precision and recall, 2·right/(labelled + predicted), averaged over the classes that are labelled or
// predicted at least once. In macro every class counts the same, in weighted by the number of its labels. Both are NaN where no row was
// counted.
func (c Classes) F1() (macro, weighted float64) {
	classes, n := 0, 0
	for _, class := range c {
		if both := class.N + class.Predicted; both > 0 {
			f1 := 2 * float64(class.Right) / float64(both)
			classes++
			n += class.N
			macro += f1
			weighted += f1 * float64(class.N)
		}
	}
	return macro / float64(classes), weighted / float64(n)
}

// BalancedAccuracy returns the recall, right/labelled, averaged over the classes that have labels. It is NaN where there is none.
func (c Classes) BalancedAccuracy() float64 {
	recall, classes := 0.0, 0
	for _, class := range c {
		if class.N > 0 {
			recall += float64(class.Right) / float64(class.N)
			classes++
		}
	}
	return recall / float64(classes)
}

// OneLabel reports whether all rows are labelled with one class.
func (c Classes) OneLabel() bool {
	labelled := 0
	for _, class := range c {
		if class.N > 0 {
			labelled++
		}
	}
	return labelled == 1
}

// MCC returns the correlation of labels and predictions: J. Gorodkin, "Comparing two K-category assignments by a K-category correlation
// coefficient", Computational Biology and Chemistry 28, 2004. For K = 2 it is Matthews' correlation coefficient. It is 0 where all labels
// or all predictions are of one class, and NaN where no row was counted.
func (c Classes) MCC() float64 {
	var n, right, both, labels, predictions float64
	for _, class := range c {
		t, p := float64(class.N), float64(class.Predicted)
		n += t
		right += float64(class.Right)
		both += t * p
		labels += t * t
		predictions += p * p
	}
	if n == 0 {
		return math.NaN()
	}
	if labels == n*n || predictions == n*n {
		return 0
	}
	return (right*n - both) / math.Sqrt((n*n-predictions)*(n*n-labels))
}

// Confusion counts rows by label and predicted class.
type Confusion struct {
	K      int     // the number of classes
	Counts []int64 // [K,K]: Counts[i*K+j] is the number of rows labelled i in which class j has the largest logit
}

// NewConfusion returns the confusion of k classes, with no row counted yet.
func NewConfusion(k int) *Confusion { return &Confusion{k, make([]int64, k*k)} }

// Add counts the rows of b. It panics unless b has as many classes as c.
func (c *Confusion) Add(b Batch) {
	checkSameSize("Confusion.Add", "classes", c.K, b.Classes())
	b.Stats(func(rows Batch, stats []logit.RowStats) {
		for i := range stats {
			if rows.Labels[i] != loss.Ignored && stats[i].Argmax >= 0 {
				c.add(&stats[i], int(rows.Labels[i]))
			}
		}
	})
}

func (c *Confusion) add(r *logit.RowStats, label int) {
	c.Counts[label*c.K+int(r.Argmax)]++
}

// Merge adds other's counts. It returns an error, and changes nothing, unless both have as many classes.
func (c *Confusion) Merge(other *Confusion) error {
	if err := sameSize("Confusion.Merge", "classes", c.K, other.K); err != nil {
		return err
	}
	for i, count := range other.Counts {
		c.Counts[i] += count
	}
	return nil
}

// sharedConfusion is a Confusion in which several goroutines count, because K² counts for each of them would take more time than reading
// the rows. The counts of successive rows lie far apart in memory, so that each goroutine collects pairs and counts many at a time.
type sharedConfusion struct {
	sync.Mutex
	*Confusion
}

// pairs are pairs of a label and a prediction that are not yet counted, as indices of Confusion.Counts.
type pairs []int32

// add collects the rows' pairs, and counts them in to once there are many. The caller calls count after the last.
func (p *pairs) add(rows Batch, stats []logit.RowStats, to *sharedConfusion) {
	for i, label := range rows.Labels {
		if label != loss.Ignored && stats[i].Argmax >= 0 {
			*p = append(*p, label*int32(to.K)+stats[i].Argmax)
		}
	}
	if len(*p) >= 1<<12 {
		p.count(to)
	}
}

// count counts the collected pairs in to.
func (p *pairs) count(to *sharedConfusion) {
	to.Lock()
	defer to.Unlock()
	for _, place := range *p {
		to.Counts[place]++
	}
	*p = (*p)[:0]
}
