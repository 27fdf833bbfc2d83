"""Golden values of `logitscope score`: by scikit-learn and PyTorch in float64 where they have the figure, else by NumPy from
the definition in docs/metrics.md.

usage: python3 tools/oracle/metrics.py | gzip -n9 > analysis/testdata/metrics.json.gz
"""
import json
import math
import warnings

import numpy as np
import scipy.special
import sklearn
import sklearn.metrics as skm
import torch

warnings.simplefilter("ignore")
BINS = 15


def gaps(p, right, edges):
    """[(rows, |mean p − share right|, share right)] of the bins (low, high], the first closed."""
    for i in range(len(edges) - 1):
        inside = (p > edges[i]) & (p <= edges[i + 1])
        if i == 0:
            inside |= p == 0
        if inside.any():
            yield inside.sum(), abs(p[inside].mean() - right[inside].mean()), right[inside].mean()


def ece(p, right, bins):
    return sum(n * gap for n, gap, _ in gaps(p, right, np.arange(bins + 1) / bins)) / len(p)


def debiased(p, right, bins):
    total = 0
    for n, gap, share in gaps(p, right, np.arange(bins + 1) / bins):
        sd = np.sqrt(share * (1 - share) / n)
        # The mean of |N(gap, sd)|, by quadrature.
        expected = gap
        if sd > 0:
            x = np.linspace(gap - 12 * sd, gap + 12 * sd, 400_001)
            expected = np.trapz(np.abs(x) * np.exp(-(((x - gap) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi)), x)
        total += n * (gap - (expected - gap))
    return max(total, 0) / len(p)


def adaptive(p, right, bins):
    right = right.astype(float)
    for value in np.unique(p):
        right[p == value] = right[p == value].mean()
    order = np.argsort(p, kind="stable")
    p, right, n = p[order], right[order], len(p)
    return sum(abs((p - right)[i * n // bins : (i + 1) * n // bins].sum()) for i in range(bins)) / n


def log_odds(z, temperature):
    """z_j less the LSE of the others, which no p near 1 hides; of two classes their difference, whatever the temperature. The same
    logits in another order have the same sums."""
    if z.shape[1] == 2:
        d = z[:, 1] - z[:, 0]
        return np.stack([-d, d], 1)
    out = np.empty_like(z)
    for i, row in enumerate(z / temperature):
        for j, v in enumerate(row):
            others = np.delete(row, j)
            top = others.max()
            out[i, j] = v - top - math.log(math.fsum(np.exp(others - top)))
    return out


def case(name, logits, labels, temperature=1.0, bins=BINS):
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels)
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    scaled = torch.from_numpy(z / temperature)
    k, rows = z.shape[1], np.arange(len(labels))
    # torch.softmax's, but for the rounding of the sum: with it, p that are equal are so whatever the order of the classes,
    # and ties are ties for scikit-learn too.
    e = np.exp(scaled.numpy() - scaled.numpy().max(1, keepdims=True))
    p = e / np.array([[math.fsum(row)] for row in e])
    assert np.allclose(p, torch.softmax(scaled, 1).numpy(), rtol=1e-13, atol=0)
    predicted = z.argmax(1)
    confidence, right = p.max(1), predicted == labels
    one_hot = np.eye(k)[labels]
    present = [j for j in range(k) if 0 < (labels == j).sum() < len(labels)]
    classwise = np.mean([ece(p[:, j], labels == j, bins) for j in range(k)])
    others = z.copy()
    others[rows, labels] = -np.inf
    expected = {
        "n": len(labels), "classes": k,
        "nll": float(torch.nn.functional.cross_entropy(scaled, torch.from_numpy(labels))),
        "accuracy": skm.accuracy_score(labels, predicted),
        "brier": np.mean(((p - one_hot) ** 2).sum(1)),
        "entropy": np.mean(scipy.special.entr(p).sum(1)), "p_true": p[rows, labels].mean(),
        "confidence": confidence.mean(), "z_true": z[rows, labels].mean(), "largest_logit": z.max(1).mean(),
        "lse": scipy.special.logsumexp(scaled.numpy(), axis=1).mean(),
        "margin": (z[rows, labels] - others.max(1)).mean(),
        "f1_macro": skm.f1_score(labels, predicted, average="macro"),
        "f1_weighted": skm.f1_score(labels, predicted, average="weighted"),
        "balanced_accuracy": skm.balanced_accuracy_score(labels, predicted),
        "mcc": skm.matthews_corrcoef(labels, predicted),
        "confusion": skm.confusion_matrix(labels, predicted, labels=range(k)).tolist(),
        "ece": ece(confidence, right, bins), "ece_debiased": debiased(confidence, right, bins),
        "mce": max(gap for _, gap, _ in gaps(confidence, right, np.arange(bins + 1) / bins)),
        "ece_adaptive": adaptive(confidence, right, bins), "ece_classwise": classwise,
    }
    expected["perplexity"] = np.exp(expected["nll"])
    # argsort takes the lower class first on a tie, as argmax does.
    expected["top5"] = np.mean([y in order[:5] for y, order in zip(labels, np.argsort(-z, 1, kind="stable"))])
    ties = any(len(np.unique(row)) < k for row in z)
    if k > 5 and not ties:
        assert expected["top5"] == skm.top_k_accuracy_score(labels, p, k=5, labels=range(k))
    odds = log_odds(z, temperature)
    if present:
        expected["roc_auc"] = np.mean([skm.roc_auc_score(labels == j, odds[:, j]) for j in present])
        expected["average_precision"] = np.mean([skm.average_precision_score(labels == j, odds[:, j]) for j in present])
    if len(present) == k > 2 and confidence.max() < 1:
        assert np.isclose(expected["roc_auc"], skm.roc_auc_score(labels, p, multi_class="ovr", labels=range(k)))
    return {
        "name": name, "columns": logits.shape[1], "logits": [float(str(v)) for v in logits.flatten()], "labels": labels.tolist(),
        "temperature": temperature, "bins": bins, "expected": {key: v if isinstance(v, (int, list)) else float(v) for key, v in expected.items()},
    }


rng = np.random.default_rng(5)


def random(name, n, k, scale, signal=0.0, decimals=5, present=None, **options):
    labels = rng.integers(0, present or max(k, 2), n)
    z = rng.normal(0, scale, (n, k))
    if k > 1:
        z[np.arange(n), labels] += signal
    else:
        z[:, 0] += signal * (2 * labels - 1)
    return case(name, z.round(decimals), labels, **options)


cases = [
    random("ten classes", 200, 10, 2, 2), random("three classes", 100, 3, 1, 1), random("a hundred classes", 120, 100, 1, 4, decimals=3),
    random("two classes", 80, 2, 1, 1), random("one logit", 80, 1, 1, 1), random("one logit, confident", 60, 1, 20, 10),
    random("ties", 120, 5, 1, 1, decimals=0), random("ties of two", 90, 2, 0.7, decimals=0), random("ties of one logit", 90, 1, 0.7, decimals=0),
    random("nothing but ties", 50, 4, 0), random("one logit of 0", 50, 1, 0),
    random("absent classes", 90, 12, 1, 1, present=4), random("one class absent", 60, 3, 1, 1, present=2),
    random("one class alone", 40, 3, 1, 0.5, present=1), random("one class alone, one logit", 40, 1, 1, 0.5, present=1),
    random("confidence 1", 60, 4, 300), random("confidence 1 and right", 60, 4, 1, 1000), random("confident", 100, 6, 12, 10, decimals=2),
    random("cold", 100, 6, 2, 1, temperature=0.25), random("hot", 100, 6, 2, 1, temperature=7.5), random("ten bins", 100, 4, 1, 1, bins=10),
    random("one bin", 50, 4, 1, 1, bins=1), random("a sample", 1, 5, 1), random("two samples", 2, 3, 1), random("one logit, a sample", 1, 1, 1),
    # p = 1/2 and 1/4 lie on edges of bins: closed on the right.
    case("on edges", np.array([[np.log(3), 0], [0, 0], [0, np.log(3)], [0, 0]]), np.array([0, 1, 0, 0]), bins=4),
    # torchmetrics#3510, #1646, #1744: confidences of exactly 1 and 0.
    case("exactly 1 and 0", np.array([[1000, 0], [0, 1000], [1000, 0], [-1000, 0]]), np.array([0, 0, 1, 1])),
    case("one logit, exactly 1 and 0", np.array([[1000], [-1000], [1000], [-1000]]), np.array([1, 0, 0, 1])),
    # torchmetrics#1105, #2519: the accuracy of two classes is the share of rows that are right, not the mean over classes.
    case("accuracy of two classes", np.array([[2, 1], [2, 1], [2, 1], [1, 2], [1, 2.5]]), np.array([0, 0, 0, 0, 1])),
    case("always the same prediction", np.array([[2, 1, 0.5]] * 20), np.arange(20) % 3),
    # Long rows are other code.
    random("four hundred classes", 250, 400, 2, 5, decimals=3, present=60), random("ties of 300 classes", 200, 300, 1.5, 3, decimals=0, present=40),
]
print(json.dumps({
    "versions": {"torch": torch.__version__, "sklearn": sklearn.__version__, "numpy": np.__version__}, "cases": cases,
}))
