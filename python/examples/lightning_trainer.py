"""Lightning: watched loaders and a watched loss; the callback keeps its sanity check out. usage: python lightning_trainer.py [RUN]"""

import json
import sys

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import logitscope
from logitscope.callbacks import Lightning

path = sys.argv[1] if len(sys.argv) > 1 else "runs/lightning_trainer"


class Network(lightning.LightningModule):
    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.net, self.loss, self.own = nn.Linear(20, 3), loss, []

    def training_step(self, batch, index):
        return self.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch, index):
        z = self.net(batch[0])
        self.log("nll", self.loss(z, batch[1]))
        self.log("accuracy", (z.argmax(1) == batch[1]).float().mean())

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.own.append({name: float(self.trainer.callback_metrics[name]) for name in ("nll", "accuracy")})

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


lightning.seed_everything(0, verbose=False)
x = torch.randn(600, 20)
y = (x[:, :3].sum(1) > 0).long() + (x[:, 3] > 1)
train, val = TensorDataset(x[:400], y[:400]), TensorDataset(x[400:], y[400:])

with logitscope.record(path, classes=3) as rec:
    network = Network(rec.watch(nn.CrossEntropyLoss()))
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, callbacks=[Lightning(rec)]
    )
    trainer.fit(network, rec.watch(DataLoader(train, 32, shuffle=True), "train"), rec.watch(DataLoader(val, 100), "val"))
print(json.dumps({"val": {"nll": [m["nll"] for m in network.own], "error": [1 - m["accuracy"] for m in network.own]}}))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
