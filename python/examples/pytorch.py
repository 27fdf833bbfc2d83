"""Three lines in a PyTorch loop. usage: python pytorch.py [RUN]"""

import json
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import logitscope

path = sys.argv[1] if len(sys.argv) > 1 else "runs/pytorch"

torch.manual_seed(0)
x = torch.randn(600, 20)
y = (x[:, :3].sum(1) > 0).long() + (x[:, 3] > 1)
train, val = random_split(TensorDataset(x, y), [400, 200])
train_loader, val_loader = DataLoader(train, 32, shuffle=True), DataLoader(val, 100)
network = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 3))
adam, criterion = torch.optim.Adam(network.parameters()), nn.CrossEntropyLoss()

rec = logitscope.record(path, classes=["low", "high", "very high"])
train_loader, val_loader = rec.watch(train_loader, "train"), rec.watch(val_loader, "val")
criterion = rec.watch(criterion)

own = {"nll": [], "error": []}
for _ in range(5):
    network.train()
    for features, label in train_loader:
        adam.zero_grad()
        criterion(network(features), label).backward()
        adam.step()
    network.eval()
    nll, wrong = 0.0, 0
    with torch.no_grad():
        for features, label in val_loader:
            z = network(features)
            nll += criterion(z, label).item() * len(label)
            wrong += (z.argmax(1) != label).sum().item()
    own["nll"].append(nll / len(val))
    own["error"].append(wrong / len(val))
print(json.dumps({"val": own}))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
