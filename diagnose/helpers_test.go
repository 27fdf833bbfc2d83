package diagnose_test

import (
	"math"

	"github.com/logitscope/logitscope/internal/runtest"
)

// The small runs that the tests of this package are about.
var (
	runOf, recorded, even = runtest.Run, runtest.ThreeClasses, runtest.Even

	log2 = float32(math.Log(2))
	nan  = float32(math.NaN())
	inf  = float32(math.Inf(1))
)
