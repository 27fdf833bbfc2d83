"""Figures and calibrators against scikit-learn's and NumPy's; runs read back as frames."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reading import binary, mean_nll

import logitscope

RNG = np.random.default_rng(2)
Y = RNG.integers(0, 3, 300)
Z = RNG.normal(size=(300, 3))
Z[np.arange(300), Y] += 1
Z *= 3
FORMAT1 = Path(__file__).parents[2] / "record" / "testdata" / "format1"


@pytest.fixture(autouse=True)
def program(monkeypatch):
    monkeypatch.setenv("LOGITSCOPE_BIN", binary())


def test_score():
    report = logitscope.score(Z, Y)
    assert abs(report.nll - mean_nll(Z, Y)) <= 1e-9
    assert abs(report["accuracy"] - np.mean(Z.argmax(1) == Y)) <= 1e-12
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is absent")
    assert abs(report.f1_macro - metrics.f1_score(Y, Z.argmax(1), average="macro")) <= 1e-9
    with pytest.raises(AttributeError, match="there is no 'x'"):
        _ = report.x


def test_score_of_one_logit():
    report = logitscope.score(Z[:, 0], Y > 1)
    assert abs(report.nll - np.logaddexp(0, -np.where(Y > 1, 1, -1) * Z[:, 0]).mean()) <= 1e-9


@pytest.mark.parametrize("method", ["temperature", "vector", "platt", "isotonic", "histogram", "auto"])
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_calibrate_transforms_as_the_program_predicts(method, columns, tmp_path):
    if columns == 1 and method == "vector":
        return  # one logit's is platt
    z, y = (Z[:, 0], (Y == 0).astype(int)) if columns == 1 else (Z[:, :columns], np.minimum(Y, columns - 1))
    fitted = logitscope.calibrate(z.astype(np.float32), y, method)
    out = fitted.transform(z.astype(np.float32))
    assert out.shape == z.shape
    p = fitted.probabilities(z)
    told = fitted.fit["nll_after"]
    nll = -np.log(np.where(y == 1, p, 1 - p)).mean() if columns == 1 else -np.log(p[np.arange(len(y)), y]).mean()
    assert abs(nll - told) <= 1e-5
    assert np.allclose(p.sum(axis=1) if columns > 1 else 1.0, 1)


def test_temperature_is_the_minimum():
    fitted = logitscope.calibrate(Z, Y)
    t = np.linspace(0.9, 1.1, 21) * fitted.temperature
    assert np.argmin([mean_nll(Z / s, Y) for s in t]) == 10


@pytest.mark.parametrize(
    ("says", "do"),
    [
        ("^labels: 2 of them for 3 rows", lambda: logitscope.score(np.zeros((3, 2)), [0, 1])),
        ("^logits: want", lambda: logitscope.score(np.zeros((3, 2, 2)), [0, 1, 1])),
        ("^labels: row 0 is 0.5", lambda: logitscope.score(np.zeros((1, 2)), [0.5])),
        ("labels", lambda: logitscope.score(np.zeros((1, 2)), [7])),
        ("logits", lambda: logitscope.score(np.full((1, 2), np.nan), [0])),
        ("method", lambda: logitscope.calibrate(Z, Y, "magic")),
        ("^paths", lambda: logitscope.compare()),
        ("^path: .* is no run", lambda: logitscope.open("nowhere")),
        ("nowhere", lambda: logitscope.diagnose("nowhere")),
    ],
)
def test_errors_name_the_argument(says, do):
    with pytest.raises((ValueError, FileNotFoundError), match=says) as caught:
        do()
    assert "npy" not in str(caught.value)


def test_a_program_that_is_not_there(monkeypatch):
    monkeypatch.setenv("LOGITSCOPE_BIN", "/nowhere/logitscope")
    with pytest.raises(FileNotFoundError, match="LOGITSCOPE_BIN"):
        logitscope.score(Z, Y)
    monkeypatch.delenv("LOGITSCOPE_BIN")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")
    with pytest.raises(FileNotFoundError, match="PATH"):
        logitscope.score(Z, Y)


def test_python_m_logitscope(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    call = [sys.executable, "-m", "logitscope", "score", "--logits", "no ne.npy", "--labels", "y"]
    same = subprocess.run([binary(), *call[3:]], capture_output=True, text=True, cwd=tmp_path)
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (same.returncode, same.stdout, same.stderr)
    assert "no ne.npy" in done.stderr and done.returncode != 0
    env["LOGITSCOPE_BIN"] = "/nowhere/logitscope"
    gone = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr == "logitscope: LOGITSCOPE_BIN is '/nowhere/logitscope', which is no program\n"


@pytest.fixture
def run(tmp_path):
    with logitscope.record(tmp_path / "run", classes=["a", "b", "c"]) as rec:
        for epoch in (1, 2, 3):
            rec.log(epoch, "train", Z * epoch, Y, ids=np.arange(300) + 7)
            rec.log(epoch, "val", Z[:100] + epoch, Y[:100])
    return logitscope.open(tmp_path / "run")


def test_open(run, tmp_path):
    assert (run.classes, run.head, run.splits, run.epochs) == (["a", "b", "c"], "softmax", ["train", "val"], [1, 2, 3])
    rows = run.rows(2, "train")
    assert np.array_equal(rows["id"], np.arange(300) + 7)
    assert np.array_equal(rows["label"], Y)
    assert np.array_equal(rows["logits"], (Z * 2).astype(np.float32))
    assert run.curves().run == "run"
    assert abs(run.score(epoch=1, split="train").nll - mean_nll(Z, Y)) <= 1e-6
    assert "findings" in run.diagnose()
    assert run.labels(top=3).split == "train"
    assert [r.run for r in logitscope.compare(run.path)] == [str(run.path)]
    assert run.calibrate().method == "temperature"
    assert run.report(tmp_path / "r.html").read_text().startswith("<!doctype html>")
    with pytest.raises(ValueError, match="^split: 'test'"):
        run.rows(1, "test")
    with pytest.raises(ValueError, match="^epoch: 9"):
        run.rows(9, "val")


def test_frames(run):
    pandas = pytest.importorskip("pandas", reason="pandas is absent")
    frame = run.pandas(1, "val")
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["id", "label", "logit a", "logit b", "logit c"]
    assert np.array_equal(frame["logit b"], (Z[:100, 1] + 1).astype(np.float32))


def test_polars_frames(run):
    polars = pytest.importorskip("polars", reason="Polars is absent")
    frame = run.polars(2, "train")
    assert isinstance(frame, polars.DataFrame)
    assert frame.schema == {"id": polars.Int64, "label": polars.Int32} | {f"logit {c}": polars.Float32 for c in "abc"}
    assert np.array_equal(frame["id"], np.arange(300) + 7)
    assert np.array_equal(frame["logit c"], (Z[:, 2] * 2).astype(np.float32))


def test_damage_is_said(run):
    path = run.path / "epochs" / "000002" / "val.arrow"
    raw = bytearray(path.read_bytes())
    raw[700] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="CRC-32C"):
        run.rows(2, "val")
    assert len(run.rows(1, "val")["id"]) == 100


def test_a_run_of_format_1():
    run = logitscope.open(FORMAT1)
    assert run.epochs == [1, 2]
    assert set(run.samples("train")) == {"id", "label", "clean_label", "preview"}
    rows = run.rows(1, "val")
    assert rows["id"].tolist() == [10, 11]
    assert np.array_equal(rows["logits"][0], np.array([0x3F06491E, 0x3F8C54B9, 0x7FC00000], np.uint32).view(np.float32), equal_nan=True)


def test_a_run_that_the_program_trained(tmp_path):
    command = [binary(), "train", "--hidden", "8", "--epochs", "2", "--train-size", "60", "--out", str(tmp_path / "run")]
    subprocess.run(command, check=True, capture_output=True)
    run = logitscope.open(tmp_path / "run")
    shown = json.loads(subprocess.run([binary(), "show", "--json", str(run.path)], check=True, capture_output=True).stdout)
    rows = run.rows(2, "val")
    assert abs(mean_nll(rows["logits"], rows["label"]) - shown["epochs"][-1]["splits"]["val"]["nll"]) <= 1e-6


def test_errors_speak_of_arguments():
    """What the program says of its flags is said of Python's arguments, and texts are told what to be."""
    p = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    for call, text in {
        (lambda: logitscope.score(p, [0, 1])): r"^logits: every row looks like probs, not logits: say kind='probs', or kind='logits' if",
        (lambda: logitscope.score(p * 3, [0, 1], kind="prob")): r"^kind='prob': want logits, probs or logprobs$",
        (lambda: logitscope.score(p * 3, [0, 1], bins=0)): r"^bins=0: give 1 to 10000$",
        (lambda: logitscope.score(p * 3, [0, 1], fooBar=1)): r"^fooBar: there is no such option$",
        (lambda: logitscope.score(p * np.nan, [0, 1])): r"give ignore_nonfinite=True to leave them out$",
        (lambda: logitscope.calibrate(p * 3, [0, 1], method="temp")): r'^method="temp": want one of auto, temperature',
        (lambda: logitscope.score(p * 3, np.eye(3)[:2])): r"^labels: want a number a row, .* \[2, 3\]: of one-hot rows, their argmax$",
    }.items():
        with pytest.raises(ValueError, match=text) as told:
            call()
        assert "--" not in str(told.value)
    for labels in (["cat", "dog"], np.array(["cat", "dog"]), np.array(["cat", "dog"], object)):
        with pytest.raises(TypeError, match=r"^labels: they are texts: want the numbers of their classes, from 0"):
            logitscope.score(p * 3, labels)
    c = logitscope.calibrate(p * 3, [0, 1])
    with pytest.raises(TypeError, match="^logits: this str is no array of numbers"):
        c.transform("z")
    with pytest.raises(ValueError, match=r"^logits: want \[N,3\], a row a sample, not an array of shape \[3\]"):
        c.transform(p[0])


def test_a_run_is_given_by_its_path_or_open(tmp_path):
    for name in ("a", "b"):
        with logitscope.record(tmp_path / name, classes=3) as rec:
            rec.log(1, "val", np.eye(3), [0, 1, 2])
            with pytest.raises(TypeError, match="^labels: they are texts: want the numbers of their classes"):
                rec.log(2, "val", np.eye(3), ["x", "y", "z"])
            with pytest.raises(TypeError, match="^ids: they are texts: want whole numbers"):
                rec.log(2, "val", np.eye(3), [0, 1, 2], ids=["x.png", "y.png", "z.png"])
    run = logitscope.open(tmp_path / "a")
    assert repr(run) == "<logitscope run a: 1 epoch of val, 3 classes>"
    assert [r.state for r in logitscope.compare(run, tmp_path / "b")] == ["complete"] * 2
    assert logitscope.diagnose(run) == run.diagnose()
    for call in (lambda: logitscope.open(None), lambda: logitscope.diagnose(3), lambda: logitscope.compare([run, run])):
        with pytest.raises(TypeError, match="^paths?: want the path of a run, or a run that is open, not (NoneType|int|list)$"):
            call()
    with pytest.raises(TypeError, match=r"^epoch: want a whole number, one of \[1\], not 'last'"):
        run.rows("last", "val")
    with pytest.raises(FileNotFoundError, match="is no run: there is no manifest.json: of the runs in it, give one: .*a, .*b$"):
        logitscope.open(tmp_path)
    with pytest.raises(FileNotFoundError, match="^path: .*manifest.json is no run"):
        logitscope.open(tmp_path / "a" / "manifest.json")
