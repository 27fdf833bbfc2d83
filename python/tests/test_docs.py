"""What the documentation shows of Python runs as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
from reading import Run, binary, check

import logitscope

ROOT = Path(__file__).parents[2]
NAMES = ["a", "b", "c"]
RNG = np.random.default_rng(1)
Y = RNG.integers(0, 3, 200)
Z = RNG.normal(size=(200, 3)) + 2 * np.eye(3)[Y]


def snippets(page, *words):
    """The Python of a page that has any of the words."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return [code for code in found if any(word in code for word in words)]


@pytest.mark.parametrize("page", ["README.md", "python/README.md", "docs/attach.md"])
def test_three_lines(tmp_path, monkeypatch, page):
    torch = pytest.importorskip("torch", reason="PyTorch is absent: make test-frameworks")
    (code,) = snippets(page, "rec.watch(nn.CrossEntropyLoss())")
    data = torch.utils.data.TensorDataset(torch.tensor(Z, dtype=torch.float32), torch.tensor(Y))
    loaders = {name: torch.utils.data.DataLoader(data, 50, shuffle=name == "train_loader") for name in ("train_loader", "val_loader")}
    monkeypatch.chdir(tmp_path)
    here = {"logitscope": logitscope, "nn": torch.nn, "names": NAMES, **loaders}
    exec(code, here)
    for _ in range(2):
        for name in ("train_loader", "val_loader"):
            for x, y in here[name]:
                here["criterion"](x, y)
    here["rec"].close()
    run = Run(tmp_path / "runs" / "mine")
    assert list(run.epochs) == [1, 2]
    assert len(run.epochs[2]["val"]["id"]) == len(run.epochs[2]["train"]["id"]) == 200
    check(tmp_path / "runs" / "mine")


def test_log_and_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGITSCOPE_BIN", binary())
    monkeypatch.chdir(tmp_path)
    here = {"logitscope": logitscope, "names": NAMES, "logits": Z, "labels": Y, "ids": np.arange(200)}
    (log,) = snippets("docs/attach.md", "rec.log(")
    exec(log.replace("…", "pass"), here)
    assert list(Run("runs/mine").epochs) == list(range(1, 11))
    for name in ("a", "b"):
        with logitscope.record(f"runs/{name}", classes=3) as rec:
            rec.log(1, "val", Z, Y)
    (figures,) = snippets("docs/attach.md", "logitscope.score(")
    exec(figures, here)
    assert Path("mine.html").exists()
    for shown in re.findall(r"#.*?((?:report|scaled|run)\.[^;]+?)[;:\n]", figures):
        for expression in re.findall(r"(?:report|scaled|run)\.\w+(?:\([^)]*\))?", shown):
            if ".pandas" in expression or ".polars" in expression:
                pytest.importorskip(expression.split(".")[1].split("(")[0])
            eval(expression, here)


def test_the_reader_of_the_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with logitscope.record("RUN", classes=3) as rec:
        rec.log(45, "val", Z, Y)
    for code in snippets("docs/run-format.md", "pa.ipc"):
        here = {}
        exec(code, here)
        assert np.array_equal(here["z"], Z.astype(np.float32))


def test_previews(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [f"text {i}" for i in range(200)]
    here = {"logitscope": logitscope, "names": NAMES, "texts": texts, "val_texts": texts}
    (code,) = snippets("docs/attach.md", "previews={")
    exec(code, here)
    here["rec"].log(1, "val", Z, Y)
    here["rec"].close()
    assert Run("runs/mine").samples["val"]["preview"].tolist() == texts
