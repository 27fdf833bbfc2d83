#!/usr/bin/env python3
"""The main job as a PyTorch user writes it: a perceptron trained for 45 epochs on the digits, the logits of both splits kept
at every epoch in one .npz on the disk, with the NLL and accuracy of each.

usage: bench/torch_digits.py DIGITS_CSV_GZ THREADS
"""
import gzip
import os
import sys
import tempfile

import numpy as np
import torch
from torch.nn import Linear, ReLU, Sequential
from torch.nn.functional import cross_entropy

torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(1)
with gzip.open(sys.argv[1], "rt") as lines:
    table = torch.from_numpy(np.loadtxt(lines, delimiter=",", dtype=np.float32))
pixels, labels = table[:, :-1] / 16, table[:, -1].long()
shuffled = torch.randperm(len(table))
splits = {"val": shuffled[: len(table) // 5], "train": shuffled[len(table) // 5 :]}
network = Sequential(Linear(64, 64), ReLU(), Linear(64, 10))
adam = torch.optim.Adam(network.parameters(), lr=0.001)
logits = {}
for epoch in range(1, 46):
    for batch in splits["train"][torch.randperm(len(splits["train"]))].split(32):
        adam.zero_grad()
        cross_entropy(network(pixels[batch]), labels[batch]).backward()
        adam.step()
    for split, ids in splits.items():
        with torch.no_grad():
            z = network(pixels[ids])
        logits[f"{split}-{epoch}"] = z.numpy()
        nll = cross_entropy(z, labels[ids]).item()
        accuracy = (z.argmax(1) == labels[ids]).float().mean().item()
        print(f"epoch {epoch} {split} NLL {nll:.4f} accuracy {accuracy:.3f}")
with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(__file__))) as folder:
    np.savez(os.path.join(folder, "logits.npz"), **logits)
