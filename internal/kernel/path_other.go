//go:build !amd64 || noasm

package kernel

import (
	"math"
	"os"
)

func environment() string { return os.Getenv("LOGITSCOPE_KERNEL") }

func supported() path { return portable }

// What follows is never called: active is portable.

func matMul32(Layout, []float32, []float32, []float32, int, int, int, Epilogue[float32]) {}

func adam32(_, _, _, _ []float32, _ *[9]float32) int { return 0 }

func relu32(_, _ []float32) int { return 0 }

func reluBackward32(_, _, _ []float32) int { return 0 }

func gelu32(_, _, _ []float32, _ bool) bool { return false }

func addRow32(_, _ []float32) int { return 0 }

func bagSum32(_, _ []float32, _ []int32, _ []float32) bool { return false }

func bagAdd32(_, _ []float32, _ []int32, _ []float32) bool { return false }

func allFinite32([]float32) (int, bool) { return 0, true }

func labelsIn([]int32, int) (int, int) { return 0, 0 }

func sum32([]float32, *[16]float64) int { return 0 }

func softmax32(_, _ []float32, _ float64, _ bool) bool { return false }

func logSoftmax32(_, _ []float32, _ float64) bool { return false }

func logSumExp32([]float32, float64) (float32, bool) { return 0, false }

func crossEntropy32(_, _ []float32, _ int, _ float32, _ bool) (float32, bool) { return 0, false }

func softmaxAcross(_, _ []float32, _ int, _ float64) bool { return false }

func logSoftmaxAcross(_, _ []float32, _ int, _ float64) bool { return false }

func logSumExpAcross(_, _ []float32, _ int, _ float64) bool { return false }

func crossEntropyAcross(_, _, _ []float32, _ []int32, _ int, _ float32) bool { return false }

func rowStatsAcross([]Stat, []float32, int, []int32, float64) bool { return false }

func rowStatsAlong([]Stat, []float32, int, []int32, float64) bool { return false }

func weigh32(_, _ []float32, _ float32, _ float64) bool { return false }

func above32(_, _ []float32, _ float32) (weight float64, count int, least, greatest float32, done int) {
	return 0, 0, float32(math.Inf(1)), float32(math.Inf(-1)), 0
}

func largest32([]float32) (float32, bool) { return 0, false }

func find32([]float32, float32) (int, bool) { return 0, false }

func noneAbove([]float32, float32) bool { return false }

func spin(int) {}

func sumRows32(_, _ []float32, _ int) bool { return false }

func packFilters(*images[float32]) {}

func prepareBackward(*images[float32]) int { return 0 }

func convolvePool(_ *images[float32], _ []float32, _ []int32, _ []float32) {}

func addPooled(_ *images[float32], _, _, _, _ []float32, _ []int32) {}

func convolve(_ *images[float32], _, _ []float32) {}

func convolveBack(_ *images[float32], _, _ []float32) {}

func addGradients(_ *images[float32], _, _, _ []float32) {}

func unpackGradients(*images[float32], []float32) {}

func poolRow([]float32, []int32, []float32, Window) {}

func poolRowBackward(_, _ []float32, _ []int32, _ Window) {}

func columnMoments32(_, _ []float64, _, _, _, _ []float32) int { return 0 }

func blend32(_, _, _, _, _, _, _ []float32) int { return 0 }

func addSoftmax32([]float64, []float32, float64, float64, float64) int { return 0 }

func above32Each([]int32, []float32, []float32, float32) (done, n int) { return 0, 0 }

func exactSum32([]float32, float64, float64) (sum uint64, done int) { return 0, 0 }

func index32([]uint8, []int32, []float32, *edges) (done, n int) { return 0, 0 }

func countBins8([]int, []uint8) int { return 0 }
