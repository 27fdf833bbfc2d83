"""Right values of what `logitscope score` and `calibrate` say of the arrays in internal/cli/testdata/figures, by scikit-learn, SciPy and
fractions in float64. The values are in internal/cli/figures_test.go.

usage: python3 tools/oracle/figures.py
"""
import pathlib
from fractions import Fraction

import numpy as np
from scipy.special import logsumexp
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score, roc_auc_score

DIR = pathlib.Path(__file__).parents[2] / "internal/cli/testdata/figures"


def load(name):
    return np.load(DIR / f"{name}.npy").astype(np.float64), np.load(DIR / f"{name}_y.npy").astype(int)


def ranked(scores, y):
    """AUC and AP, each class against the rest."""
    columns = [(scores[:, j], y == j) for j in range(scores.shape[1])]
    return np.mean([roc_auc_score(t, s) for s, t in columns]), np.mean([average_precision_score(t, s) for s, t in columns])


for name in ("min", "sat40"):
    z, y = load(name)
    print(name, ranked(np.stack([-z, z], 1), y))
z, y = load("K100")
others = [logsumexp(np.delete(z, j, 1), axis=1) for j in range(z.shape[1])]
print("K100", ranked(z - np.stack(others, 1), y))

z, y = load("o1e+07")
print("o1e+07", (logsumexp(z - z.max(1, keepdims=True), axis=1) + z.max(1) - z[np.arange(len(y)), y]).mean(), (z.argmax(1) == y).mean())

p, y = load("rf1")
print("rf1: accuracy, Brier of both classes, AUC", ((p > 0.5) == y).mean(), 2 * ((p - y) ** 2).mean(), roc_auc_score(y, p))
p, y = load("p10")
p = p / p.sum(1, keepdims=True)
print("p10", (p.argmax(1) == y).mean(), ((p - np.eye(4)[y]) ** 2).sum(1).mean())

p, y = load("knn_wine_10")
shares, bins = [[Fraction(v).limit_denominator(10) for v in row] for row in p], {}
for row, label in zip(shares, y):
    b = bins.setdefault(-(-max(row) * 10 // 1), [0, 0])
    b[0] += 1
    b[1] += max(row) - (row.index(max(row)) == label)
print("knn_wine_10: ECE, MCE", float(sum(abs(off) for _, off in bins.values()) / len(y)), float(max(abs(off) / n for n, off in bins.values())))

for name in ("pos", "neg", "p"):
    z, y = load(name)
    if name == "p":
        with np.errstate(divide="ignore"):
            z = np.clip(np.log(z[:, 1]) - np.log(z[:, 0]), -50, 50)
    edge = 1 / (len(y) + 2)
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(z, y).predict(z)
    print(name, "isotonic NLL", -np.log(np.where(y == 1, fitted, 1 - fitted)).mean())
