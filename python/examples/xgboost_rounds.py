"""XGBoost, the margins after every round. usage: python xgboost_rounds.py [RUN]"""

import json
import sys

import xgboost
from sklearn.datasets import load_digits

import logitscope
from logitscope.callbacks import XGBoost

path = sys.argv[1] if len(sys.argv) > 1 else "runs/xgboost_rounds"

x, y = load_digits(return_X_y=True)
train, val = xgboost.DMatrix(x[:1200], y[:1200]), xgboost.DMatrix(x[1200:], y[1200:])
settings = {"objective": "multi:softprob", "num_class": 10, "max_depth": 3, "eval_metric": ["mlogloss", "merror"]}

with logitscope.record(path, classes=10) as rec:
    own: dict = {}
    evals = [(train, "train"), (val, "val")]
    callbacks = [XGBoost(rec, train=train, val=val)]
    xgboost.train(settings, train, 8, evals=evals, evals_result=own, callbacks=callbacks, verbose_eval=False)
print(json.dumps({split: {"nll": m["mlogloss"], "error": m["merror"]} for split, m in own.items()}))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
