"""LightGBM, the raw scores after every round. usage: python lightgbm_rounds.py [RUN]"""

import json
import sys

import lightgbm
from sklearn.datasets import load_breast_cancer

import logitscope
from logitscope.callbacks import LightGBM

path = sys.argv[1] if len(sys.argv) > 1 else "runs/lightgbm_rounds"

x, y = load_breast_cancer(return_X_y=True)
train, val = lightgbm.Dataset(x[:400], y[:400]), lightgbm.Dataset(x[400:], y[400:])
settings = {"objective": "binary", "metric": ["binary_logloss", "binary_error"], "verbosity": -1, "num_threads": 1}

with logitscope.record(path, classes=["malignant", "benign"]) as rec:
    own: dict = {}
    callbacks = [LightGBM(rec, train=(x[:400], y[:400]), val=(x[400:], y[400:])), lightgbm.record_evaluation(own)]
    lightgbm.train(settings, train, 8, valid_sets=[train, val], valid_names=["train", "val"], callbacks=callbacks)
print(json.dumps({split: {"nll": m["binary_logloss"], "error": m["binary_error"]} for split, m in own.items()}))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
