"""What logitscope exports, read back by those it is for: pandas, Polars, DuckDB, NumPy and TensorBoard itself.

usage: python3 tools/oracle/exported.py bin/logitscope   (pip install numpy pandas pyarrow polars duckdb tensorboard 'setuptools<81')

The mean NLL of every epoch and split, computed here from the logits in each file, is held to `show --json`.
"""
import json
import os
import subprocess
import sys
import tempfile

import duckdb
import numpy as np
import pandas as pd
import polars as pl
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

binary = os.path.abspath(sys.argv[1])
os.chdir(tempfile.mkdtemp())


def logitscope(*args):
    return subprocess.run([binary, *args], check=True, capture_output=True, text=True).stdout


logitscope("train", "--quiet", "--train-size", "100", "--hidden", "16", "--epochs", "3", "--label-noise", "0.1", "--out", "run")
for name in ("t.parquet", "t.npz", "t.csv", "t.jsonl"):
    logitscope("export", "run", "--out", name)
logitscope("export", "run", "--out", "board", "--format", "tensorboard")
show = json.loads(logitscope("show", "run", "--json"))
want = {(e["epoch"], s): f["nll"] for e in show["epochs"] for s, f in e["splits"].items()}


def nll(z, labels):
    z = np.asarray(z, np.float64)
    z = z - z.max(-1, keepdims=True)
    return (np.log(np.exp(z).sum(-1)) - z[np.arange(len(z)), labels]).mean()


def check(what, epoch, split, got):
    assert abs(got - want[epoch, split]) <= 1e-6, (what, epoch, split, got, want[epoch, split])


for what, table in {"pandas": pd.read_parquet("t.parquet"), "Polars": pl.read_parquet("t.parquet").to_pandas(),
                    "DuckDB": duckdb.sql("SELECT * FROM 't.parquet'").df()}.items():
    seen = 0
    for (epoch, split), rows in table.groupby(["epoch", "split"]):
        check(what, epoch, split, nll(np.stack(rows.logits.to_list()), rows.label.to_numpy()))
        seen += 1
    assert seen == len(want), what

archive = np.load("t.npz")
for i, epoch in enumerate(archive["epochs"]):
    for split in ("train", "val"):
        check("NumPy", int(epoch), split, nll(archive[split + "_logits"][i], archive[split + "_labels"]))

table = pd.read_csv("t.csv", dtype={"label": str})
lines = pd.read_json("t.jsonl", lines=True, dtype={"label": str})
classes = list(archive["classes"])
for (epoch, split), rows in table.groupby(["epoch", "split"]):
    labels = [classes.index(name) for name in rows.label]
    check("CSV", epoch, split, nll(rows[["logit:" + c for c in classes]].to_numpy(), labels))
    rows = lines[(lines.epoch == epoch) & (lines.split == split)]
    check("JSON lines", epoch, split, nll(np.stack(rows.logits.to_list()), [classes.index(name) for name in rows.label]))

for split in ("train", "val"):
    events = EventAccumulator("board/" + split, size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    scalars = events.Scalars("nll")
    assert [s.step for s in scalars] == [1, 2, 3]
    for s in scalars:
        check("TensorBoard", s.step, split, s.value)
    for tag in ("raw logit", "softmax", "log-softmax", "NLL"):
        for h, epoch in zip(events.Histograms(tag), archive["epochs"]):
            assert h.step == epoch and h.histogram_value.num == len(archive[split + "_ids"]), (split, tag)
print("all read the same logits")
