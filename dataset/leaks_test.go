package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// A majority's expected accuracy by its definition: the classes that the most rows have, each as likely.
func TestCreditIsExpectedAccuracy(t *testing.T) {
	rng := stream(3)
	for range 2000 {
		var votes []int32
		b := newBallot()
		for range 1 + rng.IntN(8) {
			votes = append(votes, int32(rng.IntN(4)))
			b.add(votes[len(votes)-1])
		}
		for class := range int32(4) {
			for _, own := range []bool{false, true} {
				rest := slices.Clone(votes)
				if own {
					at := slices.Index(rest, class)
					if at < 0 {
						continue // the row is not among them
					}
					rest = slices.Delete(rest, at, at+1)
				}
				counts := make([]int, 4)
				for _, v := range rest {
					counts[v]++
				}
				want, tied := 0.0, 0
				for _, n := range counts {
					if n == slices.Max(counts) {
						tied++
					}
				}
				if len(rest) > 0 && counts[class] == slices.Max(counts) {
					want = 1 / float64(tied)
				}
				if got := b.credit(class, own); got != want {
					t.Fatalf("%v, class %d, own %v: %v, want %v", votes, class, own, got, want)
				}
			}
		}
	}
}

// Each column says what it gives away: the sentences name those that do, and no other, with the numbers of the split.
func TestLeaks(t *testing.T) {
	const n = 1000
	for name, c := range map[string]struct {
		column func(class int, u float64, i int) string // u is uniform on [0, 1)
		share  float64                                  // of class 1
		leaks  bool
	}{
		"constant":                        {func(int, float64, int) string { return "Gaspe" }, 0.5, false},
		"constant number":                 {func(int, float64, int) string { return "7" }, 0.5, false},
		"mostly constant":                 {func(_ int, _ float64, i int) string { return []string{"a", "b"}[min(1, i%50/49)] }, 0.5, false},
		"independent":                     {func(_ int, u float64, _ int) string { return fmt.Sprintf("%.4f", u) }, 0.5, false},
		"threshold at 0.75":               {func(k int, u float64, _ int) string { return fmt.Sprintf("%.5f", float64(k)+u/2) }, 0.5, true},
		"threshold without a gap":         {func(k int, u float64, _ int) string { return fmt.Sprintf("%.7f", float64(k)+u) }, 0.5, true},
		"threshold in the tail":           {func(k int, u float64, _ int) string { return fmt.Sprintf("%.7f", float64(k)+u) }, 0.04, true},
		"threshold of logarithms":         {func(k int, u float64, _ int) string { return fmt.Sprintf("%g", math.Exp(20*(float64(k)+u))) }, 0.5, true},
		"threshold, negative":             {func(k int, u float64, _ int) string { return fmt.Sprintf("%.7f", -1e6*(float64(k)+u)) }, 0.5, true},
		"inside an interval":              {func(k int, u float64, _ int) string { return fmt.Sprintf("%.5f", []float64{u * 0.9, 0.45 + u/100}[k]) }, 0.5, false},
		"an interval of its own":          {func(k int, u float64, _ int) string { return fmt.Sprintf("%.5f", interval(k, u)) }, 0.3, true},
		"alternating intervals":           {func(k int, u float64, i int) string { return fmt.Sprintf("%.5f", float64(2*(i/2%5)+k)+0.98*u) }, 0.5, true},
		"parity of whole numbers":         {func(k int, _ float64, i int) string { return fmt.Sprint(2*(i%20) + k) }, 0.5, true},
		"overlap of a tenth":              {func(k int, u float64, _ int) string { return fmt.Sprintf("%.5f", 0.9*float64(k)+u) }, 0.5, false},
		"a code":                          {func(k int, _ float64, _ int) string { return []string{"x9", "x7"}[k] }, 0.5, true},
		"several codes a class":           {func(k int, _ float64, i int) string { return fmt.Sprintf("x%d", 2*(i%30)+k) }, 0.5, true},
		"a code, some missing":            {func(k int, _ float64, i int) string { return []string{[]string{"x9", "x7"}[k], ""}[i%10/9] }, 0.5, false},
		"missing tells":                   {func(k int, u float64, _ int) string { return []string{"", fmt.Sprintf("%.5f", u)}[k] }, 0.5, true},
		"a rare class, told":              {func(k int, _ float64, _ int) string { return []string{"n", "y"}[k] }, 0.04, true},
		"a rare class, not told":          {func(_ int, u float64, _ int) string { return fmt.Sprintf("%.1f", u) }, 0.04, false},
		"one row in a hundred is another": {func(k int, u float64, i int) string { return fmt.Sprintf("%.5f", float64((k+i%100/99)%2)+u/2) }, 0.5, false},
		"ids":                             {func(_ int, _ float64, i int) string { return fmt.Sprint("k", i*7%500) }, 0.5, false},
	} {
		t.Run(name, func(t *testing.T) {
			rng := stream(8)
			row := func(i int) string {
				k := 0
				if rng.Float64() < c.share {
					k = 1
				}
				return fmt.Sprintf("%s,%.6f,%s", c.column(k, rng.Float64(), i), rng.Float64(), []string{"no", "yes"}[k])
			}
			text := "leak,noise,y\n" + rowsOf(n, row)
			val := file(t, "val.csv", "leak,noise,y\n"+rowsOf(300, row))
			for _, way := range []struct {
				name, want string
				edit       func(*Options)
			}{
				{"share", "column leak alone tells the class of %d of 250 held-out rows", nil},
				{"file", "column leak alone tells the class of %d of 300 held-out rows", func(o *Options) { o.Val = val }},
				{"none", "column leak alone tells the class of %d of 1000 training rows, by the others", func(o *Options) { o.ValFraction = 0 }},
			} {
				d := load(t, text, way.edit)
				var about []string
				for _, w := range d.Warnings {
					if strings.Contains(w, "alone tells") {
						about = append(about, w)
					}
				}
				if !c.leaks && about != nil || c.leaks && len(about) != 1 {
					t.Errorf("%s: warnings %q", way.name, d.Warnings)
				}
				if !c.leaks || len(about) != 1 {
					continue
				}
				found := false
				for right := range n + 1 {
					found = found || strings.HasPrefix(about[0], fmt.Sprintf(way.want, right))
				}
				if !found {
					t.Errorf("%s: %q, want %q", way.name, about[0], way.want)
				}
			}
		})
	}
}

// interval is class 1 in [0.4, 0.6) of a line of class 0.
func interval(class int, u float64) float64 {
	switch {
	case class == 1:
		return 0.4 + 0.2*u
	case u < 0.5:
		return 0.8 * u
	}
	return 0.6 + 0.8*(u-0.5)
}

// Two columns whose parity is the class tell half of the rows each, and a few held-out rows told by chance are no leak.
func TestNoLeaks(t *testing.T) {
	parity := func(i int) string {
		return fmt.Sprintf("%s,%s,%s", []string{"p", "q"}[i/2%2], []string{"r", "s"}[i%2], []string{"even", "odd"}[(i+i/2)%2])
	}
	d := load(t, "x1,x2,y\n"+rowsOf(100, parity), func(o *Options) { o.Val = file(t, "val.csv", "x1,x2,y\n"+rowsOf(40, parity)) })
	if said(d.Warnings, "alone tells") {
		t.Errorf("parity: %q", d.Warnings)
	}
	// A column that tells 95 of 100 rows, of which 20 are held out: all 20 are told every third time.
	for seed := range uint64(30) {
		rng := stream(seed)
		text := "x,y\n" + rowsOf(100, func(i int) string {
			k := i % 2
			if rng.Float64() < 0.05 {
				k = 1 - k
			}
			return fmt.Sprintf("%.4f,%s", float64(k)+rng.Float64(), []string{"a", "b"}[i%2])
		})
		d, err := Load(t.Context(), Options{Path: file(t, "x.csv", text), ValFraction: 0.2}, stream(seed))
		if err != nil || said(d.Warnings, "alone tells") {
			t.Errorf("seed %d: %v, %v", seed, d.Warnings, err)
		}
	}
}
