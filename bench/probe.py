#!/usr/bin/env python3
"""A linear probe: one epoch of softmax regression on 100,000 embeddings of 768 values, 1,000 classes, against PyTorch: the same .npy,
mapped by both, a fifth of it for validation, the same Adam in batches of the same size, both splits measured after it.

usage: bench/probe.py [ROUNDS]   (after make build, by a Python that has PyTorch)
       bench/probe.py peer THREADS BATCH   PyTorch's process; it prints its seconds of training and of measuring, and the accuracy
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

import results
from results import ROOT

FOLDER = os.path.join(ROOT, "bin/probe")
X, Y = os.path.join(FOLDER, "x.npy"), os.path.join(FOLDER, "y.npy")
SAMPLES, WIDTH, CLASSES = 100_000, 768, 1000
BATCHES = (128, 512)


def prepare():
    if os.path.exists(Y):
        return
    os.makedirs(FOLDER, exist_ok=True)
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((CLASSES, WIDTH), dtype=np.float32)
    labels = rng.integers(0, CLASSES, SAMPLES)
    x = np.lib.format.open_memmap(X, "w+", np.float32, (SAMPLES, WIDTH))
    for at in range(0, SAMPLES, 10_000):
        own = labels[at:at + 10_000]
        x[at:at + 10_000] = 0.2 * centres[own] + rng.standard_normal((len(own), WIDTH), dtype=np.float32)
    x.flush()
    np.save(Y, labels)


def run_peer(threads, batch):
    import torch
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    x, y = torch.from_numpy(np.load(X, mmap_mode="c")), torch.from_numpy(np.load(Y))
    order = torch.from_numpy(np.random.RandomState(1).permutation(SAMPLES))
    val, train = order[:SAMPLES // 5], order[SAMPLES // 5:]
    net = torch.nn.Linear(WIDTH, CLASSES)
    adam = torch.optim.Adam(net.parameters(), lr=0.002)
    loss = torch.nn.functional.cross_entropy
    began = time.perf_counter()
    for rows in train[torch.randperm(len(train))].split(batch):
        adam.zero_grad()
        loss(net(x[rows]), y[rows]).backward()
        adam.step()
    trained = time.perf_counter()
    right = nll = 0
    with torch.no_grad():
        for split in (train, val):
            right = 0
            for rows in split.split(1024):
                z = net(x[rows])
                right += (z.argmax(1) == y[rows]).sum().item()
                nll += loss(z, y[rows], reduction="sum").item()
    measured = time.perf_counter()
    print(json.dumps([trained - began, measured - trained, right / len(val)]))


def ours(batch, record):
    out = os.path.join(FOLDER, "run")
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    said = subprocess.run(
        [results.BINARY, "train", "--quiet", "--json", "--data", X, "--labels", Y, "--model", "linear", "--epochs", "1", "--batch", str(batch),
         "--lr", "0.002", "--schedule", "constant", "--optimizer", "adam", "--record", record, "--out", out],
        check=True, capture_output=True, text=True).stdout
    whole = time.perf_counter() - began
    shutil.rmtree(out)
    said = json.loads(said)
    return whole, said["seconds"], said["splits"]["val"]["accuracy"]


def peer(threads, batch):
    began = time.perf_counter()
    said = subprocess.run(
        [sys.executable, __file__, "peer", str(threads), str(batch)], check=True, capture_output=True, text=True, env=results.environment(threads)).stdout
    whole = time.perf_counter() - began
    training, measuring, accuracy = json.loads(said)
    return whole, training + measuring, accuracy


def main():
    if sys.argv[1:2] == ["peer"]:
        return run_peer(int(sys.argv[2]), int(sys.argv[3]))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    prepare()
    lines = [
        "## A linear probe\n",
        f"One epoch of a linear head on {SAMPLES:,} × {WIDTH} float32 embeddings of {CLASSES:,} classes (.npy, mapped by both), a fifth of them for validation, by "
        "Adam at a constant 0.002; afterwards both splits are measured. `python3 bench/probe.py`, medians of "
        f"{rounds} rounds in turn, PyTorch at its better of 1 and 2 threads (in brackets); seconds of the whole process, and of training and measuring alone. "
        "Ours once more with every logit of both splits kept, 400 MB: `--record all`, the default. "
        f"{results.machine()}.\n",
        "| batch | | process, s | epoch and measuring, s | validation accuracy | process: times as fast | epoch and measuring |\n| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for batch in BATCHES:
        runs = {}
        for _ in range(rounds):
            for name, run in (("logitscope", lambda: ours(batch, "none")), ("logitscope, logits kept", lambda: ours(batch, "all")),
                              ("PyTorch (1)", lambda: peer(1, batch)), ("PyTorch (2)", lambda: peer(2, batch))):
                runs.setdefault(name, []).append(run())
        median = {name: [statistics.median(column) for column in zip(*r)] for name, r in runs.items()}
        best = min((name for name in median if name.startswith("PyTorch")), key=lambda name: median[name][0])
        for name in ("logitscope", "logitscope, logits kept", best):
            whole, alone, accuracy = median[name]
            faster = ["", ""] if name == best else [f"{median[best][i] / median[name][i]:.1f}" for i in (0, 1)]
            lines.append(f"| {batch} | {name} | {whole:.2f} | {alone:.2f} | {accuracy:.4f} | {faster[0]} | {faster[1]} |")
    results.write("probe", "\n".join(lines))


main()
