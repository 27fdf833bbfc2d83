"""Golden values for nn: gradients and ten optimiser steps of small perceptrons, by PyTorch in float64.

usage: python3 tools/oracle/mlp.py > nn/testdata/torch_mlp.json
"""
import json
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "sgd nesterov decay": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "adam": (torch.optim.Adam, dict(lr=0.01)),
    "adam decay": (torch.optim.Adam, dict(lr=0.01, weight_decay=0.01)),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.05)),
}


def network(sizes, activation):
    layers = []
    for i, (width, out) in enumerate(zip(sizes, sizes[1:])):
        layers.append(torch.nn.Linear(width, out))
        if i < len(sizes) - 2:
            layers.append(torch.nn.GELU() if activation == "gelu" else torch.nn.ReLU())
    return torch.nn.Sequential(*layers)


def loss_of(net, head, x, labels):
    if head == "binary":
        return F.binary_cross_entropy_with_logits(net(x)[:, 0], labels.to(x.dtype))
    return F.cross_entropy(net(x), labels)


def values(named):
    return [{"name": name, "shape": list(t.shape), "data": t.detach().flatten().tolist()} for name, t in named]


def case(name, sizes, activation, head, seed):
    torch.manual_seed(seed)
    net = network(sizes, activation)
    x = torch.randn(6, sizes[0])
    labels = torch.randint(0, max(sizes[-1], 2), (6,))
    start = {k: v.clone() for k, v in net.state_dict().items()}
    loss = loss_of(net, head, x, labels)
    loss.backward()
    out = {
        "name": name, "activation": activation, "head": head, "sizes": sizes,
        "params": values(net.named_parameters()),
        "x": x.tolist(), "labels": labels.tolist(), "loss": loss.item(),
        "grads": values((n, p.grad) for n, p in net.named_parameters()),
        "optimizers": [],
    }
    for label, (kind, options) in OPTIMIZERS.items():
        net.load_state_dict(start)
        optimizer, losses = kind(net.parameters(), **options), []
        for _ in range(10):
            optimizer.zero_grad()
            loss = loss_of(net, head, x, labels)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
        out["optimizers"].append({"name": label, **options, "losses": losses, "params": values(net.named_parameters())})
    return out


json.dump(
    {
        "torch": torch.__version__,
        "cases": [
            case("relu", [5, 7, 6, 4], "relu", "softmax", 1),
            case("gelu", [5, 7, 6, 4], "gelu", "softmax", 2),
            case("single logit", [5, 7, 6, 1], "relu", "binary", 3),
        ],
    },
    sys.stdout,
    indent=None,
    separators=(",", ":"),
)
print()
