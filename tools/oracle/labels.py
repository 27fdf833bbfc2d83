"""Golden values for dynamics: training dynamics by NumPy, the ranking of wrong labels by NumPy and scikit-learn, in float64.

usage: python3 tools/oracle/labels.py > dynamics/testdata/labels.json
"""
import json

import numpy as np
import sklearn
from scipy.special import log_softmax, softmax
from sklearn.metrics import average_precision_score

KEPT = 16


def case(name, n, k, epochs, rng):
    clean = rng.integers(0, k, n)
    wrong = rng.random(n) < 0.25
    labels = np.where(wrong, (clean + rng.integers(1, k, n)) % k, clean)
    val_labels = rng.integers(0, k, n)
    rows = np.arange(n)
    train, val = [], []
    for e in range(1, epochs + 1):
        z = rng.normal(0, 1.0, (n, k))
        z[rows, clean] += 2.0
        z[rows, labels] += 4.0 * e / epochs  # learned by heart as training goes on
        train.append(z)
        z = rng.normal(0, 1.0 + abs(e - 3), (n, k))
        z[rows, val_labels] += 2.0
        val.append(z)
    train, val = np.array(train), np.array(val)
    return {"name": name, "classes": k, "labels": labels.tolist(), "clean": clean.tolist(), "val_labels": val_labels.tolist(),
            "train": train.reshape(epochs, -1).round(2).tolist(), "val": val.reshape(epochs, -1).round(2).tolist()}


def solve(c):
    k, y, clean = c["classes"], np.array(c["labels"]), np.array(c["clean"])
    n, rows = len(y), np.arange(len(y))
    z = np.float32(c["train"]).astype(np.float64).reshape(-1, n, k)
    v = np.float32(c["val"]).astype(np.float64).reshape(-1, n, k)
    early = int((-log_softmax(v, 2)[:, rows, c["val_labels"]]).mean(1).argmin()) + 1
    p = softmax(z, 2)
    own, right = p[:, rows, y], z.argmax(2) == y
    others = z.copy()
    others[:, rows, y] = -np.inf
    onehot = np.eye(k)[y]
    learned = np.full(n, -1)
    for i in rows:
        if right[-1, i]:
            after = np.flatnonzero(~right[:, i])
            learned[i] = (after[-1] + 2) if len(after) else 1
    mean = p[:early].mean(0)
    # Only the likeliest classes are kept, the label among them.
    order = np.argsort(-mean, 1, kind="stable")[:, :KEPT]
    missing = ~(order == y[:, None]).any(1)
    order[missing, -1] = y[missing]
    kept = np.zeros((n, k), bool)
    np.put_along_axis(kept, order, True, 1)
    # The confident joint of Northcutt et al. 2021.
    threshold = np.array([mean[y == j, j].mean() if (y == j).any() else np.inf for j in range(k)])
    confident = np.where(kept & (mean >= threshold), mean, -1)
    joint = np.zeros((k, k))
    for i in rows:
        if confident[i].max() >= 0:
            joint[y[i], confident[i].argmax()] += 1
    counted = joint / np.maximum(joint.sum(1, keepdims=True), 1) * np.bincount(y, minlength=k)[:, None]
    joint += 1
    joint *= (np.bincount(y, minlength=k) / joint.sum(1))[:, None]
    noise = joint / joint.sum(0)  # [label, class]
    posterior = np.where(kept, mean * noise[y], 0)
    posterior /= posterior.sum(1, keepdims=True)
    other = posterior.copy()
    other[rows, y] = -1
    other[~kept] = -1
    score = other.max(1) - posterior[rows, y]
    return {
        "early": early, "confidence": own.mean(0).tolist(), "variability": own.std(0).tolist(), "correctness": right.mean(0).tolist(),
        "forgotten": (right[:-1] & ~right[1:]).sum(0).tolist(), "learned": learned.tolist(),
        "aum": (z[:, rows, y] - others.max(2)).mean(0).tolist(),
        "el2n": np.linalg.norm(p - onehot, axis=2)[:early].mean(0).tolist(),
        "score": score.tolist(), "likelier": other.argmax(1).tolist(), "expected": float(counted.sum() - np.trace(counted)), "flagged": int((mean.argmax(1) != y).sum()),
        "average_precision": average_precision_score(clean != y, score),
        "by_confidence": average_precision_score(clean != y, -own.mean(0)),
    }


rng = np.random.default_rng(5)
cases = [case("three classes", 50, 3, 6, rng), case("two classes", 40, 2, 4, rng), case("twenty classes", 60, 20, 5, rng)]
for c in cases:
    c.update(solve(c))
ties = {"score": [3, 1, 2, 2, 2, 0, 1, 1], "positive": [0, 1, 1, 0, 1, 0, 0, 1]}
ties["average_precision"] = average_precision_score(ties["positive"], ties["score"])
print(json.dumps({"versions": {"numpy": np.__version__, "sklearn": sklearn.__version__}, "cases": cases, "ties": ties}, separators=(",", ":")))
