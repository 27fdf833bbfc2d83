#!/usr/bin/env python3
"""Learning rates of PyTorch's schedulers and gradients clipped by it, for train/testdata/schedules.json.

usage: tools/oracle/schedules.py > train/testdata/schedules.json   (a Python that has PyTorch)
"""
import json
import warnings

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, LinearLR, ReduceLROnPlateau, SequentialLR, StepLR

warnings.simplefilter("ignore")


def sgd(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(optimizer, scheduler, steps):
    out = []
    for _ in range(steps):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return out


cases = []
steps, per_epoch, lr = 40, 4, 0.3

o = sgd(lr)
cases.append({"schedule": "cosine", "warmup": 0, "lr_min": 0.01, "rates": rates(o, CosineAnnealingLR(o, steps, 0.01), steps)})

o = sgd(lr)
warm = 8
s = SequentialLR(o, [LinearLR(o, 1 / warm, 1, warm - 1), CosineAnnealingLR(o, steps - warm)], [warm])
cases.append({"schedule": "cosine", "warmup": 0.2, "lr_min": 0, "rates": rates(o, s, steps)})

o = sgd(lr)
cases.append({"schedule": "constant", "warmup": 0.2, "lr_min": 0, "rates": rates(o, LinearLR(o, 1 / warm, 1, warm - 1), steps)})

# Cycles of one, two, four, … epochs; a first cycle of three.
for first in (1, 3):
    o = sgd(lr)
    cases.append({"schedule": "restarts", "warmup": 0, "lr_min": 0.02, "lr_cycle": first, "rates": rates(o, CosineAnnealingWarmRestarts(o, first * per_epoch, 2, 0.02), steps)[:9 * per_epoch if first == 3 else 7 * per_epoch]})

# StepLR is stepped once an epoch; each epoch's rate holds for all its steps.
o = sgd(lr)
each = rates(o, StepLR(o, 3, 0.2), steps // per_epoch)
cases.append({"schedule": "step", "warmup": 0, "lr_min": 0, "lr_factor": 0.2, "lr_every": 3, "rates": [r for r in each for _ in range(per_epoch)]})

# A figure that improves, stands still, improves by too little, and so on.
figures = [1.0, 0.9, 0.95, 0.9, 0.91, 0.89999, 0.9, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.7, 0.71, 0.72, 0.73]
plateaus = []
for mode, sign in [("min", 1), ("max", -1)]:
    o = sgd(lr)
    s = ReduceLROnPlateau(o, mode=mode, factor=0.5, patience=2, min_lr=0.05)
    out = []
    for f in figures:
        out.append(o.param_groups[0]["lr"])
        s.step(f if mode == "min" else 2 - f)
    plateaus.append({"figure": "val.nll" if mode == "min" else "val.accuracy", "values": [f if mode == "min" else 2 - f for f in figures],
                     "factor": 0.5, "patience": 2, "min": 0.05, "rates": out})

clips = []
torch.manual_seed(1)
for n, limit in [(1, 0.5), (7, 1.0), (64, 100.0), (1001, 3.0)]:
    p = torch.nn.Parameter(torch.zeros(n))
    g = torch.randn(n)
    p.grad = g.clone()
    torch.nn.utils.clip_grad_norm_([p], limit)
    if n > 64:
        clips.append({"limit": limit, "grads": [round(v, 4) for v in g.tolist()]})
        p.grad = torch.tensor(clips[-1]["grads"])
        torch.nn.utils.clip_grad_norm_([p], limit)
        clips[-1]["clipped"] = p.grad.tolist()
    else:
        clips.append({"limit": limit, "grads": g.tolist(), "clipped": p.grad.tolist()})

print(json.dumps({"torch": torch.__version__, "base": lr, "steps": steps, "per_epoch": per_epoch, "schedules": cases, "plateaus": plateaus, "clips": clips}))
