package train

import (
	"fmt"
	"strconv"

	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
)

// LoadModel returns the trained network of the run in dir: that of its best epoch (best), of its last one (last), or of an
// epoch by its number where that has a checkpoint. epoch is which it is.
func LoadModel(dir, which string) (net *nn.Network[float32], head nn.Head, epoch int, err error) {
	run, err := record.Open(dir)
	if err != nil {
		return nil, head, 0, err
	}
	defer run.Close()
	epochs, err := run.Checkpoints()
	if err != nil {
		return nil, head, 0, err
	}
	if len(epochs) == 0 {
		return nil, head, 0, fmt.Errorf("run %s has no checkpoint: train it with logitscope train", dir)
	}
	epoch = epochs[len(epochs)-1]
	switch which {
	case "last":
	case "best":
		last, err := run.Checkpoint(epoch)
		if err != nil {
			return nil, head, 0, err
		}
		epoch, _, _, err = BestEpoch(last.Files)
		last.Close()
		if err != nil {
			return nil, head, 0, err
		}
	default:
		if epoch, err = strconv.Atoi(which); err != nil {
			return nil, head, 0, fmt.Errorf("epoch %q: use best, last or a number", which)
		}
	}
	c, err := run.Checkpoint(epoch)
	if err != nil {
		return nil, head, 0, fmt.Errorf("%w; there are %v", err, epochs)
	}
	defer c.Close()
	net, head, err = Model(c.Files[modelFile])
	return net, head, epoch, err
}
