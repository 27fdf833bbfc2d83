"""What WeightsLab costs the training of bench/attach.py. It wants an older PyTorch than the other peers, and so a script of its own.

usage: PYTHONPATH=python PYTHON bench/attach_weightslab.py; PYTHON has weightslab. It takes minutes: an epoch is half a minute."""

import os
import tempfile

import attach
import results
import torch
from torch import nn
from torch.utils.data import Dataset


class WithIds(Dataset):
    """The rows as WeightsLab wants them: each with the id of its sample."""

    def __init__(self, rows: range) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int, int]:
        row = self.rows[i]
        return attach.x[row], row, int(attach.y[row])


def measured(folder: str) -> str:
    """WeightsLab has a loop of its own: loaders that give ids, a criterion that is told them. Its page and its projection are off."""
    os.environ["WEIGHTSLAB_PROJECTION"] = "0"
    import weightslab as wl

    settings = {"experiment_name": "cost", "device": "cpu", "root_log_dir": folder, "serving_grpc": False, "serving_cli": False}
    wl.watch_or_edit(settings, flag="hyperparameters", defaults=settings)
    loop = attach.Loop(8000, 0)
    network = wl.watch_or_edit(loop.network, flag="model", device="cpu")
    adam = wl.watch_or_edit(torch.optim.Adam(network.parameters()), flag="optimizer")
    given = {"flag": "data", "preload_labels": True}
    train = wl.watch_or_edit(WithIds(range(8000)), loader_name="train", batch_size=64, shuffle=True, is_training=True, **given)
    val = wl.watch_or_edit(WithIds(range(8000, 10_000)), loader_name="val", batch_size=500, shuffle=False, is_training=False, **given)
    criterion = wl.watch_or_edit(nn.CrossEntropyLoss(reduction="none"), flag="loss", signal_name="loss", per_sample=True, log=True)
    wl.serve(serving_grpc=False, serving_cli=False)
    wl.start_training(timeout=1)

    def epoch() -> None:
        for a, ids, b in train:
            with wl.guard_training_context:
                z = network(a)
                adam.zero_grad()
                criterion(z, b, batch_ids=ids).mean().backward()
                adam.step()
        with torch.no_grad():
            for a, ids, b in val:
                with wl.guard_testing_context:
                    criterion(network(a), b, batch_ids=ids)

    return attach.compare(loop, (epoch, lambda: None), 2, 1)  # an epoch is many seconds


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        plain, median, _, busy = measured(folder).split(" | ")  # two epochs have no quartile
        import weightslab

        text = f"""### WeightsLab

The training of the section before, with WeightsLab {weightslab.__version__}, which keeps the loss of every sample, and no logits; without its page and its projection.
2 pairs of one epoch; {results.machine()}, PyTorch {torch.__version__}, 2 threads. `bench/attach_weightslab.py`

| kept by | plain epoch | with it | processor time | MB an epoch |
| --- | ---: | ---: | ---: | ---: |
| WeightsLab {weightslab.__version__} | {plain} | {median} | {busy} | {attach.size(folder) / 3:.2f} |"""
    results.write("weightslab", text)


main()
