"""Golden values for summary: scores and histograms of logits, by PyTorch, scikit-learn and NumPy in float64.

usage: python3 tools/oracle/summary.py > summary/testdata/sklearn.json
"""
import json

import numpy as np
import sklearn
import sklearn.metrics
import torch


def histogram(values, edges):
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
    return {"n": len(values), "mean": float(np.mean(values)), "counts": counts.tolist()}


def pair(values, labels, edges):
    true = np.zeros(values.shape, bool)
    true[np.arange(len(labels)), labels] = True
    return {"edges": list(edges), "true": histogram(values[true], edges), "other": histogram(values[~true], edges)}


def case(name, logits, labels):
    logits = np.asarray(logits, np.float32)
    z = logits.astype(np.float64)
    if z.shape[1] == 1:  # the logit of class 1 against 0
        z = np.hstack([np.zeros_like(z), z])
    k = z.shape[1]
    log_p = torch.log_softmax(torch.from_numpy(z), 1).numpy()
    p = torch.softmax(torch.from_numpy(z), 1).numpy()
    rows = np.arange(len(labels))
    return {
        "name": name, "columns": logits.shape[1], "logits": logits.flatten().tolist(), "labels": labels.tolist(),
        "nll": float(-log_p[rows, labels].mean()),
        "log_loss": float(sklearn.metrics.log_loss(labels, p, labels=list(range(k)), eps=1e-300)),
        "accuracy": float(sklearn.metrics.accuracy_score(labels, z.argmax(1))),
        "p_true": float(p[rows, labels].mean()), "z_true": float(z[rows, labels].mean()),
        "log_p_true": float(log_p[rows, labels].mean()),
        "histograms": {
            "z": pair(z, labels, np.linspace(np.floor(z.min()), np.ceil(z.max()), 33)),
            "p": pair(p, labels, np.linspace(0, 1, 51)),
            "log_p": pair(log_p, labels, np.linspace(np.floor(log_p.min()), 0, 33)),
            "nll": pair(-log_p, labels, np.linspace(0, np.ceil(-log_p.min()), 33)),
        },
    }


rng = np.random.default_rng(1)


def random(name, n, k, scale):
    return case(name, rng.normal(0, scale, (n, k)), rng.integers(0, max(k, 2), n))


print(json.dumps({
    "versions": {"torch": torch.__version__, "sklearn": sklearn.__version__, "numpy": np.__version__},
    "cases": [
        random("ten classes", 60, 10, 3), random("two classes", 40, 2, 1), random("three confident classes", 40, 3, 40),
        random("binary", 50, 1, 4),
    ],
}))
