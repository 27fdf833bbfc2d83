"""A plain JAX loop. usage: python jax_loop.py [RUN]"""

import json
import sys

import jax
import jax.numpy as jnp

import logitscope

path = sys.argv[1] if len(sys.argv) > 1 else "runs/jax_loop"

x = jax.random.normal(jax.random.key(0), (600, 20))
y = (x[:, :3].sum(1) > 0).astype(int) + (x[:, 3] > 1)
w = jnp.zeros((20, 3))


@jax.jit
def forward(w, x, y):
    z = x @ w
    return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).mean(), z


step = jax.jit(jax.grad(forward, has_aux=True))
own = {split: {"nll": [], "error": []} for split in ("train", "val")}

with logitscope.record(path, classes=["low", "high", "very high"]) as rec:
    for epoch in range(1, 6):
        for at in range(0, 400, 40):
            w -= step(w, x[at : at + 40], y[at : at + 40])[0]
        for split, part in {"train": slice(0, 400), "val": slice(400, 600)}.items():
            nll, z = forward(w, x[part], y[part])
            rec.log(epoch, split, z, y[part])
            own[split]["nll"].append(float(nll))
            own[split]["error"].append(float((z.argmax(1) != y[part]).mean()))
print(json.dumps(own))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
