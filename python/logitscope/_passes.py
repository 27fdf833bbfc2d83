"""Which epoch a batch is of: an epoch begins with a pass over the training loader and holds the passes after it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ._epochs import Epochs
from ._voice import Voice

READ_AHEAD = 256  # batches at most that may be read before a loss meets the first of them
_LABELS = 1 << 20  # bytes that the labels of a batch have at most, those of sequences among them
_SHARES = 1 << 16  # and where they are fractions, as inputs are


@dataclass(slots=True)
class Batch:
    """The batch that the loop has now."""

    split: str
    ids: Sequence[int] | npt.NDArray[np.int64] | None  # None where they are the order
    data: Any  # as the loader gave it
    ahead: Any = ()  # the batches of its pass before it that no loss has met
    used: int = 0  # samples whose rows were seen
    piece: Any = None  # of these rows, where they wait apart from those of other batches
    met: tuple[Any, Any] | None = None  # a weak reference to the logits of the piece, and their labels

    @property
    def size(self) -> int:
        """How many samples it has, as far as that is to be seen."""
        return len(self.ids) if self.ids is not None else max((t.shape[0] for t in self.tables() if len(t.shape)), default=0)

    def slim(self) -> None:
        """Lets go of what labels are not among."""
        self.data = [t for t in self.tables() if getattr(t, "nbytes", 0) <= (_SHARES if "float" in str(t.dtype) else _LABELS)]

    def tables(self) -> list[Any]:
        """The arrays that it is made of."""
        found: list[Any] = []
        look = [self.data]
        for value in look:
            if hasattr(value, "shape") and hasattr(value, "dtype"):
                found.append(value)
            elif hasattr(value, "values") and callable(value.values):
                look += list(value.values())
            elif isinstance(value, (list, tuple)) and len(look) < 1000:
                look += list(value)
        return found


@dataclass
class Passes:
    """Follows the loaders of a recorder."""

    epochs: Epochs
    voice: Voice
    live: Callable[[], bool]
    watched: list[str] = field(default_factory=list)
    muted: bool = False  # by a framework, while it tries things out
    stopped: set[str] = field(default_factory=set)  # splits that are recorded no further
    now: list[Batch | None] = field(default_factory=lambda: [None])  # of the passes that are open, the innermost last
    alone: Batch | None = None  # that of the one pass that is open, where all before it met a loss: a loss is of no other
    seen: dict[str, int] = field(default_factory=dict)  # samples of the pass that is open
    left: set[str] = field(default_factory=set)  # splits whose last pass did not come to its end
    _running: bool = False  # the pass that the epoch began with
    _began: bool = False
    _learns: bool = False  # passes over the driver have had gradients
    _resting: bool = False  # the pass over the driver that is open, or was last, has none, so that it measures
    _opened: int | None = None  # the epoch that a pass began last
    _first: int | None = None  # the epoch that the first pass over the driver began
    _looks: bool = True  # and may have been a look at a batch, which is none
    _ahead: bool = False  # batches are read before the loss meets those before them
    _last: Batch | None = None  # the one that was found, where some wait
    _late: Batch | None = None  # that a loop that reads ahead has not come to at the end of its pass
    _short: bool = False  # the pass over the driver that was last was left after a batch
    _done: set[tuple[str, bool]] = field(default_factory=set)
    _expected: set[tuple[str, bool]] | None = None

    @property
    def driver(self) -> str | None:
        return "train" if "train" in self.watched or not self.watched else self.watched[0]

    @property
    def broken(self) -> bool:
        """Whether a pass was left before its end, or is open, as where an error's traceback holds the loop."""
        return bool(self.left) or len(self.now) > 1

    @property
    def batch(self) -> Batch | None:
        return self.now[-1]

    def batch_of(self, target: Any, logits: Any) -> Batch | None:
        """Returns the batch that labels are of: mostly the innermost that is open. Of loaders that are passed over side by side, as
        zip does, or one within another, it is the one that has these very labels, or the same ones."""
        if len(self.now) == 2 and (batch := self.now[1]) is not None:  # mostly one pass is open, and this is asked at every step
            return self._in_turn(batch, target, logits) if batch.ahead else batch
        open_ = [batch for batch in reversed(self.now) if batch is not None]
        if not open_ and self._late is not None:
            batch = self._late
        elif len(open_) < 2:
            batch = self.batch
        else:
            batch = next((b for b in open_ if any(table is target for table in b.tables())), None)
            batch = batch or next((b for b in open_ if _has(b, target)), self.batch)
        return batch if batch is None or not batch.ahead else self._in_turn(batch, target, logits)

    def _in_turn(self, batch: Batch, target: Any, logits: Any) -> Batch:
        """Returns which batch labels are of, where some before the last one have met no loss. A loop may have left these out; or it reads
        batches ahead, as Hugging Face's Trainer does to accumulate gradients, and comes to them in their order."""
        last, waiting = self._last, batch.ahead
        if last is not None and last.met is not None and (last.met[1] is target or last.met[0]() is logits):
            return last  # which meets a second loss
        look = [b for b in waiting if b.used == 0 or b.used < b.size] + [batch]
        found = next((b for b in look if any(_within(t, target) for t in b.tables())), None)
        if found is None and self._ahead:
            found = look[0]
        if found is None:
            found = next((b for b in look if _has(b, target)), batch)
        self._ahead = self._ahead or found is not batch
        while waiting and waiting[0] is not found:
            waiting.popleft()
        self._last = found
        return found

    def over(self, whole: bool, last: Batch | None) -> None:
        """The batches of a pass are at their end. Where a loop reads ahead it comes to the last of them later."""
        self._late = last if whole and self._ahead and last is not None and not last.used else None

    def begin(self, split: str, measured: bool = False) -> bool:
        """A pass over a split begins. Reports whether it is recorded."""
        e = self.epochs
        if self.muted or not self.live():
            return False
        e.settle()
        learned = self._learns
        if split == self.driver and not measured:
            # A loop that learns from a split and then passes over it without gradients, for its accuracy, measures it.
            resting = self._learns and _no_gradients()
            if resting and self._running:
                self.voice.say(f"within {split}", f"a pass over {split} within a pass over {split} is not recorded")
                return False
            self._resting, self._learns = resting, self._learns or not _no_gradients()
        self.seen[split] = 0
        self._late = self._last = None
        if measured and split not in self.watched and not self._began and not self.watched:
            self.watched.append(split)
        drives = split == self.driver and (not measured or split not in self.watched or (not self._running and not self._began))
        if split == self.driver and self._resting:
            drives = False
        elif measured and self._began and (split, True) in self._done and split == self.driver:
            drives = True  # nothing else tells that an epoch is over
        if not self._began and not e.created and len(self.watched) > 1:
            e.names = list(self.watched)  # where there is one more may come: the end of the first epoch tells
        if drives:
            if self._began and self._done:
                self._expected = self._done | (self._expected or set())
            if self._began and self._learns and not learned:
                self._nothing_was_learned()
            before = not self._began and not self._learns and e.current == self._opened == 0  # it measures, as the passes before it
            if not before and not self._looked(split) and (e.current is None or e.current == self._opened or split in e.rows):
                e.begin(e.next if e.current is None else e.current + 1)
            self._opened = e.current  # or log has opened it, and this split is of it as well
            self._first = e.current if self._first is None else self._first
            self._began, self._running, self._done = True, True, self._done if before else set()
            return True
        if not self._began:
            if e.last is not None:
                self.voice.say(f"before {split}", f"a pass over {split} before that over {self.driver} is of no epoch, and not recorded")
                return False
            if e.current is None:
                e.begin(0)  # how the network is before it is trained
                self._opened = 0
        if e.current is None:
            self.voice.say(f"after {split}", f"a pass over {split} after its epoch was over is not recorded")
            return False
        e.set_aside(split)
        return True

    def _nothing_was_learned(self) -> None:
        """A loop begins to learn that has passed over the driver without gradients before: what it measured is of the network before it
        was trained, epoch 0, as far as these passes are whole. Where a training goes on it is of no epoch."""
        e = self.epochs
        if e.current != self._first:
            return
        for split in set(self.watched) & set(e.rows):
            if e.last is not None or split not in {name for name, _ in self._done}:
                e.restart(split)
        if e.last is None and e.current == 1 and any(opened.n for opened in e.rows.values()):
            e.renumber(0)

    def _looked(self, split: str) -> bool:
        """Whether a loop has looked at the driver's first batch and no more, as next(iter(loader)) does: that was no epoch, and the open
        one is not over. A look may go through the loss, before anything else is passed over."""
        e = self.epochs
        if not self._began or not e.current:
            return False
        have = {name for name, opened in e.rows.items() if opened.n}
        if have == {split} and e.current == self._first and self._short and self._looks and not self._done:
            self._looks = False  # a loop that passes over one batch each time loses no more than the first
            self.voice.say(f"look {split}", f"the first pass over {split} was left after a batch: that counts as a look, not as an epoch")
            e.restart(split)
            return True
        return not have

    def end(self, split: str, whole: bool, measured: bool = False, size: int = 0) -> None:
        """A pass is over; whole says that the loader was exhausted, size is that of its last batch."""
        self.epochs.settle()
        (self.left.discard if whole else self.left.add)(split)
        if split == self.driver:
            measured = measured or self._resting
            self._running = False
            self._short = not whole and self.seen.get(split, 0) <= size
        if not self._running and whole:
            self._done.add((split, measured))
        if not whole and not self._began:
            self.epochs.restart(split)  # a look whether evaluation works, which is no epoch
        self.epochs.choose(split, whole)
        if whole and not self.seen.get(split) and split not in self.stopped:
            self.voice.say(
                f"unseen {split}",
                f"no watched criterion or model saw a batch of {split}: nothing of it is recorded. Watch what computes the loss "
                "(before torch.compile takes it), or hand the logits to log()",
            )
        e = self.epochs
        expected = self._expected or set()
        every = {name for name, _ in expected} >= set(self.watched)  # else one that has not come yet, as every fifth epoch, may come now
        if whole and self._late is None and not self._running and every and self._done >= expected and set(e.rows) >= set(e.samples):
            e.finish()


def _within(table: Any, target: Any) -> bool:
    """Whether labels are a part of a table, in its very memory."""
    if table is target:
        return True
    if not hasattr(table, "data_ptr") or not hasattr(target, "data_ptr") or table.device != target.device:
        return False
    begin, at = table.data_ptr(), target.data_ptr()
    return bool(0 != begin <= at < begin + table.nbytes)


def _has(batch: Batch, target: Any) -> bool:
    """Whether a batch has labels like these, which may be on another device or of another type."""
    alike = [t for t in batch.tables() if hasattr(target, "device") and hasattr(t, "to") and tuple(t.shape) == tuple(target.shape)]
    return any(bool((t.to(target.device) == target).all()) for t in alike)


def _no_gradients() -> bool:
    """Whether PyTorch computes none now; False where it is not in use."""
    torch = sys.modules.get("torch")
    return torch is not None and not torch.is_grad_enabled()
