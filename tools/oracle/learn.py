"""Golden values for the arithmetic that the page does itself, by PyTorch; and for its network.

usage: python3 tools/oracle/learn.py arithmetic > web/src/lib/testdata/arithmetic.json
       python3 tools/oracle/learn.py network > web/src/lib/testdata/network.json

Infinities and NaN are the strings "Infinity", "-Infinity" and "NaN", which JavaScript's Number reads.
"""
import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
INF = math.inf


def plain(t):
    def one(v):
        return v if math.isfinite(v) else "NaN" if math.isnan(v) else "Infinity" if v > 0 else "-Infinity"

    return [one(v) for v in torch.as_tensor(t).detach().double().flatten().tolist()]


def wide(k):
    """K logits that JavaScript and Go make too: whole hundredths from -20 to 20."""
    return [((j * 7919 + 13) % 4001 - 2000) / 100 for j in range(k)]


ROWS = {
    "two": ([2.0, -1.5], 1),
    "three": ([2.0, 1.0, 0.1], 0),
    "ties": ([1.0, 3.0, 3.0, -2.0], 2),
    "equal": ([0.0] * 4, 3),
    "masked": ([1.0, -INF, 2.0], 0),
    "label masked": ([1.0, -INF, 2.0], 1),
    "far": ([900.0, 10.0, -900.0], 1),
    "NaN": ([1.0, math.nan, 2.0], 0),
    "plus infinity": ([INF, 0.0], 0),
    "nothing left": ([-INF, -INF], 0),
    "a thousand": (wide(1000), 500),
}


def some(t):
    """All values of a short row, every 37th of a long one."""
    return t if t.numel() <= 10 else t[::37]


def arithmetic():
    rows = []
    for name, (values, label) in ROWS.items():
        for temperature in (0.05, 1.0, 20.0):
            z = torch.tensor(values, requires_grad=True)
            logp = torch.log_softmax(z / temperature, 0)
            p = torch.softmax(z / temperature, 0)
            nll = F.nll_loss(logp[None], torch.tensor([label]))
            gradient = torch.autograd.grad(nll, z)[0]
            entropy = torch.special.entr(p).sum()
            rows.append({
                "name": name, "z": plain(z) if len(values) <= 10 else [], "k": len(values), "label": label, "t": temperature,
                "softmax": plain(some(p)), "log_softmax": plain(some(logp)), "nll": plain(nll)[0], "gradient": plain(some(gradient)),
                "entropy": plain(entropy)[0], "lse": plain(torch.logsumexp(z / temperature, 0))[0],
                "argmax": int(p.argmax()) if not torch.isnan(p).any() else -1,
            })
    smoothed = []
    for epsilon in (0.0, 0.1, 0.4):
        z = torch.tensor([[2.0, 1.0, 0.1, -3.0]])
        smoothed.append({"z": plain(z), "label": 2, "epsilon": epsilon,
                         "value": F.cross_entropy(z, torch.tensor([2]), label_smoothing=epsilon).item()})
    soft = []
    for q in ([0.7, 0.3, 0.0], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0]):
        z = torch.tensor([[1.0, -1.0, 0.5]])
        t = torch.tensor([q])
        soft.append({"z": plain(z), "q": q, "cross_entropy": F.cross_entropy(z, t).item(),
                     "kl": F.kl_div(torch.log_softmax(z, 1), t, reduction="sum").item(), "entropy": torch.special.entr(t).sum().item()})
    yes = [{"z": z, "y": y, "value": F.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y)).item(),
            "sigmoid": torch.sigmoid(torch.tensor(z)).item()}
           for z in (-800.0, -20.0, -0.5, 0.0, 3.0, 700.0) for y in (0.0, 0.3, 1.0)]
    # A precision's own numbers, by NumPy: what a float64 is when it is stored in 16 bits.
    halves = [v for x in (0.1, 1 / 3, 1.0, 2049.0, 2051.0, 65504.0, 65519.99, 65520.0, 1e5, 6e-8, 2.98e-8, 2.99e-8, 6.1e-5, 1e-9, 0.0, 1.0009765625, 1.00048828125)
              for v in (x, -x)]
    with np.errstate(over="ignore"):
        float16 = [[v, *plain(torch.tensor(float(np.float16(v))))] for v in halves]
    # The formula as it stands, in float32 and float16: which row overflows, and what the shifted one gives.
    naive = []
    for bits, dtype in ((32, torch.float32), (16, torch.float16)):
        for values in ([11.0, 10.0, 9.0], [12.0, 11.0, 0.0], [88.0, 87.0, 0.0], [89.0, 88.0, 0.0], [-104.0, -120.0, -150.0], [2.0, 1.0, 0.1]):
            z = torch.tensor(values, dtype=dtype)
            with np.errstate(all="ignore"):
                e = np.exp(z.numpy())
                naive.append({"bits": bits, "z": values, "exp": plain(torch.tensor(e)), "naive": plain(torch.tensor(e / e.sum())),
                              "softmax": plain(torch.softmax(z.float(), 0).to(dtype)) })
    with np.errstate(all="ignore"):
        products = [{"p": p, "bits": bits, "zero_at": int(np.argmax(np.multiply.accumulate(np.full(12000, p, dtype)) == 0)) + 1}
                    for bits, dtype in ((64, np.float64), (32, np.float32), (16, np.float16)) for p in (0.01, 0.1, 0.5)]
    return {"rows": rows, "smoothed": smoothed, "soft": soft, "yes_or_no": yes, "float16": float16, "naive": naive, "products": products}


def network():
    """A network of 4 units: weights as fractions that every program writes alike, its gradients, and it after 3 steps of AdamW."""
    units = 4
    shapes = [(units, 2), (units,), (units, units), (units,), (3, units), (3,)]
    count = sum(math.prod(s) for s in shapes)
    values = [((i * 37 + 11) % 64 - 31) / 40 for i in range(count)]
    params, at = [], 0
    for s in shapes:
        n = math.prod(s)
        params.append(torch.tensor(values[at:at + n]).reshape(s).requires_grad_())
        at += n
    x = torch.tensor([[((i * 29 + 5) % 33 - 16) / 8 for i in (2 * n, 2 * n + 1)] for n in range(6)])
    labels = torch.tensor([0, 1, 2, 2, 1, 0])

    def loss():
        w1, b1, w2, b2, w3, b3 = params
        h = torch.relu(torch.relu(x @ w1.T + b1) @ w2.T + b2)
        z = h @ w3.T + b3
        return z, F.cross_entropy(z, labels)

    z, first = loss()
    first.backward()
    flat = lambda ts: [v for t in ts for v in plain(t)]
    gradients = flat([p.grad for p in params])
    optimizer = torch.optim.AdamW(params, lr=0.02, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss()[1].backward()
        optimizer.step()
    return {"units": units, "params": values, "x": plain(x), "labels": labels.tolist(), "logits": plain(z), "loss": first.item(),
            "gradients": gradients, "rate": 0.02, "decay": 0.1, "after": flat(params)}


if __name__ == "__main__":
    json.dump({"arithmetic": arithmetic, "network": network}[sys.argv[1]](), sys.stdout, indent=None, separators=(",", ":"))
    print()
