#!/usr/bin/env python3
"""The main job against the same in PyTorch: 45 epochs on all digits, every logit kept; whole processes, in turn.

usage: bench/digits.py [ROUNDS [PEER_SCRIPT]]   (after make build, by a Python that has PyTorch)
       PEER_SCRIPT trains the same network in PyTorch and takes the data file and a number of threads
writes the medians of the wall-clock seconds and their ratio to RESULTS.md; the target is a fifth
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

import results
from results import ROOT

DATA = os.path.join(ROOT, "dataset/digits.csv.gz")


def seconds(command, env=None):
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    return time.perf_counter() - began


def ours(folder):
    out = os.path.join(folder, "run")
    shutil.rmtree(out, ignore_errors=True)
    return seconds([
        results.BINARY, "train", "--data", "digits", "--hidden", "64", "--batch", "32",
        "--epochs", "45", "--out", out,
    ])


def peer(script, threads):
    return seconds([sys.executable, script, DATA, str(threads)], results.environment(threads))


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    script = sys.argv[2] if len(sys.argv) > 2 else os.path.join(ROOT, "bench/torch_digits.py")
    times = {"logitscope": [], "PyTorch, 1 thread": [], "PyTorch, 2 threads": []}
    # Beside the repository and not in the system's temporary folder, which may be memory: the syncs are part of the job.
    with tempfile.TemporaryDirectory(dir=os.path.join(ROOT, "bin")) as folder:
        for _ in range(rounds):
            times["logitscope"].append(ours(folder))
            times["PyTorch, 1 thread"].append(peer(script, 1))
            times["PyTorch, 2 threads"].append(peer(script, 2))
    lines = [
        "## The digits\n",
        f"45 epochs of 64-64-10 in batches of 32 by Adam, every logit recorded; whole processes (PyTorch's import is part of its), "
        f"in turn, {rounds} rounds, by `bench/digits.py`; {results.machine()}.\n",
        *results.timings(times),
    ]
    results.write("digits", "\n".join(lines))


main()
