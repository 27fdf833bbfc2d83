"""log: what is handed over is what the run says, and what is wrong is said by the argument's name."""

import errno
import os
import subprocess
import sys
import threading
import warnings
from pathlib import PurePosixPath

import numpy as np
import pytest
from reading import Run, check, figures, mean_nll

import logitscope

RNG = np.random.default_rng(1)
Z = RNG.normal(size=(40, 3)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def test_whole_epochs(tmp_path):
    with logitscope.record(tmp_path / "run", classes=["a", "b", "ü"], epochs=2, config={"lr": 0.1}) as rec:
        for epoch in (1, 2):
            rec.log(epoch, "train", Z * epoch, Y)
            rec.log(epoch, "val", Z[:10] * epoch, Y[:10])
    run = Run(tmp_path / "run")
    assert run.manifest["classes"] == ["a", "b", "ü"]
    assert run.manifest["planned_epochs"] == 2
    assert run.manifest["config"] == {"lr": 0.1}
    assert [s["name"] for s in run.manifest["splits"]] == ["train", "val"]
    assert run.end["state"] == "complete"
    assert run.end["epochs"] == 2
    for epoch in (1, 2):
        t = run.epochs[epoch]["train"]
        assert t["id"].tolist() == list(range(40))
        assert np.array_equal(t["logits"], Z * epoch)
        assert np.array_equal(run.epochs[epoch]["val"]["logits"], Z[:10] * epoch)
        assert run.info[epoch]["train"].get("measured") is None
    assert run.samples["train"]["label"].tolist() == Y.tolist()


def test_epochs_that_are_steps(tmp_path):
    with logitscope.record(tmp_path / "run", unit="step") as rec:
        for step in (100, 200):
            rec.log(step, "val", Z, Y)
    assert Run(tmp_path / "run").manifest["unit"] == "step"
    assert figures(tmp_path / "run")["unit"] == "step"
    check(tmp_path / "run")


def test_shuffled_batches_by_id(tmp_path):
    ids = RNG.permutation(10**6)[:40] - 100
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        for epoch in range(3):
            order = RNG.permutation(40)
            for at in range(0, 40, 7):
                some = order[at : at + 7]
                rec.log(epoch, "val", Z[some] + epoch, Y[some], ids=ids[some])
    run = Run(tmp_path / "run")
    assert run.samples["val"]["id"].tolist() == sorted(ids.tolist())
    for k, i in enumerate(ids.tolist()):
        assert run.label("val")[i] == Y[k]
        for epoch in range(3):
            assert np.array_equal(run.rows(epoch, "val")[i], Z[k] + epoch)


def test_the_program_agrees(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        for epoch in (1, 2):
            rec.log(epoch, "train", Z * epoch, Y)
            rec.log(epoch, "val", Z[:11] * epoch, Y[:11])
    assert "as written" in check(tmp_path / "run")
    shown = {(e["epoch"], name): s for e in figures(tmp_path / "run")["epochs"] for name, s in e["splits"].items()}
    for epoch in (1, 2):
        for split, n in (("train", 40), ("val", 11)):
            z = Z[:n] * epoch
            assert abs(shown[epoch, split]["nll"] - mean_nll(z, Y[:n])) <= 1e-6
            assert abs(shown[epoch, split]["accuracy"] - np.mean(z.argmax(1) == Y[:n])) <= 1e-6


def test_part_of_an_epoch_and_samples_that_come_later(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3, splits=["train", "val"]) as rec:
        rec.log(1, "train", Z[:20], Y[:20], ids=np.arange(20, 40))
        rec.log(2, "train", Z[20:30], Y[20:30], ids=np.arange(10, 20))
        rec.log(2, "val", Z[:5], Y[:5])
        rec.log(4, "val", Z[5:7], Y[5:7], ids=[5, 6])
    run = Run(tmp_path / "run")
    assert run.samples["train"]["id"].tolist() == [*range(20, 40), *range(10, 20)]
    assert (run.info[2]["train"]["n"], run.info[2]["train"]["of"]) == (10, 30)
    assert (run.info[4]["train"]["n"], run.info[4]["train"]["of"], run.info[4]["train"]["parts"]) == (0, 30, [])
    assert run.epochs[4]["val"]["id"].tolist() == [5, 6]
    assert run.samples["val"]["id"].tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_split_that_is_logged_twice_is_said(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        both(rec, 1)
        rec.log(2, "val", Z[:25], Y[:25])
        rec.log(2, "val", Z[25:], Y[25:])
        with pytest.warns(logitscope.LogitscopeWarning, match="epoch 2 has rows of all 40 samples of val, and more come.* logged twice"):
            rec.log(2, "val", Z, Y)
        with pytest.raises(ValueError, match="^ids: 0 comes twice in epoch 2"):
            rec.log(2, "val", Z, Y, ids=range(40))


@pytest.mark.parametrize("name", ["validation", "valid", "dev", "eval"])
def test_validation_under_another_name_is_said(tmp_path, name):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        rec.log(1, "train", Z, Y)
        with pytest.warns(logitscope.LogitscopeWarning, match=f"^logitscope: {name} is recorded under this name, .* called 'val'") as said:
            rec.log(1, name, Z, Y)
            rec.log(2, name, Z, Y)
        assert len(said) == 1
    assert list(Run(tmp_path / "run").epochs[1]) == ["train", name]
    with logitscope.record(tmp_path / "both", classes=3) as rec:  # where a warning is an error
        rec.log(1, "val", Z, Y)
        rec.log(1, name, Z, Y)


def test_samples_of_each_epoch(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        for epoch in (1, 2):
            for at in (0, 20):
                rec.log(epoch, "train", Z[at : at + 20] * epoch, Y[at : at + 20] if epoch == 1 else None, ids="new", measured="during")
            rec.log(epoch, "val", Z[:5], Y[:5])
        with pytest.raises(ValueError, match="ids: the samples of train were said to be new"):
            rec.log(2, "train", Z, Y, ids=range(40))
        with pytest.raises(ValueError, match="ids: 'old': want whole numbers, or 'new'"):
            rec.log(2, "train", Z, Y, ids="old")
        with pytest.raises(ValueError, match="ids: val has samples with ids already"):
            rec.log(3, "val", Z, Y, ids="new")
    run = Run(tmp_path / "run")
    assert [s["samples"] for s in run.manifest["splits"]] == ["of_each_epoch", "growing"]
    for epoch in (1, 2):
        ids = [(epoch << 32) + i for i in range(40)]
        assert run.epochs[epoch]["train"]["id"].tolist() == ids
        assert np.array_equal(run.epochs[epoch]["train"]["logits"], Z * epoch)
        assert [run.label("train")[i] for i in ids] == (Y.tolist() if epoch == 1 else [-100] * 40)
        read = logitscope.open(tmp_path / "run").rows(epoch, "train")
        assert read["id"].tolist() == ids
        assert read["label"].tolist() == (Y.tolist() if epoch == 1 else [-100] * 40)
    assert "as written" in check(tmp_path / "run")


def test_samples_of_each_epoch_at_the_end_of_a_program(tmp_path):
    program = """
import numpy as np, logitscope, sys
rec = logitscope.record(sys.argv[1], classes=3)
for epoch in (1, 2):
    rec.log(epoch, "train", np.ones((4, 3)), [0, 1, 2, 0], ids="new")
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "run"], check=True)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2]
    assert run.end["state"] == "complete"


def test_splits_are_settled_by_the_first_epoch(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        rec.log(1, "train", Z, Y)
        rec.log(2, "train", Z, Y)
        with pytest.raises(ValueError, match="^split: 'val' is none of the run's, which are train: name all"):
            rec.log(3, "val", Z, Y)
    assert list(Run(tmp_path / "run").epochs) == [1, 2]


def test_there_from_the_first_rows_on(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        with pytest.raises(ValueError, match="^ids: 7 comes twice"):
            rec.log(1, "val", Z[:2], Y[:2], ids=[7, 7])
        rec.flush()
        assert not (tmp_path / "run").exists()
        rec.log(1, "val", Z[:2], Y[:2])
        rec.flush()
        first = Run(tmp_path / "run")
        assert [s["name"] for s in first.manifest["splits"]] == ["val"]
        assert first.epochs == {}
        check(tmp_path / "run")
        assert figures(tmp_path / "run")["state"] == "running"
        rec.log(1, "train", Z, Y)  # has the run made anew, for a manifest never changes
        rec.flush()
        second = Run(tmp_path / "run")
        assert [s["name"] for s in second.manifest["splits"]] == ["train", "val"]
        assert second.manifest["id"] != first.manifest["id"]
        assert sorted(os.listdir(tmp_path)) == [".tmp-run-lock", "run"]
        rec.log(1, "val", Z[2:], Y[2:])
        rec.log(2, "val", Z, Y)
        rec.flush()
        assert sorted(os.listdir(tmp_path)) == ["run"]
        assert Run(tmp_path / "run").manifest == second.manifest
    run = Run(tmp_path / "run")
    assert np.array_equal(run.epochs[1]["val"]["logits"], Z)
    assert np.array_equal(run.epochs[1]["train"]["logits"], Z)
    assert list(run.epochs) == [1, 2]
    check(tmp_path / "run")


def test_a_run_without_an_epoch_gives_way(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), logitscope.record(tmp_path / "run", classes=["a", "b", "c"]) as rec:
            rec.log(1, "train", Z[:3], Y[:3])
            raise ZeroDivisionError
        assert Run(tmp_path / "run").end["state"] == "failed"
    with logitscope.record(tmp_path / "run", resume=True) as rec:  # it may have splits that it had not come to
        assert rec.next_epoch == 1
        rec.log(1, "train", Z, Y)
        rec.log(1, "val", Z, Y)
    run = Run(tmp_path / "run")
    assert run.manifest["classes"] == ["a", "b", "c"]
    assert sorted(run.epochs[1]) == ["train", "val"]
    for name in ("notes.txt", "calibration.json"):  # what somebody has put there stays
        with logitscope.record(tmp_path / name, splits=["val"], classes=3, head="softmax"):
            pass
        (tmp_path / name / name).write_text("{}")
        with pytest.raises(FileExistsError, match="holds a run of 0 epochs, which stays"):
            logitscope.record(tmp_path / name)


def test_there_at_once_where_the_splits_are_told(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3, head="softmax", splits=["train", "val"]) as rec:
        assert Run(tmp_path / "run").epochs == {}
        rec.log(1, "val", Z, Y)
        rec.flush()
    assert Run(tmp_path / "run").info[1]["train"] == {"name": "train", "n": 0, "of": 0, "parts": []}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_types(tmp_path, dtype):
    z = (Z * 4).astype(dtype)
    with logitscope.record(tmp_path / "run") as rec:
        rec.log(1, "val", z, Y.astype(np.uint8))
    assert np.array_equal(Run(tmp_path / "run").epochs[1]["val"]["logits"], z.astype(np.float32))


class Dlpack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Array:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("of", [Dlpack, Array, np.ndarray.tolist])
def test_what_is_an_array(tmp_path, of):
    with logitscope.record(tmp_path / "run") as rec:
        rec.log(1, "val", of(Z), of(Y), ids=of(np.arange(40) * 2))
    run = Run(tmp_path / "run")
    assert np.array_equal(run.epochs[1]["val"]["logits"], Z)
    assert run.samples["val"]["id"].tolist() == list(range(0, 80, 2))


def test_what_is_handed_over_may_be_changed(tmp_path):
    z, y, ids = Z.copy(), Y.copy(), np.arange(40)
    with logitscope.record(tmp_path / "run") as rec:
        rec.log(1, "val", z, y, ids=ids)
        z[:], y[:], ids[:] = 7, 0, 0
    run = Run(tmp_path / "run")
    assert np.array_equal(run.epochs[1]["val"]["logits"], Z)
    assert run.samples["val"]["label"].tolist() == Y.tolist()


def test_heads(tmp_path):
    with logitscope.record(tmp_path / "binary", classes=["no", "yes"]) as rec:
        rec.log(1, "val", Z[:, 0], Y > 1)
    with logitscope.record(tmp_path / "sigmoid", classes=3, head="sigmoid") as rec:
        rec.log(1, "val", Z, Z > 0)
    binary, sigmoid = Run(tmp_path / "binary"), Run(tmp_path / "sigmoid")
    assert (binary.manifest["head"], binary.manifest["columns"]) == ("binary", 1)
    assert binary.samples["val"]["label"].tolist() == (Y > 1).astype(int).tolist()
    assert sigmoid.samples["val"]["targets"].tolist() == (Z > 0).astype(int).tolist()
    assert set(sigmoid.samples["val"]["label"].tolist()) == {-100}
    check(tmp_path / "binary")
    check(tmp_path / "sigmoid")


def test_soft_and_missing_labels(tmp_path):
    soft = np.eye(3)[Y]
    soft[5] = [0.5, 0.5, 0]
    with logitscope.record(tmp_path / "run") as rec:
        with pytest.warns(logitscope.LogitscopeWarning, match="soft targets"):
            rec.log(1, "val", Z, soft)
        rec.log(1, "train", Z)
    run = Run(tmp_path / "run")
    assert run.samples["val"]["label"].tolist() == [*Y[:5].tolist(), -100, *Y[6:].tolist()]
    assert set(run.samples["train"]["label"].tolist()) == {-100}


def test_infinite_logits_are_kept_and_named(tmp_path):
    z = Z.copy()
    z[3, 1], z[7, 0], z[8, 0] = np.inf, np.nan, -np.inf
    rec = logitscope.record(tmp_path / "run")
    rec.log(1, "val", z, Y, ids=np.arange(40) + 100)
    with pytest.warns(logitscope.LogitscopeWarning, match="first of id 103, 107, 108"):
        rec.close()
    assert np.array_equal(Run(tmp_path / "run").epochs[1]["val"]["logits"], z, equal_nan=True)


def both(rec, epoch):
    rec.log(epoch, "val", Z, Y)
    rec.log(epoch, "train", Z, Y)


BAD = {
    "epoch falls": ("epoch: 0 is recorded already", lambda r: (both(r, 1), r.log(0, "val", Z, Y))),
    "epoch before": ("epoch: 1 after 2 has begun", lambda r: (r.log(2, "val", Z[:3], Y[:3]), r.log(1, "val", Z, Y))),
    "negative": ("epoch: -1", lambda r: r.log(-1, "val", Z, Y)),
    "too large": (r"epoch: 2147483648: want", lambda r: r.log(2**31, "val", Z, Y)),
    "epoch text": ("epoch: want a whole number", lambda r: r.log("1", "val", Z, Y)),
    "epoch bool": ("epoch: want a whole number", lambda r: r.log(True, "val", Z, Y)),
    "split slash": ("split: '../x'", lambda r: r.log(1, "../x", Z, Y)),
    "split upper": ("split: 'Val'", lambda r: r.log(1, "Val", Z, Y)),
    "split device": ("split: 'nul'", lambda r: r.log(1, "nul", Z, Y)),
    "split none": ("split: None", lambda r: r.log(1, None, Z, Y)),
    "columns": ("logits: 4 columns, want 3", lambda r: r.log(1, "val", np.zeros((2, 4)), [0, 1])),
    "columns later": ("logits: 2 columns, want 3", lambda r: (r.log(1, "val", Z, Y), r.log(2, "val", Z[:, :2], Y))),
    "cube": ("logits: want one row a sample", lambda r: r.log(1, "val", np.zeros((2, 3, 3)), [0, 1])),
    "scalar": ("logits: want one row a sample", lambda r: r.log(1, "val", 3.0, [0])),
    "objects": ("logits: an array of object", lambda r: r.log(1, "val", np.array([[{}, 1, 2]], object), [0])),
    "texts": ("logits: an array of <U1", lambda r: r.log(1, "val", [["a", "b", "c"]], [0])),
    "ragged": ("logits: ", lambda r: r.log(1, "val", [[1, 2, 3], [1, 2]], [0, 1])),
    "complex": ("logits: an array of complex64", lambda r: r.log(1, "val", Z * 1j, Y)),
    "nothing": ("logits: want an array", lambda r: r.log(1, "val", None, Y)),
    "label above": ("labels: row 1 has label 3: want 0 to 2", lambda r: r.log(1, "val", Z[:2], [0, 3])),
    "label below": ("labels: row 0 has label -1", lambda r: r.log(1, "val", Z[:2], [-1, 0])),
    "label half": ("labels: row 1 is 0.5", lambda r: r.log(1, "val", Z[:2], [0, 0.5])),
    "label nan": ("labels: row 0 is nan", lambda r: r.log(1, "val", Z[:2], [np.nan, 0])),
    "labels fewer": (r"labels: an array of shape \[1\] for 2 rows", lambda r: r.log(1, "val", Z[:2], [0])),
    "labels several": ("labels: rows with several classes", lambda r: r.log(1, "val", Z[:1], [[1, 1, 0]])),
    "ids fewer": ("ids: 1 of them for 2 rows", lambda r: r.log(1, "val", Z[:2], [0, 1], ids=[1])),
    "ids twice": ("ids: 7 comes twice in epoch 1", lambda r: r.log(1, "val", Z[:2], [0, 1], ids=[7, 7])),
    "ids again": ("ids: 7 comes twice", lambda r: (r.log(1, "val", Z[:1], Y[7:8], ids=[7]), r.log(1, "val", Z[:1], Y[7:8], ids=[7]))),
    "ids text": ("ids: they are texts: want whole numbers", lambda r: r.log(1, "val", Z[:1], [0], ids=["a"])),
    "ids huge": ("ids: 18446744073709551615 is larger", lambda r: r.log(1, "val", Z[:1], [0], ids=np.array([2**64 - 1], np.uint64))),
    "another label": ("labels: sample 0 of val has label", lambda r: (r.log(1, "val", Z, Y), r.log(2, "val", Z, (Y + 1) % 3))),
    "measured": ("measured: 'now'", lambda r: r.log(1, "val", Z, Y, measured="now")),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_and_leaves_what_is_recorded(tmp_path, case):
    says, do = BAD[case]
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        rec.log(0, "val", Z, Y)
        rec.log(0, "train", Z, Y)
        with pytest.raises((ValueError, TypeError), match=f"^{says}"):
            do(rec)
    run = Run(tmp_path / "run")
    assert np.array_equal(run.epochs[0]["val"]["logits"], Z)
    assert np.array_equal(run.epochs[0]["train"]["logits"], Z)
    assert run.end["state"] == "complete"


@pytest.mark.parametrize(
    ("says", "make"),
    [
        ("^path: a run called 'a b'", lambda d: logitscope.record(d / "a b")),
        ("^path: a run called 'nul.txt'", lambda d: logitscope.record(d / "nul.txt")),
        ("^classes: want a list", lambda d: logitscope.record(d / "run", classes="abc")),
        ("^classes: there are none", lambda d: logitscope.record(d / "run", classes=[])),
        ("^classes: 0", lambda d: logitscope.record(d / "run", classes=0)),
        ("^classes: class 1 is called", lambda d: logitscope.record(d / "run", classes=["a", "\ud800"])),
        ("^classes: a binary head has 2", lambda d: logitscope.record(d / "run", classes=3, head="binary")),
        ("^head: 'tanh'", lambda d: logitscope.record(d / "run", head="tanh")),
        ("^epochs: -1", lambda d: logitscope.record(d / "run", epochs=-1)),
        ("^path: want the directory", lambda d: logitscope.record(None)),
        ("^classes: want a list", lambda d: logitscope.record(d / "run", classes=3.0)),
        ("^classes: want a list", lambda d: logitscope.record(d / "run", classes={"a": 0, "b": 1})),
        (r"^config\['lr'\]\[1\]: JSON cannot say nan", lambda d: logitscope.record(d / "run", config={"lr": [0.1, float("nan")]})),
        (r"^config\['out'\]: .* a PurePosixPath", lambda d: logitscope.record(d / "run", config={"out": PurePosixPath("x")})),
        ("^config: keys must be", lambda d: logitscope.record(d / "run", config={("a", 1): 2})),
        ("^config: .* bytes of JSON", lambda d: logitscope.record(d / "run", config="x" * (5 << 20))),
        ("^unit: 'batch': want 'epoch', 'step' or 'round'", lambda d: logitscope.record(d / "run", unit="batch")),
        ("^seed: -1", lambda d: logitscope.record(d / "run", seed=-1)),
        ("^seed: 18446744073709551616", lambda d: logitscope.record(d / "run", seed=2**64)),
        ("^seed: want a whole number, not 1.5", lambda d: logitscope.record(d / "run", seed=1.5)),
        ("^versions: want names and versions as text", lambda d: logitscope.record(d / "run", versions={"a": 1})),
        ("^splits: 'val': want a list", lambda d: logitscope.record(d / "run", splits="val")),
        ("^splits: .* each once", lambda d: logitscope.record(d / "run", splits=["val", "val"])),
        ("^splits: .* each once", lambda d: logitscope.record(d / "run", splits=[])),
    ],
)
def test_bad_recorders(tmp_path, says, make):
    with pytest.raises((ValueError, TypeError), match=says):
        make(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_places_where_no_run_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="^path: .*file is no folder"):
        logitscope.record(tmp_path / "file" / "run")
    if os.name != "nt" and os.geteuid() != 0:  # nobody keeps root from writing
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(PermissionError, match="^path: nothing may be written in .*closed"):
            logitscope.record(tmp_path / "closed" / "runs" / "run")


def test_history_stays(tmp_path):
    with logitscope.record(tmp_path / "run") as rec:
        rec.log(1, "val", Z, Y)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(FileExistsError, match=r"holds a run of 1 epoch, which stays .* resume=True"):
        logitscope.record(tmp_path / "run")
    assert before == {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    (tmp_path / "other").mkdir()
    with pytest.raises(FileExistsError, match="is no run"):
        logitscope.record(tmp_path / "other")


def test_resume(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        rec.log(1, "val", Z[:30], Y[:30])
        rec.log(2, "val", Z[:30], Y[:30])
    with logitscope.record(tmp_path / "run", classes=3, resume=True) as rec:
        assert rec.next_epoch == 3
        with pytest.raises(ValueError, match="^epoch: 2 is recorded already"):
            rec.log(2, "val", Z, Y)
        with pytest.raises(ValueError, match="^labels: sample 0"):
            rec.log(3, "val", Z[:30], (Y[:30] + 1) % 3)
        rec.log(3, "val", Z + 1, Y)  # with ten new ones
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    assert np.array_equal(run.epochs[3]["val"]["logits"], Z + 1)
    assert run.end["epochs"] == 3
    with pytest.raises(ValueError, match="^classes: .* has 3 classes"):
        logitscope.record(tmp_path / "run", classes=4, resume=True)
    with pytest.raises(ValueError, match="^head: .* softmax"):
        logitscope.record(tmp_path / "run", head="sigmoid", resume=True)
    with logitscope.record(tmp_path / "run", resume=True):
        pass  # the lock was let go
    logitscope.record(tmp_path / "new", resume=True).close()  # there is nothing to go on with yet


def test_two_recorders_of_one_directory(tmp_path):
    first = logitscope.record(tmp_path / "run", classes=3, splits=["val"], head="softmax")
    with pytest.raises(RuntimeError, match="by another recorder of this program"):
        logitscope.record(tmp_path / "run")
    for how in ("", ", resume=True"):
        program = f"import logitscope, sys; logitscope.record(sys.argv[1]{how})"
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], capture_output=True, text=True)
        assert "is being recorded by another process" in done.stderr
    first.log(1, "val", Z, Y)
    second = logitscope.record(tmp_path / "run", resume=True)  # a cell of a notebook that is run again
    assert second.next_epoch == 2
    with pytest.raises(RuntimeError, match="is closed"):
        first.log(2, "val", Z, Y)
    second.close()
    assert list(Run(tmp_path / "run").epochs) == [1]


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("told", [False, True])
def test_a_cell_that_was_interrupted_is_run_again(tmp_path, epoch, numbered, told):
    def cell(rec, dies=False):
        for e in range(rec.next_epoch, 5):
            for at in range(0, 40, 10):
                if dies and (e, at) == (epoch, 20):
                    raise KeyboardInterrupt
                rec.log(e, "val", Z[at : at + 10] * e, Y[at : at + 10], ids=None if numbered else range(at, at + 10))

    rec = logitscope.record(tmp_path / "run", classes=3)
    with pytest.raises(KeyboardInterrupt):
        cell(rec, dies=True)
    what = "^labels: sample 2. .*" if numbered and epoch > 1 else f"^ids: 0 comes twice in epoch {epoch} of val: .*"
    if not numbered or epoch > 1:  # else they are samples that are new, as far as anyone knows
        with pytest.raises(ValueError, match=what + r"the epoch interrupted\? close\('interrupted'\) .* record\(path, resume=True\)"):
            cell(rec)
    if told or epoch == 1:  # how many rows the first should have nobody knows
        rec.close("interrupted")
    rec = logitscope.record(rec.path, classes=3, resume=True)
    assert rec.next_epoch == epoch
    cell(rec)
    rec.close()
    run = Run(rec.path)
    for e in (1, 2, 3, 4):
        assert run.epochs[e]["val"]["id"].tolist() == list(range(40))
        assert np.array_equal(run.epochs[e]["val"]["logits"], (Z * e).astype(np.float32))


def test_a_directory_is_claimed_before_anything_is_in_it(tmp_path):
    first = logitscope.record(tmp_path / "runs" / "run", classes=3)
    for how in ("", ", resume=True"):
        program = f"import logitscope, sys; logitscope.record(sys.argv[1]{how})"
        done = subprocess.run([sys.executable, "-c", program, first.path], capture_output=True, text=True)
        assert f"path: {first.path} is being recorded by another process: end that one first" in done.stderr
    second = logitscope.record(first.path, resume=True)  # a cell of a notebook that is run again
    second.log(1, "val", Z, Y)
    second.close()
    assert os.listdir(first.path.parent) == ["run"]


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def none(at, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        rec.log(1, "val", Z, Y)
        rec.log(2, "val", Z, Y)
    assert list(Run(tmp_path / "run").epochs) == [1, 2]
    assert os.listdir(tmp_path) == ["run"]


def test_closed(tmp_path):
    rec = logitscope.record(tmp_path / "run")
    rec.log(1, "val", Z, Y)
    rec.close()
    rec.close("failed")
    with pytest.raises(RuntimeError, match="^log: the recorder of .* is closed"):
        rec.log(2, "val", Z, Y)
    with pytest.raises(ValueError, match="^state"):
        rec.close("done")
    assert Run(tmp_path / "run").end["state"] == "complete"


def test_rows_that_are_refused_leave_the_epoch_before_them(tmp_path):
    """That a later epoch begins says that the one before is over, whatever is wrong with its rows."""
    for wrong in ({"logits": Z[:, :2]}, {"labels": Y + 100}, {"logits": Z.astype(object)}, {"ids": Y[:1]}):
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        with pytest.raises((ValueError, TypeError)), logitscope.record(path, 3) as rec:
            rec.log(1, "val", Z, Y)
            rec.log(2, "val", **{"logits": Z, "labels": Y} | wrong)
        check(path)
        assert list(Run(path).epochs) == [1]


def test_an_error_in_the_loop_drops_the_epoch_that_is_not_over(tmp_path):
    def train(kind):
        with logitscope.record(tmp_path / kind.__name__, classes=3) as rec:
            rec.log(1, "val", Z, Y)
            rec.log(2, "val", Z[:4], Y[:4])
            raise kind("boom")

    for kind, state in ((ValueError, "failed"), (KeyboardInterrupt, "interrupted"), (SystemExit, "interrupted")):
        with pytest.raises(kind):
            train(kind)
        run = Run(tmp_path / kind.__name__)
        assert list(run.epochs) == [1]
        assert run.end["state"] == state


def test_more_than_memory(tmp_path):
    with logitscope.record(tmp_path / "run", memory=1000, queue_bytes=500) as rec:
        for epoch in range(2):
            order = RNG.permutation(40)
            for at in range(0, 40, 3):
                some = order[at : at + 3]
                rec.log(epoch, "val", Z[some] - epoch, Y[some], ids=some)
    for epoch in range(2):
        assert np.array_equal(Run(tmp_path / "run").epochs[epoch]["val"]["logits"], Z - epoch)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_from_several_threads(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        threads = [threading.Thread(target=lambda k=k: rec.log(1, "val", Z[k::4], Y[k::4], ids=np.arange(40)[k::4])) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert np.array_equal(Run(tmp_path / "run").epochs[1]["val"]["logits"], Z)


def test_no_warning_without_cause(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", logitscope.LogitscopeWarning)
        with logitscope.record(tmp_path / "run") as rec:
            rec.log(1, "val", Z, Y)
