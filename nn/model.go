package nn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// InputShape is what a sample brings: features, which are an image's pixels where Height is not 0, and tokens where Buckets
// is not 0.
type InputShape struct {
	Features                int
	Height, Width, Channels int
	Buckets                 int // tokens are in [0,Buckets)
}

// embeddingDim is how many values a token has in ParseModel's networks.
const embeddingDim = 64

// maxHidden bounds the hidden layers, whose weights a checkpoint lists by their names.
const maxHidden = 1000

// ParseModel returns the layers of a network by the name of its kind: linear, mlp:256,128 (units of each hidden layer), cnn or
// text. Options follow, each behind a plus sign: relu (the default) or gelu, layernorm or batchnorm, dropout=0.2, all after each
// hidden layer. Tokens go through an EmbeddingBag in every kind.
func ParseModel(spec string, input InputShape) ([]Layer, error) {
	parts := strings.Split(spec, "+")
	kind, units, _ := strings.Cut(parts[0], ":")
	after, err := parseOptions(parts[1:])
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", spec, err)
	}
	layers, err := layersOf(kind, units, input, after)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", spec, err)
	}
	return layers, nil
}

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

// convolutions halve the image while doubling the filters, until it is small; then come 128 units.
func convolutions(input InputShape, after []Layer) []Layer {
	layers := []Layer{Image(input.Height, input.Width, input.Channels)}
	side, filters := min(input.Height, input.Width), 16
	for block := 0; block < 2 || side > 8; block++ {
		layers = append(layers, Conv(filters, 3, 1, 1))
		// An image's pixels are not dropped, only the units behind them.
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

// parseOptions returns the layers that follow each hidden one: a normalisation, the activation, dropout.
func parseOptions(options []string) ([]Layer, error) {
	activation := ReLU()
	var norm, dropout []Layer
	for _, option := range options {
		name, value, given := strings.Cut(option, "=")
		if given != (name == "dropout") {
			return nil, fmt.Errorf("unknown option %q; use relu, gelu, layernorm, batchnorm or dropout=0.2", option)
		}
		switch name {
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
			return nil, fmt.Errorf("unknown option %q; use relu, gelu, layernorm, batchnorm or dropout=0.2", option)
		}
	}
	return append(append(norm, activation), dropout...), nil
}
