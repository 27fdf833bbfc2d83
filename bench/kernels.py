#!/usr/bin/env python3
"""`logitscope bench` against PyTorch, OpenBLAS and this machine's limits, in turn, each with 1 and 2 threads.

usage: bench/kernels.py [ROUNDS]   (after make build, by a Python that has PyTorch; gcc for the limits)
writes medians over the rounds, each at its better number of threads, and ratios to RESULTS.md
"""
import json
import os
import statistics
import subprocess
import sys

import results
from results import BINARY, FOLDER, ROOT

ROOFLINE = os.path.join(ROOT, "bin/roofline")
OURS, TORCH, BLAS, LIMIT = "logitscope", "PyTorch", "OpenBLAS", "limit"
SCRIPT = {TORCH: "torch_kernels.py", BLAS: "openblas.py"}


def call(command, env=None):
    """What a program printed as JSON, or None and why not."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    except OSError as error:
        return None, str(error)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout), ""


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    try:
        built = subprocess.run(["gcc", "-O3", "-march=native", os.path.join(FOLDER, "roofline.c"), "-o", ROOFLINE, "-lm", "-lpthread"],
                               capture_output=True, text=True, check=False)
        why = built.stderr.strip()[-200:] if built.returncode else ""
    except OSError as error:
        why = str(error)
    missing, versions, peaks, taken = ({LIMIT: why} if why else {}), {}, {}, {}
    threads = [t for t in (1, 2) if t <= os.cpu_count()]
    for _ in range(rounds):
        for t in threads:
            runs = [(OURS, "", [BINARY, "bench", "--json", "--threads", str(t)], None)]
            runs.append((TORCH, "", [sys.executable, os.path.join(FOLDER, SCRIPT[TORCH]), str(t)], results.environment(t)))
            for core in ("", "SkylakeX", "Cooperlake"):
                env = results.environment(t, **({"OPENBLAS_CORETYPE": core} if core else {}))
                runs.append((BLAS, core, [sys.executable, os.path.join(FOLDER, SCRIPT[BLAS]), str(t)], env))
            runs.append((LIMIT, "", [ROOFLINE, str(t)], None))
            for who, variant, command, env in runs:
                if who in missing:
                    continue
                answer, why = call(command, env)
                if answer is None:
                    missing[who] = why
                    continue
                if isinstance(answer, dict):
                    versions[who] = answer["version"]
                    if "fma_gflops" in answer:
                        peaks.setdefault(t, []).append(answer["fma_gflops"])
                for r in answer["results"] if isinstance(answer, dict) else answer:
                    taken.setdefault((r["name"], r["shape"]), {}).setdefault(who, {}).setdefault((t, variant), []).append(r["median_ms"])
    print_table(rounds, missing, versions, {t: statistics.median(p) for t, p in peaks.items()}, taken)


def flops(name, shape):
    """Of a product 2·M·N·K, of a head 6·N·H·V."""
    if name not in ("matmul", "fused_head"):
        return None
    a, b, c = map(int, shape.split("x"))
    return (2 if name == "matmul" else 6) * a * b * c


def print_table(rounds, missing, versions, peaks, taken):
    lines = [
        "## Kernels\n",
        f"Medians of {rounds} rounds in turn, each program at its better of 1 and 2 threads (in brackets), by `bench/kernels.py`; {results.machine()}. "
        + "; ".join(f"{who}: {v}" for who, v in versions.items()) + ".",
        *(f"{who} is missing: {why}." for who, why in missing.items()),
        "Times as fast: how many times as long the other takes.\n",
        "| work | shape | logitscope, ms | PyTorch, ms | times as fast | limit or OpenBLAS, ms | times as fast |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (name, shape), by in taken.items():
        if OURS not in by:
            continue
        best = {who: min((statistics.median(v), key) for key, v in all_.items()) for who, all_ in by.items()}
        cells = [f"{best[OURS][0]:.4g} ({best[OURS][1][0]})"]
        for who in (TORCH, LIMIT if LIMIT in best else BLAS):
            if who in best:
                ms, (t, variant) = best[who]
                cells += [f"{ms:.4g} ({t}{', ' + variant if variant else ''})", f"{ms / best[OURS][0]:.2f}"]
            else:
                cells += ["", ""]
        lines.append(f"| {name} | {shape} | " + " | ".join(cells) + " |")
    lines += ["\n| work | threads | FMA peak, GFLOP/s | reached | of the peak |", "| --- | ---: | ---: | ---: | ---: |"]
    for (name, shape), by in taken.items():
        work = flops(name, shape)
        for (t, _), ms in by.get(OURS, {}).items() if work else ():
            if t in peaks:
                reached = work / statistics.median(ms) / 1e6
                lines.append(f"| {name} {shape} | {t} | {peaks[t]:.0f} | {reached:.0f} | {reached / peaks[t]:.2f} |")
    results.write("kernels", "\n".join(lines))


main()
