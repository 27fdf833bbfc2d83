package push_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/logitscope/logitscope/push"
)

// BenchmarkPush pushes from 8 clients at once; PUSH_BENCH_FOLDER is where to, /dev/shm to leave the disk out.
func BenchmarkPush(b *testing.B) {
	for name, make := range map[string]func(dir string){
		"large": func(dir string) { newLargeRun(b, dir, 8) }, "small": func(dir string) { newRun(b, dir, 40, 1) },
	} {
		b.Run(name, func(b *testing.B) {
			source, total := b.TempDir(), int64(0)
			var dirs []string
			for i := range 8 {
				dirs = append(dirs, filepath.Join(source, fmt.Sprint("run", i)))
				make(dirs[i])
			}
			for b.Loop() {
				folder, err := os.MkdirTemp(os.Getenv("PUSH_BENCH_FOLDER"), "push")
				if err != nil {
					b.Fatal(err)
				}
				server := newServer(b, folder, push.DefaultLimits, nil)
				var clients sync.WaitGroup
				var mu sync.Mutex
				for _, dir := range dirs {
					clients.Go(func() {
						pushed, err := push.Push(context.Background(), dir, options(server.URL))
						if err != nil {
							b.Error(err)
						}
						mu.Lock()
						total += pushed.Bytes
						mu.Unlock()
					})
				}
				clients.Wait()
				os.RemoveAll(folder)
			}
			b.SetBytes(total / int64(b.N))
		})
	}
}
