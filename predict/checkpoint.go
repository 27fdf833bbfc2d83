package predict

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// ErrNoCheckpoint is the error for a run that has no checkpoint, and so no network.
var ErrNoCheckpoint = errors.New("the run has no checkpoint, so there is no model to predict with: train it with logitscope train")

// Checkpoint returns a checkpoint of a run, by which: "last", the number of an epoch, or "best", which is that of the best epoch, or the last
// where that of the best was not kept. The caller closes it. The error is ErrNoCheckpoint where the run has none. A checkpoint that is damaged
// is an error: the network of another epoch would predict something else.
func Checkpoint(run *record.Run, which string) (*record.Checkpoint, error) {
	kept, err := run.Checkpoints()
	if err != nil {
		return nil, err
	}
	if len(kept) == 0 {
		return nil, ErrNoCheckpoint
	}
	epoch := slices.Max(kept)
	if which != "best" && which != "last" {
		if epoch, err = strconv.Atoi(which); err != nil {
			return nil, fmt.Errorf("epoch %q: use best, last or a number", which)
		}
	}
	c, err := run.Checkpoint(epoch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; there are %v", err, kept)
	}
	if err != nil || which != "best" {
		return c, err
	}
	best, _, _, err := train.BestEpoch(c.Files)
	if err != nil {
		c.Close()
		return nil, err
	}
	if best == epoch {
		return c, nil
	}
	better, err := run.Checkpoint(best)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	c.Close()
	return better, err
}

// Network returns the network of a checkpoint of a run, with its head and its epoch. which is that of Checkpoint.
func Network(run *record.Run, which string) (net *nn.Network[float32], head nn.Head, epoch int, err error) {
	c, err := Checkpoint(run, which)
	if err != nil {
		return nil, head, 0, err
	}
	defer c.Close()
	net, head, err = train.Model(c.Files[train.ModelFile])
	return net, head, c.Epoch, err
}
