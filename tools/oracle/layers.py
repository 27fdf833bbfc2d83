"""Golden values for nn's layers: gradients, steps and running statistics of small networks, by PyTorch in float64.

usage: python3 tools/oracle/layers.py > nn/testdata/torch_layers.json

Images are channels last in the file, as logitscope has them; here they are turned for PyTorch and back.
"""
import json
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


class Last(torch.nn.Module):
    """A module for images, channels first, within a network whose images are channels last."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def network(image, inputs, layers, k):
    shape, modules = list(image) if image else [inputs], []
    for kind, *a in layers:
        channels = shape[-1]
        if kind == "dense":
            if len(shape) == 3:
                modules.append(torch.nn.Flatten())
            width = 1
            for s in shape:
                width *= s
            modules.append(torch.nn.Linear(width, a[0]))
            shape = [a[0]]
        elif kind == "relu":
            modules.append(torch.nn.ReLU())
        elif kind == "gelu":
            modules.append(torch.nn.GELU())
        elif kind == "conv":
            modules.append(Last(torch.nn.Conv2d(channels, *a)))
            shape = [(s + 2 * a[3] - a[1]) // a[2] + 1 for s in shape[:2]] + [a[0]]
        elif kind == "maxpool":
            modules.append(Last(torch.nn.MaxPool2d(a[0])))
            shape = [(s - a[0]) // a[0] + 1 for s in shape[:2]] + [channels]
        elif kind == "batchnorm":
            modules.append(Last(torch.nn.BatchNorm2d(channels)) if len(shape) == 3 else torch.nn.BatchNorm1d(channels))
        elif kind == "layernorm":
            modules.append(Last(torch.nn.GroupNorm(1, channels)) if len(shape) == 3 else torch.nn.LayerNorm(channels))
    if len(shape) == 3:
        modules.append(torch.nn.Flatten())
    width = 1
    for s in shape:
        width *= s
    modules.append(torch.nn.Linear(width, k))
    net = torch.nn.Sequential(*modules)
    for m in net.modules():  # not the neutral values that they begin with
        if isinstance(m, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.LayerNorm, torch.nn.GroupNorm)):
            torch.nn.init.normal_(m.weight, 1, 0.3)
            torch.nn.init.normal_(m.bias, 0, 0.3)
    return net


def plain(t):
    t = t.detach()
    return (t.permute(0, 2, 3, 1) if t.dim() == 4 else t).flatten().tolist()


def state(net):
    return [plain(b) for n, b in net.named_buffers() if "running" in n]


def case(name, image, inputs, layers, n=5, k=3):
    torch.manual_seed(len(name))
    net = network(image, inputs, layers, k)
    x, labels = torch.randn(n, *(image or [inputs])), torch.arange(n) % k
    params = [plain(p) for p in net.parameters()]
    start = {k: v.clone() for k, v in net.state_dict().items()}
    loss = F.cross_entropy(net(x), labels)
    loss.backward()
    grads = [plain(p.grad) for p in net.parameters()]
    net.load_state_dict(start)
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9), []
    for _ in range(5):
        optimizer.zero_grad()
        step = F.cross_entropy(net(x), labels)
        losses.append(step.item())
        step.backward()
        optimizer.step()
    trained = [plain(p) for p in net.parameters()]
    net.eval()
    return {
        "name": name, "image": image, "inputs": inputs, "layers": layers, "k": k, "x": x.flatten().tolist(), "labels": labels.tolist(),
        "params": params, "loss": loss.item(), "grads": grads, "losses": losses, "trained": trained, "state": state(net),
        "logits": net(x).flatten().tolist(),
    }


def bag(mode, weighted):
    """An embedding bag, its tokens weighted or not, beside a feature, then a dense layer; the table by SparseAdam, the rest by Adam."""
    torch.manual_seed(7)
    table, head = torch.nn.EmbeddingBag(20, 4, mode=mode, sparse=True), torch.nn.Linear(6, 3)
    batches = [
        (torch.tensor([3, 5, 3, 19, 0, 7]), torch.tensor([0, 2, 2, 5]), torch.randn(4, 2), torch.tensor([0, 1, 2, 1])),
        (torch.tensor([1, 5, 5, 5, 2]), torch.tensor([0, 1, 4, 5]), torch.randn(4, 2), torch.tensor([2, 2, 0, 1])),
        (torch.tensor([3, 1, 18]), torch.tensor([0, 1, 2, 3]), torch.randn(4, 2), torch.tensor([1, 0, 0, 2])),
    ]
    out = {"mode": mode, "table": plain(table.weight), "weight": plain(head.weight), "bias": plain(head.bias), "batches": []}
    # ε is added before the bias correction by the one and after it by the other: here it is nothing.
    sparse = torch.optim.SparseAdam(list(table.parameters()), lr=0.01, eps=1e-30)
    dense = torch.optim.Adam(head.parameters(), lr=0.01, eps=1e-30)
    for tokens, offsets, x, labels in batches:
        weights = torch.rand(len(tokens)) if weighted else None
        loss = F.cross_entropy(head(torch.cat([table(tokens, offsets, weights), x], 1)), labels)
        sparse.zero_grad()
        dense.zero_grad()
        loss.backward()
        grad = plain(table.weight.grad.to_dense())
        sparse.step()
        dense.step()
        out["batches"].append({
            "tokens": tokens.tolist(), "offsets": offsets.tolist() + [len(tokens)], "weights": weights.tolist() if weighted else None, "x": x.flatten().tolist(), "labels": labels.tolist(),
            "loss": loss.item(), "grad": grad, "table": plain(table.weight), "weight": plain(head.weight),
        })
    return out


json.dump({
    "torch": torch.__version__,
    "cases": [
        case("conv", [5, 6, 2], 60, [["conv", 3, 3, 1, 1], ["relu"], ["dense", 4], ["gelu"]]),
        case("conv strided", [7, 6, 3], 126, [["conv", 4, 3, 2, 0], ["gelu"], ["conv", 2, 2, 1, 1], ["relu"]]),
        case("conv pooled", [9, 8, 1], 72, [["conv", 4, 3, 1, 1], ["relu"], ["maxpool", 2], ["conv", 5, 3, 1, 1], ["relu"], ["maxpool", 3]]),
        case("pool first", [6, 6, 2], 72, [["maxpool", 2], ["conv", 3, 1, 1, 0], ["relu"], ["dense", 5]]),
        case("batch norm", None, 6, [["dense", 5], ["batchnorm"], ["relu"], ["dense", 4], ["batchnorm"], ["gelu"]]),
        case("batch norm of images", [4, 5, 2], 40, [["conv", 3, 3, 1, 1], ["batchnorm"], ["relu"], ["maxpool", 2]]),
        case("layer norm", None, 6, [["layernorm"], ["dense", 5], ["layernorm"], ["relu"]]),
        case("layer norm of images", [4, 5, 2], 40, [["conv", 3, 3, 1, 1], ["layernorm"], ["gelu"]]),
    ],
    "bags": [bag("mean", False), bag("sum", True)],
}, sys.stdout, separators=(",", ":"))
print()
