package train

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/internal/safetensors"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/nn"
)

// ModelFile is the name of the file of a checkpoint that prediction needs: the weights, or their moving average, and how the network is
// built. Model reads it.
const ModelFile = "model.safetensors"

// The names of a checkpoint's other files.
const (
	stateFile  = "state.safetensors" // the optimiser's state, and the weights where the model file has their moving average
	stateJSON  = "state.json"        // everything that is no array
	cycleArray = "cycle.nll"         // an array of stateFile: the NLL of each validation sample at the end of the last cycle
)

// File is one file of a checkpoint.
type File struct {
	Name string
	Data []byte
}

// state is the content of state.json.
type state struct {
	Epoch   int     `json:"epoch"`             // the last epoch that was trained
	Best    monitor `json:"best"`              // the best epoch so far
	Steps   int     `json:"steps"`             // the number of steps that were taken
	Settled bool    `json:"settled,omitempty"` // whether training ends because the last cycle gained too little
	Gain    float64 `json:"gain,omitempty"`    // the gain of the last cycle
	Drawing []byte  `json:"drawing"`           // the state of the random generator of dropout
	Mixing  []byte  `json:"mixing"`            // the state of the random generator of mixup
}

// Checkpoint returns the files from which Restore goes on after the last epoch. spare is nil or what an earlier call returned, whose memory
// is used again. Weights that are not finite are never written, because training stops before.
func (t *Trainer) Checkpoint(spare []File) []File {
	var buffers [3][]byte
	for i := range spare {
		buffers[i] = spare[i].Data
	}
	t.swapAverage()
	params, kept := t.net.Params(), stored(t.net)
	model := make([]safetensors.Floats, len(kept))
	for i, p := range kept {
		model[i] = safetensors.Floats{Name: p.Name, Shape: p.Shape, Data: p.Data}
	}
	buffers[0] = safetensors.Append(buffers[0][:0], t.metadata(), model...)
	t.swapAverage()

	var arrays []safetensors.Floats
	memory := t.optimizer.State()
	for _, name := range slices.Sorted(maps.Keys(memory.Values)) {
		values := memory.Values[name]
		arrays = append(arrays, safetensors.Floats{Name: "optimizer." + name, Shape: []int{len(values)}, Data: values})
	}
	if t.optimizer.average != nil {
		for _, p := range params {
			arrays = append(arrays, safetensors.Floats{Name: "weights." + p.Name, Shape: p.Shape, Data: p.Data})
		}
	}
	if t.cycles.before != nil {
		arrays = append(arrays, safetensors.Floats{Name: cycleArray, Shape: []int{len(t.cycles.before)}, Data: t.cycles.before})
	}
	buffers[1] = safetensors.Append(buffers[1][:0], nil, arrays...)

	s := state{Epoch: t.epoch, Best: t.monitor, Steps: t.optimizer.steps, Settled: t.cycles.ended, Gain: t.cycles.gain}
	var err1, err2, err3 error
	s.Drawing, err1 = t.drawing.MarshalBinary()
	s.Mixing, err2 = t.mixing.MarshalBinary()
	var text []byte
	text, err3 = json.MarshalIndent(s, "", "  ")
	if err := errors.Join(err1, err2, err3); err != nil {
		panic(err) // unreachable: a generator's state is always written, and state has no value that JSON refuses
	}
	buffers[2] = append(append(buffers[2][:0], text...), '\n')
	return []File{{ModelFile, buffers[0]}, {stateFile, buffers[1]}, {stateJSON, buffers[2]}}
}

// metadata returns the metadata of the model file, from which build builds the network.
func (t *Trainer) metadata() map[string]string {
	input := t.splits[0].input()
	m := map[string]string{
		"format": "logitscope", "model": cmp.Or(t.config.Model, defaultModel(input)), "activation": t.config.Activation, "head": string(t.head.Kind()),
		"classes": strconv.Itoa(t.head.Classes()), "inputs": strconv.Itoa(input.Features), "epoch": strconv.Itoa(t.epoch),
	}
	if input.Height > 0 {
		m["image"] = fmt.Sprintf("%dx%dx%d", input.Height, input.Width, input.Channels)
	}
	if input.Buckets > 0 {
		m["buckets"] = strconv.Itoa(input.Buckets)
	}
	return m
}

// Restore sets a Trainer to the state in the files of a checkpoint, by their names, which must be of a Trainer with the same config, head and
// splits. What follows has the same bits as if training had never stopped. It returns an error for files that are damaged or do not fit;
// after it the Trainer must not be used.
func (t *Trainer) Restore(files map[string][]byte) error {
	if err := t.restore(files); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func (t *Trainer) restore(files map[string][]byte) error {
	s, err := t.readState(files)
	if err != nil {
		return err
	}
	for range s.Epoch {
		t.batches.shuffle()
	}
	t.epoch, t.monitor = s.Epoch, s.Best
	return nil
}

// readState sets the trainer to the state in files, except for the order of the samples, the epoch and the best epoch.
func (t *Trainer) readState(files map[string][]byte) (s state, err error) {
	if err := json.Unmarshal(files[stateJSON], &s); err != nil {
		return s, fmt.Errorf("%s: %w", stateJSON, err)
	}
	if s.Epoch < 1 || s.Best.Figure != t.monitor.Figure {
		return s, fmt.Errorf("%s: epoch %d, best by %q, want %q", stateJSON, s.Epoch, s.Best.Figure, t.monitor.Figure)
	}
	model, err := safetensors.Parse(files[ModelFile])
	if err != nil {
		return s, fmt.Errorf("%s: %w", ModelFile, err)
	}
	arrays, err := safetensors.Parse(files[stateFile])
	if err != nil {
		return s, fmt.Errorf("%s: %w", stateFile, err)
	}
	params := t.net.Params()
	total := 0
	for _, p := range params {
		total += len(p.Data)
	}
	if t.config.EMA != 0 {
		t.optimizer.average = make([]float32, total)
		t.swapAverage()
	}
	if err := load(stored(t.net), model, ""); err != nil {
		return s, fmt.Errorf("%s: %w", ModelFile, err)
	}
	if t.config.EMA != 0 {
		t.swapAverage()
		if err := load(params, arrays, "weights."); err != nil {
			return s, fmt.Errorf("%s: %w", stateFile, err)
		}
	}
	memory := nn.OptimizerState[float32]{Steps: s.Steps, Values: map[string][]float32{}}
	for name := range memoryNames(t.config) {
		tensor, err := arrays.Tensor("optimizer." + name)
		if err != nil {
			return s, fmt.Errorf("%s: %w", stateFile, err)
		}
		if memory.Values[name], err = tensor.Float32(); err != nil {
			return s, err
		}
	}
	if err := t.optimizer.SetState(memory, total); err != nil {
		return s, err
	}
	if from, _ := t.config.cycle(s.Epoch, math.MaxInt); t.cycles.decidingSplit >= 0 && from > 0 {
		tensor, err := arrays.Tensor(cycleArray)
		if err != nil {
			return s, fmt.Errorf("%s: %w", stateFile, err)
		}
		if t.cycles.before, err = tensor.Float32(); err != nil {
			return s, err
		}
		if n := t.splits[t.cycles.decidingSplit].N(); len(t.cycles.before) != n {
			return s, fmt.Errorf("%s: %s is of %d samples, want %d", stateFile, cycleArray, len(t.cycles.before), n)
		}
		t.cycles.before = slices.Clone(t.cycles.before) // the file may be mapped
	}
	t.cycles.ended, t.cycles.gain = s.Settled, s.Gain
	if err := errors.Join(t.drawing.UnmarshalBinary(s.Drawing), t.mixing.UnmarshalBinary(s.Mixing)); err != nil {
		return s, fmt.Errorf("%s: %w", stateJSON, err)
	}
	t.optimizer.steps = s.Steps
	return s, nil
}

// memoryNames returns the names of the values in the optimiser's state after its first step.
func memoryNames(c Config) map[string]struct{} {
	switch {
	case c.Optimizer != "sgd":
		return map[string]struct{}{"mean": {}, "square": {}}
	case c.Momentum != 0:
		return map[string]struct{}{"velocity": {}}
	}
	return nil
}

// load sets every parameter to the array of the file whose name is prefix and the parameter's name.
func load(params []nn.Param[float32], file *safetensors.File, prefix string) error {
	for _, p := range params {
		tensor, err := file.Tensor(prefix + p.Name)
		if err != nil {
			return err
		}
		if !slices.Equal(tensor.Shape, p.Shape) {
			return fmt.Errorf("%s is %v, want %v", tensor.Name, tensor.Shape, p.Shape)
		}
		values, err := tensor.Float32()
		if err != nil {
			return err
		}
		copy(p.Data, values)
	}
	return nil
}

// BestEpoch returns the best epoch up to a checkpoint, whose files are given by their names, and the name and value of the figure by which it
// is the best.
func BestEpoch(files map[string][]byte) (epoch int, figure string, value float64, err error) {
	var s state
	if err := json.Unmarshal(files[stateJSON], &s); err != nil {
		return 0, "", 0, fmt.Errorf("checkpoint: %s: %w", stateJSON, err)
	}
	return s.Best.Epoch, s.Best.Figure, float64(s.Best.Value), nil
}

// Model builds the network that a checkpoint's model file describes, with its weights. It returns an error for a file that is damaged or of
// another program.
func Model(file []byte) (*nn.Network[float32], nn.Head, error) {
	model, err := safetensors.Parse(file)
	if err != nil {
		return nil, nn.Head{}, fmt.Errorf("%s: %w", ModelFile, err)
	}
	net, head, err := build(model)
	if err != nil {
		return nil, nn.Head{}, fmt.Errorf("%s: %w", ModelFile, err)
	}
	return net, head, nil
}

func build(model *safetensors.File) (*nn.Network[float32], nn.Head, error) {
	var head nn.Head
	m := model.Metadata
	classes, err1 := strconv.Atoi(m["classes"])
	inputs, err2 := strconv.Atoi(m["inputs"])
	if m["format"] != "logitscope" || err1 != nil || err2 != nil {
		return nil, head, errors.New("it does not say how its network is built: it is not one of a checkpoint of logitscope")
	}
	total := 0
	for i := range model.Tensors {
		total += model.Tensors[i].Len()
	}
	// The weights are in the file, so that it cannot ask for a network much larger than itself.
	if inputs < 0 || inputs > total || classes < 1 || classes > total {
		return nil, head, fmt.Errorf("%d inputs and %d classes in a file of %d weights", inputs, classes, total)
	}
	kind := logit.Head(m["head"])
	if err := kind.Validate(kind.Columns(classes), classes); err != nil {
		return nil, head, err
	}
	head = nn.HeadOf(kind, classes)
	input := nn.InputShape{Features: inputs}
	if image := m["image"]; image != "" {
		if _, err := fmt.Sscanf(image, "%dx%dx%d", &input.Height, &input.Width, &input.Channels); err != nil {
			return nil, head, fmt.Errorf("image %q: want height x width x channels", image)
		}
	}
	if buckets := m["buckets"]; buckets != "" {
		var err error
		if input.Buckets, err = strconv.Atoi(buckets); err != nil || input.Buckets < 1 {
			return nil, head, fmt.Errorf("%q buckets", buckets)
		}
	}
	c := Config{Model: m["model"], Activation: m["activation"], Init: "uniform"}
	if err := c.fits(input, head.Columns(), total); err != nil {
		return nil, head, err
	}
	net, err := c.network(input, head, rand.NewPCG(0, 0))
	if err != nil {
		return nil, head, err
	}
	return net, head, load(stored(net), model, "")
}

// stored returns all arrays of a checkpoint's model file: the parameters, and the running statistics of batch normalisation.
func stored(net *nn.Network[float32]) []nn.Param[float32] {
	return append(slices.Clone(net.Params()), net.State()...)
}

// fits returns an error where the network that the configuration describes would need more weights than the total in its file, before
// memory is allocated for it. Whether each weight is there, load finds out.
func (c Config) fits(input nn.InputShape, columns, total int) error {
	tooLarge := fmt.Errorf("a model %s in a file of %d weights", c.Model, total)
	for _, n := range []int{input.Features, input.Height, input.Width, input.Channels, input.Buckets, columns} {
		if n < 0 || n > total {
			return tooLarge
		}
	}
	bins, err := nn.ModelBins(c.Model)
	if err != nil {
		return fmt.Errorf("model %q: %w", c.Model, err)
	}
	need, width := input.Buckets+input.Features*bins, input.Features*max(bins, 1)
	kind, units, _ := strings.Cut(strings.Split(c.Model, "+")[0], ":")
	outs := []int{}
	if kind == "mlp" {
		for unit := range strings.SplitSeq(units, ",") {
			out, err := strconv.Atoi(strings.TrimSpace(unit))
			if err != nil {
				return fmt.Errorf("model %q: %w", c.Model, err)
			}
			outs = append(outs, out)
		}
	}
	if kind == "mlp" || kind == "linear" {
		for _, out := range append(outs, columns) {
			if out < 0 || out > total || need > total {
				return tooLarge
			}
			need += (width + 1) * out
			width = out
		}
	}
	if need > total {
		return tooLarge
	}
	return nil
}
