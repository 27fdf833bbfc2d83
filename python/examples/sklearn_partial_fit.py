"""scikit-learn, an epoch of partial_fit at a time. usage: python sklearn_partial_fit.py [RUN]"""

import json
import sys

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

import logitscope
from logitscope.callbacks import sklearn_epoch

path = sys.argv[1] if len(sys.argv) > 1 else "runs/sklearn_partial_fit"

x, y = load_digits(return_X_y=True)
train, val = (x[:1200] / 16, y[:1200]), (x[1200:] / 16, y[1200:])
model = SGDClassifier(loss="log_loss", alpha=0.03, random_state=0)
own = {split: {"nll": [], "error": []} for split in ("train", "val")}

pictures = {"train": train[0].reshape(-1, 8, 8), "val": val[0].reshape(-1, 8, 8)}  # which the page shows
with logitscope.record(path, classes=10, previews=pictures) as rec:
    for epoch in range(1, 6):
        model.partial_fit(*train, classes=range(10))
        sklearn_epoch(rec, epoch, model, train=train, val=val)
        for split, (features, label) in {"train": train, "val": val}.items():
            own[split]["nll"].append(log_loss(label, model.predict_proba(features), labels=range(10)))
            own[split]["error"].append(1 - model.score(features, label))
print(json.dumps(own))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
