"""Writes summary/testdata/format: accumulators of a few rows as docs/summary-format.md says, their figures by NumPy in float64."""

import json
import math
import pathlib
import struct

import numpy as np

OUT = pathlib.Path(__file__).parents[2] / "summary/testdata/format"
K, T, BINS, LIMIT = 3, 1.5, 5, 1 << 25
rng = np.random.default_rng(7)
Z = np.round(rng.normal(size=(12, K)) * 16) / 8  # exact in float32
Z[3] = [4, 4, -1]
Y = rng.integers(0, K, 12)
Y[:2] = [1, 2]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def count(n):
    n, out = int(n), b""
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def number(v):
    return struct.pack("<d", v)


def total(values):  # a sum of two parts
    s = math.fsum(values)
    return number(s) + number(0)


def listed(items):
    return count(len(items)) + b"".join(items)


def write(name, fields, suffix=""):
    data = name.encode() + b"\n" + fields
    (OUT / f"{name}{suffix}.bin").write_bytes(data + struct.pack("<I", crc32c(data)))


x = (Z - Z.max(1, keepdims=True)) / T
logsum = np.log(np.exp(x).sum(1))
logp = x - logsum[:, None]
p = np.exp(logp)
rows = np.arange(len(Y))
nll, ptrue, ztrue, top = -logp[rows, Y], p[rows, Y], Z[rows, Y], Z.argmax(1)
others = np.where(np.arange(K) == Y[:, None], -np.inf, Z).max(1)
right = top == Y
confidence = p.max(1)
bins_of = np.maximum(np.ceil(confidence * BINS).astype(int) - 1, 0)


def bins(of, probability, hits):
    return [count((of == b).sum()) + count((hits & (of == b)).sum()) + total(probability[of == b]) for b in range(BINS)]


scores = (
    count(len(Y)) + count(0) + count(right.sum()) + count(len(Y))  # of 3 classes each label is in the top five
    + listed([total(v) for v in (
        nll, ptrue, ztrue, ((p - np.eye(K)[Y]) ** 2).sum(1), -(p * logp).sum(1), ztrue - others, Z.max(1) / T + logsum, Z.max(1), confidence)])
    + b"".join(number(v) for v in (Z.min(), Z.max(), logp.min(), logp.max()))
)
classes = listed([
    count((Y == j).sum()) + count((top == j).sum()) + count((right & (Y == j)).sum()) + total(nll[Y == j]) + total(ptrue[Y == j]) for j in range(K)])
confusion = count(K) + listed([count(((Y == i) & (top == j)).sum()) for i in range(K) for j in range(K)])
table = scores + classes + listed(bins(bins_of, confidence, right)) + count(1) + confusion
of_class = [np.maximum(np.ceil(p[:, j] * BINS).astype(int) - 1, 0) for j in range(K)]
classbins = (
    count(len(Y)) + count(BINS)
    + listed([listed([count(0) + count(0) + total([])] + bins(of_class[j], p[:, j], Y == j)[1:]) for j in range(K)])
    + listed([number(math.fsum(p[:, j])) for j in range(K)]) + listed([number(0)] * K) + listed([count((Y == j).sum()) for j in range(K)])
)
label = np.arange(K) == Y[:, None]
quantities = count(0)
for values, edges in ((Z, np.arange(-6.0, 7)), (p, np.arange(5) / 4), (logp, np.arange(-8.0, 1)), (-logp, np.arange(0.0, 9))):
    for part in (values[label], values[~label]):
        counts = np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0]
        quantities += listed([number(e) for e in edges]) + listed([count(c) for c in counts]) + count(len(part)) + number(math.fsum(part))
kind = count(K) + count(LIMIT) + count(K) + number(T) + count(0) + number(0)
kept = kind + count(0) + count(0) + listed([count(y) for y in Y]) + Z.astype("<f4").tobytes()
wide = kind + count(1) + count(0) + listed([count(y) for y in Y]) + Z.astype("<f8").tobytes()

B = 9


def cell(v, least, exponents):
    bits = struct.unpack("<Q", struct.pack("<d", v))[0] >> (52 - B)
    return max(0, min(bits - ((1023 + least) << B), (exponents << B) - 1))


def cell_of(v):
    if v <= -(2.0**-16):
        return (36 << B) - 1 - cell(-v, -16, 36)
    return (36 << B) + cell(-math.log2(-v), 4, 7) if v < 0 else (43 << B) + cell(v, -16, 36)


def sparse(cells):
    out, last = [], -1
    for at in sorted(cells):
        out, last = out + [count(at - last) + cells[at]], at
    return listed(out)


keys, sure = {}, {}
for i in range(len(Y)):
    for j in range(K):
        own, rest = keys.setdefault(j * (79 << B) + cell_of(logp[i, j]), [0, 0])
        keys[j * (79 << B) + cell_of(logp[i, j])] = [own + (Y[i] == j), rest + (Y[i] != j)]
    sure.setdefault(cell(1 - confidence[i], -54, 55), []).append(i)
grid = (
    kind.replace(count(LIMIT), count(4), 1) + count(0) + count(1) + count(len(Y))
    + sparse({at: count(own) + count(rest) for at, (own, rest) in keys.items()})
    + sparse({at: count(len(of)) + count(right[of].sum()) + total(confidence[of]) for at, of in sure.items()})
)

OUT.mkdir(parents=True, exist_ok=True)
write("scores1", scores)
write("classes1", classes)
write("bins1", listed(bins(bins_of, confidence, right)))
write("confusion1", confusion)
write("table1", table)
write("classbins1", classbins)
write("quantities1", quantities)
write("ranking1", kept)
write("ranking1", wide, "-wide")
write("ranking1", grid, "-grid")
write("totals1", count(len(Y) + 1) + table + classbins + kept)
(OUT / "rows.json").write_text(json.dumps({"columns": K, "temperature": T, "logits": Z.ravel().tolist(), "labels": Y.tolist()}) + "\n")
