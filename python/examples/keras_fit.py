"""Keras 3, on JAX unless KERAS_BACKEND says another. usage: python keras_fit.py [RUN]"""

import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

import logitscope
from logitscope.callbacks import Keras

path = sys.argv[1] if len(sys.argv) > 1 else "runs/keras_fit"

rng = np.random.default_rng(0)
x = rng.normal(size=(600, 20)).astype(np.float32)
y = (x[:, :3].sum(1) > 0).astype(int) + (x[:, 3] > 1)
model = keras.Sequential([keras.layers.Dense(32, "relu"), keras.layers.Dense(3)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])

with logitscope.record(path, classes=["low", "high", "very high"]) as rec:
    train, val = (x[:400], y[:400]), (x[400:], y[400:])
    history = model.fit(*train, epochs=5, validation_data=val, verbose=0, callbacks=[Keras(rec, train=train, val=val)])
own = history.history
print(json.dumps({"val": {"nll": own["val_loss"], "error": [1 - a for a in own["val_accuracy"]]}}))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
