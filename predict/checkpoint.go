package predict

import (
	"errors"
	"slices"

	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// best returns the network of a run's best checkpoint, or of its last one where the best was not kept.
func best(run *record.Run) (*nn.Network[float32], nn.Head, int, error) {
	none := func(err error) (*nn.Network[float32], nn.Head, int, error) { return nil, nn.Head{}, 0, err }
	kept, err := run.Checkpoints()
	if err != nil {
		return none(err)
	}
	if len(kept) == 0 {
		return none(errors.New("the run has no checkpoint, so there is no model to predict with: train it with logitscope train"))
	}
	checkpoint, err := run.Checkpoint(slices.Max(kept))
	if err != nil {
		return none(err)
	}
	defer func() { checkpoint.Close() }()
	epoch, _, _, err := train.BestEpoch(checkpoint.Files)
	if err != nil {
		return none(err)
	}
	if epoch != checkpoint.Epoch && slices.Contains(kept, epoch) {
		checkpoint.Close()
		if checkpoint, err = run.Checkpoint(epoch); err != nil {
			return none(err)
		}
	}
	net, head, err := train.Model(checkpoint.Files["model.safetensors"])
	return net, head, checkpoint.Epoch, err
}
