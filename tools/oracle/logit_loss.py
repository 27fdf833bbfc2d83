"""Golden values for logit and loss, by PyTorch in float64.

usage: python3 tools/oracle/logit_loss.py logit > logit/testdata/torch.json
       python3 tools/oracle/logit_loss.py loss > loss/testdata/torch.json

Infinities and NaN are the strings "+Inf", "-Inf" and "NaN", which Go's strconv reads.
"""
import json
import math
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)
INF = math.inf


def plain(t):
    def one(v):
        return v if math.isfinite(v) else "NaN" if math.isnan(v) else "+Inf" if v > 0 else "-Inf"

    return [one(v) for v in torch.as_tensor(t).detach().flatten().tolist()]


ROWS = {
    "normal": torch.randn(4, 5) * 3,
    "one class": torch.randn(3, 1),
    "two classes": torch.randn(4, 2) * 2,
    "seventeen classes": torch.randn(3, 17) * 5,
    "equal": torch.zeros(2, 4),
    "1e4": torch.tensor([[1e4, -1e4, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4 + 1]]),
    "1e8 (pytorch#11752)": torch.tensor([[1e8, 1e8], [1e8, 1e8 + 1], [-1e8, 1e8]]),
    "3e38": torch.tensor([[3e38, -3e38, 0.0], [3e38, 3e38, 3e38], [-3e38, -3e38, -3e38]]),
    "tiny differences": torch.tensor([[1.0, 1.0 + 1e-15, 1.0], [0.0, 1e-300, -1e-300]]),
    "sure": torch.tensor([[40.0, 0.0, 0.0], [750.0, 0.0, -750.0]]),
    "masked": torch.tensor([[1.0, -INF, 2.0], [-INF, -INF, 3.0], [0.5, 1.5, -INF]]),
    "no softmax": torch.tensor([[1.0, math.nan, 2.0], [INF, 0.0, 1.0], [-INF, -INF, -INF], [1.0, 2.0, 3.0]]),
}


def rows_for_logit():
    for name, z in ROWS.items():
        lse = torch.logsumexp(z, 1)
        # torch.logsumexp gives ±Inf for rows that have no softmax; logitscope shows them as NaN.
        lse[torch.isnan(torch.softmax(z, 1)).any(1)] = math.nan
        zz = z.clone().requires_grad_()
        upstream = torch.randn(z.shape)
        torch.softmax(zz, 1).backward(upstream)
        grad_softmax = zz.grad.clone()
        zz.grad = None
        torch.log_softmax(zz, 1).backward(upstream)
        yield {
            "name": name, "k": z.shape[1], "z": plain(z),
            "softmax": plain(torch.softmax(z, 1)), "log_softmax": plain(torch.log_softmax(z, 1)), "lse": plain(lse),
            "softmax_at_2.5": plain(torch.softmax(z / 2.5, 1)),
            "upstream": plain(upstream), "grad_softmax": plain(grad_softmax), "grad_log_softmax": plain(zz.grad),
        }


def graded(z, function):
    z = z.clone().requires_grad_()
    per_sample, mean = function(z)
    mean.backward()
    return {"per_sample": plain(per_sample), "mean": plain(mean)[0], "grad": plain(z.grad)}


def losses():
    for name, z in ROWS.items():
        if name == "no softmax":
            continue  # loss of NaN: tested as a property
        n, k = z.shape
        labels = z.argmax(1) if name == "masked" else torch.arange(n) % k
        ignored = labels.clone()
        ignored[0] = -100
        soft = torch.softmax(torch.randn(n, k), 1)
        soft[torch.isinf(z)] = 0
        log_probs = torch.log_softmax(z, 1)

        def index(labels):
            return lambda z: (F.cross_entropy(z, labels, reduction="none"), F.cross_entropy(z, labels))

        def against(targets):
            def function(z):
                log_p = F.log_softmax(z, 1)
                own = -(torch.where(targets == 0, torch.zeros_like(log_p), log_p) * targets).sum(1)
                return own, own.sum() / targets.sum()
            return function

        out = {
            "name": name, "k": k, "z": plain(z), "labels": labels.tolist(), "ignored": ignored.tolist(), "soft": plain(soft),
            "cross_entropy": graded(z, index(labels)),
            "cross_entropy_soft": graded(z, against(soft)),
            "log_probs": plain(log_probs),
            "nll": graded(log_probs, lambda lp: (F.nll_loss(lp, labels, reduction="none"), F.nll_loss(lp, labels))),
        }
        if n > 1:
            out["cross_entropy_ignored"] = graded(z, index(ignored))
        yield out


def binary():
    z = torch.tensor([0.0, 1.5, -2.0, 30.0, -30.0, 800.0, -800.0, 1e8, -1e8, 3e38, -3e38, 1e-300])
    for label in (0, 1):
        y = torch.full_like(z, label)
        yield {
            "z": plain(z), "labels": [label] * len(z),
            **graded(z, lambda z: (F.binary_cross_entropy_with_logits(z, y, reduction="none"),
                                   F.binary_cross_entropy_with_logits(z, y))),
        }


out = {"torch": torch.__version__}
if sys.argv[1] == "logit":
    out["rows"] = list(rows_for_logit())
else:
    out["losses"], out["binary"] = list(losses()), list(binary())
json.dump(out, sys.stdout, separators=(",", ":"), allow_nan=False)
print()
