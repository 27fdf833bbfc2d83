"""The story of an epoch, in the caller's thread: it begins, rows come and are checked, it is over, and it is handed on to be committed.

Everything that a caller can get wrong is found here, before anything of it is handed to the thread that writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._background import Job
from ._previews import Layout, Previews
from ._run import ENCODINGS, MAX_EPOCH, Head, Run, class_names
from ._samples import Samples, first_of_each
from ._tensors import IGNORED, Loadable
from ._voice import Voice
from ._writer import UNTOLD, Choose, Commit, Create, Renumber, Restart, Rows, SetAside

_CAN_BE_REPLACED = os.name != "nt"  # a folder, while a reader has it open


class OtherOrder(ValueError):
    """Rows that are numbered as they come have other labels than those of the same numbers before."""


@dataclass
class OpenSplit:
    """What a split has of the epoch that is open."""

    count: int = 0  # rows given, which are ids where none are
    seen: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))  # by sample
    n: int = 0  # rows recorded
    repeated: int = 0  # rows left out, for their samples had come before
    measured: str = "after"

    def mark(self, rows: npt.NDArray[np.int64], known: int) -> None:
        if known > len(self.seen):
            self.seen = np.concatenate([self.seen, np.zeros(max(known, 2 * len(self.seen)) - len(self.seen), np.bool_)])
        self.seen[rows] = True
        self.n += len(rows)


class Epochs:
    """The epochs of a run, of which one at most is open."""

    def __init__(
        self,
        path: Path,
        classes: Sequence[str] | int | None,
        head: str | None,
        voice: Voice,
        hand: Callable[[Job], None],
        previews: Previews,
        run: Run | None,
        rank: int = 0,
        ranks: int = 1,
        encoding: str | None = None,
    ) -> None:
        if head not in (None, "softmax", "binary", "sigmoid"):
            raise ValueError(f"head: {head!r}: want 'softmax', 'binary', 'sigmoid', or None to see it from the logits")
        if encoding not in (None, *ENCODINGS):
            raise ValueError(f"rows: {encoding!r}: want {' or '.join(map(repr, ENCODINGS))}")
        self._path, self._voice, self._hand = path, voice, hand
        self.encoding = encoding or (run.head.encoding if run is not None else "float32")  # of rows in the run's files
        self._classes = None if classes is None else class_names(classes)
        self._kind = head
        self.head: Head | None = None
        self.names: list[str] | None = None  # splits that the run has, or will have
        self.created = run is not None
        self.settled = False  # whether further splits are refused; else one has the run made anew, as long as it has no epoch
        self.told = False  # whether they were known before the run was made, so that it never is made anew
        self.samples: dict[str, Samples] = {}
        self.new: set[str] = set()  # splits whose samples are others at every epoch
        self._rank, self._ranks, self._previews = rank, ranks, previews
        self._made_layout: Layout | None = None  # of the previews of the run as it is made
        self.current: int | None = None
        self.last: int | None = None  # epoch that is over
        self.rows: dict[str, OpenSplit] = {}
        self._aside: dict[str, OpenSplit] = {}  # what rows had of a split before the pass that is open
        self.settle: Callable[[], None] = lambda: None  # has what a watcher put off added
        if run is not None:
            self._go_on(run)
        elif self._classes is not None and head is not None:
            self._set_head(Head(head, self._classes, self.encoding))

    def _go_on(self, run: Run) -> None:
        if self._classes is not None and self._classes != run.head.classes:
            raise ValueError(f"classes: {self._path} has {some(run.head.classes)}, not {some(self._classes)}")
        if self._kind is not None and self._kind != run.head.kind:
            raise ValueError(f"head: {self._path} has a {run.head.kind} head, not a {self._kind} one")
        if self.encoding != run.head.encoding:
            raise ValueError(f"rows: {self._path} keeps logits as {run.head.encoding}, not as {self.encoding}: leave rows out")
        self._set_head(run.head)
        for name in run.splits:
            known = run.samples(name)
            self.samples[name] = Samples(run.head.columns, run.head.kind == "sigmoid")
            self.samples[name].add(known.ids, known.labels, known.targets)
        self.last = run.epochs[-1] if run.epochs else None
        self.names, self.new, self.settled = run.splits, run.new, bool(run.epochs)
        self._made_new, self._made_layout = run.new, run.layout

    # The head, which the first logits tell where the caller did not.

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, where they are known."""
        return self._classes

    def _set_head(self, head: Head) -> None:
        if head.kind == "binary" and len(head.classes) != 2:
            raise ValueError(f"classes: a binary head has 2 classes, not {len(head.classes)}")
        self.head = head
        self._classes, self._kind = head.classes, head.kind

    def head_of(self, columns: int, name: str, sigmoid: bool = False) -> Head:
        if self.head is not None:
            if columns != self.head.columns:
                raise ValueError(f"{name}: {columns} columns, want {self.head.columns}: one a class of {some(self.head.classes)}")
            return self.head
        if self._classes is None:
            kind = self._kind or ("binary" if columns == 1 else "sigmoid" if sigmoid else "softmax")
            head = Head(kind, class_names(2 if kind == "binary" else columns), self.encoding)
        else:
            binary = columns == 1 and len(self._classes) == 2
            kind = self._kind or ("binary" if binary else "sigmoid" if sigmoid else "softmax")
            head = Head(kind, self._classes, self.encoding)
        if columns != head.columns:
            raise ValueError(f"{name}: {columns} columns, but classes names {len(head.classes)}: {some(head.classes)}")
        return head

    def head_is(self, head: Head) -> None:
        if self.head is None:
            self._set_head(head)
        if not self.created and self.names:
            self.settled = self.told = True
            if not self._previews.pending:
                self._previews.begun = True
                self._create(self.names)  # live from here on

    def _create(self, names: Sequence[str]) -> None:
        assert self.head is not None
        self.created, self.names, self._made_new, self._made_layout = True, list(names), set(self.new), self._previews.layout
        self._hand(Create(self.head, self.names, frozenset(self.new), self._made_layout))

    def _appear(self, split: str) -> None:
        """Has the run there with its first rows, so that it is live. Until its first epoch is over it is made anew with each split more."""
        self._ask()
        if self.told and not self.created and not self._previews.pending:
            self._previews.begun = True
            self._create(self.names or ())
        elif not self.settled and _CAN_BE_REPLACED and split not in (self.names or ()):
            self._create(_train_first([*(self.names or ()), split]))

    def _ask(self) -> None:
        """What previews are is told by that of a sample of each split, where nothing has told it yet."""
        if self._previews.pending:
            self._previews.ask({name: int(s.ids[0]) for name, s in self.samples.items() if s.n})

    # An epoch begins.

    @property
    def next(self) -> int:
        return 1 if self.last is None else self.last + 1

    def begin(self, epoch: int) -> None:
        """Opens an epoch, which ends the one before."""
        if epoch == self.current:
            return
        if self.current is not None and epoch < self.current:
            raise ValueError(f"epoch: {epoch} after {self.current} has begun: epochs only rise")
        if self.current is None and self.last is not None and epoch <= self.last:
            raise ValueError(f"epoch: {epoch} is recorded already, up to {self.last}: the next is {self.last + 1} or more")
        self.finish()
        self.current, self.rows = epoch, {}

    def _open(self, split: str) -> OpenSplit:
        samples = self.samples.get(split)
        if samples is None:
            if self.settled and self.names is not None and split not in self.names:
                have = ", ".join(self.names)
                raise ValueError(f"split: {split!r} is none of the run's, which are {have}: name all that come with record(…, splits=[…])")
            assert self.head is not None
            if split in ("validation", "valid", "dev", "eval") and "val" not in (*self.samples, *(self.names or ())):
                self._voice.say(
                    f"name {split}",
                    f"{split} is recorded under this name, but beside train findings, the best epoch and calibration are read off a split"
                    " called 'val': call it that if it is what epochs are compared by",
                )
            samples = self.samples[split] = Samples(self.head.columns, self.head.kind == "sigmoid")
        if split not in self.rows:
            self.rows[split] = OpenSplit()
        return self.rows[split]

    # Rows come.

    def add(
        self,
        split: str,
        logits: npt.NDArray[Any] | Loadable,
        labels: npt.NDArray[np.int32] | None,
        targets: npt.NDArray[np.uint8] | None,
        ids: npt.NDArray[np.int64] | None,
        n: int,
        strict: bool,
        measured: str = "after",
        numbered: bool = False,
        previews: Sequence[Any] | None = None,
    ) -> None:
        """Checks n rows of the open epoch and hands them to the thread. Where it raises, nothing of them is recorded.

        strict refuses ids that come twice in an epoch, and labels that are not those of before; else the first row of each id
        counts, the rest are counted, and labels may change. Ids are numbered where they are the order in which rows came: where their
        labels show that the order is another one, it raises OtherOrder.
        """
        opened = self._open(split)
        samples = self.samples[split]
        if split in self.new:
            if not numbered and ids is not None:
                raise ValueError(f"ids: the samples of {split} were said to be new at every epoch: say ids='new' at each, or ids at each")
            self._add_new(split, opened, logits, labels, targets, n, measured, previews)
            return
        if samples.targets is not None and targets is None:
            targets = np.zeros((n, samples.targets.shape[1]), np.uint8)
        if ids is None:
            numbered, ids = True, self.numbers(opened.count, n)
            if n and self.last is not None and 0 < opened.count == samples.n:
                self._voice.say(
                    f"more {split}",
                    f"epoch {self.current} has rows of all {samples.n} samples of {split}, and more come: they count as new samples."
                    " Was it logged twice? ids= tells samples apart",
                )
        rows = samples.rows_of(ids)
        known = rows >= 0
        every = bool(known.all())
        again = np.zeros(n, np.bool_)
        if opened.n:
            inside = known & (rows < len(opened.seen))
            again[inside] = opened.seen[rows[inside]]
        anew = ""  # what to do where rows follow others of the same epoch and are wrong, as of a notebook's cell that is run again
        if opened.n:
            anew = ". Was the epoch interrupted? close('interrupted') drops what it has, and record(path, resume=True) begins it anew"
        if not (every and samples.distinct(rows)):  # which is all that there is to see, from the second epoch on
            twice = np.ones(n, np.bool_)
            twice[first_of_each(ids)] = False
            again |= twice
        if again.any() and strict:
            raise ValueError(f"ids: {ids[np.argmax(again)]} comes twice in epoch {self.current} of {split}: want each sample once{anew}")
        if strict and labels is not None and known.any():
            changed = samples.labels[rows[known]] != labels[known]
            if samples.targets is not None and targets is not None:
                changed |= (samples.targets[rows[known]] != targets[known]).any(axis=1)
            if changed.any():
                at = np.flatnonzero(known)[np.argmax(changed)]
                what = f"labels: sample {ids[at]} of {split} has label {labels[at]}, and had {samples.labels[rows[at]]}"
                if numbered:
                    raise OtherOrder(
                        f"{what}: do the rows come in another order? Then give ids=, or ids='new' where samples are others each time{anew}"
                    )
                raise ValueError(what)
        elif labels is not None and known.any() and not self._voice.has_said(f"own {split}"):
            both = slice(None) if every else known
            self._compare(split, samples.labels[rows[both]], labels[both])
        if previews is not None:
            self._previews.compare(split, ids, previews)
        fresh = ~known & ~again
        if fresh.any():
            if previews is not None:
                self._previews.give(split, ids[fresh], [previews[i] for i in np.flatnonzero(fresh).tolist()], samples.n > 0)
            own = np.full(n, IGNORED, np.int32) if labels is None else labels
            rows[fresh] = samples.add(ids[fresh], own[fresh], None if targets is None else targets[fresh])
        opened.count += n
        told = np.full(n, UNTOLD, np.int32) if labels is None else labels
        if again.any():
            opened.repeated += int(again.sum())
            self._voice.say(f"again {split}", f"samples of {split} that come more than once in an epoch count once, as they came first")
            at = np.flatnonzero(~again)
            rows, ids, told, targets = rows[at], ids[at], told[at], None if targets is None else targets[at]
            logits = Picked(logits, at)
        opened.mark(rows, samples.n)
        if measured != "after":
            opened.measured = measured
        if len(rows):
            self._appear(split)
            self._hand(Rows(split, ids, told, targets, logits, self._path))

    def _compare(self, split: str, before: npt.NDArray[np.int32], now: npt.NDArray[np.int32]) -> None:
        """Says so where the labels of samples are others than before, as often as if other samples had their ids."""
        both = (before != IGNORED) & (now != IGNORED)
        n = int(np.count_nonzero(both))
        changed = np.count_nonzero((before != now) & both)
        if n < 30 or changed < 0.1 * n:
            return
        shares = np.bincount(now[both]) / n
        if changed >= 0.75 * n * (1 - float(shares @ shares)):
            self._voice.say(
                f"shuffled {split}",
                f"the labels of most samples of {split} are others than before, as if their ids were other samples'. A sample's id is its"
                " place in the data set: where that is shuffled between epochs give watch(…, ids=), a function of the batch, or ids='new'",
            )

    def numbers(self, first: int, n: int) -> npt.NDArray[np.int64]:
        """Returns ids of n rows by the order in which they come to this rank, the first of which is the first-th."""
        return self._rank + self._ranks * np.arange(first, first + n)

    def _first_new(self) -> int:
        """The ids of samples that an epoch alone has begin with its number."""
        assert self.current is not None
        return self.current << 32

    def _add_new(
        self,
        split: str,
        opened: OpenSplit,
        logits: npt.NDArray[Any] | Loadable,
        labels: npt.NDArray[np.int32] | None,
        targets: npt.NDArray[np.uint8] | None,
        n: int,
        measured: str,
        previews: Sequence[Any] | None,
    ) -> None:
        """Adds rows of samples that no other epoch has."""
        assert self.head is not None
        if self.head.kind == "sigmoid" and targets is None:
            targets = np.zeros((n, self.head.columns), np.uint8)
        ids = self._first_new() + self.numbers(opened.count, n)
        if previews is not None:
            self._previews.give(split, ids, previews, opened.count > 0 or self.last is not None)
        opened.count, opened.n, opened.measured = opened.count + n, opened.n + n, measured
        told = np.full(n, IGNORED, np.int32) if labels is None else labels
        if n:
            self._appear(split)
            self._hand(Rows(split, ids, told, targets, logits, self._path))

    def all_new(self, split: str, because: str, advice: str) -> None:
        """From the open epoch on the samples of a split are others at each, those that it has already too. It is said why, and what else
        could be done."""
        self._voice.say(
            f"new {split}",
            f"{because}: from epoch {self.current} on each epoch's rows count as new samples, which no figure follows over epochs."
            f" {advice}",
        )
        self.new.add(split)
        if split in self.rows:
            self.choose(split, whole=True)
            self._hand(Renumber(split, self._first_new() + self._rank, self._ranks))

    def restart(self, split: str) -> None:
        """Forgets what the open epoch has of a split."""
        self.settle()
        if split in self.rows:
            self.rows[split] = OpenSplit()
            self._hand(Restart(split))

    def set_aside(self, split: str) -> None:
        """Begins a split of the open epoch anew. What it has is kept until choose says which of the two counts."""
        self.settle()
        self.choose(split, whole=True)
        if split in self.rows:
            self._aside[split], self.rows[split] = self.rows[split], OpenSplit()
            self._hand(SetAside(split))

    def choose(self, split: str, whole: bool) -> None:
        """Keeps what was set aside of a split where what came instead is not whole and has fewer rows, as of a look at a batch."""
        if (aside := self._aside.pop(split, None)) is not None:
            back = not whole and self.rows[split].n < aside.n
            if back:
                self.rows[split] = aside
            self._hand(Choose(split, back))

    def renumber(self, epoch: int) -> None:
        """The open epoch has another number."""
        self.current = epoch
        for split in self.new & set(self.rows):
            self._hand(Renumber(split, self._first_new() + self._rank, self._ranks))

    # It is over.

    def whole(self, new: bool = False) -> bool:
        """Whether the open epoch has every row of every split, where that is known. new says whether any rows of samples that are new
        at every epoch are all, for how many there are nobody knows."""
        return self.last is not None and all(
            name in self.rows and (new if name in self.new else self.rows[name].n == s.n) for name, s in self.samples.items()
        )

    def finish(self) -> None:
        """Ends the open epoch and has it committed, if there is anything of it."""
        if self.current is None:
            return
        self.settle()
        for split in list(self._aside):
            self.choose(split, whole=False)
        epoch, self.current = self.current, None
        rows, self.rows = self.rows, {}
        if not any(opened.n for opened in rows.values()):
            return
        if not self.settled:
            names = {*(self.names or ()), *rows}
            self._previews.warn_of_splits(names)
            if (
                not self.created
                or names != set(self.names or ())
                or (self.new, self._previews.layout) != (self._made_new, self._made_layout)
            ):
                self._create(_train_first(names))
            self.settled = True
        elif not self.created:
            self._create(self.names or ())
        self._previews.begun = True
        measured = {name: opened.measured for name, opened in rows.items()}
        self._hand(Commit(epoch, measured, {name: opened.repeated for name, opened in rows.items()}, frozenset(self.new)))
        self.last = epoch


def _train_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name != "train", name))


class Picked:
    """Some rows of an array that need not be in memory yet."""

    def __init__(self, of: npt.NDArray[Any] | Loadable, at: npt.NDArray[np.int64]) -> None:
        self._of, self._at = of, at
        self.nbytes = getattr(of, "nbytes", 0)

    def load(self) -> npt.NDArray[Any]:
        rows: npt.NDArray[Any] = (self._of if isinstance(self._of, np.ndarray) else self._of.load())[self._at]
        return rows


def check_epoch(epoch: Any) -> int:
    return whole_number(epoch, "epoch", MAX_EPOCH)


def whole_number(value: Any, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: want a whole number, not {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"{name}: {value}: want 0 to {most}")
    return int(value)


def some(names: Iterable[str]) -> str:
    names = list(names)
    text = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"{len(names)} classes ({text})"
