package convert_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/internal/npy"
)

// BenchmarkImport makes a run of an array of 100 MB.
func BenchmarkImport(b *testing.B) {
	for name, columns := range map[string]int{"columns=10": 10, "columns=1000": 1000} {
		b.Run(name, func(b *testing.B) {
			folder := b.TempDir()
			rows := 25_000_000 / columns
			z, y := make([]float32, rows*columns), make([]int64, rows)
			for i := range z {
				z[i] = float32(i%1009)/100 - 3
			}
			for i := range y {
				y[i] = int64(i % columns)
			}
			write := func(name string, shape []int, values any) string {
				path := filepath.Join(folder, name)
				f, err := os.Create(path)
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close()
				switch values := values.(type) {
				case []float32:
					err = npy.Write(f, values, shape...)
				case []int64:
					err = npy.Write(f, values, shape...)
				}
				if err != nil {
					b.Fatal(err)
				}
				return path
			}
			logits := write("z.npy", []int{rows, columns}, z)
			o := convert.ImportOptions{Labels: write("y.npy", []int{rows}, y)}
			b.SetBytes(int64(4 * len(z)))
			for b.Loop() {
				run := filepath.Join(folder, "run")
				if _, err := convert.Import(context.Background(), []string{logits}, run, o); err != nil {
					b.Fatal(err)
				}
				os.RemoveAll(run)
			}
		})
	}
}
