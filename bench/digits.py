#!/usr/bin/env python3
"""The main job against the same in PyTorch: 45 epochs on all digits, every logit kept; whole processes, in turn.

usage: bench/digits.py PEER_SCRIPT DIGITS_CSV_GZ [ROUNDS]   (after make build; PyTorch by /usr/bin/python3)
       PEER_SCRIPT trains the same network in PyTorch and takes the data file and a number of threads
prints the medians of the wall-clock seconds and their ratio; the target is a fifth
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def seconds(command, env=None):
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    return time.perf_counter() - began


def ours(folder):
    out = os.path.join(folder, "run")
    shutil.rmtree(out, ignore_errors=True)
    return seconds([
        os.path.join(ROOT, "bin/logitscope"), "train", "--data", "digits", "--hidden", "64", "--batch", "32",
        "--epochs", "45", "--out", out,
    ])


def peer(script, data, threads):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive")
    return seconds(["/usr/bin/python3", script, data, str(threads)], env)


def main():
    script, data = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    times = {"logitscope": [], "PyTorch, 1 thread": [], "PyTorch, 2 threads": []}
    # Beside the repository and not in the system's temporary folder, which may be memory: the syncs are part of the job.
    with tempfile.TemporaryDirectory(dir=os.path.join(ROOT, "bin")) as folder:
        for _ in range(rounds):
            times["logitscope"].append(ours(folder))
            times["PyTorch, 1 thread"].append(peer(script, data, 1))
            times["PyTorch, 2 threads"].append(peer(script, data, 2))
    medians = {name: statistics.median(t) for name, t in times.items()}
    for name, t in times.items():
        print(f"{name:20} median {medians[name]:.3f} s  (min {min(t):.3f}, max {max(t):.3f}, {rounds} rounds)")
    best = min(v for name, v in medians.items() if name != "logitscope")
    print(f"logitscope takes {medians['logitscope'] / best:.3f} of PyTorch's best: {best / medians['logitscope']:.1f} times as fast")


main()
