"""Golden values for every loss, by PyTorch in float64 and scikit-learn: a case names a loss of loss.Catalog and its settings.

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


def case(name, per_sample, mean, z=Z, soft=None, **settings):
    """A case of a loss; settings are numbers, or a tensor of weights."""
    leaf = z.clone().requires_grad_()
    own, total = per_sample(leaf), mean(leaf)
    total.backward()
    settings = {name: v.tolist() if torch.is_tensor(v) else [v] for name, v in settings.items() if v is not None}
    return {"name": name, "settings": settings, **({} if soft is None else {"soft": soft.flatten().tolist()}), "z": leaf.flatten().tolist(), "k": z.shape[1] if z.dim() > 1 else 1,
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


def hinge(z):
    """Crammer and Singer's: by autograd, its mean held against scikit-learn's."""
    label = LABELS.clamp(min=0)
    rival = z.masked_fill(F.one_hot(label, K).bool(), -torch.inf).max(1).values
    own = torch.where(KEPT, (1 + rival - z[torch.arange(N), label]).clamp(min=0), torch.zeros(N))
    assert abs(own.sum() / KEPT.sum() - hinge_loss(LABELS[KEPT].numpy(), Z[KEPT].numpy(), labels=list(range(K)))) < 1e-14
    return own


def z_loss(z):
    return torch.where(KEPT, F.cross_entropy(z, LABELS, reduction="none") + 0.1 * torch.logsumexp(z, 1) ** 2, torch.zeros(N))


CASES = [
    *(case("cross-entropy", *ce(label_smoothing=e, weight=w), label_smoothing=e, class_weights=w)
      for e in (0.0, 0.2) for w in (None, WEIGHTS)),
    case("cross-entropy", *of(z_loss), z_loss=0.1),
    case("cross-entropy", lambda z: F.cross_entropy(z, SOFT, reduction="none"), lambda z: F.cross_entropy(z, SOFT), soft=SOFT),
    case("cross-entropy", lambda z: F.cross_entropy(z, SOFT, reduction="none", label_smoothing=0.2),
         lambda z: F.cross_entropy(z, SOFT, label_smoothing=0.2), label_smoothing=0.2, soft=SOFT),
    case("focal", *focal(2.0, WEIGHTS), gamma=2.0, class_weights=WEIGHTS),
    case("focal", *focal(0.5, torch.ones(K)), gamma=0.5),
    case("brier", brier(SOFT), lambda z: brier(SOFT)(z).mean(), soft=SOFT),
    case("brier", *of(lambda z: torch.where(KEPT, brier(F.one_hot(LABELS.clamp(min=0), K))(z), torch.zeros(N)))),
    case("hinge", *of(hinge)),
    case("kl", kl(3.0), lambda z: kl(3.0)(z).mean(), temperature=3.0, soft=torch.softmax(TEACHER / 3, 1)),
    case("binary-cross-entropy", bce, lambda z: bce(z).mean(), pos_weights=WEIGHTS, soft=YES),
]
json.dump({
    "torch": torch.__version__, "labels": LABELS.tolist(), "cases": CASES,
}, sys.stdout, separators=(",", ":"))
print()
