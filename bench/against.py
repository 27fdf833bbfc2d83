#!/usr/bin/env python3
"""Two binaries of logitscope on the same work, in turn: whether a change made training or scoring slower.

usage: bench/against.py OLD NEW [ROUNDS]   (ROUNDS 6; by a Python that has NumPy)
Prints the median and the range of NEW / OLD, of the time that passed and of the processors' time; the latter means more on a busy machine.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def measure(command):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(old, new, rounds=6):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        rng = np.random.default_rng(1)
        for name, n, k in ("narrow", 200_000, 10), ("wide", 20_000, 1000):
            labels = rng.integers(0, k, n)
            logits = rng.standard_normal((n, k), dtype=np.float32)
            logits[np.arange(n), labels] += 2
            np.save(folder / f"{name}.npy", logits)
            np.save(folder / f"{name}_labels.npy", labels)
        run, made = str(folder / "run"), 0
        noisy = ["--hidden", "256,256", "--batch", "16", "--epochs", "45", "--label-noise", "0.2", "--train-size", "400"]
        measure([old, "train", *noisy, "--out", run])

        def train(*settings):
            nonlocal made
            made += 1
            return ["train", "--quiet", *settings, "--out", str(folder / f"run{made}")]

        def score(name):
            return ["score", "--logits", str(folder / f"{name}.npy"), "--labels", str(folder / f"{name}_labels.npy")]

        jobs = {
            "train, the README's tour": lambda: train(*noisy),
            "train, all digits": lambda: train("--epochs", "30"),
            "score 200,000 x 10": lambda: score("narrow"),
            "score 20,000 x 1000": lambda: score("wide"),
            "show, 45 epochs": lambda: ["show", run],
            "diagnose, 45 epochs": lambda: ["diagnose", run],
        }
        for name, job in jobs.items():
            ratios = []
            for _ in range(rounds):
                a, b = measure([old, *job()]), measure([new, *job()])
                ratios.append((b[0] / a[0], b[1] / a[1]))
            wall, work = (f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in zip(*ratios))
            print(f"{name:26} time {wall}, processors' time {work}", flush=True)


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
