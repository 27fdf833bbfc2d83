#!/usr/bin/env python3
"""logitscope push of 8 clients on loopback against writing the same bytes to the same disk, each file synced, in turn; and the same to memory (/dev/shm).

usage: bench/push.py [ROUNDS [MB]]   (after make build, by a Python that has NumPy; MB is of each client's run)
"""
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import results

CLIENTS = 8
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
MB = int(sys.argv[2]) if len(sys.argv) > 2 else 128
TOKEN = secrets.token_hex(16)
QUIET = {"stdout": subprocess.DEVNULL, "check": True}


def make(run, epochs, rows, columns):
    """A run of so many epochs of rows × columns float32."""
    z = np.random.default_rng(0).standard_normal((epochs, rows, columns), dtype=np.float32)
    np.save(run + ".npy", z)
    subprocess.run([results.BINARY, "import", run + ".npy", "--out", run], **QUIET)
    os.remove(run + ".npy")


def sizes(run):
    return [os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(run) for name in names]


def pushed(runs, folder):
    """Seconds of all clients together, until the last has ended; the server's start is not counted."""
    environment = dict(os.environ, LOGITSCOPE_TOKEN=TOKEN)
    server = subprocess.Popen([results.BINARY, "view", folder, "--accept", "--addr", "127.0.0.1:0"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().split()[-1].rstrip("/")
        began = time.perf_counter()
        clients = [subprocess.Popen([results.BINARY, "push", run, url], env=environment, stdout=subprocess.DEVNULL) for run in runs]
        codes = [c.wait() for c in clients]
        took = time.perf_counter() - began
        assert not any(codes), codes
        return took
    finally:
        server.terminate()
        server.wait()


def written(runs, folder):
    """Seconds of as many threads that write files of the same sizes, and sync each."""
    block = os.urandom(1 << 20)

    def write(at, all_sizes):
        os.mkdir(at)
        for i, size in enumerate(all_sizes):
            with open(os.path.join(at, str(i)), "wb", buffering=0) as file:
                while size > 0:
                    size -= file.write(block[:size])
                os.fsync(file.fileno())

    threads = [threading.Thread(target=write, args=(os.path.join(folder, str(i)), sizes(run))) for i, run in enumerate(runs)]
    began = time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.perf_counter() - began


def measure(how, runs, parent):
    folder = tempfile.mkdtemp(dir=parent)
    results.warm(folder, 1.5 * sum(sum(sizes(run)) for run in runs))
    try:
        return how(runs, folder)
    finally:
        shutil.rmtree(folder)


def main():
    lines = [
        "## push\n", f"{CLIENTS} clients (`logitscope push`) at once to one server (`view --accept`) on loopback, everything verified and synced, against {CLIENTS} threads that write files of the",
        f"same sizes and sync each, in turn; {results.machine()}; medians of {ROUNDS} rounds. In memory (/dev/shm) nothing waits for a disk. Before each, as much memory is used and freed as either takes. `python3 bench/push.py`\n",
        "| to | each run | push | writing alone | share |\n| --- | --- | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as here:
        for what, epochs, rows, columns in (f"8 epochs, {MB} MB", 8, MB * 1000000 // 8 // 4 // 1000, 1000), ("40 epochs of 40 kB", 40, 1000, 10):
            runs = [os.path.join(here, f"{epochs}-{i}") for i in range(CLIENTS)]
            for run in runs:
                make(run, epochs, rows, columns)
            total = sum(sum(sizes(run)) for run in runs)
            for to, parent in ("disk", here), ("memory", "/dev/shm"):
                times = {pushed: [], written: []}
                for _ in range(ROUNDS):
                    for how, took in times.items():
                        took.append(measure(how, runs, parent))
                a, b = statistics.median(times[pushed]), statistics.median(times[written])
                share = statistics.median(y / x for x, y in zip(times[pushed], times[written]))
                lines.append(f"| {to} | {what} | {a:.2f} s, {total / a / 1e6:.0f} MB/s | {b:.2f} s, {total / b / 1e6:.0f} MB/s | {share:.2f} |")
            for run in runs:
                shutil.rmtree(run)
    results.write("push", "\n".join(lines))


main()
