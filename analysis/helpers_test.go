package analysis_test

import "github.com/logitscope/logitscope/internal/runtest"

// The small runs that the tests of this package are about.
var (
	runOf, recorded, epochsOf = runtest.Run, runtest.ThreeClasses, runtest.Epochs
	even, certain, sureOf     = runtest.Even, runtest.Certain, runtest.Sure
	near, near6, logOdds      = runtest.Near, runtest.Near6, runtest.LogOdds
	twoClasses                = runtest.TwoClasses
)
