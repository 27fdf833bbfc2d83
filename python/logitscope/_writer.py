"""The jobs of the background thread: rows into spools, spools into committed epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._disk import Claim
from ._previews import Layout, Previews
from ._ranks import Desk, PartRows, Ranks
from ._run import Head, Origin, Run, SplitRows, SplitSamples
from ._samples import Samples
from ._spool import Parked, Spool, folder_for
from ._tensors import IGNORED, Loadable, narrowed, widened

UNTOLD = np.iinfo(np.int32).min  # the label of a row that came without: that of its sample


class Brief:
    """A job that holds no rows: it counts for nothing in the queue, and has nothing to put on the disk meanwhile."""

    nbytes = 0

    def park(self) -> None: ...


@dataclass
class Create(Brief):
    """The run directory is to be made."""

    head: Head
    names: Sequence[str]
    new: frozenset[str] = frozenset()  # whose samples are others at every epoch
    layout: Layout | None = None  # of previews


@dataclass
class Rows:
    """Logits of some samples of a split, none of which the epoch has had."""

    split: str
    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]
    targets: npt.NDArray[np.uint8] | None
    logits: npt.NDArray[Any] | Loadable
    folder: Path

    @property
    def nbytes(self) -> int:
        return int(getattr(self.logits, "nbytes", 0) + self.ids.nbytes + self.labels.nbytes)

    def park(self) -> None:
        if not isinstance(self.logits, Parked):
            array = self.logits if isinstance(self.logits, np.ndarray) else self.logits.load()
            self.logits = Parked(array, self.folder)


@dataclass
class Restart(Brief):
    """The rows of a split so far are not to be kept."""

    split: str


@dataclass
class SetAside(Brief):
    """Further rows of a split may come in place of those so far: Choose follows."""

    split: str


@dataclass
class Choose(Brief):
    """Which rows of a split are kept, those set aside or those that came since."""

    split: str
    back: bool


@dataclass
class Renumber(Brief):
    """The rows of a split so far are of new samples, which have the ids from first on, in the order in which they came."""

    split: str
    first: int
    step: int


@dataclass
class Commit(Brief):
    """The epoch is over; by split, how its rows were measured, how many were left out as repeated, and whether all its samples are new."""

    epoch: int
    measured: Mapping[str, str]
    repeated: Mapping[str, int]
    new: frozenset[str] = frozenset()


@dataclass
class _Split:
    """The samples of a split, in its order, and the rows of the epoch that is open."""

    samples: Samples
    spool: Spool
    ids: list[npt.NDArray[np.int64]] = field(default_factory=list)
    labels: list[npt.NDArray[np.int32]] = field(default_factory=list)
    targets: list[npt.NDArray[np.uint8] | None] = field(default_factory=list)
    overflowed: list[npt.NDArray[np.int32]] = field(default_factory=list)  # of each row, where rows are of float16
    aside: _Split | None = None  # rows that those since may come in place of

    def restart(self) -> None:
        self.spool.clear()
        self.ids, self.labels, self.targets, self.overflowed = [], [], [], []

    def set_aside(self) -> None:
        self.aside = replace(self)
        self.spool, self.ids, self.labels, self.targets, self.overflowed = self.spool.another(), [], [], [], []

    def choose(self, back: bool) -> None:
        aside = self.aside
        assert aside is not None
        (self if back else aside).restart()
        if back:
            self.spool, self.ids, self.labels = aside.spool, aside.ids, aside.labels
            self.targets, self.overflowed = aside.targets, aside.overflowed
        self.aside = None

    def add(self, ids: npt.NDArray[np.int64], labels: npt.NDArray[np.int32], targets: npt.NDArray[np.uint8] | None,
            logits: npt.NDArray[Any], overflowed: npt.NDArray[np.int32] | None) -> None:  # fmt: skip
        self.spool.append(logits)
        self.ids.append(ids)
        self.labels.append(labels)
        self.targets.append(targets)
        if overflowed is not None:
            self.overflowed.append(overflowed)

    def renumber(self, first: int, step: int) -> None:
        self.ids = [first + step * np.arange(sum(len(ids) for ids in self.ids))]

    def all_new(self, measured: str, repeated: int) -> SplitRows:
        """Returns the epoch's rows, whose samples no other epoch has and are not kept."""
        ids, labels = np.concatenate(self.ids), np.concatenate(self.labels)
        labels[labels == UNTOLD] = IGNORED
        order = np.argsort(ids, kind="stable")
        targets = np.concatenate([t for t in self.targets if t is not None])[order] if self.samples.targets is not None else None
        self.samples.gone += len(ids)
        new = SplitSamples(ids[order], labels[order], targets)
        return SplitRows(new.ids, self.spool.take(order), self.known, None, measured, new, repeated)

    @property
    def known(self) -> int:
        return self.samples.gone + self.samples.n

    def over(self, measured: str, repeated: int) -> SplitRows:
        """Returns the epoch's rows in the order of the split. New samples follow those before, in the order of their ids,
        which is that of the data set, however it was shuffled."""
        if not self.ids:
            return SplitRows(np.empty(0, np.int64), [], self.known, None, measured, None, repeated)
        ids, labels = np.concatenate(self.ids), np.concatenate(self.labels)
        place = self.samples.rows_of(ids)
        untold = labels == UNTOLD
        labels[untold] = IGNORED
        known = place >= 0
        labels[untold & known] = self.samples.labels[place[untold & known]]
        fresh = np.flatnonzero(~known)
        new = None
        if len(fresh):
            fresh = fresh[np.argsort(ids[fresh])]
            targets = np.concatenate([t for t in self.targets if t is not None])[fresh] if self.samples.targets is not None else None
            place[fresh] = self.samples.add(ids[fresh], labels[fresh], targets)
            new = SplitSamples(ids[fresh], labels[fresh], targets)
        if len(ids) == self.samples.n:  # every sample
            order = np.empty(len(ids), np.int64)
            order[place] = np.arange(len(ids))
        else:
            order = np.argsort(place)
        own = None if np.array_equal(labels, self.samples.labels[place]) else labels[order]
        return SplitRows(ids[order], self.spool.take(order), self.known, own, measured, new, repeated)


class Writer:
    """Does the jobs of one run, in the thread that calls it."""

    def __init__(
        self,
        path: Path,
        origin: Origin,
        run: Run | None,
        memory: int,
        say: Callable[[str, str], None],
        ranks: Ranks | None = None,
        claim: Claim | None = None,
        previews: Previews | None = None,
        encoding: str = "float32",
    ) -> None:
        self._encoding = encoding
        self.path, self.run, self._ranks, self._claim, self._previews = path, run, ranks, claim, previews
        self._origin, self._memory, self._say = origin, memory, say
        self._splits: dict[str, _Split] = {}
        if run is not None:
            for name in run.splits:
                known = run.samples(name)
                samples = self._split(name, run.head.columns, run.head.kind == "sigmoid").samples
                samples.add(known.ids, known.labels, known.targets)
                samples.gone = run.known(name) - samples.n
                if previews is not None and (samples.n or samples.gone):
                    previews.known(name, name in run.shows)

    def do(self, job: object) -> None:
        if isinstance(job, Create):
            if self.run is not None:  # which has no epoch yet, and a split less
                self.run.release()
            self.run = Run.create(self.path, job.head, self._origin, job.names, job.new, job.layout)
        elif isinstance(job, Rows):
            self._take(job)
        elif isinstance(job, Restart):
            if job.split in self._splits:
                self._splits[job.split].restart()
        elif isinstance(job, SetAside):
            if job.split in self._splits:
                self._splits[job.split].set_aside()
        elif isinstance(job, Choose):
            if job.split in self._splits and self._splits[job.split].aside is not None:
                self._splits[job.split].choose(job.back)
        elif isinstance(job, Renumber):
            if job.split in self._splits:
                self._splits[job.split].renumber(job.first, job.step)
        elif isinstance(job, Commit):
            self._commit(job)

    def _split(self, name: str, columns: int, sigmoid: bool) -> _Split:
        if name not in self._splits:
            spool = Spool(columns, self._encoding, self._memory, folder_for(self.path))
            self._splits[name] = _Split(Samples(columns, sigmoid), spool)
        return self._splits[name]

    def _take(self, job: Rows) -> None:
        logits = widened(job.logits if isinstance(job.logits, np.ndarray) else job.logits.load())
        overflowed = None
        if self._encoding == "float16":
            logits, overflowed = narrowed(logits)
        else:
            with np.errstate(over="ignore"):
                logits = np.asarray(logits, np.float32)
        finite = np.isfinite(logits)
        if not finite.all():
            bad = np.count_nonzero(~finite, axis=1)
            if overflowed is not None:
                bad = bad - overflowed
                so = "they are infinite in the record, and counted. record(…, rows='float32') keeps them"
                self._say_of(job, overflowed, "beyond", "beyond 65,504, where float16 ends", so)
            self._say_of(job, bad, "infinite", "that are infinite or NaN", "they are recorded as they are")
        self._split(job.split, logits.shape[1], job.targets is not None).add(job.ids, job.labels, job.targets, logits, overflowed)

    def _say_of(self, job: Rows, many: npt.NDArray[Any], key: str, what: str, so: str) -> None:
        """Says of how many logits of each row something is to be said, and of which rows."""
        if many.any():
            some = ", ".join(str(i) for i in job.ids[many > 0][:3])
            self._say(f"{key} {job.split}", f"logits of {job.split} {what}, first of id {some}: {so}")

    def _commit(self, job: Commit) -> None:
        assert self.run is not None
        head, measured, repeated = self.run.head, dict(job.measured), dict(job.repeated)
        try:
            if self._ranks is not None:
                self._gather(self._ranks, job.epoch, measured, repeated)
            rows = {}
            for name in self.run.splits:
                split = self._split(name, head.columns, head.kind == "sigmoid")
                # Other ranks may have taken samples for known ones, but of a split that is said to have none.
                new = name in job.new and split.ids and (self._ranks is None or name in self.run.new)
                over = split.all_new if new else split.over
                rows[name] = over(measured.get(name, "after"), repeated.get(name, 0))
                rows[name].overflowed = sum(int(n.sum()) for n in split.overflowed)
                if self._previews is not None and (fresh := rows[name].new) is not None:
                    fresh.previews = self._previews.of(name, fresh.ids)
            self.run.commit(job.epoch, rows)
            if self._claim is not None:
                self._claim.release()  # the run is not made anew from here on, and its own lock is enough
        finally:
            for split in self._splits.values():
                split.restart()
        if self._ranks is not None:
            self._ranks.taken(job.epoch)

    def _gather(self, ranks: Ranks, epoch: int, measured: dict[str, str], repeated: dict[str, int]) -> None:
        """Adds what other ranks saw of the epoch. A sample that several saw, as samplers pad their shares, counts once."""
        assert self.run is not None
        head = self.run.head
        try:
            for rank, part in ranks.parts(epoch, head):
                for name, r in part.items():
                    if name not in self.run.splits:
                        raise ValueError(f"rank {rank} handed over rows of {name!r}, a split that rank 0 does not have")
                    split = self._split(name, head.columns, head.kind == "sigmoid")
                    new = ~np.isin(r.ids, np.concatenate(split.ids)) if split.ids else np.ones(len(r.ids), np.bool_)
                    again = int(len(new) - new.sum())
                    if again:
                        self._say(f"again {name}", f"samples of {name} that come more than once in an epoch count once, as they came first")
                    repeated[name] = repeated.get(name, 0) + r.repeated + again
                    if r.measured != "after":
                        measured[name] = r.measured
                    for logits in r.logits:
                        targets = None if r.targets is None else r.targets[new]
                        split.add(r.ids[new], r.labels[new], targets, logits[new], None if r.overflowed is None else r.overflowed[new])
        except (OSError, ValueError):
            self.run.leave(epoch)  # which tells readers that there was one
            raise

    def close(self, state: str) -> None:
        for split in self._splits.values():
            split.restart()
        try:
            if self.run is not None:
                self.run.close(state)
        finally:
            if self._ranks is not None:
                self._ranks.close()
            if self._claim is not None:
                self._claim.release()

    def forked(self) -> None:
        """Lets go of what a forked process has inherited."""
        if self.run is not None:
            self.run.release()
        if self._ranks is not None:
            self._ranks.release()
        if self._claim is not None:
            self._claim.inherit()


class Shard(Writer):
    """Does the jobs of a rank other than 0: it hands its rows over, and rank 0 commits them."""

    def __init__(
        self, path: Path, rank: int, memory: int, say: Callable[[str, str], None], head: Head | None, encoding: str = "float32"
    ) -> None:
        super().__init__(path, Origin(), None, memory, say, encoding=encoding)
        self._desk = Desk(path, rank)
        self._head = head

    def do(self, job: object) -> None:
        if isinstance(job, Create):
            self._head = job.head
        else:
            super().do(job)

    def _commit(self, job: Commit) -> None:
        assert self._head is not None
        part = {}
        for name, split in self._splits.items():
            if split.ids:
                targets = np.concatenate([t for t in split.targets if t is not None]) if self._head.kind == "sigmoid" else None
                ids, labels = np.concatenate(split.ids), np.concatenate(split.labels)
                logits = split.spool.take(np.arange(len(ids)))
                overflowed = np.concatenate(split.overflowed) if split.overflowed else None
                part[name] = PartRows(ids, labels, targets, logits, overflowed, job.measured.get(name, "after"), job.repeated.get(name, 0))
        try:
            self._desk.put(job.epoch, self._head, part)
        finally:
            for split in self._splits.values():
                split.restart()

    def close(self, state: str) -> None:
        super().close(state)
        self._desk.close(state == "complete")

    def forked(self) -> None:
        self._desk.release()
