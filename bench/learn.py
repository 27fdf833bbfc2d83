"""Learn in a real browser: bytes over the wire of each step, a drag at 1,000 classes, epochs a second of the network in the page.

usage: python3 bench/learn.py
"""
import json
import os
import subprocess
import tempfile

import results

load = os.getloadavg()[0]
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "learn.json")
    subprocess.run(["go", "test", "-count=1", "-run", "^TestLearnBench$", "."], cwd=os.path.join(results.ROOT, "e2e"),
                   env=dict(os.environ, LOGITSCOPE_LEARN_BENCH=path, LOGITSCOPE_BIN=results.BINARY), check=True)
    with open(path, encoding="utf-8") as text:
        measured = json.load(text)

lines = ["## Learn", "", results.machine() + "; headless Chromium at 1440 pixels; " f"{load:.1f} other processes wanted a processor (load average) when it began.", "",
         "Bytes over the wire, compressed, each step after the ones before it; a drag with 1,000 classes from the pointer's event until all is computed and laid out.", "",
         "| step | kB | drag, median | drag, slowest of 60 |", "| --- | ---: | ---: | ---: |"]
for step in "logit binary softmax temperature pick log nll cross-entropy gradient training".split():
    size = measured["bytes"][step]
    drag = [f"{measured[k][step]:.1f} ms" if step in measured[k] else "" for k in ("drag", "worst")]
    lines.append(f"| {step} | {size / 1000:.1f} | {drag[0]} | {drag[1]} |")
lines += ["", f"The network in the page, 300 points and two layers of 32 units, trains at {measured['epochs']:.0f} epochs a second, with all that is drawn of them."]
results.write("learn", "\n".join(lines))
