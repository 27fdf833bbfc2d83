#!/usr/bin/env python3
"""How well wrong labels are found: planted in the digits, uniform and class-dependent, with and without folds.

usage: bench/labels.py [SEEDS]   (after make build)
writes the section labels of RESULTS.md: average precision, the mean over the seeds; exits 1 where ranking by the mean confidence is better
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

import results

SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
NETWORKS = {
    "400 digits, 64-256-256-10": ["--train-size", "400", "--hidden", "256,256", "--batch", "16"],
    "1437 digits, 64-64-10": ["--hidden", "64", "--batch", "32"],
}


def logitscope(*args):
    done = subprocess.run([results.BINARY, *args], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.stdout


def truth(run):
    return json.loads(logitscope("labels", run, "--json", "--top", "1"))["truth"]


def measure(folder, network, kind, noise, seed):
    run = os.path.join(folder, "run")
    logitscope("train", "--quiet", "--data", "digits", "--epochs", "45", "--seed", str(seed), "--label-noise", str(noise / 100),
               "--label-noise-kind", kind, "--folds", "5", "--out", run, *network)
    folds = truth(run)
    os.rename(os.path.join(run, "folds"), os.path.join(folder, "folds"))
    alone = truth(run)
    subprocess.run(["rm", "-r", run, os.path.join(folder, "folds")], check=True)
    return alone["by_confidence"], alone["average_precision"], folds["average_precision"], alone["precision"] or 0, alone["recall"]


rows, worse = [], []
for name, network in NETWORKS.items():
    for kind in ("uniform", "confused"):
        for noise in (5, 10, 20, 30):
            with tempfile.TemporaryDirectory() as folder:
                runs = [measure(folder, network, kind, noise, seed) for seed in range(1, SEEDS + 1)]
            confidence, alone, folds, precision, recall = (statistics.mean(column) for column in zip(*runs))
            better = sum(run[1] > run[0] for run in runs)
            rows.append(f"| {name} | {kind} | {noise} % | {confidence:.4f} | {alone:.4f} | {folds:.4f} | {better} of {SEEDS} | {precision:.2f} | {recall:.2f} |")
            if alone < confidence or folds < confidence:
                worse.append(rows[-1])

results.write("labels", f"""## Wrong labels

Average precision of the ranking of wrong labels planted in the digits, the mean of {SEEDS} seeds each, 45 epochs by Adam. Uniform noise names
any other class, confused noise the one that a class is mistaken for. By the mean confidence: the mean p of the label over all epochs.
`labels`: as it ranks from one run, and with the 5 folds of `train --folds 5`. Precision and recall are those of the samples it flags: as
many as exceed validation's own rate, none flagged counting as a precision of 0.
{results.machine()}.

| data and network | noise | share | mean confidence | `labels` | with folds | `labels` better | precision | recall |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
""" + "\n".join(rows))
if worse:
    sys.exit("the mean confidence ranks better:\n" + "\n".join(worse))
