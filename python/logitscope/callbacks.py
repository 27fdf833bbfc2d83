"""Frameworks whose loops are their own: gradient boosting, scikit-learn, Lightning, Hugging Face's Trainer.

Splits are handed over by name: XGBoost(rec, train=dtrain, val=dval). None of the frameworks is imported before it is needed.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ._recorder import Recorder

Pair = tuple[Any, Any]


def scores(model: Any, x: Any) -> npt.NDArray[Any]:
    """Returns a scikit-learn classifier's logits: its decision function where the softmax of it is what predict_proba says, else, as of one
    classifier a class against the rest, the log of these probabilities."""
    z = model.decision_function(x) if hasattr(model, "decision_function") else None
    return _logits(z, model.predict_proba(x) if hasattr(model, "predict_proba") else None)


def _logits(decision: Any, probabilities: Any) -> npt.NDArray[Any]:
    z = None if decision is None else np.asarray(decision)
    if z is not None and z.ndim == 2 and z.shape[1] == 1:
        z = z[:, 0]
    if probabilities is None:
        assert z is not None
        return z
    p = np.asarray(probabilities)
    if z is not None:
        both = np.c_[np.zeros(len(z)), z] if z.ndim == 1 else z
        e = np.exp(both - both.max(axis=1, keepdims=True))
        if both.shape == p.shape and np.allclose(e / e.sum(axis=1, keepdims=True), p, rtol=1e-4, atol=1e-9):
            return z
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p[:, 1]) - np.log1p(-p[:, 1]) if p.shape[1] == 2 else np.log(p))


def sklearn_epoch(rec: Recorder, epoch: int, model: Any, **splits: Pair) -> None:
    """Records what a scikit-learn classifier says after an epoch of partial_fit, of splits of (X, y)."""
    for split, (x, y) in splits.items():
        rec.log(epoch, split, scores(model, x), _numbered(model, y))


def sklearn_stages(rec: Recorder, model: Any, **splits: Pair) -> None:
    """Records every stage of a fitted boosting classifier, of splits of (X, y)."""
    if not hasattr(model, "staged_decision_function"):
        raise TypeError(f"model: a {type(model).__name__} has no stages, which are in staged_decision_function")
    sure = getattr(model, "staged_predict_proba", None)
    stages = {s: zip(model.staged_decision_function(x), sure(x) if sure else itertools.repeat(None)) for s, (x, _) in splits.items()}  # noqa: B905
    labels = {split: _numbered(model, y) for split, (_, y) in splits.items()}
    rec._in_rounds()
    for epoch, rows in enumerate(zip(*stages.values(), strict=True), rec.next_epoch):
        for split, (z, p) in zip(stages, rows, strict=True):
            rec.log(epoch, split, _logits(z, p), labels[split])


def _numbered(model: Any, y: Any) -> npt.NDArray[np.int64]:
    """Returns labels as numbers of the model's classes."""
    classes, y = np.asarray(model.classes_), np.asarray(y)
    at = np.searchsorted(classes, y)
    wrong = (at >= len(classes)) | (classes[np.minimum(at, len(classes) - 1)] != y)
    if wrong.any():
        raise ValueError(f"y: {y[np.argmax(wrong)]!r} is none of the model's classes: {', '.join(map(str, classes[:5]))}")
    return np.asarray(at, np.int64)


def XGBoost(rec: Recorder, **splits: Any) -> Any:
    """A callback for xgboost.train that records the margins of splits, each a DMatrix with labels, after every round."""
    import xgboost

    class Margins(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def before_training(self, model: Any) -> Any:
            rec._in_rounds()
            self.first = rec.next_epoch
            return model

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            for split, data in splits.items():
                rec.log(self.first + epoch, split, model.predict(data, output_margin=True), data.get_label())
            return False

    return Margins()


def LightGBM(rec: Recorder, **splits: Pair) -> Any:
    """A callback for lightgbm.train that records the raw scores of splits of (X, y) after every round."""
    rec._in_rounds()
    first = rec.next_epoch

    def margins(env: Any) -> None:
        for split, (x, y) in splits.items():
            rec.log(first + env.iteration - env.begin_iteration, split, env.model.predict(x, raw_score=True), y)

    margins.order = 50  # type: ignore[attr-defined]
    return margins


def Keras(rec: Recorder, **splits: Pair) -> Any:
    """A callback for Keras's fit that records the logits of splits of (x, y) after every epoch, on whatever backend.

    Of a model that ends in a softmax or a sigmoid they are worked out of its probabilities, which float32 cuts at 1e-45.
    """
    import keras

    class Logits(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.first = rec.next_epoch

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ends_in = getattr(getattr(self.model.layers[-1], "activation", None), "__name__", "linear")
            if ends_in not in ("linear", "softmax", "sigmoid"):
                raise ValueError(f"model: it ends in {ends_in}, which gives no logits")
            for split, (x, y) in splits.items():
                z = np.asarray(self.model.predict(x, verbose=0))
                with np.errstate(divide="ignore"):
                    z = z if ends_in == "linear" else np.log(z) if ends_in == "softmax" else np.log(z) - np.log1p(-z)
                rec.log(self.first + epoch, split, z, y)

    return Logits()


def Lightning(rec: Recorder) -> Any:
    """A callback for Lightning's Trainer, beside watched loaders and a watched loss: its sanity check is no epoch."""
    try:
        from lightning.pytorch.callbacks import Callback
    except ImportError:
        from pytorch_lightning.callbacks import Callback

    class Watch(Callback):  # type: ignore[misc]
        def on_sanity_check_start(self, *args: Any) -> None:
            rec._watcher.passes.muted = True

        def on_sanity_check_end(self, *args: Any) -> None:
            rec._watcher.passes.muted = False

        def on_exception(self, *args: Any) -> None:
            rec._watcher.passes.muted = False

    return Watch()


def watch_trainer(rec: Recorder, trainer: Any, *, train: str = "train", val: str = "val") -> Any:
    """Watches a Hugging Face Trainer: what its compute_loss, or that of a class of yours, makes of a batch, and the loaders that the
    trainer makes. Of several data sets to evaluate on, a dict of them, each is a split of its name."""
    watcher = rec._watcher
    make_train, make_eval, compute = trainer.get_train_dataloader, trainer.get_eval_dataloader, trainer.compute_loss
    trainer.get_train_dataloader = lambda: rec.watch(make_train(), train)

    def evaluate(dataset: Any = None) -> Any:
        loader = make_eval(dataset)
        if isinstance(dataset, str):
            name = re.sub(r"[^a-z0-9_-]", "-", dataset.lower())
            return rec.watch(loader, f"{val}-{name}" if name == train else name)
        return loader if dataset is not None and dataset is not trainer.eval_dataset else rec.watch(loader, val)

    def loss(model: Any, inputs: Any, return_outputs: bool = False, *args: Any, **more: Any) -> Any:
        # With label smoothing, or a loss of the caller's own, the labels are taken out of the inputs before the model has them.
        labels = next((inputs[name] for name in ("labels", "label", *trainer.label_names) if inputs.get(name) is not None), None)
        if labels is None or watcher.passes.batch is None:  # as where predict passes over a data set that is no split
            return compute(model, inputs, return_outputs, *args, **more)
        value, output = compute(model, inputs, True, *args, **more)
        if not watcher.saw_output(trainer.model, output, labels):
            rec._voice.say("no logits", "the outputs that compute_loss returns have no logits: nothing of them is recorded")
        return (value, output) if return_outputs else value

    trainer.get_eval_dataloader, trainer.compute_loss = evaluate, loss
    return trainer


__all__ = ["Keras", "LightGBM", "Lightning", "XGBoost", "scores", "sklearn_epoch", "sklearn_stages", "watch_trainer"]
