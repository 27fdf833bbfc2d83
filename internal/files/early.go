package files

import "os"

// earlyBytes is how many bytes are worth a call of startSync.
const earlyBytes = 8 << 20

// EarlyFile is a file whose bytes start on their way to the disk while more of them are written, so that Sync waits little.
type EarlyFile struct {
	*os.File
	written, started int64 // the place up to which bytes were written, and up to which they were started on their way
}

// NewEarlyFile returns f, which is written to from its byte from on.
func NewEarlyFile(f *os.File, from int64) *EarlyFile { return &EarlyFile{f, from, from} }

// Write writes data as os.File does.
func (f *EarlyFile) Write(data []byte) (n int, err error) {
	for len(data) > 0 && err == nil {
		var some int
		some, err = f.File.Write(data[:min(len(data), earlyBytes)])
		n, data = n+some, data[some:]
		if f.written += int64(some); f.written-f.started >= earlyBytes {
			startSync(f.File, f.started, f.written-f.started)
			f.started = f.written
		}
	}
	return n, err
}
