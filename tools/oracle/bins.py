"""Golden values for nn's Bins: edges and encoded features by NumPy in float64.

usage: python3 tools/oracle/bins.py > nn/testdata/numpy_bins.json

Features are numbers at random, whole numbers of few values, a column that is one value, and one of two; the second table lies beyond the
edges of the first, too. A bin's place is standardised by the mean and the deviation of (how far a row is into bin i of n) over rows
spread evenly over all bins, found here by 10⁶ such rows.
"""
import json
import sys

import numpy as np

rng = np.random.RandomState(1)
N = 40


def table(wide):
    return np.c_[rng.normal(size=N) * wide, rng.randint(6, size=N) * wide, np.full(N, 2.0), rng.randint(2, size=N)]


cases = []
for bins in (1, 4, 7):
    fitted, x = table(1), table(2)
    edges = np.quantile(fitted, np.linspace(0, 1, bins + 1), axis=0).T
    rows = (np.arange(10**6) + .5) / 10**6 * bins
    encoded = []
    for column, e in zip(x.T, edges):
        real = np.flatnonzero(np.diff(e) > 0)
        for i in range(bins):
            if i not in real:
                encoded.append(np.zeros(N))
                continue
            place = (column - e[i]) / (e[i + 1] - e[i])
            place = np.clip(place, -np.inf if i == real[0] else 0, np.inf if i == real[-1] else 1)
            even = np.clip(rows - i, 0, 1)
            encoded.append((place - even.mean()) / even.std())
    cases.append({"bins": bins, "fitted": fitted.ravel().tolist(), "x": x.ravel().tolist(), "edges": edges.ravel().tolist(),
                  "encoded": np.array(encoded).T.ravel().tolist()})
json.dump({"inputs": 4, "cases": cases}, sys.stdout)
print()
