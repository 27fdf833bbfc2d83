"""Logits of any framework, handed over at each epoch. usage: python plain.py [RUN]"""

import json
import sys

import numpy as np

import logitscope

path = sys.argv[1] if len(sys.argv) > 1 else "runs/plain"

rng = np.random.default_rng(0)
x = rng.normal(size=(300, 2))
y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
w = np.zeros((3, 3))
x = np.c_[x, np.ones(300)]
own = {split: {"nll": [], "error": []} for split in ("train", "val")}

with logitscope.record(path, classes=["none", "one", "both"]) as rec:
    for epoch in range(1, 11):
        z = x[:200] @ w
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        w -= x[:200].T @ (p - np.eye(3)[y[:200]]) / 200
        for split, part in {"train": slice(0, 200), "val": slice(200, 300)}.items():
            z = x[part] @ w
            rec.log(epoch, split, z, y[part])
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
            own[split]["nll"].append(-np.log(p[range(len(p)), y[part]]).mean())
            own[split]["error"].append((p.argmax(1) != y[part]).mean())
print(json.dumps(own))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
