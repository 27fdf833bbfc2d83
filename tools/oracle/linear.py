"""Golden values for loss.LinearCrossEntropy, by PyTorch in float64: a linear layer, a soft cap where there is one, and
cross-entropy with label smoothing and ignored labels, in every combination; gradients of hidden values, weights and bias.

usage: python3 tools/oracle/linear.py > loss/testdata/linear.json
"""
import json

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
IGNORED = -100


def plain(t):
    return t.detach().flatten().tolist()


def case(n, h, k, smoothing, cap, ignored, bias):
    x, w = (torch.randn(n, h) * 2).requires_grad_(), torch.randn(k, h).requires_grad_()
    b = torch.randn(k).requires_grad_() if bias else None
    labels = torch.randint(0, k, (n,))
    labels[torch.rand(n) < ignored] = IGNORED
    z = F.linear(x, w, b)
    if cap:
        z = cap * torch.tanh(z / cap)
    per_sample = F.cross_entropy(z, labels, label_smoothing=smoothing, ignore_index=IGNORED, reduction="none")
    # PyTorch 1.13 divides by the number of samples that count, as its documentation says.
    mean = F.cross_entropy(z, labels, label_smoothing=smoothing, ignore_index=IGNORED)
    mean.backward()
    values, classes = torch.topk(z, min(3, k), 1)
    return {
        "n": n, "h": h, "k": k, "smoothing": smoothing, "cap": cap, "hidden": plain(x), "weights": plain(w),
        "bias": plain(b) if bias else None, "labels": labels.tolist(), "per_sample": plain(per_sample), "mean": mean.item(),
        "grad_hidden": plain(x.grad), "grad_weights": plain(w.grad), "grad_bias": plain(b.grad) if bias else None,
        "top": plain(values), "classes": classes.flatten().tolist(), "lse": plain(torch.logsumexp(z, 1)),
    }


cases = []
for smoothing in (0.0, 0.1, 1.0):
    for cap in (0.0, 5.0):
        for ignored in (0.0, 0.4):
            cases.append(case(7, 5, 11, smoothing, cap, ignored, bias=len(cases) % 2 == 0))
cases.append(case(3, 4, 1, 0.0, 0.0, 0.0, True))
cases.append(case(5, 6, 300, 0.2, 30.0, 0.3, True))
print(json.dumps(cases))
