"""Reads a run as docs/run-format.md says, with pyarrow and none of the client's code."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pytest


def sealed(path):
    raw = path.read_bytes()
    body, tail = raw[:-27], raw[-27:]
    assert tail == b',\n  "crc32c": "%08x"\n}\n' % google_crc32c.value(body), path
    return json.loads(raw)


def table(path, entry):
    raw = path.read_bytes()
    assert len(raw) == entry["size"], path
    assert f"{google_crc32c.value(raw):08x}" == entry["crc32c"], path
    t = pa.ipc.open_file(pa.BufferReader(raw)).read_all()
    assert len(t) == entry.get("n", len(t))
    columns = {}
    for name in t.column_names:
        column = t[name].combine_chunks()
        assert column.null_count == 0
        columns[name] = column.to_numpy(zero_copy_only=False) if not pa.types.is_fixed_size_list(column.type) else (
            column.flatten().to_numpy().reshape(len(t), column.type.list_size))  # fmt: skip
    return columns


class Run:
    """manifest, and samples and epochs by split: {split: {column: array}}."""

    def __init__(self, path):
        path = Path(path)
        self.manifest = sealed(path / "manifest.json")
        self.samples, self.epochs, self.info = {}, {}, {}
        splits = self.manifest["splits"]
        for s in splits:
            self.samples[s["name"]] = [table(path / "samples" / f"{s['name']}.arrow", s)]
        for index, folder in enumerate(sorted(p for p in (path / "epochs").iterdir() if p.name[0] != ".")):
            info = sealed(folder / "epoch.json")
            assert info["run"] == self.manifest["id"]
            assert info["index"] == index
            assert folder.name == f"{info['epoch']:06d}"
            assert [s["name"] for s in info["splits"]] == [s["name"] for s in splits]
            self.info[info["epoch"]] = {s["name"]: s for s in info["splits"]}
            rows = self.epochs[info["epoch"]] = {}
            for s in info["splits"]:
                if "samples" in s:
                    self.samples[s["name"]].append(table(folder / f"{s['name']}.samples.arrow", s["samples"]))
                known = np.concatenate([t["id"] for t in self.samples[s["name"]]])
                assert len(known) == s["of"]
                assert len(set(known.tolist())) == len(known)
                for i, part in enumerate(s["parts"]):
                    assert i == 0
                    rows[s["name"]] = table(folder / f"{s['name']}.arrow", {"n": part["n"], **part["rows"]})
                    ids = rows[s["name"]]["id"].tolist()
                    place = {v: k for k, v in enumerate(known.tolist())}
                    at = [place[i] for i in ids]
                    assert at == sorted(set(at)), "rows out of the split's order, or twice"
                assert s["n"] == sum(p["n"] for p in s["parts"])
        for name, tables in self.samples.items():
            tables = [t for t in tables if len(t["id"])] or tables  # what has no samples has none of the columns that they may have
            self.samples[name] = {c: np.concatenate([t[c] for t in tables]) for c in tables[0]}
        self.end = sealed(path / "end.json") if (path / "end.json").exists() else None

    def label(self, split):
        """Labels by id."""
        s = self.samples[split]
        return dict(zip(s["id"].tolist(), s["label"].tolist(), strict=True))

    def rows(self, epoch, split):
        """Logits by id."""
        t = self.epochs[epoch].get(split, {"id": np.empty(0), "logits": []})
        return dict(zip(t["id"].tolist(), t["logits"], strict=True))


def binary():
    """The program, which LOGITSCOPE_BIN or the tree's bin or the PATH has."""
    here = Path(__file__).parents[2] / "bin" / "logitscope"
    found = os.environ.get("LOGITSCOPE_BIN") or (str(here) if here.exists() else shutil.which("logitscope"))
    if not found:
        pytest.skip("logitscope's binary is absent: make build")
    return found


def check(path):
    """What logitscope check says of a run; an error fails the test."""
    done = subprocess.run([binary(), "check", str(path)], capture_output=True, text=True)
    if "reads up to 2" in done.stderr:
        pytest.skip("this binary does not read format 3")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def figures(path):
    """NLL and accuracy of each epoch and split, as logitscope show --json has them."""
    done = subprocess.run([binary(), "show", "--json", str(path)], capture_output=True, text=True)
    if "reads up to 2" in done.stderr:
        pytest.skip("this binary does not read format 3")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def mean_nll(z, y):
    z = np.asarray(z, np.float64)
    top = z.max(axis=1, keepdims=True)
    lse = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0]
    return float((lse - z[np.arange(len(y)), y]).mean())
