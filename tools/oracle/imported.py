"""Logits as other programs write them, and their NLL and accuracy by NumPy: what convert's tests import.

usage: python3 tools/oracle/imported.py convert/testdata/imported   (pip install numpy pandas pyarrow safetensors datasets)
"""
import json
import os
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from safetensors.numpy import save_file

os.makedirs(sys.argv[1], exist_ok=True)
os.chdir(sys.argv[1])
rng = np.random.RandomState(20)
N, K, E = 12, 3, 2
names = np.array(["no", "maybe", "yes"])
y = rng.randint(K, size=N)
z = (rng.normal(size=(E, N, K)) + np.arange(1, E + 1)[:, None, None] * np.eye(K)[y]).astype(np.float32)
shuffled = rng.permutation(N)
want = {}


def figures(logits, labels):
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    logits, labels = logits[labels >= 0], labels[labels >= 0]
    lse = np.log(np.exp(logits).sum(1))
    return [float((lse - logits[np.arange(len(labels)), labels]).mean()), float((logits.argmax(1) == labels).mean()), len(labels)]


def case(files, epochs, split="val", labels=y, more=""):
    """files and flags, and what each epoch of the split must come to."""
    want[f"{files} {more}".strip()] = {split: {str(e): figures(values, labels) for e, values in epochs.items()}}


np.save("y.npy", y)
np.save("names.npy", names[y])
with open("classes.txt", "w", encoding="utf-8") as f:
    f.write("\n".join(names) + "\n")
with open("y.txt", "w", encoding="utf-8") as f:
    f.write("label\n" + "\n".join(map(str, y)) + "\n")
for name, values in {"f4": z[0], "f2": z[0].astype(np.float16), "f8": z[0].astype(np.float64), "columns": np.asfortranarray(z[0]), "big": z[0].astype(">f4")}.items():
    np.save(f"{name}.npy", values)
    case(f"{name}.npy", {1: values}, more="--labels y.npy")
case("f4.npy", {1: z[0]}, more="--labels names.npy --classes classes.txt")
case("f4.npy", {7: z[0]}, "test", more="--labels y.txt --split test --first 7")
np.save("epochs.npy", z)
case("epochs.npy", {1: z[0], 2: z[1]}, more="--labels y.npy")
p = np.exp(z[0].astype(np.float64))
p /= p.sum(1, keepdims=True)
np.save("p.npy", p)
np.save("logp.npy", np.log(p).astype(np.float32))
case("p.npy", {1: np.log(p)}, more="--labels y.npy --kind probs")
case("logp.npy", {1: np.log(p).astype(np.float32)}, more="--labels y.npy --kind logprobs")
one, binary = z[0][:, 1] - z[0][:, 0], (y > 0).astype(int)
np.save("one.npy", one)
np.save("binary.npy", binary)
case("one.npy", {1: np.c_[0 * one, one]}, more="--labels binary.npy", labels=binary)
sure = 1 / (1 + np.exp(-one.astype(np.float64)))
np.save("sure.npy", sure)
case("sure.npy", {1: np.c_[np.log1p(-sure), np.log(sure)]}, more="--labels binary.npy --kind probs", labels=binary)

os.makedirs("history", exist_ok=True)
for e in range(E):
    order = shuffled if e else np.arange(N)
    np.savez_compressed(f"history/{e + 1}_validation.npz", logits=z[e][order], labels=y[order], ids=10 + order)
case("history/{epoch}_{split}.npz", {1: z[0], 2: z[1]})
case("history/{epoch}_{split}.npz", {5: z[0], 6: z[1]}, more="--first 5")
np.savez("whole.npz", train_logits=z, train_labels=y, epochs=[3, 8], classes=names)
case("whole.npz", {3: z[0], 8: z[1]}, "train")
save_file({"logits": z[1].astype(np.float16), "labels": y}, "half.safetensors")
case("half.safetensors", {1: z[1].astype(np.float16)})

table = pd.DataFrame({"epoch": np.repeat([1, 2], N), "split": "val", "id": np.tile(np.arange(N), 2), "label": np.tile(names[y], 2)})
for k, name in enumerate(names):
    table[f"logit:{name}"] = z.reshape(-1, K)[:, k]
table.to_csv("table.csv", index=False)
table.to_parquet("table.parquet", row_group_size=7)
lists = pd.DataFrame({"id": np.tile(np.arange(N), 2), "epoch": np.repeat([1, 2], N), "label": np.tile(y, 2), "logits": list(z.reshape(-1, K))})
lists.to_parquet("lists.parquet")
lists.to_feather("lists.feather")
for name in ("table.csv", "table.parquet", "lists.parquet", "lists.feather"):
    case(name, {1: z[0], 2: z[1]})
stream = pa.table({"guid": [f"s{i}" for i in range(N)], "label": pa.array([None] + list(y[1:])).cast(pa.int8()),
                   "logits": pa.FixedSizeListArray.from_arrays(pa.array(z[0].astype(np.float16).ravel()), K)})
with pa.ipc.new_stream("stream.arrows", stream.schema) as out:
    out.write_table(stream, max_chunksize=5)
case("stream.arrows", {1: z[0].astype(np.float16)}, labels=np.r_[-1, y[1:]])
with open("lines.jsonl", "w", encoding="utf-8") as f:
    for i in range(N):
        f.write(json.dumps({"id": i, "label": None if i == 0 else str(names[y[i]]), "logits": [float(v) if i else float("-inf") for v in z[0][i]]}) + "\n")
case("lines.jsonl", {1: z[0][1:]}, labels=y[1:], more="--classes classes.txt")
os.makedirs("dynamics", exist_ok=True)
for e in range(E):
    with open(f"dynamics/dynamics_epoch_{e}.jsonl", "w", encoding="utf-8") as f:
        for i in (shuffled if e else range(N)):
            f.write(json.dumps({"guid": int(i), f"logits_epoch_{e}": [float(v) for v in z[e][i]], "gold": int(y[i])}) + "\n")
case("dynamics", {1: z[0], 2: z[1]}, "train", more="--split train")
hub = Dataset.from_dict({"logits": z[0].tolist(), "label": y.tolist()}, Features({"logits": Sequence(Value("float32")), "label": ClassLabel(names=list(names))}))
DatasetDict({"validation": hub}).save_to_disk("hub", num_shards={"validation": 2})
case("hub", {1: z[0]})
with open("want.json", "w", encoding="utf-8") as f:
    json.dump(want, f, indent=1)
