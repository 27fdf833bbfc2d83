"""Every example runs, its run is whole, and NLL and accuracy are those that the framework itself tells."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reading import Run, check, mean_nll

import logitscope

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {
    "plain.py": [],
    "sklearn_partial_fit.py": ["sklearn"],
    "sklearn_boosting.py": ["sklearn"],
    "xgboost_rounds.py": ["xgboost", "sklearn"],
    "lightgbm_rounds.py": ["lightgbm", "sklearn"],
    "pytorch.py": ["torch"],
    "jax_loop.py": ["jax"],
    "keras_fit.py": ["keras", "jax"],
    "lightning_trainer.py": ["torch", "lightning"],
    "transformers_trainer.py": ["torch", "transformers", "accelerate"],
}
EPOCHS = {"plain.py": 10, "sklearn_boosting.py": 20, "xgboost_rounds.py": 8, "lightgbm_rounds.py": 8}
ROUNDS = ("sklearn_boosting.py", "xgboost_rounds.py", "lightgbm_rounds.py")
EPOCHS |= {"lightning_trainer.py": 3, "transformers_trainer.py": 3}


def test_all_are_here():
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(NEEDS)


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_keras(tmp_path, backend, monkeypatch):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is absent")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    test_example(tmp_path, "keras_fit.py")


@pytest.mark.parametrize("example", NEEDS)
def test_example(tmp_path, example):
    for name in NEEDS[example]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is absent")
    path = tmp_path / "run"
    told = os.environ.get("PYTHONPATH")
    here = os.pathsep.join([str(EXAMPLES.parent), *([told] if told else [])])
    env = os.environ | {"PYTHONPATH": here, "PYTHONWARNINGS": "error::UserWarning:__main__"}
    done = subprocess.run([sys.executable, EXAMPLES / example, path], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=1800)
    assert done.returncode == 0, done.stderr
    assert "logitscope:" not in done.stderr, done.stderr
    check(path)
    run = Run(path)
    assert list(run.epochs) == list(range(1, EPOCHS.get(example, 5) + 1))
    assert run.end["state"] == "complete"
    assert run.manifest.get("unit") == ("round" if example in ROUNDS else None)
    if "preview" in run.manifest:
        assert all(len(run.samples[split]["preview"][0]) > 20 for split in ("train", "val"))
    own = next((json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')), {})
    assert own, "no figures of the framework's own"
    for split, figures in own.items():
        for epoch in run.epochs:
            rows = logitscope.open(path).rows(epoch, split)
            z, y = rows["logits"], rows["label"]
            if z.shape[1] == 1:
                z = np.c_[np.zeros(len(z)), z]
            assert abs(mean_nll(z, y) - figures["nll"][epoch - 1]) <= 1e-5, (split, epoch)
            assert abs(np.mean(z.argmax(1) != y) - figures["error"][epoch - 1]) <= 1e-5, (split, epoch)


@pytest.mark.parametrize(
    "name", ["AdaBoostClassifier", "MLPClassifier", "LinearSVC", "LogisticRegression", "HistGradientBoostingClassifier"]
)
@pytest.mark.parametrize("classes", [2, 3])
def test_scikit_learn_says_the_same(tmp_path, name, classes):
    """The softmax of what is recorded is what predict_proba says, whatever the decision function is; else it is the decision function."""
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.neural_network
    import sklearn.svm
    from sklearn.metrics import log_loss

    from logitscope.callbacks import sklearn_epoch, sklearn_stages

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = np.array(["a", "b", "c"])[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5) * (classes - 2)]
    module = next(m for m in (sklearn.ensemble, sklearn.linear_model, sklearn.neural_network, sklearn.svm) if hasattr(m, name))
    model = getattr(module, name)().fit(x[:120], y[:120])
    with logitscope.record(tmp_path / "run", classes=model.classes_) as rec:
        if hasattr(model, "staged_decision_function"):
            sklearn_stages(rec, model, val=(x[120:], y[120:]))
            last = rec.next_epoch - 1
        else:
            sklearn_epoch(rec, 1, model, val=(x[120:], y[120:]))
            last = 1
    rows = logitscope.open(tmp_path / "run").rows(rec._epochs.last, "val")
    z, label = rows["logits"], rows["label"]
    assert last in (rec._epochs.last, rec._epochs.last - 1)
    assert (model.classes_[label] == y[120:]).all()
    if not hasattr(model, "predict_proba"):
        assert np.allclose(z.squeeze(), model.decision_function(x[120:]))
        return
    z = np.c_[np.zeros(len(z)), z] if z.shape[1] == 1 else z
    assert abs(mean_nll(z, label) - log_loss(y[120:], model.predict_proba(x[120:]))) <= 1e-5
    assert np.array_equal(model.classes_[z.argmax(1)], model.predict(x[120:]))
