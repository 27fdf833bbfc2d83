package nn

import (
	"fmt"
	"slices"
)

// OptimizerState is what an optimiser keeps from step to step. With it and the network's parameters, training goes on to the same bits as
// if it had never stopped.
type OptimizerState[T Float] struct {
	Steps  int            // the number of steps that were taken
	Values map[string][]T // "mean" and "square" for Adam, "velocity" for SGD: [P] each; empty before the first step
}

// State implements Optimizer. The slices are views: the next step changes them.
func (o *Adam[T]) State() OptimizerState[T] {
	s := OptimizerState[T]{Steps: o.steps, Values: map[string][]T{}}
	if o.mean != nil {
		s.Values["mean"], s.Values["square"] = o.mean, o.square
	}
	return s
}

// SetState implements Optimizer.
func (o *Adam[T]) SetState(s OptimizerState[T], params int) error {
	if err := s.validate(params, "mean", "square"); err != nil {
		return err
	}
	o.steps, o.mean, o.square = s.Steps, slices.Clone(s.Values["mean"]), slices.Clone(s.Values["square"])
	return nil
}

// State implements Optimizer. The slices are views: the next step changes them.
func (o *SGD[T]) State() OptimizerState[T] {
	s := OptimizerState[T]{Steps: o.steps, Values: map[string][]T{}}
	if o.velocity != nil {
		s.Values["velocity"] = o.velocity
	}
	return s
}

// SetState implements Optimizer.
func (o *SGD[T]) SetState(s OptimizerState[T], params int) error {
	var names []string
	if o.Momentum != 0 {
		names = []string{"velocity"}
	}
	if err := s.validate(params, names...); err != nil {
		return err
	}
	o.steps, o.velocity = s.Steps, slices.Clone(s.Values["velocity"])
	return nil
}

// validate returns what is wrong with s as the state of an optimiser that keeps the named values of params parameters, or nil.
func (s OptimizerState[T]) validate(params int, names ...string) error {
	if s.Steps < 0 {
		return fmt.Errorf("optimiser state of %d steps", s.Steps)
	}
	if s.Steps == 0 {
		names = nil
	}
	if len(s.Values) != len(names) {
		return fmt.Errorf("optimiser state has %d arrays after %d steps, want %q", len(s.Values), s.Steps, names)
	}
	for _, name := range names {
		if len(s.Values[name]) != params {
			return fmt.Errorf("optimiser state %q has %d values, want %d", name, len(s.Values[name]), params)
		}
	}
	return nil
}
