#!/usr/bin/env python3
"""How fast each accumulator of summary/ goes through logits in memory, beside how fast memory is read at all, in turn.

usage: bench/accumulators.py [ROUNDS]   (with go and gcc; 3 GB of memory)
"""
import json
import os
import re
import statistics
import subprocess
import sys

import results

ROOFLINE = os.path.join(results.ROOT, "bin/roofline")
WHAT = {
    "scores": "rows: NLL, LSE, entropy, Brier, margin, rank and their sums",
    "table": "the same, classes, confusion, calibration bins and each class's bins",
    "quantities": "histograms of z, p, log p and NLL",
    "at_once": "all of these in one read",
    "score": "all of `score`: the table, and every class ranked in a second read",
}


def read_limit():
    """GB/s at which both cores read, the best over roofline.c's arrays that no cache holds."""
    out = json.loads(subprocess.run([ROOFLINE, str(os.cpu_count())], check=True, capture_output=True).stdout)
    speeds = []
    for r in out["results"]:
        n, k = map(int, r["shape"].split("x"))
        if r["name"] == "read" and n * k > 1 << 22:
            speeds.append(4e-6 * n * k / r["median_ms"])
    return max(speeds)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    os.makedirs(os.path.dirname(ROOFLINE), exist_ok=True)
    subprocess.run(["gcc", "-O3", "-march=native", os.path.join(results.FOLDER, "roofline.c"), "-o", ROOFLINE, "-lm", "-lpthread"], check=True)
    test = os.path.join(results.ROOT, "bin/summary.test")
    subprocess.run(["go", "test", "-c", "-o", test, "./summary"], cwd=results.ROOT, check=True)
    limits, taken = [], {}
    for _ in range(rounds):
        limits.append(read_limit())
        out = subprocess.run([test, "-test.run", "^$", "-test.bench", "Statistics", "-test.benchtime", "250ms"], check=True, capture_output=True, text=True)
        for shape, name, speed in re.findall(r"BenchmarkStatistics/(\w+)/(\w+)\S*\s.*?([\d.]+) MB/s", out.stdout):
            taken.setdefault((name, shape), []).append(float(speed) / 1e3)
    limit = statistics.median(limits)
    shapes = list(dict.fromkeys(shape for _, shape in taken))
    lines = [
        "## Statistics\n",
        f"GB/s of float32 logits in memory, every processor, and in brackets the share of the {limit:.0f} GB/s ({min(limits):.0f}–{max(limits):.0f}) at which "
        f"`bench/roofline.c` reads; medians of {rounds} rounds in turn, by `bench/accumulators.py`; {results.machine()}.\n",
        "| accumulators | " + " | ".join(shape.replace("x", "×") for shape in shapes) + " |",
        "| --- | " + " | ".join("---:" for _ in shapes) + " |",
    ]
    for name, what in WHAT.items():
        speeds = [statistics.median(taken[name, shape]) for shape in shapes]
        lines.append(f"| {what} | " + " | ".join(f"{s:.2g} ({s / limit:.2f})" for s in speeds) + " |")
    results.write("statistics", "\n".join(lines))


main()
