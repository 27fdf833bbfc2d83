package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
)

// resolveTeacher sets TeacherEpoch to a number, so that the configuration which the run keeps names the epoch that was learnt from, even where
// the teacher is trained further. It sets Loss to kl where none is given.
func (c *Config) resolveTeacher(ctx context.Context) error {
	if c.Teacher == "" {
		if c.TeacherEpoch != "" {
			return configErrorf("--teacher-epoch %s without a teacher: give --teacher RUN", c.TeacherEpoch)
		}
		return nil
	}
	run, err := record.Open(c.Teacher)
	if err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	defer run.Close()
	name := cmp.Or(c.TeacherEpoch, "last")
	epoch, lacking, err := analysis.New(run).Epoch(ctx, name)
	if err == nil && lacking.Any() { // with what is missing another epoch might be the last or the best
		err = fmt.Errorf("%s; epoch %d is the %s of the rest: name it with --teacher-epoch if it shall teach; see logitscope check %s",
			lacking.Sentence(), epoch, name, c.Teacher)
	}
	if err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	c.TeacherEpoch = strconv.Itoa(epoch)
	c.Loss = cmp.Or(c.Loss, "kl")
	return nil
}

// teach returns the targets of a part's samples by the teacher, [N,Columns] of the head: the softmax of the teacher's logits at the Config's
// temperature. Samples are matched by id, classes by name.
func (c Config) teach(p *labelledPart, classes []string, head nn.Head) ([]float32, error) {
	run, err := record.Open(c.Teacher)
	if err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	defer run.Close()
	epoch, err := strconv.Atoi(c.TeacherEpoch)
	if err != nil {
		return nil, configErrorf("teacher: epoch %q: give a number, last or best", c.TeacherEpoch)
	}
	soft, err := softTargets(run, epoch, c.TeacherTemperature, p, classes)
	if err != nil {
		return nil, fmt.Errorf("teacher %s: %w", c.Teacher, err)
	}
	if head.Kind() == logit.HeadBinary { // the target of its one logit is the probability of class 1
		for i := range p.IDs {
			soft[i] = soft[2*i+1]
		}
		soft = soft[:len(p.IDs)]
	}
	return soft, nil
}

// softTargets returns softmax(z/T) [N,K] of the logits z that an epoch of a run has for a part's samples. A temperature of 0 stands for 1.
func softTargets(run *record.Run, epoch int, temperature float64, p *labelledPart, classes []string) ([]float32, error) {
	m := run.Manifest()
	if m.Head.MultiLabel() {
		return nil, errors.New("its samples may have several classes, so that its logits are no distribution to learn: choose a run of one class a sample")
	}
	order, err := columnsOf(m, classes)
	if err != nil {
		return nil, err
	}
	places, err := placesOf(run, p, classes)
	if err != nil {
		return nil, err
	}
	k := len(classes)
	soft := make([]float32, len(places)*k)
	for _, split := range m.Splits {
		if !slices.ContainsFunc(places, func(p place) bool { return p.split == split.Name }) {
			continue
		}
		logits, err := run.Logits(epoch, split.Name)
		if err != nil {
			return nil, err
		}
		for i, place := range places {
			if place.split != split.Name {
				continue
			}
			z := logits.Values[place.row*m.Columns:][:m.Columns]
			for c, column := range order {
				switch {
				case m.Head.AcrossColumns():
					soft[i*k+c] = z[column]
				case column == 1: // the one logit of a binary head is that of class 1; class 0 keeps 0
					soft[i*k+c] = z[0]
				}
			}
		}
		if err := logits.Close(); err != nil {
			return nil, err
		}
	}
	logit.Temperature(soft, soft, cmp.Or(temperature, 1))
	logit.Softmax(soft, soft, k)
	for i, q := range soft {
		if q != q {
			return nil, fmt.Errorf("its logits of sample %d at epoch %d hold NaN or infinity: choose another epoch (--teacher-epoch)", p.IDs[i/k], epoch)
		}
	}
	return soft, nil
}

// columnsOf returns, for each of the given classes, the index of the run's class of the same name.
func columnsOf(m *record.Manifest, classes []string) ([]int, error) {
	order := make([]int, len(classes))
	for c, name := range classes {
		if order[c] = slices.Index(m.Classes, name); order[c] < 0 {
			return nil, fmt.Errorf("it has no class %q: teacher and student need the same classes", name)
		}
	}
	if len(m.Classes) != len(classes) {
		for _, name := range m.Classes {
			if !slices.Contains(classes, name) {
				return nil, fmt.Errorf("its class %q is none of this data: teacher and student need the same classes", name)
			}
		}
	}
	return order, nil
}

// place is where a run has a sample.
type place struct {
	split string
	row   int
}

// placesOf returns where a run has the samples of a part. A split that has an id in common with a split before it is from another file, and is
// passed over. Where the labels of a sample differ, its id stands for another sample there, which is an error.
func placesOf(run *record.Run, p *labelledPart, classes []string) ([]place, error) {
	m := run.Manifest()
	known := map[int64]place{}
	labels := map[string][]int32{}
	for _, split := range m.Splits {
		s, err := run.Samples(split.Name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(s.IDs, func(id int64) bool { _, twice := known[id]; return twice }) {
			continue
		}
		for row, id := range s.IDs {
			known[id] = place{split.Name, row}
		}
		if labels[split.Name] = s.CleanLabels; s.CleanLabels == nil {
			labels[split.Name] = s.Labels
		}
	}
	ours := p.clean
	if ours == nil {
		ours = p.labels
	}
	places, missing := make([]place, len(p.IDs)), 0
	for i, id := range p.IDs {
		found, ok := known[id]
		if !ok {
			missing++
			continue
		}
		places[i] = found
		if label := labels[found.split][found.row]; label != record.Ignored && ours[i] != record.Ignored && m.Classes[label] != classes[ours[i]] {
			return nil, fmt.Errorf("sample %d is %q there and %q here: it was trained on other data; a teacher needs the same samples", id, m.Classes[label], classes[ours[i]])
		}
	}
	if missing > 0 {
		i := slices.IndexFunc(p.IDs, func(id int64) bool { _, ok := known[id]; return !ok })
		return nil, fmt.Errorf("it has no logits of %d of the %d training samples, of sample %d for one: train it on the same data, with validation from the same file",
			missing, len(p.IDs), p.IDs[i])
	}
	return places, nil
}
