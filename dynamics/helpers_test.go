package dynamics_test

import (
	"math"

	"github.com/logitscope/logitscope/internal/runtest"
)

// The small runs that the tests of this package are about.
var (
	runOf, recorded, epochsOf     = runtest.Run, runtest.ThreeClasses, runtest.Epochs
	even, certain, near6, logOdds = runtest.Even, runtest.Certain, runtest.Near6, runtest.LogOdds
	twoClasses                    = runtest.TwoClasses

	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)
