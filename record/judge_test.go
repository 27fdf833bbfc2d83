package record_test

import (
	"testing"

	"github.com/logitscope/logitscope/record"
)

// Recorders that learn of samples as they come write a manifest that counts none of them.
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		splits []record.SplitInfo
		want   string
	}{
		{nil, "train"},
		{[]record.SplitInfo{{Name: "train", N: 3}, {Name: "val", N: 2}}, "val"},
		{[]record.SplitInfo{{Name: "train", N: 3}, {Name: "val"}}, "train"},
		{[]record.SplitInfo{{Name: "train", Samples: record.SamplesGrowing}, {Name: "val", Samples: record.SamplesGrowing}}, "val"},
		{[]record.SplitInfo{{Name: "train", Samples: record.SamplesOfEachEpoch}, {Name: "val", Samples: record.SamplesOfEachEpoch}}, "val"},
		{[]record.SplitInfo{{Name: "test", N: 2}, {Name: "other", N: 2}}, "test"},
	} {
		if got := (&record.Manifest{Splits: test.splits}).Judge(); got != test.want {
			t.Errorf("%v: %s, want %s", test.splits, got, test.want)
		}
	}
}
