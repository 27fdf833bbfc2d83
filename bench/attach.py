"""What the three lines cost a PyTorch training, and what it costs to keep as much with other tools.

Two trainings: 8,000 + 2,000 rows of 784 features through 784-256-10 in batches of 64 (an epoch of about a third of a second), and one whose step
sleeps to 20 ms. Trainings of ten epochs of the plain loop and of the one that records follow each other in turn, on the same network, whichever is
first changing from pair to pair; that all is on the disk is waited for at the end of the ten, and counted. Then the time of rec.log for 1,000 × 1,000
float32, beside a copy.

usage: PYTHONPATH=python PYTHON bench/attach.py [PAIRS]; PYTHON has torch, and of wandb, tensorboard, trackio those that are to be measured. A
pair is six seconds; peers get a third of the pairs."""

import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import logitscope
import numpy as np
import results
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(2)
PAIRS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
EPOCHS = 10  # of a side of a pair: a training, which waits for the disk once
x, y = torch.randn(10_000, 784), torch.randint(0, 10, (10_000,))


class Loop:
    """A training, plain or watched, that goes on with each call of epoch."""

    def __init__(self, rows: int, step: float) -> None:
        torch.manual_seed(0)
        held = rows // 4
        self.step = step
        self.loaders = {
            "train": DataLoader(TensorDataset(x[:rows], y[:rows]), 64, shuffle=True),
            "val": DataLoader(TensorDataset(x[8000 : 8000 + held], y[8000 : 8000 + held]), 500),
        }
        self.criterion = nn.CrossEntropyLoss()
        self.network = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
        self.adam = torch.optim.Adam(self.network.parameters())

    def epoch(self, loaders: dict[str, DataLoader], criterion: nn.Module, seen: list | None = None) -> None:
        """One epoch; where seen is a list, the logits of every batch and their labels are put there."""
        for a, b in loaders["train"]:
            until = time.perf_counter() + self.step
            z = self.network(a)
            self.adam.zero_grad()
            criterion(z, b).backward()
            self.adam.step()
            if seen is not None:
                seen.append((z.detach(), b))
            time.sleep(max(0, until - time.perf_counter()))
        with torch.no_grad():
            for a, b in loaders["val"]:
                z = self.network(a)
                criterion(z, b)
                if seen is not None:
                    seen.append((z, b))


Keep = Callable[[int, torch.Tensor, torch.Tensor], None]


def npz(out: str) -> tuple[Keep, Callable[[], None]]:
    return lambda epoch, z, y: np.savez(f"{out}/{epoch}.npz", z=z.numpy(), y=y.numpy()), lambda: None


def tensorboard(out: str) -> tuple[Keep, Callable[[], None]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(out)

    def keep(epoch: int, z: torch.Tensor, y: torch.Tensor) -> None:
        for name, values in (("z", z), ("p", torch.softmax(z, 1)), ("nll", F.cross_entropy(z, y, reduction="none"))):
            writer.add_histogram(name, values, epoch)

    return keep, writer.flush


def wandb(out: str) -> tuple[Keep, Callable[[], None]]:
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true")
    import wandb

    wandb.init(project="cost", dir=out)
    columns = ["id", "y", *(f"z{k}" for k in range(10))]

    def keep(epoch: int, z: torch.Tensor, y: torch.Tensor) -> None:
        rows = [[i, int(y[i]), *row] for i, row in enumerate(z.tolist())]
        wandb.log({"logits": wandb.Table(columns=columns, data=rows), "epoch": epoch})

    return keep, lambda: None


def trackio(out: str) -> tuple[Keep, Callable[[], None]]:
    os.environ["TRACKIO_DIR"] = out
    import pandas as pd
    import trackio

    trackio.init(project="cost")

    def keep(epoch: int, z: torch.Tensor, y: torch.Tensor) -> None:
        frame = pd.DataFrame(z.numpy(), columns=[f"z{k}" for k in range(10)]).assign(y=y.numpy())
        trackio.log({"logits": trackio.Table(dataframe=frame), "epoch": epoch})

    return keep, lambda: None


# What a tool is imported as, what is called, what it keeps of an epoch. Its own background work is waited for where it has a way to.
PEERS: dict[str, tuple[str, Callable[[str], tuple[Keep, Callable[[], None]]], str]] = {
    "numpy.savez by hand": ("numpy", npz, "every logit and label; no ids"),
    "TensorBoard": ("tensorboard", tensorboard, "three histograms; no rows"),
    "trackio.Table": ("trackio", trackio, "every logit and label; no ids"),
    "wandb.Table, offline": ("wandb", wandb, "every logit and label, with numbers of rows"),
}


Other = tuple[Callable[[], None], Callable[[], None]]  # an epoch by another way, and the wait until all of it is on the disk


def compare(loop: Loop, other: Other, pairs: int, epochs: int = EPOCHS) -> str:
    """Pairs of trainings plain and by other, as a table's cells: what an epoch by other takes more, at the median and at the first quartile,
    and what it takes more of the processors.

    Epochs are timed one by one, each with what the one before left to do in the background; a training's wait at its end is shared by its
    epochs. A machine that is shared has slow moments of seconds, which are most of the difference of two trainings; the first quartile is
    of epochs that met none.
    """

    def plain() -> None:
        loop.epoch(loop.loaders, loop.criterion)

    ways: list[Other] = [(plain, lambda: None), other]
    wall: list[list[float]] = [[], []]
    busy: list[list[float]] = [[], []]
    waits: list[list[float]] = [[], []]
    for pair in range(pairs + 1):  # the first warms up
        for way in (0, 1) if pair % 2 else (1, 0):
            epoch, wait = ways[way]
            took, began = [], time.process_time()
            for _ in range(epochs):
                start = time.perf_counter()
                epoch()
                took.append(time.perf_counter() - start)
            start = time.perf_counter()
            wait()
            waited = time.perf_counter() - start
            if pair:
                wall[way] += took
                waits[way].append(waited / epochs)
                busy[way].append(time.process_time() - began)
    share = [statistics.median(w) for w in waits]
    low, middle = ([q + w for q, w in zip(cut, share)] for cut in zip(*([*statistics.quantiles(w)][:2] for w in wall)))
    cpu = [statistics.median(b) for b in busy]
    return f"{middle[0]:.3f} s | {100 * (middle[1] / middle[0] - 1):+.1f} % | {100 * (low[1] / low[0] - 1):+.1f} % | {100 * (cpu[1] / cpu[0] - 1):+.1f} %"


def size(folder: str) -> float:
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()) / 1e6


def recorded(rows: int, step: float, pairs: int, folder: str) -> str:
    loop = Loop(rows, step)
    with logitscope.record(Path(folder) / "run", classes=10) as rec:
        loaders = {name: rec.watch(loader, name) for name, loader in loop.loaders.items()}
        criterion = rec.watch(loop.criterion)

        return compare(loop, (lambda: loop.epoch(loaders, criterion), rec.flush), pairs)


def kept(start: Callable[[str], tuple[Keep, Callable[[], None]]], pairs: int, folder: str) -> str:
    loop, number = Loop(8000, 0), 0
    keep, wait = start(folder)

    def by_hand() -> None:
        nonlocal number
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        loop.epoch(loop.loaders, loop.criterion, seen)
        keep(number, torch.cat([z for z, _ in seen]), torch.cat([b for _, b in seen]))
        number += 1

    return compare(loop, (by_hand, wait), pairs)


def log_beside_copy() -> str:
    z, labels = np.random.rand(1000, 1000).astype(np.float32), np.zeros(1000, int)
    logged, copied = [], []
    with tempfile.TemporaryDirectory() as folder, logitscope.record(Path(folder) / "run", classes=1000) as rec:
        for epoch in range(30):
            began = time.perf_counter()
            rec.log(epoch, "val", z, labels)
            logged.append(time.perf_counter() - began)
            began = time.perf_counter()
            z.copy()
            copied.append(time.perf_counter() - began)
            rec.flush()
    return f"`rec.log` of 1,000 × 1,000 float32 returns after {1000 * statistics.median(logged):.2f} ms; a copy of them takes {1000 * statistics.median(copied):.2f} ms."


def main() -> None:
    few = max(3, PAIRS // 3)
    lines = [
        "## Attaching\n",
        f"What keeping the logits of each epoch costs a PyTorch training: {PAIRS} pairs of trainings of {EPOCHS} epochs with and without, in turn, of others",
        "and of long steps a third as many. Epochs are compared at their median, and at the first quartile, whose epochs met no slow moment of the machine;",
        f"each has its share of the wait until all is on the disk. {results.machine()}, PyTorch {torch.__version__}, 2 threads. `bench/attach.py`\n",
        "| kept by | what | plain epoch | with it, median | first quartile | processor time | MB an epoch |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        cells = recorded(8000, 0, PAIRS, folder)
        lines.append(f"| the three lines | every logit, label and id, synced | {cells} | {size(folder) / EPOCHS / (PAIRS + 1):.2f} |")
    with tempfile.TemporaryDirectory() as folder:
        lines.append(
            f"| the three lines, steps of 20 ms | 2,500 rows of such | {recorded(2000, 0.02, few, folder)} | {size(folder) / EPOCHS / (few + 1):.2f} |"
        )
    for name, (module, start, what) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{name} is not installed, and is left out", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            cells = kept(start, few, folder)
            version = getattr(sys.modules[module], "__version__", "")
            lines.append(f"| {name} {version} | {what} | {cells} | {size(folder) / EPOCHS / (few + 1):.2f} |")
    results.write("attach", "\n".join([*lines, "", log_beside_copy()]))


if __name__ == "__main__":
    main()
