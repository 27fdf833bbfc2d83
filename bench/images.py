#!/usr/bin/env python3
"""A convolutional network on images as MNIST's against the same in PyTorch: seconds an epoch, in turn.

usage: bench/images.py [ROUNDS [IMAGES_IDX_GZ LABELS_IDX_GZ]]  (after make build, by a Python that has PyTorch)
writes the medians and their ratio to RESULTS.md; the target is a third
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

import results
from results import ROOT

EPOCHS = 3
MNIST = [os.path.join(ROOT, "../shared/data", name) for name in ("mnist-t10k-images-idx3-ubyte.gz", "mnist-t10k-labels-idx1-ubyte.gz")]


def ours(images, labels, folder):
    out = subprocess.run(
        [results.BINARY, "train", "--data", images, "--labels", labels, "--model", "cnn", "--epochs", str(EPOCHS),
         "--batch", "32", "--optimizer", "adam", "--lr", "0.001", "--schedule", "constant", "--out", os.path.join(folder, "run"), "--json", "--quiet"],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ).stdout
    return json.loads(out)["seconds"] / EPOCHS


def peer(images, labels, threads, layout):
    out = subprocess.run(
        [sys.executable, os.path.join(ROOT, "bench/torch_cnn.py"), images, labels, str(threads), str(EPOCHS), layout],
        check=True, stdout=subprocess.PIPE, env=results.environment(threads), text=True,
    ).stdout
    return statistics.mean(float(line.split()[0]) for line in out.splitlines())


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    images, labels = sys.argv[2:4] or MNIST
    times = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=os.path.join(ROOT, "bin")) as folder:
            times.setdefault("logitscope", []).append(ours(images, labels, folder))
        for threads, layout in [(1, "contiguous"), (2, "contiguous"), (2, "channels_last")]:
            times.setdefault(f"PyTorch, {layout}, threads: {threads}", []).append(peer(images, labels, threads, layout))
    lines = [
        "## Images\n",
        f"An epoch of `--model cnn` (two convolutions of 3×3 with 16 and 32 filters, each max-pooled, and 128 units) on 8,000 of MNIST's "
        f"10,000 test images in batches of 32 by Adam, both splits measured and their logits kept; the mean of {EPOCHS} epochs, in turn, "
        f"{rounds} rounds, by `bench/images.py`; {results.machine()}.\n",
        *results.timings(times),
    ]
    results.write("images", "\n".join(lines))


main()
