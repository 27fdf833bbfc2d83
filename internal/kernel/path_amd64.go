//go:build !noasm

package kernel

import (
	"os"

	"golang.org/x/sys/cpu"
)

func environment() string { return os.Getenv("LOGITSCOPE_KERNEL") }

func supported() path {
	switch {
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL:
		return avx512
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return avx2
	}
	return portable
}
