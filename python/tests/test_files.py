"""Files in and out: the same rows, whatever file and type they come in, are the same run, and what is exported of it is what came in."""

import json
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import binary, check

N, K, CLASSES = 30, 3, ["ant", "bee", "cow"]
EPOCHS, SPLITS = (1, 2), ("train", "val")
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def values(epoch, split):
    """Logits that each type holds as they are, so that they are compared to the bit; labels, and ids out of order."""
    rng = np.random.default_rng([epoch, SPLITS.index(split)])
    z = rng.integers(-31, 32, (N, K)).astype(np.float32) / 8
    of_split = np.random.default_rng(SPLITS.index(split))
    return z, of_split.integers(0, K, N), of_split.permutation(1000)[:N] + 1000


def safetensors(path, arrays, dtype):
    """By the format's description: the size of a JSON header, the header, the bytes."""
    header, body = {}, b""
    for name, a in arrays.items():
        kind = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64"}.get(str(a.dtype))
        raw = a.tobytes()
        if name == "logits" and dtype == "bfloat16":
            kind, raw = "BF16", (a.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        header[name] = {"dtype": kind, "shape": a.shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def table(z, y, ids, lists):
    logits = {f"logit:{c}": z[:, j] for j, c in enumerate(CLASSES)}
    if lists:
        logits = {"logits": pa.FixedSizeListArray.from_arrays(pa.array(z.ravel()), K)}
    return pa.table({"id": ids, **({} if y is None else {"label": y}), **logits})


def write(folder, end, dtype, epoch, split, inside):
    z, y, ids = values(epoch, split)
    z = z.astype(np.float32 if dtype == "bfloat16" else dtype)
    path = folder / f"{epoch}_{split}{end.lstrip('-')}"
    np.save(folder / f"y_{split}.npy", y)
    np.save(folder / f"ids_{split}.npy", ids)
    arrays = {"logits": z, **({"labels": y, "ids": ids} if inside else {})}
    labels = y if inside else None
    if end == ".npy":
        np.save(path, np.asfortranarray(z) if epoch == 2 else z)
    elif end == ".npz":
        (np.savez if epoch == 1 else np.savez_compressed)(path, **arrays)
    elif end == ".safetensors":
        safetensors(path, arrays, dtype)
    elif end.endswith(".parquet"):
        pq.write_table(table(z, labels, ids, end[0] == "-"), path)
    elif end.endswith((".arrow", ".arrows")):
        t = table(z, labels, ids, end[0] == "-")
        with (pa.ipc.new_stream if end.endswith("s") else pa.ipc.new_file)(path, t.schema) as out:
            out.write_table(t, max_chunksize=N if epoch == 1 else 7)
    elif end == ".csv":
        names = ["id", *(["label"] if inside else []), *(f"logit:{c}" for c in CLASSES)]
        rows = [[ids[i], *([CLASSES[y[i]]] if inside else []), *z[i]] for i in range(N)]
        path.write_text("\n".join(",".join(map(str, r)) for r in [names, *rows]))
    elif end == ".jsonl":
        rows = [{"id": int(ids[i]), **({"label": CLASSES[y[i]]} if inside else {}), "logits": [float(v) for v in z[i]]} for i in range(N)]
        path.write_text("\n".join(map(json.dumps, rows)))


def run(*args):
    done = subprocess.run([binary(), *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


NO_BFLOAT16 = [".npy", ".npz", ".parquet", "-.parquet", ".arrow", "-.arrow", ".arrows", "-.arrows"]  # a dash: columns of lists
ALL = [
    *((end, d) for end in NO_BFLOAT16 for d in DTYPES if d != "bfloat16"),
    *((".safetensors", d) for d in DTYPES),
    (".csv", "float32"),
    (".jsonl", "float32"),
]


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "beside"])
@pytest.mark.parametrize(("end", "dtype"), ALL)
def test_every_file_is_the_same_run(tmp_path, end, dtype, inside):
    inside = inside and end != ".npy"  # which holds logits alone
    for epoch in EPOCHS:
        for split in SPLITS:
            write(tmp_path, end, dtype, epoch, split, inside)
    (tmp_path / "classes").write_text("\n".join(CLASSES))
    beside = [] if inside else ["--labels", tmp_path / "y_{split}.npy"]
    if not inside and end in (".npy", ".npz", ".safetensors"):
        beside += ["--ids", tmp_path / "ids_{split}.npy"]
    run("import", tmp_path / ("{epoch}_{split}" + end.lstrip("-")), *beside, "--classes", tmp_path / "classes", "--out", tmp_path / "run")
    assert "as written" in check(tmp_path / "run")
    exported(tmp_path)


def exported(folder):
    """What NumPy reads of the npz, and pyarrow of the Parquet, is what came in."""
    run("export", folder / "run", "--out", folder / "all.npz")
    run("export", folder / "run", "--out", folder / "all.parquet")
    archive, rows = np.load(folder / "all.npz"), pq.read_table(folder / "all.parquet").to_pylist()
    assert archive["epochs"].tolist() == list(EPOCHS)
    assert archive["classes"].tolist() == CLASSES
    assert len(rows) == len(EPOCHS) * len(SPLITS) * N
    for e, epoch in enumerate(EPOCHS):
        for split in SPLITS:
            z, y, ids = values(epoch, split)
            assert archive[split + "_logits"].dtype == np.float32
            np.testing.assert_array_equal(archive[split + "_logits"][e], z)
            np.testing.assert_array_equal(archive[split + "_labels"], y)
            np.testing.assert_array_equal(archive[split + "_ids"], ids)
            part = [r for r in rows if r["epoch"] == epoch and r["split"] == split]
            np.testing.assert_array_equal([r["logits"] for r in part], z)
            assert [r["label"] for r in part] == y.tolist()
            assert [r["label_name"] for r in part] == [CLASSES[k] for k in y]
            assert [r["id"] for r in part] == ids.tolist()


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("end", [".arrow", ".arrows", ".parquet"])
def test_one_batch_is_longer_than_a_block(tmp_path, end, lists):
    n = 400_000  # a block has 2²⁰ logits
    z = (np.arange(n * K, dtype=np.float32) % 8191).reshape(n, K)
    y = np.arange(n) % K
    t = table(z, pa.array([CLASSES[k] for k in y]).dictionary_encode(), np.arange(n)[::-1].copy(), lists)
    file = tmp_path / ("z" + end)
    if end == ".parquet":
        pq.write_table(t, file, row_group_size=n)
    else:
        with (pa.ipc.new_stream if end.endswith("s") else pa.ipc.new_file)(file, t.schema) as out:
            out.write_table(t)
    (tmp_path / "classes").write_text("\n".join(CLASSES))
    run("import", file, "--classes", tmp_path / "classes", "--out", tmp_path / "run")
    run("export", tmp_path / "run", "--out", tmp_path / "all.npz")
    archive = np.load(tmp_path / "all.npz")
    np.testing.assert_array_equal(archive["val_logits"][0], z)
    np.testing.assert_array_equal(archive["val_labels"], y)
    np.testing.assert_array_equal(archive["val_ids"], np.arange(n)[::-1])


@pytest.mark.parametrize("kind", ["probs", "logprobs"])
def test_what_looks_like_probabilities_is_asked_about_over_the_whole_split(tmp_path, kind):
    """A block has 2²⁰ values: the last row, many blocks on, decides."""
    n = 1_200_000
    z = np.random.default_rng(0).standard_normal((n, K))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    given = (p if kind == "probs" else np.log(p)).astype(np.float32)
    np.save(tmp_path / "z.npy", given)
    command = [binary(), "import", str(tmp_path / "z.npy"), "--out", str(tmp_path / "run")]
    asked = subprocess.run(command, capture_output=True, text=True)
    assert asked.returncode == 1
    assert f"--kind {kind}" in asked.stderr
    assert not (tmp_path / "run").exists()
    run(*command[1:], "--kind", kind)
    run("export", tmp_path / "run", "--out", tmp_path / "all.npz")
    got = np.load(tmp_path / "all.npz")["val_logits"][0]
    np.testing.assert_allclose(got, np.log(p), atol=2e-6)
    given[-1] = [3, -2, 1]
    np.save(tmp_path / "z.npy", given)
    run(*command[1:-1], tmp_path / "logits")
    run("export", tmp_path / "logits", "--out", tmp_path / "all.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "all.npz")["val_logits"][0], given)
