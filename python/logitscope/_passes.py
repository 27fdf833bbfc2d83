"""Which epoch a batch is of: an epoch begins with a pass over the training loader and holds the passes after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ._recorder import Recorder


@dataclass
class Batch:
    """The batch that the loop has now."""

    split: str
    ids: npt.NDArray[np.int64] | None  # None where they are the order
    data: Any  # as the loader gave it
    used: int = 0  # samples whose rows were seen

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

    recorder: Recorder
    watched: list[str] = field(default_factory=list)
    muted: bool = False  # by a framework, while it tries things out
    stopped: set[str] = field(default_factory=set)  # splits that are recorded no further
    now: list[Batch | None] = field(default_factory=lambda: [None])  # of the passes that are open, the innermost last
    seen: dict[str, int] = field(default_factory=dict)  # samples of the pass that is open
    _running: bool = False  # the pass that the epoch began with
    _began: bool = False
    _opened: int | None = None  # the epoch that a pass began last
    _done: set[tuple[str, bool]] = field(default_factory=set)
    _expected: set[tuple[str, bool]] | None = None

    @property
    def driver(self) -> str | None:
        return "train" if "train" in self.watched or not self.watched else self.watched[0]

    @property
    def batch(self) -> Batch | None:
        return self.now[-1]

    def begin(self, split: str, measured: bool = False) -> bool:
        """A pass over a split begins. Reports whether it is recorded."""
        r = self.recorder
        if self.muted or not r._watching():
            return False
        self.seen[split] = 0
        if measured and split not in self.watched and not self._began and not self.watched:
            self.watched.append(split)
        drives = split == self.driver and (not measured or split not in self.watched or (not self._running and not self._began))
        if measured and self._began and (split, True) in self._done and split == self.driver:
            drives = True  # nothing else tells that an epoch is over
        if not self._began and r._writer.run is None and len(self.watched) > 1:
            r._names = list(self.watched)  # where there is one more may come: the end of the first epoch tells
        if drives:
            if self._began and self._done:
                self._expected = self._done | (self._expected or set())
            if r._epoch is None or r._epoch == self._opened or split in r._rows:
                r._begin(r.next_epoch if r._epoch is None else r._epoch + 1)
            self._opened = r._epoch  # or log has opened it, and this split is of it as well
            self._began, self._running, self._done = True, True, set()
            return True
        if not self._began:
            if r._last is not None:
                r._say(f"before {split}", f"a pass over {split} before that over {self.driver} is of no epoch, and not recorded")
                return False
            if r._epoch is None:
                r._begin(0)  # how the network is before it is trained
                self._opened = 0
        if r._epoch is None:
            r._say(f"after {split}", f"a pass over {split} after its epoch was over is not recorded")
            return False
        r._restart(split)
        return True

    def end(self, split: str, whole: bool, measured: bool = False) -> None:
        """A pass is over; whole says that the loader was exhausted."""
        if split == self.driver:
            self._running = False
        if not self._running and whole:
            self._done.add((split, measured))
        if not whole and not self._began:
            self.recorder._restart(split)  # a look whether evaluation works, which is no epoch
        if whole and not self.seen.get(split) and split not in self.stopped:
            self.recorder._say(
                f"unseen {split}",
                f"no watched criterion or model saw a batch of {split}: nothing of it is recorded. Watch what computes the loss "
                "(before torch.compile takes it), or hand the logits to log()",
            )
        r = self.recorder
        if whole and not self._running and self._expected is not None and self._done >= self._expected and set(r._rows) >= set(r._samples):
            r._finish()
