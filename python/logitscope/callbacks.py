"""Frameworks whose loops are their own: gradient boosting, scikit-learn, Lightning, Hugging Face's Trainer.

Splits are handed over by name: XGBoost(rec, train=dtrain, val=dval). None of the frameworks is imported before it is needed.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._epochs import OtherOrder
from ._loaders import watched_as
from ._tensors import is_torch

if TYPE_CHECKING:
    from ._recorder import Recorder

Pair = tuple[Any, Any]
_SOME = 256  # rows that tell whether a model's raw scores are logits


def scores(model: Any, x: Any) -> npt.NDArray[Any]:
    """Returns a scikit-learn classifier's logits: its decision function where the softmax of it is what predict_proba says, else, as of one
    classifier a class against the rest, the log of these probabilities."""
    if not hasattr(model, "decision_function") and not hasattr(model, "predict_proba"):
        raise TypeError(f"model: a {type(model).__name__} has neither decision_function nor predict_proba: it is no classifier with logits")
    if not hasattr(model, "predict_proba"):
        _refuse_pairs(model)
    z = model.decision_function(x) if hasattr(model, "decision_function") else None
    if z is None and hasattr(model, "predict_log_proba"):  # of naive Bayes, whose probabilities are soon 0 and 1
        with np.errstate(divide="ignore"):
            log_p = np.asarray(model.predict_log_proba(x))
        return log_p[:, 1] - log_p[:, 0] if log_p.ndim == 2 and log_p.shape[1] == 2 else log_p
    return _logits(z, model.predict_proba(x) if hasattr(model, "predict_proba") else None)


def _refuse_pairs(model: Any) -> None:
    """Refuses a support vector machine that gives a margin for each pair of classes. Of three classes there are three pairs, so that the
    shape alone does not tell. Of a search it asks the estimator that was found, of a pipeline the last step."""
    while hasattr(model, "best_estimator_") or hasattr(model, "steps"):
        model = model.best_estimator_ if hasattr(model, "best_estimator_") else model.steps[-1][1]
    if getattr(model, "decision_function_shape", None) == "ovo" and len(model.classes_) > 2:
        raise ValueError(
            f"model: a {type(model).__name__} with decision_function_shape='ovo' gives a margin for each pair of classes, "
            "which are no logits: give it decision_function_shape='ovr', which it takes after fitting too"
        )


def _logits(decision: Any, probabilities: Any) -> npt.NDArray[Any]:
    z = None if decision is None else np.asarray(decision)
    if z is not None and z.ndim == 2 and z.shape[1] == 1:
        z = z[:, 0]
    if probabilities is None:
        assert z is not None
        return z
    p = np.asarray(probabilities)
    if z is not None and _tells(z, p):
        return z
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p[:, 1]) - np.log1p(-p[:, 1]) if p.shape[1] == 2 else np.log(p))


def _tells(z: npt.NDArray[Any], p: npt.NDArray[Any]) -> bool:
    """Whether the softmax of z is p."""
    both = np.c_[np.zeros(len(z)), z] if z.ndim == 1 else z
    e = np.exp(both - both.max(axis=1, keepdims=True))
    return both.shape == p.shape and bool(np.allclose(e / e.sum(axis=1, keepdims=True), p, rtol=1e-4, atol=1e-9))


def _both(p: Any) -> npt.NDArray[Any]:
    """Returns the probabilities of two classes where those of one are given."""
    p = np.asarray(p)
    return np.asarray(np.c_[1 - p, p] if p.ndim == 1 else p)


def sklearn_epoch(rec: Recorder, epoch: int, model: Any, **splits: Pair) -> None:
    """Records what a scikit-learn classifier says after an epoch of partial_fit, of splits of (X, y)."""
    for split, (x, y) in splits.items():
        rec.log(epoch, split, scores(model, x), _numbered(rec, model, y))


def sklearn_stages(rec: Recorder, model: Any, **splits: Pair) -> None:
    """Records every stage of a fitted boosting classifier, of splits of (X, y)."""
    if not hasattr(model, "staged_decision_function"):
        part = ": hand over its last step, model[-1], and what model[:-1].transform makes of X" if hasattr(model, "steps") else ""
        raise TypeError(f"model: a {type(model).__name__} has no stages, which are in staged_decision_function{part}")
    sure = getattr(model, "staged_predict_proba", None)
    stages = {s: zip(model.staged_decision_function(x), sure(x) if sure else itertools.repeat(None)) for s, (x, _) in splits.items()}  # noqa: B905
    labels = {split: _numbered(rec, model, y) for split, (_, y) in splits.items()}
    rec._in_rounds()
    rounds = _Rounds(rec)
    for at, rows in enumerate(zip(*stages.values(), strict=True)):
        for split, (z, p) in zip(stages, rows, strict=True):
            rec.log(rounds.epoch(at), split, _logits(z, p), labels[split])


def _numbered(rec: Recorder, model: Any, y: Any) -> npt.NDArray[np.int64]:
    """Returns labels as numbers of the model's classes, which are in the order of the record's where these have the same names."""
    if not hasattr(model, "classes_"):
        raise TypeError(f"model: a {type(model).__name__} has no classes_: it is no classifier, or not fitted yet")
    classes, y = np.asarray(model.classes_), np.asarray(y)
    own, names = [str(v) for v in classes.tolist()], list(rec._epochs.classes or ())
    if own != names and sorted(own) == sorted(names):
        raise ValueError(f"classes: the model has them in another order: name them to record(…, classes=[…]) as {', '.join(own[:5])}")
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(f"y: {list(y.shape)} is several classes a sample: hand logits of them to log(), with record(…, head='sigmoid')")
    y = y.reshape(-1)
    at = np.searchsorted(classes, y)
    wrong = (at >= len(classes)) | (classes[np.minimum(at, len(classes) - 1)] != y)
    if wrong.any():
        raise ValueError(f"y: {y[np.argmax(wrong)]!s} is none of the model's classes: {', '.join(map(str, classes[:5]))}")
    return np.asarray(at, np.int64)


class _Rounds:
    """What a framework counts from 0 as epochs of a record: as it counts them, or after those that the record has."""

    def __init__(self, rec: Recorder) -> None:
        self._rec = rec
        self._shift: int | None = None

    def epoch(self, at: int) -> int:
        if self._shift is None:
            e = self._rec._epochs
            self._shift = max(1, (e.next if e.current is None else e.current + 1) - at)
        return at + self._shift


def _as_classes(rec: Recorder, split: str, y: Any, sorts: bool = False) -> Any:
    """Returns labels as numbers: those that are the names of the record's classes, which scikit-learn's interfaces take, as text or as
    whole numbers such as 1 to K or -1 and 1. sorts says that the framework numbers classes in sorted order."""
    labels = np.asarray(y)
    names = list(rec._epochs.classes or ())
    if labels.dtype.kind not in "OSUi":
        return y
    values, at = labels.reshape(-1).tolist(), {name: k for k, name in enumerate(names)}
    unknown = next((v for v in values if str(v) not in at), None)
    if labels.dtype.kind == "i":
        if unknown is not None or all(at[str(v)] == v for v in values):
            return y
        if all(0 <= v < len(names) for v in values):
            raise ValueError(f"{split}: labels such as {values[0]} are names of some classes and numbers of others: number them from 0")
    elif unknown is not None:
        raise ValueError(
            f"{split}: label {unknown!r} is no name of a class: say record(…, classes=[…]) in the order in which the model has them"
        )
    if sorts and (np.diff([at[str(v)] for v in sorted(set(values))]) < 0).any():
        raise ValueError(f"{split}: LGBMClassifier numbers classes in sorted order: name them so to record(…, classes=[…])")
    return np.array([at[str(v)] for v in values], np.int64)


def XGBoost(rec: Recorder, **splits: Any) -> Any:
    """A callback for xgboost.train, or of an XGBClassifier, that records the margins of splits after every round. A split is a DMatrix with
    labels, or (X, y)."""
    import xgboost

    for split, data in splits.items():
        if isinstance(data, tuple) and len(data) == 2:
            splits[split] = xgboost.DMatrix(data[0], _as_classes(rec, split, data[1]), enable_categorical=True)
        elif not hasattr(data, "get_label") or not data.get_label().size:
            raise TypeError(f"{split}: want a DMatrix with labels, or (X, y), not {type(data).__name__}")

    class Margins(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def before_training(self, model: Any) -> Any:
            if not hasattr(model, "predict"):
                raise TypeError("callbacks: xgboost.cv trains several models: record each of them, in a run of its own, with xgboost.train")
            rec._in_rounds()
            self.rounds = _Rounds(rec)
            return model

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            for split, data in splits.items():
                rec.log(self.rounds.epoch(epoch), split, model.predict(data, output_margin=True), data.get_label())
            return False

    return Margins()


def LightGBM(rec: Recorder, **splits: Pair) -> Any:
    """A callback for lightgbm.train, or of an LGBMClassifier, that records the raw scores of splits of (X, y) after every round.

    Where their softmax is not what the model predicts, as of a random forest or of one class against the rest, it records logits of that.
    """
    for split, data in splits.items():
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise TypeError(f"{split}: want (X, y): LightGBM keeps no features of a {type(data).__name__} that it could predict")
    labels = {split: _as_classes(rec, split, y, sorts=True) for split, (_, y) in splits.items()}
    rec._in_rounds()
    rounds = _Rounds(rec)

    def margins(env: Any) -> None:
        nonlocal rounds
        if hasattr(env.model, "boosters"):
            raise TypeError("callbacks: lightgbm.cv trains several models: record each of them, in a run of its own, with lightgbm.train")
        if env.iteration == env.begin_iteration:
            rounds = _Rounds(rec)
            if env.begin_iteration == 0 and getattr(env.model.train_set, "init_score", None) is not None:
                rec._voice.say("init_score", "what is recorded is what LightGBM's model predicts, which is without the init_score")
        for split, (x, _) in splits.items():
            z = env.model.predict(x, raw_score=True)
            p = env.model.predict(x[:_SOME])
            if not np.array_equal(p, z[:_SOME]) and not _tells(z[:_SOME], _both(p)):  # the same where the objective is the caller's own
                z = _logits(None, _both(env.model.predict(x)))
            rec.log(rounds.epoch(env.iteration), split, z, labels[split])

    margins.order = 25  # type: ignore[attr-defined]  # before early stopping, of 30, which leaves the round by an exception
    return margins


def Keras(rec: Recorder, **splits: Any) -> Any:
    """A callback for Keras's fit that records the logits of splits after every epoch, on whatever backend. A split is (x, y), or what gives
    batches of them anew each time: a tf.data.Dataset, a PyDataset, a loader of PyTorch's. Weights beside x and y weigh nothing here.

    Where the loss takes the model's outputs for probabilities, logits are worked out of these, which float32 cuts at 1e-45.
    """
    import keras

    for split, data in splits.items():
        _check_keras(split, data)

    def unseen() -> Any:
        """A pass over a loader of PyTorch's draws a random number, and the training's own would be other ones after it."""
        if keras.backend.backend() != "torch":
            return contextlib.nullcontext()
        import torch

        return torch.random.fork_rng()

    def own(value: Any) -> Any:
        """Returns an array that the backend takes, which is not always one of the framework that reads the data."""
        foreign = is_torch(value) or (hasattr(value, "numpy") and keras.backend.backend() != "tensorflow")
        return value.numpy() if foreign else value

    def outputs(model: Any, data: Any) -> tuple[npt.NDArray[np.float32], Any]:
        """Returns a split's outputs and labels."""
        if isinstance(data, tuple):
            return _keras_output(model.predict(data[0], verbose=0)), _only(data[1])
        batches = map(data.__getitem__, range(data.num_batches)) if isinstance(data, keras.utils.PyDataset) else iter(data)
        z, y = [], []
        for x, labels, *_ in batches:
            z.append(_keras_output(model.predict_on_batch(keras.tree.map_structure(own, x))))
            y.append(np.asarray(_only(labels)))
        return np.concatenate(z), np.concatenate(y)

    class Logits(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.rounds = _Rounds(rec)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            epoch = self.rounds.epoch(epoch)
            for split, data in splits.items():
                with unseen():
                    z, y = outputs(self.model, data)
                z = _keras_logits(self.model, z)
                try:
                    rec.log(epoch, split, z, y, ids="new" if split in rec._epochs.new else None)
                except OtherOrder:
                    if isinstance(data, tuple):
                        raise
                    because = f"{split} comes in another order than before, as of a data set that shuffles"
                    rec._epochs.all_new(split, because, "Without shuffling they are followed")
                    rec.log(epoch, split, z, y, ids="new")

    return Logits()


def _check_keras(split: str, data: Any) -> None:
    """Refuses what has no labels, or does not give its batches anew, each of them once."""
    if isinstance(data, tuple) and len(data) in (2, 3):
        return
    if isinstance(data, tuple) or hasattr(data, "dtype") or not (hasattr(data, "__iter__") or hasattr(data, "num_batches")):
        raise TypeError(f"{split}: want (x, y), or a data set of such batches, not {type(data).__name__}")
    if getattr(data, "__iter__", None) is not None and iter(data) is data:
        raise TypeError(f"{split}: a {type(data).__name__} is iterated once only, and each epoch is a pass: hand over what gives it")
    if (hasattr(data, "cardinality") and int(data.cardinality()) == -1) or getattr(data, "num_batches", 0) is None:
        raise ValueError(f"{split}: it never ends, as after repeat(): hand it over before that")


def _keras_output(z: Any) -> npt.NDArray[np.float32]:
    """Returns the outputs of a model that has one."""
    if isinstance(z, (list, tuple, dict)) and len(z) != 1:
        raise TypeError(f"model: it has {len(z)} outputs: hand the logits of one to log()")
    return np.asarray(_of_one_output(z), np.float32)


def _of_one_output(value: Any) -> Any:
    """Returns what a model has for its output where it has one, which Keras also takes and gives in a list or a dict."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else _only(value)


def _only(named: Any) -> Any:
    """Returns what is in a dict of one."""
    return next(iter(named.values())) if isinstance(named, dict) and len(named) == 1 else named


def _keras_logits(model: Any, z: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns a Keras model's outputs as logits, by what its loss takes them for. Where that does not say it, they are probabilities if
    they look it: rows that sum to one, or what a last layer with a sigmoid gives."""
    loss = _of_one_output(model.loss)
    name = (loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)).lower().replace("_", "")
    if "crossentropy" in name:
        kind = "logits" if getattr(loss, "from_logits", False) else "binary" if "binary" in name else "classes"
    elif z.ndim == 2 and z.shape[1] > 1 and (z >= 0).all() and np.allclose(z.sum(axis=1), 1, atol=1e-2):
        kind = "classes"
    else:
        last = getattr(model.layers[-1] if model.layers else None, "activation", None)
        kind = "binary" if getattr(last, "__name__", "") == "sigmoid" else "logits"
    with np.errstate(divide="ignore"):
        return z if kind == "logits" else np.log(z) if kind == "classes" else np.log(z) - np.log1p(-z)


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
    trainer makes. Of several data sets to evaluate on, a dict of them, each is a split of its name.

    Where the best model is loaded at the end, an evaluation after it is of an epoch that is recorded already, and is not recorded again.
    """
    watcher = rec._watcher
    make_train, make_eval, compute = trainer.get_train_dataloader, trainer.get_eval_dataloader, trainer.compute_loss
    _watch_skipping()

    def split_of(key: str) -> str:
        name = re.sub(r"[^a-z0-9_-]", "-", key.lower())
        return f"{val}-{name}" if name == train else name

    if trainer.args.eval_strategy != "no":  # it may evaluate for the first time when its first epoch is long over
        to_come = [split_of(key) for key in trainer.eval_dataset] if isinstance(trainer.eval_dataset, dict) else [val]
        watcher.passes.watched += [split for split in (train, *to_come) if split not in watcher.passes.watched]

    def watched(loader: Any, split: str) -> Any:
        return loader if rec._closed else rec.watch(loader, split)  # a trainer may be of use longer than its record is open

    def load() -> Any:
        if not rec._closed and trainer.args.auto_find_batch_size and trainer.state.global_step < trainer.state.max_steps:
            for split in list(rec._epochs.rows):  # what was too large for the memory begins anew with smaller batches
                rec._epochs.restart(split)
        return watched(make_train(), train)

    def evaluate(dataset: Any = None) -> Any:
        loader = make_eval(dataset)
        if not trainer.is_in_train and trainer.args.load_best_model_at_end and trainer.state.best_model_checkpoint is not None:
            return loader
        if isinstance(dataset, str):
            return watched(loader, split_of(dataset))
        return loader if dataset is not None and dataset is not trainer.eval_dataset else watched(loader, val)

    def loss(model: Any, inputs: Any, return_outputs: bool = False, *args: Any, **more: Any) -> Any:
        # With label smoothing, or a loss of the caller's own, the labels are taken out of the inputs before the model has them.
        labels = next((inputs[name] for name in ("labels", "label", *trainer.label_names) if inputs.get(name) is not None), None)
        if labels is None or watcher.passes.batch is None:  # as where predict passes over a data set that is no split
            return compute(model, inputs, return_outputs, *args, **more)
        seen = sum(watcher.passes.seen.values())
        value, output = compute(model, inputs, True, *args, **more)
        told = sum(watcher.passes.seen.values()) > seen  # by a watched loss
        if not told and not watcher.saw_output(trainer.model, output, labels):
            rec._voice.say(
                "no logits",
                "the outputs that compute_loss returns have no logits: nothing of them is recorded. Watch the loss that is told them, as"
                " loss.ce_loss = rec.watch(loss.ce_loss) of sentence-transformers' CrossEntropyLoss",
            )
        return (value, output) if return_outputs else value

    trainer.get_train_dataloader, trainer.get_eval_dataloader, trainer.compute_loss = load, evaluate, loss
    return trainer


def _watch_skipping() -> None:
    """Has what a Trainer that goes on in the middle of an epoch iterates watched as its loader is, of which it makes that anew."""
    from transformers import trainer as home

    skip = home.skip_first_batches
    if not hasattr(skip, "watches"):

        def skip_and_watch(loader: Any, *args: Any, **more: Any) -> Any:
            return watched_as(loader, skip(loader, *args, **more))

        skip_and_watch.watches = True  # type: ignore[attr-defined]
        home.skip_first_batches = skip_and_watch


__all__ = ["Keras", "LightGBM", "Lightning", "XGBoost", "scores", "sklearn_epoch", "sklearn_stages", "watch_trainer"]
