"""Golden values of `logitscope score --kind probs`: shares of votes, counted by fractions, so that what is on an edge of a bin is on it.

usage: python3 tools/oracle/votes.py | gzip -n9 > analysis/testdata/votes.json.gz
"""
import json
import math
from fractions import Fraction

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

rng = np.random.default_rng(11)


def bin_of(p, bins):
    """(a, b], and 0 in the first."""
    return max(math.ceil(p * bins) - 1, 0)


def gaps(p, right, bins):
    sums = {}
    for share, hit in zip(p, right):
        s = sums.setdefault(bin_of(share, bins), [0, 0])
        s[0] += 1
        s[1] += share - hit
    return {i: (n, abs(total)) for i, (n, total) in sums.items()}


def ece(p, right, bins):
    return sum(gap for _, gap in gaps(p, right, bins).values()) / len(p)


def adaptive(p, right, bins):
    n, of = len(p), {}
    for share, hit in zip(p, right):
        of.setdefault(share, []).append(Fraction(hit))
    off = [share - sum(of[share]) / len(of[share]) for share in sorted(p)]
    return sum(abs(sum(off[i * n // bins:(i + 1) * n // bins], Fraction(0))) for i in range(bins)) / n


def case(votes, k, n, bins):
    counts = np.array([rng.multinomial(votes, rng.dirichlet(np.ones(k) / 2)) for _ in range(n)])
    y = [int(rng.choice(k, p=row / votes)) if rng.random() < 0.7 else int(rng.integers(k)) for row in counts]
    p = [[Fraction(int(c), votes) for c in row] for row in counts]
    top = [max(row) for row in p]
    predicted = [row.index(max(row)) for row in p]
    right = [int(a == b) for a, b in zip(predicted, y)]
    all_gaps = gaps(top, right, bins)
    present = [j for j in range(k) if 0 < y.count(j) < n]
    shares = counts / votes
    expected = {
        "accuracy": sum(right) / n, "ece": ece(top, right, bins), "mce": max(gap / m for m, gap in all_gaps.values()),
        "ece_classwise": sum(ece([row[j] for row in p], [int(t == j) for t in y], bins) for j in range(k)) / k,
        "ece_adaptive": adaptive(top, right, bins), "brier": sum(sum((row[j] - (j == t)) ** 2 for j in range(k)) for row, t in zip(p, y)) / n,
    }
    if present:
        expected["roc_auc"] = np.mean([roc_auc_score(np.array(y) == j, shares[:, j]) for j in present])
        expected["average_precision"] = np.mean([average_precision_score(np.array(y) == j, shares[:, j]) for j in present])
    return {
        "votes": votes, "k": k, "bins": bins, "counts": counts.flatten().tolist(), "labels": y,
        "in_bins": [all_gaps.get(i, (0, 0))[0] for i in range(bins)], "expected": {name: float(v) for name, v in expected.items()},
    }


every = [2, 3, 5, 6, 7, 9, 10, 12, 15, 20, 25, 30, 49, 60, 100]
print(json.dumps({"cases": [case(n, 2 + n % 3, 40, every[(i + 7 * n) % len(every)]) for n in range(1, 31) for i in range(3)]}))
