"""Rows of float16: what is kept is what rounding to binary16 gives, wherever it was rounded, and what it cannot hold is said."""

import importlib.util
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from reading import Run, binary, check, figures, mean_nll
from test_ranks import job

import logitscope
from logitscope._seal import seal
from logitscope._tensors import BFLOAT16, narrowed, unrounded, widened

F16_MAX, ROUNDS_UP = 65504.0, 65520.0


def binary16(value):
    """What Python's own rounding gives, to nearest, ties to even: NumPy's has no part in it."""
    if np.isnan(value) or np.isinf(value):
        return float(value)
    try:
        return struct.unpack("<e", struct.pack("<e", value))[0]
    except OverflowError:
        return float(np.copysign(np.inf, value))


def hard_values():
    """Values that lie on, beside and between those of binary16: ties, subnormals, the ends of its range."""
    rng = np.random.default_rng(16)
    halves = rng.integers(0, 0x7C00, 400, np.uint16).view(np.float16).astype(np.float32)
    following = np.nextafter(halves.astype(np.float16), np.float16(np.inf)).astype(np.float32)
    ties = halves + (following - halves) / 2
    ties = ties[np.isfinite(ties)]
    ends = np.float32([0, 2**-24, 2**-25, 3 * 2**-25, 2**-26, F16_MAX, 65519.996, ROUNDS_UP, 1e9, np.inf, np.nan])
    found = np.concatenate([halves, ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf)), ends])
    found = np.concatenate([found, -found])
    return np.resize(found, (len(found) // 4 + 1, 4))


Z = np.random.default_rng(1).normal(0, 3, (40, 3)).astype(np.float32)
Y = np.arange(40) % 3


def test_values_are_rounded_to_nearest(tmp_path):
    z = hard_values()
    golden = np.array([[binary16(float(v)) for v in row] for row in z], np.float16)
    overflowed = int((np.isinf(golden) & np.isfinite(z)).sum())
    assert overflowed > 0
    with (
        pytest.warns(logitscope.LogitscopeWarning) as said,
        logitscope.record(tmp_path / "run", rows="float16") as rec,
    ):
        rec.log(1, "val", z, np.zeros(len(z), int))
    run = Run(tmp_path / "run")
    kept = run.epochs[1]["val"]["logits"]
    assert kept.dtype == np.float16
    assert np.array_equal(kept, golden, equal_nan=True)
    assert np.array_equal(np.signbit(kept), np.signbit(golden))
    assert run.info[1]["val"]["overflowed"] == overflowed
    assert run.manifest["splits"][0]["rows"] == {"logits": "float16"}
    texts = [str(w.message) for w in said]
    assert any("beyond 65,504" in t and "rows='float32'" in t for t in texts)
    assert any("infinite or NaN" in t for t in texts)
    assert f"{overflowed} of them" in check(tmp_path / "run")
    # The program, and the client that reads it back, say the same of it.
    out = tmp_path / "run.npz"
    subprocess.run([binary(), "export", str(tmp_path / "run"), "--out", str(out)], check=True, capture_output=True)
    assert np.array_equal(np.load(out)["val_logits"][0], golden.astype(np.float32), equal_nan=True)
    opened = logitscope.open(tmp_path / "run").rows(1, "val")["logits"]
    assert np.array_equal(opened, golden, equal_nan=True)


def test_figures_are_those_of_the_rounded_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGITSCOPE_BIN", binary())
    with logitscope.record(tmp_path / "run", rows="float16") as rec:
        for epoch in (1, 2):
            rec.log(epoch, "train", Z * epoch, Y)
            rec.log(epoch, "val", Z[::2] * epoch, Y[::2])
    check(tmp_path / "run")
    shown = {(e["epoch"], name): s for e in figures(tmp_path / "run")["epochs"] for name, s in e["splits"].items()}
    for epoch in (1, 2):
        for split, step in (("train", 1), ("val", 2)):
            rounded = (Z[::step] * np.float32(epoch)).astype(np.float16)
            assert abs(shown[epoch, split]["nll"] - mean_nll(rounded, Y[::step])) <= 1e-6
    frame = logitscope.open(tmp_path / "run").pandas(2, "val")
    assert np.array_equal(frame["logit 1"], (Z[::2, 1] * np.float32(2)).astype(np.float16))
    report = logitscope.open(tmp_path / "run").score(epoch=2, split="val")
    assert abs(report.nll - mean_nll((Z[::2] * np.float32(2)).astype(np.float16), Y[::2])) <= 1e-6


def test_rows_take_half_the_room(tmp_path):
    z = np.random.default_rng(0).normal(size=(1000, 100)).astype(np.float32)
    sizes = {}
    for rows in ("float32", "float16"):
        with logitscope.record(tmp_path / rows, rows=rows) as rec:
            rec.log(1, "val", z, np.zeros(1000, int))
        sizes[rows] = (tmp_path / rows / "epochs" / "000001" / "val.arrow").stat().st_size
        check(tmp_path / rows)
    assert abs(sizes["float32"] - sizes["float16"] - 2 * z.size) < 100  # two bytes of each logit; the types' names differ by a few


def test_what_is_float16_already_is_kept_as_it_is(tmp_path):
    z = np.arange(0x10000, dtype=np.uint16).view(np.float16).reshape(-1, 4)
    with (
        pytest.warns(logitscope.LogitscopeWarning, match="infinite or NaN") as said,
        logitscope.record(tmp_path / "run", rows="float16") as rec,
    ):
        rec.log(1, "val", z, np.zeros(len(z), int))
    assert not any("65,504" in str(w.message) for w in said)
    run = Run(tmp_path / "run")
    assert np.array_equal(run.epochs[1]["val"]["logits"].view(np.uint16), z.view(np.uint16))
    assert "overflowed" not in run.info[1]["val"]


def test_only_what_is_kept_is_counted(tmp_path):
    """A row that is left out, or that a later pass takes the place of, has no part in the count."""
    big = np.full((10, 3), 1e6, np.float32)
    with (
        pytest.warns(logitscope.LogitscopeWarning, match=r"first of id 0, 1, 2"),
        logitscope.record(tmp_path / "run", rows="float16") as rec,
    ):
        rec.log(1, "val", big, Y[:10])
        rec._epochs.set_aside("val")
        rec.log(1, "val", Z[:10], Y[:10])
        rec._epochs.choose("val", whole=True)
        rec.log(2, "val", np.concatenate([big[:1], Z[1:9]]), Y[:9])
        rec._epochs.set_aside("val")
        rec.log(2, "val", big[:5], Y[:5])
        rec._epochs.choose("val", whole=False)
    run = Run(tmp_path / "run")
    assert "overflowed" not in run.info[1]["val"]
    assert run.info[2]["val"]["overflowed"] == 3


@pytest.mark.parametrize("memory", [1 << 28, 64])
def test_through_the_disk(tmp_path, memory):
    """With no room in memory rows wait, and are spooled, on the disk."""
    with logitscope.record(tmp_path / "run", rows="float16", memory=memory, queue_bytes=1, patience=0) as rec:
        for at in range(0, 40, 10):
            rec.log(1, "val", Z[at : at + 10], Y[at : at + 10])
    assert np.array_equal(Run(tmp_path / "run").epochs[1]["val"]["logits"], Z.astype(np.float16))


def test_heads(tmp_path):
    with logitscope.record(tmp_path / "one", rows="float16") as rec:
        rec.log(1, "val", Z[:, 0], Y % 2)
    check(tmp_path / "one")
    assert np.array_equal(Run(tmp_path / "one").epochs[1]["val"]["logits"], Z[:, :1].astype(np.float16))
    with logitscope.record(tmp_path / "several", head="sigmoid", classes=3, rows="float16") as rec:
        rec.log(1, "val", Z, (Z > 0).astype(int))
    check(tmp_path / "several")
    assert np.array_equal(Run(tmp_path / "several").epochs[1]["val"]["logits"], Z.astype(np.float16))


def test_a_run_goes_on_as_it_began(tmp_path):
    def rows(path):
        return [s.get("rows") for s in json.loads((path / "manifest.json").read_text())["splits"]]

    for path, rows_then, other in ((tmp_path / "half", "float16", "float32"), (tmp_path / "whole", None, "float16")):
        with logitscope.record(path, rows=rows_then) as rec:
            rec.log(1, "val", Z, Y)
        with pytest.raises(ValueError, match=f"^rows: .* not as {other}"):
            logitscope.record(path, rows=other, resume=True)
        for epoch, again in ((2, None), (3, rows_then)):
            with logitscope.record(path, rows=again, resume=True) as rec:
                rec.log(epoch, "val", Z, Y)
        run = Run(path)
        kept = Z.astype(rows_then or "float32")
        for epoch in (1, 2, 3):
            assert run.epochs[epoch]["val"]["logits"].dtype == kept.dtype
            assert np.array_equal(run.epochs[epoch]["val"]["logits"], kept)
        assert rows(path) == [{"logits": "float16"} if rows_then else None]
        check(path)


def test_a_run_whose_splits_are_kept_in_two_ways_is_not_this_clients(tmp_path):
    with logitscope.record(tmp_path / "run", splits=["train", "val"], rows="float16") as rec:
        rec.log(1, "val", Z, Y)
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["crc32c"], manifest["splits"][0]["rows"]
    path.write_bytes(seal(manifest))
    with pytest.raises(ValueError, match="was not recorded by this client"):
        logitscope.record(tmp_path / "run", resume=True)


@pytest.mark.parametrize("rows", ["float8", "bfloat16", "", 16])
def test_what_rows_may_be(tmp_path, rows):
    with pytest.raises(ValueError, match="^rows: .*want 'float32' or 'float16'"):
        logitscope.record(tmp_path / "run", rows=rows)
    assert not any(tmp_path.iterdir())


def test_ranks_hand_over_halves(tmp_path):
    """Rows that two ranks have count once, what they lost too."""
    text = """
        import warnings
        warnings.simplefilter("ignore")
        rec = logitscope.record(path, classes=3, rank=rank, ranks=2, rows="float16")
        Z[7] = Z[8] = 1e6
        share = np.arange(0, 12) if rank == 0 else np.arange(8, 20)   # 8 to 11 twice
        for e in (1, 2): log(e, "val", share)
        rec.close()
    """
    codes, said = job(tmp_path / "run", 2, text)
    assert codes == [0, 0], said
    z = np.arange(60, dtype=np.float32).reshape(20, 3)
    z[7] = z[8] = np.inf
    run = Run(tmp_path / "run")
    for epoch in (1, 2):
        assert np.array_equal(run.epochs[epoch]["val"]["logits"], (z + epoch).astype(np.float16))
        assert (run.info[epoch]["val"]["overflowed"], run.info[epoch]["val"]["repeated"]) == (6, 4)
    check(tmp_path / "run")
    # A resumed job goes on as it began, and no rank has to say it.
    codes, said = job(tmp_path / "run", 2, text.replace('rows="float16"', "resume=True").replace("e in (1, 2)", "e in (3, 4)"))
    assert codes == [0, 0], said
    run = Run(tmp_path / "run")
    assert np.array_equal(run.epochs[4]["val"]["logits"], (z + 4).astype(np.float16))
    assert run.info[4]["val"]["overflowed"] == 6


def test_ranks_that_do_not_agree(tmp_path):
    text = """
        rec = logitscope.record(path, classes=3, rank=rank, ranks=2, rows=["float16", "float32"][rank])
        log(1, "val", np.arange(10) + 10 * rank)
        rec.close()
    """
    _, said = job(tmp_path / "run", 2, text)
    assert "what rank 1 handed over is not taken" in said[0]
    assert "kept as float16" in said[0]


def test_bits_of_bfloat16_are_widened():
    bits = np.arange(0x10000, dtype=np.uint16)
    golden = np.frombuffer(b"".join(struct.pack("<HH", 0, b) for b in bits.tolist()), np.float32)  # the upper half of a float32
    assert np.array_equal(widened(bits.view(BFLOAT16)), golden, equal_nan=True)
    assert widened(Z) is Z


def test_rows_that_a_device_has_rounded_count_alike():
    z = hard_values()
    z[5] = [np.inf, 1e6, -1e6, np.inf]
    z[6] = [np.nan, -np.inf, 1e38, 1]
    halves, over = narrowed(z)
    again, over_again = narrowed(unrounded(halves, over))
    assert over[5] == 2 and over[6] == 1
    assert np.array_equal(again, halves, equal_nan=True)
    assert np.array_equal(over_again, over)


ELSEWHERE = """
import json, sys, warnings
import numpy as np, logitscope
from logitscope import _tensors
framework, folder = sys.argv[1:]
warnings.simplefilter("ignore", logitscope.LogitscopeWarning)
if framework == "jax":
    import jax
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    given = lambda z, dtype: jnp.asarray(z).astype(dtype)
else:
    import tensorflow as tf
    given = lambda z, dtype: tf.cast(tf.constant(z), dtype)
z = np.load(folder + "/z.npy")
assert not _tensors._is_away(given(z, "float32"))    # the host is taken for a device
rounded = []
_tensors._is_away, halved = lambda value: True, _tensors._halved
def noting(value):
    rounded.append(halved(value))
    return rounded[-1]
_tensors._halved = noting
said = {}
for dtype in ("float32", "float64", "float16", "bfloat16", "int32"):
    for name, rows in (("far", z), ("near", z[np.abs(z).max(axis=1) < 65504])):     # NaN is not less
        with logitscope.record(f"{folder}/{dtype}-{name}", rows="float16") as rec:
            rec.log(1, "val", given(rows, dtype), np.zeros(len(rows), int))
        np.save(f"{folder}/{dtype}-{name}.npy", np.asarray(given(rows, dtype)).astype(np.float32))
        said[f"{dtype}-{name}"] = rounded[-1] is not None
json.dump(said, open(folder + "/said.json", "w"))
"""


@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
def test_arrays_of_other_frameworks_are_rounded_where_they_are(tmp_path, framework):
    """In a process of its own, for TensorFlow and the compilers of PyTorch do not get on in one."""
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is absent: make test-frameworks")
    np.save(tmp_path / "z.npy", hard_values())
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, framework, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name, rounded in json.loads((tmp_path / "said.json").read_text()).items():
        assert rounded == name.startswith(("float32", "float64"))
        z = np.load(tmp_path / f"{name}.npy")
        golden = np.array([[binary16(float(v)) for v in row] for row in z], np.float16)
        run = Run(tmp_path / name)
        assert np.array_equal(run.epochs[1]["val"]["logits"], golden, equal_nan=True), name
        overflowed = int((np.isinf(golden) & np.isfinite(z)).sum())
        assert run.info[1]["val"].get("overflowed", 0) == overflowed
        assert (overflowed > 0) == (name.endswith("far") and not name.startswith("float16"))
