#!/usr/bin/env python3
"""The constants of _gen/rows.go for powers of two: 2^(r/8) for |r| <= 0.52 in float32 coefficients c0 = 1, c1 … c4, near the
smallest greatest relative error (least squares over Chebyshev nodes, each coefficient rounded to float32 before those above it
are fitted again), and for i of 0 to 7 a number near 2^(i/8) of 12 bits and the eighths by which its logarithm is above i.
Prints them and the error that remains.

usage: tools/oracle/exp2.py   (needs NumPy)
"""
from decimal import Decimal, getcontext

import numpy as np

EDGE, DEGREE, NODES = 0.52, 4, 4000
r = EDGE * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
want = np.exp2(r / 8)
c = [1.0]
while len(c) <= DEGREE:
    rest = range(len(c), DEGREE + 1)
    left = want - sum(k * r**i for i, k in enumerate(c))
    fit, *_ = np.linalg.lstsq(np.stack([r**i / want for i in rest], 1), left / want, rcond=None)
    c.append(float(np.float32(fit[0])))
error = np.abs(sum(k * r**i for i, k in enumerate(c)) / want - 1).max()
print("polynomial:", ", ".join(map(repr, c)))
print(f"relative error {error:.3g}, which is {error * 2**24:.3f} · 2^-24")

getcontext().prec = 40
exact = [Decimal(2) ** (Decimal(i) / 8) for i in range(8)]
high = [round(float(e) * 2**11) / 2**11 for e in exact]
print("powers:", ", ".join(map(repr, high)))
ln2 = Decimal(2).ln()
print("above:", ", ".join(repr(float(np.float32(float(8 * Decimal(h).ln() / ln2 - i)))) for i, h in enumerate(high)))
