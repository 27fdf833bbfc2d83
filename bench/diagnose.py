"""diagnose on a run of 50,000 samples, 100 classes and 100 epochs (2 GB), its files out of the page cache and in it."""
import glob
import os
import statistics
import subprocess
import tempfile
import time

import results


def forget(folder):
    """Asks the system to drop the run's files from its page cache."""
    os.sync()
    for path in glob.glob(folder + "/**/*", recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(run):
    start = time.perf_counter()
    subprocess.run([results.BINARY, "diagnose", run], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


with tempfile.TemporaryDirectory() as folder:
    run = os.path.join(folder, "big")
    subprocess.run(["go", "test", "./analysis", "-run", "^TestPlantBig$", "-count=1", "-args", "-plant", run], cwd=results.ROOT, check=True)
    cold, warm = [], []
    for _ in range(3):
        forget(run)
        cold.append(seconds(run))
        warm.append(seconds(run))
results.write("diagnose", f"""## diagnose on 2 GB

50,000 samples × 100 classes × 100 epochs, {results.machine()}. `python3 bench/diagnose.py`

| files | median of 3 | min | max |
|---|---|---|---|
| not in the page cache | {statistics.median(cold):.2f} s | {min(cold):.2f} s | {max(cold):.2f} s |
| in it | {statistics.median(warm):.2f} s | {min(warm):.2f} s | {max(warm):.2f} s |""")
