package train

import (
	"sync"
	"time"
)

// Saver writes a trainer's checkpoints while it trains on: that of the last epoch and that of the best one.
//
// Writing takes at most about a tenth of the time. Where epochs are shorter than that, some have no checkpoint of their own
// and a resumed run trains them again. A state above 64 MiB is written at once, so that it is held no more
// than twice.
type Saver struct {
	write func(epoch int, files []File, best int) error

	mu      sync.Mutex
	err     error
	last    *snapshot // to be written, nil if there is none
	best    *snapshot // to be written before last
	spare   []*snapshot
	wake    chan struct{}
	closing chan struct{}
	stopped chan struct{}
}

// snapshot is a checkpoint in memory.
type snapshot struct {
	epoch, best int
	files       []File
}

// Trainee is what a Saver keeps: a Trainer or Folds.
type Trainee interface {
	Done() int
	Best() (epoch int, figure string, value float64)
	Checkpoint(spare []File) []File
}

// atOnce is how large a state may be to be copied and written in the background.
const atOnce = 64 << 20

// NewSaver returns a Saver that has each checkpoint written by write, which is told the best epoch so far: its checkpoint is
// kept, those of other epochs make room. Close it.
func NewSaver(write func(epoch int, files []File, best int) error) *Saver {
	s := &Saver{write: write, wake: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{})}
	go s.work()
	return s
}

// Offer takes the state after an epoch. The error may be that of an earlier one.
func (s *Saver) Offer(t Trainee) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	epoch := t.Done()
	best, _, _ := t.Best()
	// What waits and is superseded lends its memory.
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
	if size(shot.files) > atOnce {
		s.flush()
		return s.err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// Close writes what was offered last and waits for it.
func (s *Saver) Close() error {
	close(s.closing)
	<-s.stopped
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	return s.err
}

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

// flush writes what is waiting, in the foreground.
func (s *Saver) flush() {
	last, best := s.take()
	s.finish(last, best, s.writeBoth(last, best))
}

func (s *Saver) take() (last, best *snapshot) {
	last, best = s.last, s.best
	s.last, s.best = nil, nil
	if s.err != nil {
		return nil, nil
	}
	return last, best
}

// writeBoth writes the best before the last, which speaks of it.
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
