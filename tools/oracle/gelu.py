#!/usr/bin/env python3
"""The constants of _gen/gelu.go: Φ(−a)·e^(a²/2) = erfcx(a/√2)/2 for 0 <= a <= 16 as a quotient of polynomials of degree 4 and 5 in
float32 coefficients, near the smallest greatest relative error (least squares weighted by what
the last round left, Lawson's way; each coefficient above rounded before the others are fitted again).
Prints them and the error that remains.

usage: tools/oracle/gelu.py   (needs NumPy and SciPy)
"""
import numpy as np
from scipy.special import erfcx

EDGE, ABOVE, BELOW, NODES, ROUNDS = 16, 4, 5, 3000, 60
u = EDGE / (EDGE + 2) * (1 - np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2
a = 2 * u / (1 - u)
want = erfcx(a / np.sqrt(2)) / 2


def error(p, q):
    return np.polyval(p[::-1], a) / np.polyval(q[::-1], a) / want - 1


weights, best = np.ones(NODES), (np.inf, None, None)
below = np.ones(NODES)
for step in range(ROUNDS):
    # p(a) − want·(q(a) − 1) = want, each row divided by what makes it the relative error of the quotient
    scale = weights / (below * want)
    rows = np.stack([*(a**i for i in range(ABOVE + 1)), *(-want * a**i for i in range(1, BELOW + 1))], 1) * scale[:, None]
    size = np.abs(rows).max(0)
    c = np.linalg.lstsq(rows / size, want * scale, rcond=None)[0] / size
    p, q = c[: ABOVE + 1], np.r_[1, c[ABOVE + 1 :]]
    below, left = np.polyval(q[::-1], a), np.abs(error(p, q))
    if left.max() < best[0]:
        best = left.max(), p, q
    if step > 5:
        weights *= (left / left.max() + 1e-3) ** 0.5
        weights /= weights.mean()
q = best[2].astype(np.float32).astype(float)
below, p = np.polyval(q[::-1], a), [0.5]  # Φ(0) is exact
while len(p) <= ABOVE:
    rest = range(len(p), ABOVE + 1)
    scale = np.sqrt(weights) / (below * want)
    left = want * below - sum(c * a**i for i, c in enumerate(p))
    fit, *_ = np.linalg.lstsq(np.stack([a**i * scale for i in rest], 1), left * scale, rcond=None)
    p.append(float(np.float32(fit[0])))
left = np.abs(error(np.array(p), q)).max()
print("above:", ", ".join(map(repr, p)))
print("below:", ", ".join(map(repr, q)))
print(f"relative error {left:.3g}, which is {left * 2**24:.3f} · 2^-24")
