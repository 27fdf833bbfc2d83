#!/usr/bin/env python3
"""logitscope import of a .npy of 1 GB against copying that file and syncing the copy, in turn.

usage: bench/import.py [ROUNDS [MB]]   (after make build, by a Python that has NumPy)
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import results

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
MB = int(sys.argv[2]) if len(sys.argv) > 2 else 1000


def imported(file, to):
    labels = os.path.join(os.path.dirname(file), "y.npy")
    subprocess.run([results.BINARY, "import", file, "--labels", labels, "--out", to], check=True, stdout=subprocess.DEVNULL)


def copied(file, to):
    os.mkdir(to)
    with open(file, "rb") as source, open(os.path.join(to, "copy"), "wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        os.fsync(copy.fileno())


def seconds(how, file, folder):
    to = os.path.join(folder, "to")
    os.sync()
    results.warm(folder, 2.5e6 * MB)
    began = time.perf_counter()
    how(file, to)
    took = time.perf_counter() - began
    shutil.rmtree(to)
    return took


def main():
    lines = [
        "## import\n", f"A .npy of {MB / 1000:g} GB, with labels of its own, as a run, against a copy of the file that is synced, in turn; {results.machine()}; medians of {ROUNDS} rounds.",
        "The file is in the page cache; the whole process is timed. Before each, as much memory is used and freed as either takes. `python3 bench/import.py`\n",
        "| logits | import | copy | share of the copy's speed |\n| --- | ---: | ---: | ---: |",
    ]
    for columns in 10, 1000:
        with tempfile.TemporaryDirectory() as folder:
            file, rows = os.path.join(folder, "z.npy"), MB * 1_000_000 // 4 // columns
            np.save(file, np.random.default_rng(0).standard_normal((rows, columns), dtype=np.float32))
            np.save(os.path.join(folder, "y.npy"), np.arange(rows) % columns)
            times = {imported: [], copied: []}
            for _ in range(ROUNDS):
                for how, took in times.items():
                    took.append(seconds(how, file, folder))
            a, b = statistics.median(times[imported]), statistics.median(times[copied])
            share = statistics.median(y / x for x, y in zip(times[imported], times[copied]))
            lines.append(f"| {rows:,} × {columns} float32 | {a:.2f} s, {MB / a:.0f} MB/s | {b:.2f} s, {MB / b:.0f} MB/s | {share:.2f} |")
    results.write("import", "\n".join(lines))


main()
