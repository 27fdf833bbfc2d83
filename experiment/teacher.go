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

// resolveTeacher settles what --teacher leaves open, so that the configuration kept with the run names the epoch learnt from
// even where the teacher trains on.
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
	if err == nil && lacking.Any() { // another epoch might be meant: which, only a person can say
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

// teach returns what the teacher takes the samples of a part for, its softmax at the Config's temperature: the target of each
// logit of a head over these classes. Samples are matched by id, classes by name.
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
	if head.Kind() == logit.HeadBinary { // one logit, whose target is the probability of class 1
		for i := range p.IDs {
			soft[i] = soft[2*i+1]
		}
		soft = soft[:len(p.IDs)]
	}
	return soft, nil
}

// softTargets returns [N,K]: softmax(z/T) of the logits that an epoch of a run has of a part's samples; T 0 stands for 1.
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
		if !slices.ContainsFunc(places, func(at place) bool { return at.split == split.Name }) {
			continue
		}
		logits, err := run.Logits(epoch, split.Name)
		if err != nil {
			return nil, err
		}
		for i, at := range places {
			if at.split != split.Name {
				continue
			}
			z := logits.Values[at.row*m.Columns:][:m.Columns]
			for c, column := range order {
				switch {
				case m.Head.AcrossColumns():
					soft[i*k+c] = z[column]
				case column == 1: // of a binary head: class 1 against class 0
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

// columnsOf returns which of a run's classes each of the classes given is.
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

// place is where a run keeps a sample.
type place struct {
	split string
	row   int
}

// placesOf finds the samples of a part in a run. A split with ids that another one before it has as well is from another file,
// and passed over. Labels that differ give away that the ids are of other samples.
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
	own := p.clean
	if own == nil {
		own = p.labels
	}
	places, missing := make([]place, len(p.IDs)), 0
	for i, id := range p.IDs {
		at, ok := known[id]
		if !ok {
			missing++
			continue
		}
		places[i] = at
		if label := labels[at.split][at.row]; label != record.Ignored && own[i] != record.Ignored && m.Classes[label] != classes[own[i]] {
			return nil, fmt.Errorf("sample %d is %q there and %q here: it was trained on other data; a teacher needs the same samples", id, m.Classes[label], classes[own[i]])
		}
	}
	if missing > 0 {
		i := slices.IndexFunc(p.IDs, func(id int64) bool { _, ok := known[id]; return !ok })
		return nil, fmt.Errorf("it has no logits of %d of the %d training samples, of sample %d for one: train it on the same data, with validation from the same file",
			missing, len(p.IDs), p.IDs[i])
	}
	return places, nil
}
