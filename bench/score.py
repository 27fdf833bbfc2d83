#!/usr/bin/env python3
"""Every figure of `logitscope score` against the same by scikit-learn and NumPy, from .npy files, in turn.

usage: bench/score.py [ROUNDS]   (after make build, by a Python that has scikit-learn)
Ours is the whole process; of the peer, the imports are not counted.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import results
import scipy.special
import sklearn.metrics as skm

BINS = 15
EDGES = np.arange(BINS + 1) / BINS


def ece(p, right):
    place = np.clip(np.ceil(p * BINS).astype(int) - 1, 0, BINS - 1)
    n, hits, sums = (np.bincount(place, w, BINS) for w in (None, right, p))
    gaps = np.abs(hits - sums)
    return gaps.sum() / len(p), np.max(gaps[n > 0] / n[n > 0])


def peer(logits, labels):
    z, y = np.load(logits).astype(np.float64), np.load(labels)
    n, k = z.shape
    rows, classes = np.arange(n), range(k)
    log_p = scipy.special.log_softmax(z, axis=1)
    p = np.exp(log_p)
    predicted, confidence = p.argmax(1), p.max(1)
    right = predicted == y
    order = np.argsort(confidence)
    adaptive = sum(abs((confidence - right)[part].sum()) for part in np.split(order, np.arange(1, BINS) * n // BINS)) / n
    e, m = ece(confidence, right)
    others = z.copy()
    others[rows, y] = -np.inf
    figures = {
        "nll": -log_p[rows, y].mean(), "accuracy": right.mean(), "top5": skm.top_k_accuracy_score(y, p, k=5, labels=classes),
        "brier": (p * p).sum(1).mean() - 2 * p[rows, y].mean() + 1, "entropy": scipy.special.entr(p).sum(1).mean(), "p_true": p[rows, y].mean(),
        "lse": scipy.special.logsumexp(z, axis=1).mean(), "margin": (z[rows, y] - others.max(1)).mean(),
        "f1_macro": skm.f1_score(y, predicted, average="macro"), "f1_weighted": skm.f1_score(y, predicted, average="weighted"),
        "balanced_accuracy": skm.balanced_accuracy_score(y, predicted), "mcc": skm.matthews_corrcoef(y, predicted),
        "ece": e, "mce": m, "ece_adaptive": adaptive, "ece_classwise": np.mean([ece(p[:, j], y == j)[0] for j in classes]),
    }
    skm.confusion_matrix(y, predicted, labels=classes)
    figures["roc_auc"] = np.mean([skm.roc_auc_score(y == j, p[:, j]) for j in classes])
    figures["average_precision"] = np.mean([skm.average_precision_score(y == j, p[:, j]) for j in classes])
    return figures


def ours(logits, labels):
    out = subprocess.run([results.BINARY, "score", "--logits", logits, "--labels", labels, "--json"], check=True, capture_output=True)
    return json.loads(out.stdout)


def seconds(call, *args):
    began = time.perf_counter()
    value = call(*args)
    return time.perf_counter() - began, value


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    lines = [
        "## score\n", f"Every figure of `score` from .npy files on {results.machine()}; medians of {rounds} rounds. Ours is the whole process, the",
        "peer is scikit-learn and NumPy without their imports; the largest difference of a figure is beside.\n",
        "| logits | logitscope | scikit-learn, NumPy | times as fast | difference |\n| --- | ---: | ---: | ---: | ---: |",
    ]
    rng = np.random.default_rng(0)
    for n, k in (1_000_000, 10), (50_000, 1000):
        with tempfile.TemporaryDirectory() as folder:
            logits, labels = os.path.join(folder, "z.npy"), os.path.join(folder, "y.npy")
            y = rng.integers(0, k, n)
            z = rng.standard_normal((n, k), dtype=np.float32) * 2
            z[np.arange(n), y] += 4
            np.save(logits, z)
            np.save(labels, y)
            own, theirs = [], []
            for _ in range(rounds):
                t, mine = seconds(ours, logits, labels)
                own.append(t)
                t, other = seconds(peer, logits, labels)
                theirs.append(t)
            difference = max(abs(mine[name] - v) for name, v in other.items())
        a, b = statistics.median(own), statistics.median(theirs)
        lines.append(f"| {n:,} × {k} | {a:.3f} s | {b:.2f} s | {b / a:.1f} | {difference:.1e} |")
    results.write("score", "\n".join(lines))


main()
