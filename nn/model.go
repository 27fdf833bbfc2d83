package nn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// InputShape says what a sample has as input.
type InputShape struct {
	Features                int // the number of features
	Height, Width, Channels int // the features are the pixels of such an image, channels last, where Height is not 0
	Buckets                 int // a sample has tokens, which are in [0,Buckets), where it is not 0
}

// embeddingDim is the number of values of a token's vector unless the model says another.
const embeddingDim = 64

// maxHidden is the largest number of hidden layers. A checkpoint lists the weights of each by name.
const maxHidden = 1000

// maxBins is the largest number of values that a feature becomes.
const maxBins = 1024

// maxModel is the largest length in bytes of a model's text: enough for maxHidden layers, and little beside what a checkpoint's header may hold.
const maxModel = 64 << 10

// ParseModel returns the layers of a network from text, as a user writes it: "linear", "mlp:256,128" (the units of each hidden layer), "cnn",
// "text" or "text:64" (the values of a token's vector). Options follow, each behind a plus sign, and apply behind each hidden layer: relu
// (the default) or gelu, layernorm or batchnorm, dropout=0.2. One applies before the first layer, of mlp and linear over features alone:
// bins=16, see Bins. In every kind tokens go through an EmbeddingBag.
//
// It returns an error, which quotes the text and says what to write, for text that is no model or is longer than 64 KiB, and for a model that does not fit the input.
func ParseModel(spec string, input InputShape) ([]Layer, error) {
	if len(spec) > maxModel {
		return nil, fmt.Errorf("a model's text of %d bytes, which begins %.40q: want at most %d, as in mlp:256,128", len(spec), spec, maxModel)
	}
	parts := strings.Split(spec, "+")
	kind, units, _ := strings.Cut(parts[0], ":")
	bins, err := ModelBins(spec)
	if err == nil && bins > 0 && (input.Buckets > 0 || kind != "mlp" && kind != "linear") {
		err = errors.New("bins are of mlp and linear, over features that are numbers")
	}
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", spec, err)
	}
	after, err := parseOptions(parts[1:])
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", spec, err)
	}
	layers, err := layersOf(kind, units, input, after)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", spec, err)
	}
	if bins > 0 {
		layers = append([]Layer{Bins(bins)}, layers...)
	}
	return layers, nil
}

// ModelBins returns how many bins the option bins of a model's text asks for, 0 without it.
func ModelBins(spec string) (int, error) {
	bins := 0
	for _, option := range strings.Split(spec, "+")[1:] {
		if value, ok := strings.CutPrefix(option, "bins="); ok {
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > maxBins {
				return 0, fmt.Errorf("%q bins: want 1 to %d", value, maxBins)
			}
			bins = n
		}
	}
	return bins, nil
}

// layersOf is ParseModel for the parts of its text. after are the layers that follow each hidden one.
func layersOf(kind, units string, input InputShape, after []Layer) ([]Layer, error) {
	var layers []Layer
	dim := embeddingDim
	switch {
	case units == "" || kind == "mlp":
	case kind == "text":
		var err error
		if dim, err = strconv.Atoi(units); err != nil || dim < 1 {
			return nil, fmt.Errorf("%q is no number of values a token; say text:%d", units, embeddingDim)
		}
	default:
		return nil, fmt.Errorf("%s takes no units; mlp does", kind)
	}
	if input.Buckets > 0 {
		layers = append(layers, EmbeddingBag(input.Buckets, dim))
	}
	if len(after) > 1 && (kind == "linear" || kind == "text") {
		return nil, fmt.Errorf("%s has no hidden layer for options to follow; use mlp", kind)
	}
	switch kind {
	case "linear":
		return layers, nil
	case "text":
		if input.Buckets == 0 {
			return nil, errors.New("there is no text in the data; use mlp or linear")
		}
		return layers, nil
	case "mlp":
		widths := strings.Split(units, ",")
		if len(widths) > maxHidden {
			return nil, fmt.Errorf("%d hidden layers: want at most %d", len(widths), maxHidden)
		}
		for _, field := range widths {
			width, err := strconv.Atoi(strings.TrimSpace(field))
			if err != nil || width < 1 {
				return nil, fmt.Errorf("%q is no number of units; say mlp:256,128", field)
			}
			layers = append(append(layers, Dense(width)), after...)
		}
		return layers, nil
	case "cnn":
		if input.Height == 0 || input.Buckets > 0 {
			return nil, errors.New("the data is no images; use mlp")
		}
		return append(layers, convolutions(input, after)...), nil
	}
	return nil, fmt.Errorf("unknown kind %q; use linear, mlp:256,128, cnn or text", kind)
}

// convolutions returns the layers of the kind cnn: blocks of a convolution and max-pooling, each of which halves the image and doubles the
// filters, until the image is small, and a dense layer of 128 units.
func convolutions(input InputShape, after []Layer) []Layer {
	layers := []Layer{Image(input.Height, input.Width, input.Channels)}
	side, filters := min(input.Height, input.Width), 16
	for block := 0; block < 2 || side > 8; block++ {
		layers = append(layers, Conv(filters, 3, 1, 1))
		// Dropout applies to the dense layer alone.
		for _, l := range after {
			if l.kind != kindDropout {
				layers = append(layers, l)
			}
		}
		if side >= 4 {
			layers = append(layers, MaxPool(2))
			side /= 2
		}
		filters = min(2*filters, 128)
	}
	return append(append(layers, Dense(128)), after...)
}

const knownOptions = "use relu, gelu, layernorm, batchnorm, dropout=0.2 or bins=16"

// parseOptions returns the layers that follow each hidden one, in this order: a normalisation, the activation, dropout.
func parseOptions(options []string) ([]Layer, error) {
	activation := ReLU()
	var norm, dropout []Layer
	for _, option := range options {
		name, value, given := strings.Cut(option, "=")
		if given != (name == "dropout" || name == "bins") {
			return nil, fmt.Errorf("unknown option %q; %s", option, knownOptions)
		}
		switch name {
		case "bins":
		case "relu":
			activation = ReLU()
		case "gelu":
			activation = GELU()
		case "layernorm":
			norm = []Layer{LayerNorm()}
		case "batchnorm":
			norm = []Layer{BatchNorm()}
		case "dropout":
			rate, err := strconv.ParseFloat(value, 64)
			if err != nil || !(rate >= 0 && rate < 1) {
				return nil, fmt.Errorf("dropout of %q is not in [0, 1)", value)
			}
			dropout = []Layer{Dropout(rate)}
		default:
			return nil, fmt.Errorf("unknown option %q; %s", option, knownOptions)
		}
	}
	return append(append(norm, activation), dropout...), nil
}
