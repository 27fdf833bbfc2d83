"""scikit-learn's gradient boosting, every stage of it. usage: python sklearn_boosting.py [RUN]"""

import json
import sys

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss

import logitscope
from logitscope.callbacks import sklearn_stages

path = sys.argv[1] if len(sys.argv) > 1 else "runs/sklearn_boosting"

x, y = load_breast_cancer(return_X_y=True)
train, val = (x[:400], y[:400]), (x[400:], y[400:])
model = GradientBoostingClassifier(n_estimators=20, random_state=0).fit(*train)

with logitscope.record(path, classes=["malignant", "benign"]) as rec:
    sklearn_stages(rec, model, train=train, val=val)

own = {split: {"nll": [], "error": []} for split in ("train", "val")}
for split, (features, label) in {"train": train, "val": val}.items():
    own[split]["nll"] = [log_loss(label, p) for p in model.staged_predict_proba(features)]
    own[split]["error"] = [1 - accuracy_score(label, y) for y in model.staged_predict(features)]
print(json.dumps(own))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
