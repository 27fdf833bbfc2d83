#!/usr/bin/env python3
"""What `logitscope bench` times, as PyTorch does it. JSON of the same names and shapes, medians in milliseconds.

usage: bench/torch_kernels.py THREADS   (with OMP_NUM_THREADS=THREADS OMP_WAIT_POLICY=passive)
"""
import json
import resource
import sys
import time

import torch
from torch.nn.functional import cross_entropy

threads = int(sys.argv[1])
torch.set_num_threads(threads)
torch.manual_seed(1)
timed = []


def measure(name, shape, call):
    """At least three calls and 0.3 s of them, after a first."""
    call()
    taken, began = [], time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - began < 0.3:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    median = sorted(taken)[len(taken) // 2] * 1e3
    timed.append({"name": name, "shape": shape, "threads": threads, "median_ms": median})


for n, k in (65536, 10), (8192, 1000), (1024, 32000), (512, 128256):
    logits, labels, shape = torch.randn(n, k), torch.randint(k, (n,)), f"{n}x{k}"
    measure("softmax", shape, lambda: torch.softmax(logits, 1))
    measure("cross_entropy_forward", shape, lambda: cross_entropy(logits, labels))
    logits.requires_grad_()

    def both():
        logits.grad = None
        cross_entropy(logits, labels).backward()

    measure("cross_entropy_forward_backward", shape, both)
del logits

a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
measure("matmul", "1024x1024x1024", lambda: torch.mm(a, b))

for batch, inputs, hidden, k in (32, 64, 64, 10), (128, 784, 256, 10), (256, 768, 1024, 1000):
    network = torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, k))
    adam = torch.optim.Adam(network.parameters())
    x, y = torch.rand(batch, inputs), torch.randint(k, (batch,))

    def step():
        adam.zero_grad()
        cross_entropy(network(x), y).backward()
        adam.step()

    measure("mlp_step", f"{batch}x{inputs}-{hidden}-{k}", step)


def top_p(z, p):
    """The usual way: sort all, keep the fewest whose probabilities reach p, draw one of them."""
    probs, classes = torch.softmax(z, -1).sort(descending=True)
    probs[probs.cumsum(-1) - probs > p] = 0
    return classes.gather(-1, torch.multinomial(probs, 1))


z = 3 * torch.randn(1, 128256)
measure("top_p_sample", "1x128256", lambda: top_p(z, 0.9))

n, h, v = 2048, 768, 32000
hidden = torch.randn(n, h, requires_grad=True)
weights = (0.02 * torch.randn(v, h)).requires_grad_()
labels = torch.randint(v, (n,))


def head():
    hidden.grad = weights.grad = None
    cross_entropy(hidden @ weights.T, labels).backward()


measure("fused_head", f"{n}x{h}x{v}", head)
timed[-1]["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"version": "PyTorch " + torch.__version__, "results": timed}))
