package train

import (
	"sync"
	"time"
)

// Saver writes a trainer's checkpoints in the background while it trains on: that of the last epoch and that of the best epoch.
//
// Writing takes at most about a tenth of the time. Where epochs are so short that this is not enough, some of them have no checkpoint, and
// a resumed run trains them again. A checkpoint of more than 64 MiB is not copied but written at once, while training waits.
type Saver struct {
	write func(epoch int, files []File, best int) error

	mu      sync.Mutex    // of the fields up to spare
	err     error         // the first error of write
	last    *snapshot     // the last epoch's, which is to be written; nil where there is none
	best    *snapshot     // the best epoch's, which is to be written before last; nil where there is none
	spare   []*snapshot   // whose memory is free to be used again
	wake    chan struct{} // receives when there is something to write
	closing chan struct{} // is closed by Close
	stopped chan struct{} // is closed when work has returned
}

// snapshot is a checkpoint in memory.
type snapshot struct {
	epoch int
	best  int // the best epoch so far
	files []File
}

// Trainee is what a Saver writes checkpoints of: a Trainer or Folds.
type Trainee interface {
	Done() int
	Best() (epoch int, figure string, value float64)
	Checkpoint(spare []File) []File
}

// maxBackground is the largest size of a checkpoint that is written in the background.
const maxBackground = 64 << 20

// NewSaver returns a Saver that writes each checkpoint by write. write gets the epoch's files and the best epoch so far, whose checkpoint it
// must keep; it may remove those of other epochs. The caller closes the Saver.
func NewSaver(write func(epoch int, files []File, best int) error) *Saver {
	s := &Saver{write: write, wake: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{})}
	go s.work()
	return s
}

// Offer takes the checkpoint of a trainee's last epoch. The error it returns may be that of writing an earlier epoch's.
func (s *Saver) Offer(t Trainee) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	epoch := t.Done()
	best, _, _ := t.Best()
	// The memory of a snapshot that waits and is no longer needed is used again.
	if s.last != nil && (s.last != s.best || best == epoch) {
		s.spare = append(s.spare, s.last)
	}
	if best == epoch && s.best != nil && s.best != s.last {
		s.spare = append(s.spare, s.best)
	}
	shot := &snapshot{}
	if n := len(s.spare); n > 0 {
		shot, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	shot.epoch, shot.best = epoch, best
	shot.files = t.Checkpoint(shot.files)
	s.last = shot
	if best == epoch {
		s.best = shot
	}
	if size(shot.files) > maxBackground {
		s.flush()
		return s.err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// Close writes what was offered last, and returns the first error of all writing.
func (s *Saver) Close() error {
	close(s.closing)
	<-s.stopped
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	return s.err
}

// work writes snapshots until closing is closed, and then waits nine times as long as that took.
func (s *Saver) work() {
	defer close(s.stopped)
	for {
		select {
		case <-s.wake:
		case <-s.closing:
			return
		}
		began := time.Now()
		s.mu.Lock()
		last, best := s.take()
		s.mu.Unlock()
		err := s.writeBoth(last, best)
		s.mu.Lock()
		s.finish(last, best, err)
		s.mu.Unlock()
		select {
		case <-time.After(9 * time.Since(began)):
		case <-s.closing:
			return
		}
	}
}

// flush writes what is waiting, before it returns.
func (s *Saver) flush() {
	last, best := s.take()
	s.finish(last, best, s.writeBoth(last, best))
}

// take returns the snapshots that are waiting, which the caller then writes and gives to finish.
func (s *Saver) take() (last, best *snapshot) {
	last, best = s.last, s.best
	s.last, s.best = nil, nil
	if s.err != nil {
		return nil, nil
	}
	return last, best
}

// writeBoth writes the best epoch's checkpoint first, because the last epoch's names it.
func (s *Saver) writeBoth(last, best *snapshot) error {
	if best != nil && best != last {
		if err := s.write(best.epoch, best.files, best.best); err != nil {
			return err
		}
	}
	if last != nil {
		return s.write(last.epoch, last.files, last.best)
	}
	return nil
}

// finish keeps the error of writing two snapshots, and their memory.
func (s *Saver) finish(last, best *snapshot, err error) {
	if s.err == nil {
		s.err = err
	}
	if last != nil {
		s.spare = append(s.spare, last)
	}
	if best != nil && best != last {
		s.spare = append(s.spare, best)
	}
}
