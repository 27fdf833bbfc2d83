"""Puts a loop's loaders and losses together: whose logits are these, and what are they labelled?

At a batch the logits are copied and little else is done. What can wait, the checks of labels and ids and the way to the
thread, waits for many batches, and is done for all of them at once.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._epochs import Epochs, OtherOrder, Picked
from ._loaders import Source, unwatched, watch_loader
from ._passes import Batch, Passes
from ._run import check_split_name
from ._shapes import POSITIONS, Seen, ShapeError, rows
from ._tensors import IGNORED, Loadable, check_labels, hard_of, widened
from ._voice import Voice

if TYPE_CHECKING:
    from ._block import Block

_BLOCK = 1 << 20  # bytes of logits that wait for the end of the pass
_PIECE = 1 << 10  # and what a batch costs beside them: of small batches that is the more


@dataclass(slots=True)
class Piece:
    """What a watched loss saw: rows of a batch or of several, copied. Arrays may still be on their way from a device."""

    split: str
    logits: npt.NDArray[Any] | Loadable
    columns: int
    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[Any] | Loadable | None
    shares: npt.NDArray[Any] | Loadable | None
    several: bool
    positions: int | None
    ordered: bool  # the ids are the order
    ignored: int
    measured: str
    unsure: Callable[[Any], None] | None = None  # a check of the labels that could not be made at once
    sizes: Sequence[int] = ()  # of the batches, where they are several
    mixed: npt.NDArray[Any] | Loadable | None = None  # whether the rows are of two samples each, where that is known once it is here

    def alike(self) -> tuple[Any, ...]:
        """What pieces that are added together have in common."""
        kinds = (self.labels is None, self.shares is None, self.several, self.positions, self.ordered, self.ignored, self.measured)
        return (self.columns, *kinds)

    def batches(self) -> Iterator[Piece]:
        """Takes it apart."""
        if not self.sizes:
            yield self
        end = 0
        for n in self.sizes:
            at, end = slice(end, end + n), end + n
            assert isinstance(self.logits, np.ndarray) and isinstance(self.labels, np.ndarray)
            yield replace(self, logits=self.logits[at], ids=self.ids[at], labels=self.labels[at], sizes=())


class Pieces:
    """Rows of several arrays, one behind the other."""

    def __init__(self, parts: list[npt.NDArray[Any] | Loadable]) -> None:
        self._parts = parts
        self.nbytes = sum(int(getattr(p, "nbytes", 0)) for p in parts)

    def load(self) -> npt.NDArray[Any]:
        arrays = [widened(_loaded(p)) for p in self._parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class Watcher:
    """What watch makes of a recorder."""

    def __init__(self, epochs: Epochs, voice: Voice, live: Callable[[], bool]) -> None:
        self._epochs, self._voice, self._live = epochs, voice, live
        epochs.settle = self.settle
        self.passes = Passes(epochs, voice, live)
        self._key: int | None = None
        self._block_for: Callable[..., Block | None] = lambda *_: None  # _block's, once there is a loss: it takes PyTorch
        self._blocks: dict[str, Block] = {}  # by split, of the batches that come now
        self._waiting: dict[str, list[Piece]] = {}  # by split
        self._held = 0  # bytes of what waits

    def loader(self, loader: Any, split: str, ids: Callable[[Any], Any] | str | None) -> Any:
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

        key = self._torch_key()
        return _torch.watch_model(what, key) if _torch.is_model(what) else _torch.watch_loss(what, key)

    def _torch_key(self) -> int:
        """What PyTorch knows this watcher by."""
        from . import _block, _torch

        self._key = _torch.register(self) if self._key is None else self._key
        self._block_for = _block.block_for
        return self._key

    # What the loop does.

    def saw_output(self, model: Any, output: Any, labels: Any) -> bool:
        """A model gave an output for labels. Reports whether there are logits in it."""
        from . import _torch

        return _torch.tell_output(self._torch_key(), model, output, labels)

    def saw(self, logits: Any, target: Any, kind: str, ignored: int, training: bool) -> None:
        """A watched loss was called."""
        passes = self.passes
        measured = "during" if training else "after"
        batch = passes.alone
        # What nearly every call is, and all that happens then: one more batch of the pass, like those before it.
        if batch is not None and (block := self._blocks.get(batch.split)) is not None and not batch.used and kind != "binary":
            ids, data = batch.ids, batch.data
            if type(data) is list and data[-1] is target and ids is not None and block.take(ids, logits, target, ignored, measured):
                batch.used = n = len(ids)
                passes.seen[batch.split] += n
                return
        if passes.muted or not self._live():
            return
        batch = passes.batch_of(target, logits)
        if batch is None:
            if len(passes.now) == 1 and not passes.stopped:  # else a pass is open that is not recorded, and that was said
                self._voice.say(
                    "outside",
                    "a watched loss was called outside of every watched loader's batches: that is not recorded. Watch the loaders that"
                    " the loop iterates, where others make them anew those that they give: rec.watch(accelerator.prepare(loader), …)",
                )
            return
        split = batch.split
        first = not passes.seen.get(split)
        try:
            if not self._take(batch, logits, target, kind, ignored, measured):
                if batch.used and self._mixed(batch, logits, target):
                    return
                piece = self._piece(batch, rows(logits, target, kind), ignored, measured)
                if piece is None:
                    return
                self._shut(split)
                self._wait(piece)
                batch.piece, batch.met = piece, (weakref.ref(logits), target)
            elif batch.ahead:
                batch.met = (weakref.ref(logits), target)
            if first and self._epochs.last is None:
                if batch.piece is None:
                    self._shut(split)
                    batch.piece, batch.met = self._waiting[split][-1], (weakref.ref(logits), target)
                self._settle(mend=True)  # there is nothing to lose yet, and a mistake to mend
        except (ValueError, TypeError) as err:
            if first and self._epochs.last is None:
                raise
            self._stop(split, str(err))

    def settle(self) -> None:
        """Adds what waits to the epoch."""
        if self._blocks or self._waiting:
            self._settle()

    def forked(self) -> None:
        """Lets go of what a forked process has inherited, which its parent adds."""
        self._blocks, self._waiting = {}, {}

    def _settle(self, mend: bool = False) -> None:
        """Adds what waits to the epoch. What is wrong stops the recording of its split, or with mend is raised."""
        for split in list(self._blocks):
            self._shut(split)
        waiting, self._waiting, self._held = self._waiting, {}, 0
        for split, pieces in waiting.items():
            for _, group in groupby(pieces, Piece.alike):
                some = list(group)
                try:
                    self._add(some)
                except (ValueError, TypeError):
                    if mend:
                        raise
                    try:  # one of them is wrong; those before it are right
                        for batch in chain.from_iterable(piece.batches() for piece in some):
                            self._add([batch])
                    except (ValueError, TypeError) as err:
                        self._stop(split, str(err))
                if split in self.passes.stopped:
                    break

    def _wait(self, piece: Piece) -> None:
        if self._held >= _BLOCK:
            self._settle()  # but for the last, of which the loop may still tell something
        self._waiting.setdefault(piece.split, []).append(piece)
        self._held += _PIECE + int(getattr(piece.logits, "nbytes", 0))

    def _shut(self, split: str) -> None:
        """Has what is in the block of a split wait as a piece."""
        if (b := self._blocks.pop(split, None)) is not None:
            logits, labels = b.logits[: b.n], b.labels[: b.n]
            self._wait(Piece(split, logits, b.columns, b.ids, labels, None, False, None, False, b.ignored, b.measured, sizes=b.sizes))

    def _stop(self, split: str, why: str) -> None:
        self.passes.stopped.add(split)
        self._voice.say(f"stopped {split}", f"{split} is recorded no further: {why}")

    def _take(self, batch: Batch, logits: Any, target: Any, kind: str, ignored: int, measured: str) -> bool:
        """Takes what most losses are handed, at once: a row of logits for each label of a batch, in the very tensor that the loader gave.

        Reports whether it was that. Else there is something to be found out, and _piece does.
        """
        data, ids, split = batch.data, batch.ids, batch.split
        if batch.used or ids is None or kind == "binary" or target is None or type(data) not in (list, tuple) or data[-1] is not target:
            return False
        block = self._blocks.get(split)
        if block is None or not block.take(ids, logits, target, ignored, measured):
            self._shut(split)
            block = self._block_for(ids, logits, target, ignored, measured)
            if block is None:
                return False
            self._blocks[split] = block
        batch.used = len(ids)
        self.passes.seen[split] += len(ids)
        return True

    def _mixed(self, batch: Batch, logits: Any, target: Any) -> bool:
        """Whether the rows of a batch meet a loss once more, with labels of one another, as mixup's two losses do. They are of two
        samples each, and are recorded without a label."""
        from . import _torch

        split, n = batch.split, batch.used
        if n != batch.size or not _torch.is_tensor(target) or target.shape != (n,) or target.is_floating_point():
            return False
        block = self._blocks.get(split)
        if block is not None and batch.piece is None:
            if not bool(_torch.permuted(batch.data[-1], target)) or not block.back(batch.ids, logits):
                return False
            unlabelled = np.full(n, IGNORED, np.int64)
            ids = np.array(batch.ids, np.int64)
            piece = Piece(split, _torch.capture(logits), block.columns, ids, unlabelled, None, False, None, False, IGNORED, block.measured)
            self._shut(split)
            self._wait(piece)
            batch.piece, batch.met = piece, (weakref.ref(logits), target)
        elif (piece := batch.piece) is not None and batch.met is not None and batch.met[0]() is logits and piece.labels is not None:
            permuted = _torch.permuted(batch.met[1], target)
            if any(piece is waits for waits in self._waiting.get(split, ())):
                piece.mixed = _torch.capture(permuted)
                return True if logits.is_cuda else bool(permuted)
            if not bool(permuted) or self._epochs.rows[split].n != n:
                return False
            self._epochs.restart(split)  # the first batch of all was added at once
            piece = batch.piece = replace(piece, labels=np.full(n, piece.ignored, np.int64), unsure=None)
            self._wait(piece)
        else:
            return False
        self._say_mixed(split)
        return True

    def _say_mixed(self, split: str) -> None:
        self._voice.say(f"mixed {split}", f"rows of {split} have the labels of two samples, as of mixup: they are recorded without one")

    def _piece(self, batch: Batch, seen: Seen, ignored: int, measured: str) -> Piece | None:
        from . import _torch

        split = batch.split
        n, columns = seen.logits.shape
        tables = batch.tables()
        sizes = {t.shape[0] for t in tables if len(t.shape)}
        size = len(batch.ids) if batch.ids is not None else n // (seen.positions or 1) if not sizes else max(sizes)
        if sizes and size not in sizes:
            raise ShapeError(f"a batch of {size} samples came as {max(sizes)} rows, and nobody here knows which: give watch(…, ids=)")
        if not seen.positions and n > size and batch.used == 0 and _is_sequence(tables, size, n):
            seen.positions = n // size  # [B,T,V] that the loop has made [B·T,V]
        samples = n // (seen.positions or 1)
        if batch.used == size and size > 0:
            self._voice.say(f"second {split}", f"a batch of {split} met a watched loss more than once: the first time counts")
            return None
        if samples > size - batch.used:
            raise ShapeError(f"{samples} rows of logits for {size - batch.used} samples of the batch: hand them to log(…, ids=)")
        at = slice(batch.used, batch.used + samples)
        unsure = self._order_of(seen, tables, size, at, split)
        batch.used = at.stop
        before = self.passes.seen[split]
        ids = self._epochs.numbers(before, samples) if batch.ids is None else np.array(batch.ids[at], np.int64)
        self.passes.seen[split] = before + samples
        labels = None if seen.labels is None else _torch.capture(seen.labels)
        shares = None if seen.shares is None else _torch.capture(seen.shares)
        logits = _torch.capture(seen.logits, self._epochs.encoding)
        return Piece(split, logits, columns, ids, labels, shares, seen.several, seen.positions, batch.ids is None,
                     ignored, measured, unsure)  # fmt: skip

    def _order_of(self, seen: Seen, tables: list[Any], size: int, at: slice, split: str) -> Callable[[Any], None] | None:
        """The loop may have sorted the batch, or left rows out: then the labels that it hands on are not those of the batch.

        Mostly they are the very tensor that the batch has. Labels that are on a device are looked at later, when they are here,
        by the check that this returns: to wait for them now is to wait for all that the device has to do.
        """
        told = seen.labels
        if told is None or seen.positions or told.is_floating_point() or any(told is t for t in tables):
            return None
        alike = [t for t in tables if tuple(t.shape) == (size,) and hasattr(t, "is_floating_point") and not t.is_floating_point()]
        if told.is_cpu:
            self._check_order(told, alike, size, at, split)
            return None
        alike = [t.clone() for t in alike]  # a loader may use the memory of a batch for the next one
        return lambda labels: self._check_order(labels, alike, size, at, split)

    def _check_order(self, told: Any, alike: list[Any], size: int, at: slice, split: str) -> None:
        if any(bool((t[at].to(told.device) == told).all()) for t in alike):
            return
        part = at.stop - at.start
        if part < size and (alike or size % part):
            raise ShapeError(f"{part} of {size} rows of a batch, and which of them is not to be seen: hand them to log(…, ids=)")
        order = told.sort().values
        if any(bool((t.to(told.device).sort().values == order).all()) for t in alike):
            raise ShapeError(
                "the loop puts the rows of a batch into another order, or something between the loader and the loop reads ahead: watch what"
                " the loop iterates, with ids=, or hand the rows to log(…, ids=)"
            )
        if alike:
            self._voice.say(f"own {split}", f"the loss is told labels that those of the batches of {split} are not")

    def _add(self, pieces: list[Piece]) -> None:
        """Adds pieces of one split that are alike to the open epoch."""
        from . import _torch

        e, p = self._epochs, pieces[0]
        split = p.split
        if e.current is None:
            return
        head = e.head_of(p.columns, "logits", sigmoid=p.several)
        ids = np.concatenate([piece.ids for piece in pieces])
        n = len(ids) * (p.positions or 1)
        logits: Any = Pieces([piece.logits for piece in pieces])
        labels: npt.NDArray[np.int32] | None = None
        targets: npt.NDArray[np.uint8] | None = None
        if p.labels is not None:
            told = [_loaded(piece.labels) for piece in pieces]
            for piece, own in zip(pieces, told, strict=True):
                if piece.unsure is not None:
                    piece.unsure(_torch.to_tensor(own))
            for i, piece in enumerate(pieces):
                if piece.mixed is not None and _loaded(piece.mixed).all():
                    self._say_mixed(split)
                    told[i] = np.full(len(told[i]), p.ignored, np.int64)
            labels = self._hard(np.concatenate(told), p.ignored, len(head.classes), split)
        elif p.shares is not None:
            shares = np.concatenate([_loaded(piece.shares) for piece in pieces])
            if head.kind == "sigmoid":
                if not ((shares == 0) | (shares == 1)).all():
                    self._voice.say(f"soft {split}", f"targets of {split} that are not 0 or 1 are taken for 1 from ½ on")
                labels, targets = np.full(n, IGNORED, np.int32), (shares >= 0.5).astype(np.uint8)
            else:
                labels = hard_of(shares)
                if (labels == IGNORED).any():
                    self._voice.say("soft", "soft targets are no labels: rows of them are recorded without one")
        e.head_is(head)
        if p.positions:
            if p.positions > 1 << POSITIONS:
                raise ShapeError(f"{p.positions} positions a sample: at most {1 << POSITIONS} can be told apart")
            ids = ((ids[:, None] << POSITIONS) + np.arange(p.positions)).reshape(-1)
            if labels is not None and (labels == IGNORED).any():  # padding is no token
                kept = np.flatnonzero(labels != IGNORED)
                logits, labels, ids = Picked(logits, kept), labels[kept], ids[kept]
        try:
            e.add(split, logits, labels, targets, ids, len(ids), strict=p.ordered, measured=p.measured, numbered=p.ordered)
        except OtherOrder:
            e.all_new(
                split,
                f"the labels of {split} show that its samples come in another order than before, or are others, and no index tells"
                " which they are",
                "watch(…, ids=) with a function of the batch tells them apart; ids='new' says that they are new",
            )
            e.add(split, logits, labels, targets, None, len(ids), strict=False, measured=p.measured)

    def _hard(self, raw: npt.NDArray[Any], ignored: int, classes: int, split: str) -> npt.NDArray[np.int32]:
        if raw.dtype.kind == "f":  # of a binary loss
            whole = (raw == 0) | (raw == 1)
            if not whole.all():
                self._voice.say(f"soft {split}", f"soft targets are no labels: rows of {split} that have them are recorded without one")
            return np.where(whole, raw, IGNORED).astype(np.int32)
        labels = raw.astype(np.int64)
        labels[labels == ignored] = IGNORED
        return check_labels(labels, classes)


def _loaded(array: npt.NDArray[Any] | Loadable | None) -> npt.NDArray[Any]:
    assert array is not None
    return array if isinstance(array, np.ndarray) else array.load()


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
    passes.alone = None
    whole = False
    try:
        model.eval()
        with _torch.no_grad():
            ids_of = source.begin()
            for data in iterate():
                passes.now[-1] = batch = Batch(split, ids_of(data), data)
                inputs, target = _inputs(data)
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
