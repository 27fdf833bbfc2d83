"""What the scripts of this folder share: each measures one thing and puts a section of its own into RESULTS.md.

    results.write("digits", markdown)   replaces what is between <!-- digits --> and <!-- /digits -->, or appends it
"""
import datetime
import os
import platform
import re
import statistics
import subprocess

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(FOLDER)
BINARY = os.path.join(ROOT, "bin/logitscope")


def machine():
    """Processor, cores, kernel, date and commit, in a line."""
    cpu = platform.processor()
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return f"{os.cpu_count()} cores of {cpu}, Linux {platform.release()}, {datetime.date.today()}, commit {commit}"


def environment(threads, **more):
    """A peer's environment at so many threads, which wait without spinning."""
    t = str(threads)
    return dict(os.environ, OMP_NUM_THREADS=t, OPENBLAS_NUM_THREADS=t, MKL_NUM_THREADS=t, OMP_WAIT_POLICY="passive", **more)


def timings(times):
    """A table of each program's seconds, and how logitscope's median compares with the best of the others."""
    medians = {name: statistics.median(t) for name, t in times.items()}
    lines = ["| | median | min | max |\n| --- | ---: | ---: | ---: |"]
    lines += [f"| {name} | {medians[name]:.3f} s | {min(t):.3f} s | {max(t):.3f} s |" for name, t in times.items()]
    best = min(v for name, v in medians.items() if name != "logitscope")
    lines.append(f"\nlogitscope takes {medians['logitscope'] / best:.3f} of PyTorch's best: {best / medians['logitscope']:.1f} times as fast.")
    return lines


def warm(folder, size):
    """Uses so many bytes of the page cache and frees them: a virtual machine that has given memory back to its host waits for it when it is used
    again, and whatever is measured next should not be the one that waits."""
    block = bytes(1 << 20)
    path = os.path.join(folder, "warm")
    with open(path, "wb", buffering=0) as file:
        for _ in range(int(size) >> 20):
            file.write(block)
    os.remove(path)


def write(section, markdown):
    path = os.path.join(FOLDER, "RESULTS.md")
    text = open(path, encoding="utf-8").read() if os.path.exists(path) else "# Measurements\n"
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    block = f"{begin}\n{markdown.strip()}\n{end}"
    if begin in text:
        text = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: block, text, flags=re.S)
    else:
        text = text.rstrip() + "\n\n" + block + "\n"
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    print(markdown)
