"""What the three lines cost a PyTorch training: with and without them in turn, the median of the pairs.

Two trainings: 8,000 + 2,000 rows of 784 features through 784-256-10 in batches of 64 (an epoch of a quarter of a second), and one whose step sleeps to
20 ms. Also the time of rec.log for 1,000 × 1,000 float32, beside that of the copy.
usage: PYTHONPATH=python PYTHON bench/attach.py [PAIRS]; PYTHON has torch."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import logitscope
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(2)
x, y = torch.randn(10_000, 784), torch.randint(0, 10, (10_000,))
TRAIN, VAL = TensorDataset(x[:8000], y[:8000]), TensorDataset(x[8000:], y[8000:])


def train(epochs: int, rows: int, step: float, folder: str | None) -> float:
    torch.manual_seed(0)
    data = TensorDataset(*TRAIN[:rows])
    loaders = {"train": DataLoader(data, 64, shuffle=True), "val": DataLoader(VAL if rows == 8000 else TensorDataset(*VAL[:500]), 500)}
    criterion = nn.CrossEntropyLoss()
    rec = None
    if folder is not None:
        rec = logitscope.record(Path(folder) / "run", classes=10)
        loaders = {name: rec.watch(loader, name) for name, loader in loaders.items()}
        criterion = rec.watch(criterion)
    network = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    adam = torch.optim.Adam(network.parameters())
    began = time.perf_counter()
    for _ in range(epochs):
        for a, b in loaders["train"]:
            until = time.perf_counter() + step
            adam.zero_grad()
            criterion(network(a), b).backward()
            adam.step()
            time.sleep(max(0, until - time.perf_counter()))
        with torch.no_grad():
            for a, b in loaders["val"]:
                criterion(network(a), b)
    loop = time.perf_counter() - began
    if rec is not None:
        rec.close()
    return loop


def cost(name: str, epochs: int, rows: int, step: float, pairs: int) -> None:
    shares, plain = [], []
    train(1, rows, step, None)
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            plain.append(train(epochs, rows, step, None))
            shares.append(train(epochs, rows, step, folder) / plain[-1] - 1)
    low, high = min(shares), max(shares)
    print(f"{name}: {statistics.median(plain) / epochs:.3f} s an epoch, the three lines {100 * statistics.median(shares):+.1f} % ({100 * low:+.1f} to {100 * high:+.1f})")


pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
z, labels, logged, copied = np.random.rand(1000, 1000).astype(np.float32), np.zeros(1000, int), [], []
with tempfile.TemporaryDirectory() as folder, logitscope.record(Path(folder) / "run", classes=1000) as rec:
    for epoch in range(30):
        began = time.perf_counter()
        rec.log(epoch, "val", z, labels)
        logged.append(time.perf_counter() - began)
        began = time.perf_counter()
        z.copy()
        copied.append(time.perf_counter() - began)
        rec.flush()
print(f"rec.log of 1,000 × 1,000 float32: {1000 * statistics.median(logged):.2f} ms, a copy of them {1000 * statistics.median(copied):.2f} ms")
cost("784-256-10", 8, 8000, 0, pairs)
cost("steps of 20 ms", 2, 2000, 0.02, max(3, pairs // 2))
