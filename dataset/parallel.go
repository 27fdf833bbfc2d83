package dataset

import "github.com/logitscope/logitscope/internal/parallel"

// inParallel calls work(0) to work(n-1) on all cores and returns the error of the lowest index that had one.
func inParallel(n int, work func(i int) error) error {
	errs := make([]error, n)
	parallel.Each(n, func(i int) { errs[i] = work(i) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
