"""The jobs of the background thread: rows into spools, spools into committed epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._run import Head, Origin, Run, SplitRows, SplitSamples
from ._spool import Parked, Spool, folder_for


class Loadable(Protocol):
    """An array that is not in memory yet, or still on its way from a device."""

    def load(self) -> npt.NDArray[Any]: ...


@dataclass
class Rows:
    """Logits of some samples of a split."""

    split: str
    rows: npt.NDArray[np.int64]  # numbers of the samples
    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32] | None  # where they are not all those of the samples
    logits: npt.NDArray[Any] | Loadable
    folder: Path

    @property
    def nbytes(self) -> int:
        held = self.logits.nbytes if isinstance(self.logits, np.ndarray) else getattr(self.logits, "nbytes", 0)
        return int(held + self.rows.nbytes + self.ids.nbytes)

    def park(self) -> None:
        if not isinstance(self.logits, Parked):
            array = self.logits if isinstance(self.logits, np.ndarray) else self.logits.load()
            self.logits = Parked(array, self.folder)


@dataclass
class Restart:
    """The rows of a split so far are not to be kept."""

    split: str
    nbytes: int = 0

    def park(self) -> None: ...


@dataclass
class Commit:
    """The epoch is over. samples are those that it brought, measured how its splits were where it is not after it."""

    epoch: int
    samples: Mapping[str, SplitSamples]
    measured: Mapping[str, str]
    nbytes: int = 0

    def park(self) -> None: ...


@dataclass
class _Split:
    spool: Spool | None = None
    rows: list[npt.NDArray[np.int64]] = field(default_factory=list)
    labels: list[npt.NDArray[np.int32] | None] = field(default_factory=list)
    rank: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # place in the split's order, by row
    ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # in the split's order
    label: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))  # in the split's order

    def restart(self) -> None:
        if self.spool is not None:
            self.spool.close()
        self.spool, self.rows, self.labels = None, [], []


class Writer:
    """Does the jobs of one run, in the thread that calls it."""

    def __init__(self, path: Path, origin: Origin, run: Run | None, memory: int, say: Callable[[str, str], None]) -> None:
        self.path, self.run = path, run
        self._origin, self._memory, self._say = origin, memory, say
        self._splits: dict[str, _Split] = {}
        self.infinite = 0

    def create(self, head: Head, names: Sequence[str]) -> None:
        """Makes the run directory, in the caller's thread: that it is taken is the caller's to hear."""
        self.run = Run.create(self.path, head, self._origin, names)

    def know(self, name: str, samples: SplitSamples) -> None:
        """Takes over the samples of a run that is resumed."""
        self._splits[name] = _Split(rank=np.arange(samples.n), ids=samples.ids, label=samples.labels)

    def do(self, job: object) -> None:
        if isinstance(job, Rows):
            self._take(job)
        elif isinstance(job, Restart):
            if job.split in self._splits:
                self._splits[job.split].restart()
        elif isinstance(job, Commit):
            self._commit(job)

    def _take(self, job: Rows) -> None:
        logits = job.logits if isinstance(job.logits, np.ndarray) else job.logits.load()
        with np.errstate(over="ignore"):
            logits = np.asarray(logits, np.float32)
        finite = np.isfinite(logits).all(axis=1)
        if not finite.all():
            self.infinite += int(len(finite) - finite.sum())
            some = ", ".join(str(i) for i in job.ids[~finite][:3])
            self._say(
                f"infinite {job.split}",
                f"logits of {job.split} that are infinite or NaN, first of id {some}: they are recorded as they are",
            )
        split = self._splits.setdefault(job.split, _Split())
        if split.spool is None:
            split.spool = Spool(logits.shape[1], np.float32, self._memory, folder_for(self.path))
        split.spool.append(logits)
        split.rows.append(job.rows)
        split.labels.append(job.labels)

    def _commit(self, job: Commit) -> None:
        try:
            assert self.run is not None
            rows = {}
            for name in self.run.splits:
                split = self._splits.setdefault(name, _Split())
                new = self._add_samples(split, job.samples[name]) if name in job.samples else None
                ranks = split.rank[np.concatenate(split.rows)] if split.rows else np.empty(0, np.int64)
                order = np.argsort(ranks, kind="stable")
                ranks = ranks[order]
                labels = self._own_labels(split, order, ranks)
                logits = split.spool.take(order) if split.spool else []
                measured = job.measured.get(name, "after")
                rows[name] = SplitRows(split.ids[ranks], logits, len(split.ids), labels, measured, new)
            self.run.commit(job.epoch, rows)
        finally:
            for split in self._splits.values():
                split.restart()

    @staticmethod
    def _own_labels(split: _Split, order: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int32] | None:
        """Returns the labels of an epoch's rows where any is not that of its sample."""
        if all(labels is None for labels in split.labels):
            return None
        rank = (split.rank[r] for r in split.rows)
        told = np.concatenate([split.label[at] if own is None else own for at, own in zip(rank, split.labels, strict=True)])[order]
        return None if np.array_equal(told, split.label[ranks]) else told

    @staticmethod
    def _add_samples(split: _Split, new: SplitSamples) -> SplitSamples:
        """Adds an epoch's new samples, in the order of their ids, which is that of the data set, however it was shuffled."""
        order = np.argsort(new.ids)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) + len(split.ids)
        ordered = SplitSamples(new.ids[order], new.labels[order], None if new.targets is None else new.targets[order])
        split.rank = np.concatenate([split.rank, rank])
        split.ids = np.concatenate([split.ids, ordered.ids])
        split.label = np.concatenate([split.label, ordered.labels])
        return ordered

    def close(self, state: str) -> None:
        for split in self._splits.values():
            split.restart()
        if self.run is not None:
            self.run.close(state)
