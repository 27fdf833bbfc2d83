#!/usr/bin/env python3
"""The network of `train --model cnn` as a PyTorch user writes it, trained on IDX images; both splits are measured after each
epoch and their logits kept. Prints the seconds of each epoch.

usage: bench/torch_cnn.py IMAGES_GZ LABELS_GZ THREADS EPOCHS [channels_last]
"""
import gzip
import sys
import time

import numpy as np
import torch
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from torch.nn.functional import cross_entropy


def idx(path):
    with gzip.open(path) as file:
        raw = file.read()
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


torch.set_num_threads(int(sys.argv[3]))
torch.manual_seed(1)
layout = torch.channels_last if "channels_last" in sys.argv else torch.contiguous_format
pixels = torch.from_numpy(idx(sys.argv[1]).astype(np.float32) / 255).unsqueeze(1).contiguous(memory_format=layout)
labels = torch.from_numpy(idx(sys.argv[2]).astype(np.int64))
shuffled = torch.randperm(len(labels))
splits = {"train": shuffled[len(labels) // 5 :], "val": shuffled[: len(labels) // 5]}
network = Sequential(
    Conv2d(1, 16, 3, padding=1), ReLU(), MaxPool2d(2),
    Conv2d(16, 32, 3, padding=1), ReLU(), MaxPool2d(2),
    Flatten(), Linear(7 * 7 * 32, 128), ReLU(), Linear(128, 10),
).to(memory_format=layout)
adam = torch.optim.Adam(network.parameters(), lr=0.001)
logits = {}
for epoch in range(1, int(sys.argv[4]) + 1):
    began = time.perf_counter()
    for batch in splits["train"][torch.randperm(len(splits["train"]))].split(32):
        adam.zero_grad()
        cross_entropy(network(pixels[batch]), labels[batch]).backward()
        adam.step()
    figures = []
    for split, ids in splits.items():
        with torch.no_grad():
            z = torch.cat([network(pixels[block]) for block in ids.split(256)])
        logits[f"{split}-{epoch}"] = z.numpy()
        figures.append(f"{split} NLL {cross_entropy(z, labels[ids]).item():.4f}")
    print(f"{time.perf_counter() - began:.4f} s", *figures, flush=True)
