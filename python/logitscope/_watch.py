"""Puts a loop's loaders and losses together: whose logits are these, and what are they labelled?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._loaders import Source, unwatched, watch_loader
from ._passes import Batch, Passes
from ._run import check_split_name
from ._shapes import POSITIONS, Seen, ShapeError, rows
from ._tensors import IGNORED, check_labels

if TYPE_CHECKING:
    from ._recorder import Recorder


class Watcher:
    """What watch makes of a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.passes = Passes(recorder)
        self._key: int | None = None

    def loader(self, loader: Any, split: str, ids: Callable[[Any], Any] | None) -> Any:
        check_split_name(split)
        if not hasattr(loader, "__iter__"):
            raise TypeError(f"watch: {type(loader).__name__} is no loader: it cannot be iterated")
        if iter(loader) is loader if not hasattr(loader, "dataset") and not hasattr(loader, "__len__") else False:
            raise TypeError(f"watch: a {type(loader).__name__} is iterated once only, and each epoch is a pass: hand over what gives it")
        source = Source(loader, split, ids)
        if split not in self.passes.watched:
            self.passes.watched.append(split)
        return watch_loader(self.passes, source)

    def loss_or_model(self, what: Any) -> Any:
        from . import _torch

        self._key = _torch.register(self) if self._key is None else self._key
        return _torch.watch_model(what, self._key) if _torch.is_model(what) else _torch.watch_loss(what, self._key)

    # What the loop does.

    def saw(self, logits: Any, target: Any, kind: str, ignored: int, training: bool) -> None:
        """A watched loss was called."""
        r = self._recorder
        if not r._watching() or self.passes.muted:
            return
        batch = self.passes.batch
        if batch is None:
            if not self.passes.stopped:
                r._say(
                    "outside",
                    "a watched loss was called outside of every watched loader's batches: that is not recorded. Watch the loaders that"
                    " the loop iterates, where others make them anew those that they give: rec.watch(accelerator.prepare(loader), …)",
                )
            return
        try:
            seen = rows(logits, target, kind)
            self._record(batch, seen, ignored, "during" if training else "after")
        except (ValueError, TypeError) as err:
            if r._last is None and not self.passes.seen.get(batch.split):
                raise  # at the first batch there is nothing to lose yet, and a mistake to mend
            self._stop(batch.split, str(err))

    def _stop(self, split: str, why: str) -> None:
        self.passes.stopped.add(split)
        self._recorder._say(f"stopped {split}", f"{split} is recorded no further: {why}")

    def _record(self, batch: Batch, seen: Seen, ignored: int, measured: str) -> None:
        r, split = self._recorder, batch.split
        n = int(seen.logits.shape[0])
        tables = batch.tables()
        sizes = {int(t.shape[0]) for t in tables if len(t.shape)}
        size = len(batch.ids) if batch.ids is not None else n // (seen.positions or 1) if not sizes else max(sizes)
        if sizes and size not in sizes:
            raise ShapeError(f"a batch of {size} samples came as {max(sizes)} rows, and nobody here knows which: give watch(…, ids=)")
        if not seen.positions and n > size and batch.used == 0 and _is_sequence(tables, size, n):
            seen.positions = n // size  # [B,T,V] that the loop has made [B·T,V]
        samples = n // (seen.positions or 1)
        if batch.used == size and size > 0:
            r._say(f"second {split}", f"a batch of {split} met a watched loss more than once: the first time counts")
            return
        if samples > size - batch.used:
            raise ShapeError(f"{samples} rows of logits for {size - batch.used} samples of the batch: hand them to log(…, ids=)")
        at = slice(batch.used, batch.used + samples)
        self._check_order(seen, tables, size, at, split)
        batch.used = at.stop
        before = self.passes.seen[split]
        ids = np.arange(before, before + samples) if batch.ids is None else batch.ids[at]
        self.passes.seen[split] += samples
        self._hand_over(split, seen, ids, batch.ids is None, ignored, measured)

    def _check_order(self, seen: Seen, tables: list[Any], size: int, at: slice, split: str) -> None:
        """The loop may have sorted the batch, or left rows out: then the labels that it hands on are not those of the batch."""
        if seen.labels is None or seen.positions or seen.labels.is_floating_point() or seen.labels.is_cuda:
            return
        told = seen.labels
        alike = [t for t in tables if tuple(t.shape) == (size,) and hasattr(t, "is_floating_point") and not t.is_floating_point()]
        if any(bool((t[at] == told).all()) for t in alike):
            return
        part = at.stop - at.start
        if part < size and (alike or size % part):
            raise ShapeError(f"{part} of {size} rows of a batch, and which of them is not to be seen: hand them to log(…, ids=)")
        order = told.sort().values
        if any(bool((t.sort().values == order).all()) for t in alike):
            raise ShapeError("the loop puts the rows of a batch into another order: hand them to log(…, ids=)")
        if alike:
            self._recorder._say(f"own {split}", f"the loss is told labels that those of the batches of {split} are not")

    def _hand_over(self, split: str, seen: Seen, ids: npt.NDArray[np.int64], ordered: bool, ignored: int, measured: str) -> None:
        from . import _torch

        r = self._recorder
        if r._epoch is None:
            return
        n, columns = int(seen.logits.shape[0]), int(seen.logits.shape[1])
        head = r._head_of(columns, "logits", sigmoid=seen.several)
        labels: npt.NDArray[np.int32] | None = None
        targets: npt.NDArray[np.uint8] | None = None
        if seen.labels is not None:
            labels = self._hard(_torch.to_array(seen.labels.detach()), ignored, len(head.classes), split)
        elif seen.shares is not None:
            shares = _torch.to_array(seen.shares.detach())
            if head.kind == "sigmoid":
                if not ((shares == 0) | (shares == 1)).all():
                    r._say(f"soft {split}", f"targets of {split} that are not 0 or 1 are taken for 1 from ½ on")
                labels, targets = np.full(n, IGNORED, np.int32), (shares >= 0.5).astype(np.uint8)
            else:
                labels = r._soft(shares)
        r._head_is(head)
        logits = seen.logits.detach()

        def take(at: npt.NDArray[np.int64]) -> Any:
            return _torch.pick(logits, at)

        if seen.positions:
            if seen.positions > 1 << POSITIONS:
                raise ShapeError(f"{seen.positions} positions a sample: at most {1 << POSITIONS} can be told apart")
            ids = ((ids[:, None] << POSITIONS) + np.arange(seen.positions)).reshape(-1)
            if labels is not None and (labels == IGNORED).any():  # padding is no token
                kept = np.flatnonzero(labels != IGNORED)
                r._add(r._epoch, split, take(kept), labels[kept], None, ids[kept], strict=ordered, measured=measured)
                return
        r._add(r._epoch, split, _torch.capture(logits), labels, targets, ids, strict=ordered, take=take, measured=measured)

    def _hard(self, raw: npt.NDArray[Any], ignored: int, classes: int, split: str) -> npt.NDArray[np.int32]:
        if raw.dtype.kind == "f":  # of a binary loss
            whole = (raw == 0) | (raw == 1)
            if not whole.all():
                self._recorder._say(f"soft {split}", f"soft targets are no labels: rows of {split} that have them are recorded without one")
            return np.where(whole, raw, IGNORED).astype(np.int32)
        labels = raw.astype(np.int64)
        labels[labels == ignored] = IGNORED
        return check_labels(labels, classes)


def _is_sequence(tables: list[Any], size: int, n: int) -> bool:
    """Whether the batch has a table [B,T] of whole numbers that n rows can be the positions of."""
    for t in tables:
        shape = tuple(t.shape)
        if len(shape) == 2 and shape[0] == size and n % size == 0 and n // size <= shape[1] and "float" not in str(t.dtype):
            return True
    return False


def measure(watcher: Watcher, model: Any, loader: Any, split: str, ids: Callable[[Any], Any] | None) -> None:
    """Passes over a loader with the model as it is in use, and records what it gives."""
    from . import _torch

    passes = watcher.passes
    known = None if ids is not None else unwatched(loader)
    source, iterate = known or _fresh(loader, split, ids)
    was = model.training
    device = next((p.device for p in model.parameters()), None)
    if not passes.begin(split, measured=True):
        return
    passes.now.append(None)
    whole = False
    try:
        model.eval()
        with _torch.no_grad():
            for batch in source.batches(iterate):
                batch.split = split
                passes.now[-1] = batch
                inputs, target = _inputs(batch.data)
                moved = _moved(inputs, device)
                output = model(**moved) if isinstance(moved, dict) else model(moved)
                logits = (
                    output
                    if _torch.is_tensor(output)
                    else output["logits"]
                    if hasattr(output, "get")
                    else getattr(output, "logits", output)
                )
                if batch.used == 0:  # no watched model has told it
                    watcher.saw(logits, _moved(target, device), "any", IGNORED, False)
        whole = True
    finally:
        passes.now.pop()
        model.train(was)
        passes.end(split, whole, measured=True)


def _fresh(loader: Any, split: str, ids: Callable[[Any], Any] | None) -> tuple[Source, Callable[[], Iterator[Any]]]:
    source = Source(loader, split, ids)
    return source, lambda: iter(source.loader)


def _inputs(data: Any) -> tuple[Any, Any]:
    """Takes a batch apart: inputs and labels, a pair or a dict of them."""
    if isinstance(data, dict) or hasattr(data, "keys"):
        label = next((k for k in ("labels", "label", "targets", "y") if k in data), None)
        return dict(data), None if label is None else data[label]
    if isinstance(data, (list, tuple)) and len(data) == 2:
        return data[0], data[1]
    raise TypeError("measure: want batches of (inputs, labels), or dicts with 'labels': log() takes any others")


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, dict):
        return {k: _moved(v, device) for k, v in value.items()}
    return value.to(device) if hasattr(value, "to") and device is not None else value
