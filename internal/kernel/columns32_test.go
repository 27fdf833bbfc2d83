package kernel

import "testing"

// Short rows of ordinary logits are left to vector code, whether they have labels or not: to do them again in portable code gives the
// same numbers, ten times as slowly.
func TestShortRowsAreNotMissing(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		for _, k := range []int{2, 10, 100} {
			c := columnsFor(k, 1)
			if c == nil {
				t.Skip("portable code alone")
			}
			for start, rows := range c.batches(normal(seeded(1), 200*k), maxGroups) {
				for _, labelled := range []bool{false, true} {
					if labelled {
						c.sum(rows, false, &make([]int32, rows+c.lanes)[0])
					} else {
						c.sum(rows, false, nil)
					}
					for i := range c.missing(rows, labelled) {
						t.Errorf("K = %d, labelled %v: row %d is missing", k, labelled, start+i)
					}
				}
			}
		}
	})
}
