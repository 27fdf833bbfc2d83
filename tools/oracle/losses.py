"""Golden values for loss's types, by PyTorch in float64 and scikit-learn.

usage: python3 tools/oracle/losses.py > loss/testdata/losses.json
"""
import json
import sys

import torch
import torch.nn.functional as F
from sklearn.metrics import hinge_loss

torch.set_default_dtype(torch.float64)
torch.manual_seed(3)
N, K = 6, 5
Z, LABELS = torch.randn(N, K) * 2, torch.tensor([0, 3, -100, 4, 3, 1])
SOFT, TEACHER = torch.softmax(torch.randn(N, K), 1), torch.randn(N, K) * 2
WEIGHTS, YES = torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0]), torch.rand(N, K).round()
KEPT = LABELS != -100


def case(name, per_sample, mean, z=Z, **settings):
    leaf = z.clone().requires_grad_()
    own, total = per_sample(leaf), mean(leaf)
    total.backward()
    return {"name": name, **settings, "z": leaf.flatten().tolist(), "k": z.shape[1] if z.dim() > 1 else 1,
            "per_sample": own.flatten().tolist(), "mean": total.item(), "grad": leaf.grad.flatten().tolist()}


def ce(**options):
    return (lambda z: F.cross_entropy(z, LABELS, reduction="none", **options), lambda z: F.cross_entropy(z, LABELS, **options))


def of(per_sample):
    return per_sample, lambda z: per_sample(z).sum() / KEPT.sum()


def focal(gamma, alpha):
    def per_sample(z):
        log_p = torch.log_softmax(z, 1)[torch.arange(N), LABELS.clamp(min=0)]
        return torch.where(KEPT, -alpha[LABELS.clamp(min=0)] * (1 - log_p.exp()) ** gamma * log_p, torch.zeros(N))
    return of(per_sample)


def brier(target):
    return lambda z: ((torch.softmax(z, 1) - target) ** 2).sum(1)


def kl(t):
    return lambda z: t * t * F.kl_div(torch.log_softmax(z / t, 1), torch.softmax(TEACHER / t, 1), reduction="none").sum(1)


def bce(z):
    return F.binary_cross_entropy_with_logits(z, YES, pos_weight=WEIGHTS, reduction="none").mean(1)


def z_loss(z):
    return torch.where(KEPT, F.cross_entropy(z, LABELS, reduction="none") + 0.1 * torch.logsumexp(z, 1) ** 2, torch.zeros(N))


CASES = [
    *(case("cross-entropy", *ce(label_smoothing=e, weight=w), smoothing=e, weights=w.tolist() if w is not None else None)
      for e in (0.0, 0.2) for w in (None, WEIGHTS)),
    case("cross-entropy", *of(z_loss), z_loss=0.1),
    case("soft", lambda z: F.cross_entropy(z, SOFT, reduction="none"), lambda z: F.cross_entropy(z, SOFT), soft=SOFT.flatten().tolist()),
    case("soft", lambda z: F.cross_entropy(z, SOFT, reduction="none", label_smoothing=0.2),
         lambda z: F.cross_entropy(z, SOFT, label_smoothing=0.2), smoothing=0.2, soft=SOFT.flatten().tolist()),
    case("focal", *focal(2.0, WEIGHTS), gamma=2.0, weights=WEIGHTS.tolist()),
    case("focal", *focal(0.5, torch.ones(K)), gamma=0.5),
    case("brier", brier(SOFT), lambda z: brier(SOFT)(z).mean(), soft=SOFT.flatten().tolist()),
    case("brier", *of(lambda z: torch.where(KEPT, brier(F.one_hot(LABELS.clamp(min=0), K))(z), torch.zeros(N)))),
    case("kl", kl(3.0), lambda z: kl(3.0)(z).mean(), temperature=3.0, soft=torch.softmax(TEACHER / 3, 1).flatten().tolist()),
    case("binary", bce, lambda z: bce(z).mean(), weights=WEIGHTS.tolist(), soft=YES.flatten().tolist()),
]
json.dump({
    "torch": torch.__version__, "labels": LABELS.tolist(), "cases": CASES,
    "hinge": hinge_loss(LABELS[KEPT].numpy(), Z[KEPT].numpy(), labels=list(range(K))),
}, sys.stdout, separators=(",", ":"))
print()
