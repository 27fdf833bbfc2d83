"""The recorder: what a training calls."""

from __future__ import annotations

import atexit
import os
import platform
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from ._background import Background, Job
from ._push import Pusher, address
from ._run import MAX_EPOCH, Head, Origin, Run, SplitSamples, _exists, check_run_name, check_split_name, class_names
from ._samples import Samples, first_of_each
from ._show import show
from ._tensors import IGNORED, check_labels, integers, logit_rows, multi_hot, to_numpy
from ._version import __version__
from ._watch import Watcher, measure
from ._writer import Commit, Loadable, Restart, Rows, Writer

MiB = 1 << 20


class LogitscopeWarning(UserWarning):
    """Something that a recorder met and that does not end the training."""


@dataclass
class _OpenSplit:
    """What a split has of the epoch that is open."""

    count: int = 0  # rows given, which are ids where none are
    seen: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))  # by row
    n: int = 0  # rows recorded
    measured: str = "after"

    def mark(self, rows: npt.NDArray[np.int64], known: int) -> None:
        if known > len(self.seen):
            self.seen = np.concatenate([self.seen, np.zeros(max(known, 2 * len(self.seen)) - len(self.seen), np.bool_)])
        self.seen[rows] = True
        self.n += len(rows)


_open: weakref.WeakValueDictionary[str, Recorder] = weakref.WeakValueDictionary()


class Recorder:
    """Records the logits of a training into a run directory, in a thread of its own. logitscope.record makes one."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        classes: Sequence[str] | int | None,
        head: str | None,
        resume: bool,
        origin: Origin,
        queue_bytes: int,
        memory: int,
        patience: float,
        splits: Sequence[str] | None,
        push: str | None = None,
        token: str | None = None,
        push_wait: float = 60,
    ) -> None:
        self._closed = False
        self._path = Path(os.path.abspath(os.fspath(path)))
        check_run_name(self._path.name, "path")
        if head not in (None, "softmax", "binary", "sigmoid"):
            raise ValueError(f"head: {head!r}: want 'softmax', 'binary', 'sigmoid', or None to see it from the logits")
        if push is not None:
            address(push, token)  # before anything is touched
        if (other := _open.get(str(self._path))) is not None and not other._closed:
            if not resume:
                raise RuntimeError(
                    f"path: {self._path} is being recorded by another recorder of this program: close() that one first"
                    ", or, in a notebook's cell that is run again, say resume=True: that closes it and goes on where it ends"
                )
            other.close()  # a notebook's cell that is run again
        self._classes = None if classes is None else class_names(classes)
        self._kind = head
        self._head: Head | None = None
        self._samples: dict[str, Samples] = {}
        self._epoch: int | None = None
        self._last: int | None = None  # epoch that is over
        self._rows: dict[str, _OpenSplit] = {}
        self._handed: dict[str, int] = {}  # samples that the thread knows, by split
        self._lock = threading.RLock()
        self._said: set[str] = set()
        self._unsaid: list[str] = []
        self._closed = False
        self._pid = os.getpid()
        self._watcher = Watcher(self)
        self._names: list[str] | None = None  # splits that the run will have
        run = None
        if resume and (self._path / "manifest.json").exists():
            run = Run.resume(self._path)
        elif os.path.lexists(self._path):
            raise FileExistsError(_exists(self._path))
        try:
            self._writer = Writer(self._path, origin, run, memory, self._say_later)
            if run is not None:
                self._go_on(run)
        except BaseException:
            if run is not None:
                run.forked()
            raise
        if self._classes is not None and self._head is None and head is not None:
            self._set_head(Head(head, self._classes))
        self._background = Background(self._writer.do, queue_bytes, patience)
        self._planned = origin.planned_epochs
        if splits is not None and run is None:
            self._names = [check_split_name(name) for name in splits]
            if self._head is not None:
                self._create(self._names)
        self._pusher = None if push is None else Pusher(self._path, push, token, self._say_later)
        self._push_wait = push_wait
        _open[str(self._path)] = self
        atexit.register(self._at_exit)

    # What a run was before.

    def _go_on(self, run: Run) -> None:
        if self._classes is not None and self._classes != run.head.classes:
            raise ValueError(f"classes: {self._path} has {_some(run.head.classes)}, not {_some(self._classes)}")
        if self._kind is not None and self._kind != run.head.kind:
            raise ValueError(f"head: {self._path} has a {run.head.kind} head, not a {self._kind} one")
        self._set_head(run.head)
        for name in run.splits:
            known = run.samples(name)
            self._samples[name] = Samples(run.head.columns, run.head.kind == "sigmoid")
            self._samples[name].add(known.ids, known.labels, known.targets)
            self._writer.know(name, known)
            self._handed[name] = known.n
        self._last = run.epochs[-1] if run.epochs else None
        self._names = run.splits

    def _set_head(self, head: Head) -> None:
        if head.kind == "binary" and len(head.classes) != 2:
            raise ValueError(f"classes: a binary head has 2 classes, not {len(head.classes)}")
        self._head = head
        self._classes, self._kind = head.classes, head.kind

    def _head_of(self, columns: int, name: str, sigmoid: bool = False) -> Head:
        """Returns the head, which the first logits tell where the caller did not."""
        if self._head is not None:
            if columns != self._head.columns:
                raise ValueError(f"{name}: {columns} columns, want {self._head.columns}: one a class of {_some(self._head.classes)}")
            return self._head
        if self._classes is None:
            kind = self._kind or ("binary" if columns == 1 else "sigmoid" if sigmoid else "softmax")
            head = Head(kind, class_names(2 if kind == "binary" else columns))
        else:
            binary = columns == 1 and len(self._classes) == 2
            kind = self._kind or ("binary" if binary else "sigmoid" if sigmoid else "softmax")
            head = Head(kind, self._classes)
        if columns != head.columns:
            raise ValueError(f"{name}: {columns} columns, but classes names {len(head.classes)}: {_some(head.classes)}")
        return head

    # Recording.

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._path

    @property
    def next_epoch(self) -> int:
        """The number of the next epoch: 1, or where a resumed record goes on."""
        return 1 if self._last is None else self._last + 1

    def log(self, epoch: int, split: str, logits: Any, labels: Any = None, *, ids: Any = None, measured: str = "after") -> None:
        """Records logits of a batch, or of all of a split, at an epoch.

        logits are [N,K], or [N] of a binary head; labels are 0 to K − 1, −100 for none, or [N,K] of 0 and 1 with head="sigmoid".
        ids tell the samples apart, whole numbers, each once in an epoch; without them they are numbered in the order in which
        they come, which must then be the same at every epoch. measured is 'during' of logits that were seen while the weights moved.
        An epoch is over when a later one begins, or close is called.
        """
        if not self._ready("log"):
            return
        epoch = _epoch(epoch)
        split = check_split_name(split)
        if measured not in ("after", "during"):
            raise ValueError(f"measured: {measured!r}: want 'after' or 'during'")
        z = logit_rows(logits)
        with self._lock:
            head = self._head_of(z.shape[1], "logits")
            y, targets = self._labels(labels, len(z), head)
            self._begin(epoch)
            given = None if ids is None else integers(ids, "ids")
            if given is not None and len(given) != len(z):
                raise ValueError(f"ids: {len(given)} of them for {len(z)} rows of logits")
            self._head_is(head)
            self._add(epoch, split, z, y, targets, given, strict=True, measured=measured)
            if self._whole():
                self._finish()

    def watch(self, what: Any, split: str | None = None, *, ids: Callable[[Any], Any] | None = None) -> Any:
        """Watches a loader of a split, a loss, or a model that computes its own; use what it returns in its place.

        A batch of a watched loader that meets a watched loss is recorded. An epoch begins with a pass over the loader of 'train',
        or of the first split where none is, and holds the passes over the others until the next. The samples' ids are the
        indices that PyTorch's samplers draw. Of other loaders they are what ids, a function of the batch, says; without it the
        rows are numbered as they come, which must be the same order at each pass.
        """
        self._ready("watch")
        if split is not None:
            return self._watcher.loader(what, split, ids)
        if callable(what):
            return self._watcher.loss_or_model(what)
        raise TypeError(f"split: which is {type(what).__name__} of? A loader is watched with one: watch(loader, 'train')")

    def measure(self, model: Any, loader: Any, split: str, *, ids: Callable[[Any], Any] | None = None) -> None:
        """Passes over a loader with a PyTorch model at rest, in eval mode and without gradients, and records it as the split's
        rows of the epoch: in place of those that were seen while it trained."""
        if self._ready("measure"):
            measure(self._watcher, model, loader, check_split_name(split), ids)

    def _watching(self) -> bool:
        return os.getpid() == self._pid and not self._closed and self._background.failed is None

    def _labels(self, labels: Any, n: int, head: Head) -> tuple[npt.NDArray[np.int32] | None, npt.NDArray[np.uint8] | None]:
        if labels is None:
            return None, None
        array = to_numpy(labels, "labels")
        if len(array.shape) == 0 or array.shape[0] != n:
            raise ValueError(f"labels: an array of shape {list(array.shape)} for {n} rows of logits")
        if head.kind == "sigmoid":
            return np.full(n, IGNORED, np.int32), multi_hot(array, head.columns)
        if array.ndim == 2 and array.shape[1] == head.columns and head.columns > 1:
            return self._soft(array), None
        return check_labels(integers(array, "labels"), len(head.classes)), None

    def _soft(self, array: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Labels of rows that give each class a share: the class that has all of it, else none."""
        if ((array == 0) | (array == 1)).all() and (array.sum(axis=1) > 1).any():
            raise ValueError("labels: rows with several classes: say head='sigmoid' to record(…)")
        hard = array.max(axis=1) == 1
        if not hard.all():
            self._say("soft", "soft targets are no labels: rows of them are recorded without one")
        return np.where(hard, array.argmax(axis=1), IGNORED).astype(np.int32)

    def _head_is(self, head: Head) -> None:
        if self._head is None:
            self._set_head(head)
        if self._writer.run is None and self._names and self._background.failed is None:
            self._create(self._names)  # live from here on

    def _begin(self, epoch: int) -> None:
        """Opens an epoch, which ends the one before."""
        if epoch == self._epoch:
            return
        if self._epoch is not None and epoch < self._epoch:
            raise ValueError(f"epoch: {epoch} after {self._epoch} has begun: epochs only rise")
        if self._epoch is None and self._last is not None and epoch <= self._last:
            raise ValueError(f"epoch: {epoch} is recorded already, up to {self._last}: the next is {self._last + 1} or more")
        self._finish()
        self._epoch, self._rows = epoch, {}

    def _open_split(self, split: str) -> _OpenSplit:
        samples = self._samples.get(split)
        if samples is None:
            if self._writer.run is not None and split not in self._writer.run.splits:
                have = ", ".join(self._writer.run.splits)
                raise ValueError(f"split: {split!r} is none of the run's, which are {have}: name all that come with record(…, splits=[…])")
            assert self._head is not None
            samples = self._samples[split] = Samples(self._head.columns, self._head.kind == "sigmoid")
        if split not in self._rows:
            self._rows[split] = _OpenSplit()
        return self._rows[split]

    def _create(self, names: Sequence[str]) -> None:
        """Makes the run directory."""
        assert self._head is not None
        try:
            self._writer.create(self._head, names)
        except FileExistsError:
            raise
        except OSError as err:
            self._background.failed = self._background.failed or err

    def _add(
        self,
        epoch: int,
        split: str,
        logits: npt.NDArray[Any] | Loadable,
        labels: npt.NDArray[np.int32] | None,
        targets: npt.NDArray[np.uint8] | None,
        ids: npt.NDArray[np.int64] | None,
        strict: bool,
        take: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any] | Loadable] | None = None,
        measured: str = "after",
    ) -> None:
        """Checks rows and hands them to the thread. Where it raises, nothing of them is recorded.

        strict refuses ids that come twice in an epoch; else the first of each counts, and the rest are counted.
        """
        opened = self._open_split(split)
        samples = self._samples[split]
        n = len(labels) if labels is not None else len(ids) if ids is not None else len(logits)  # type: ignore[arg-type]
        given = ids
        if ids is None:
            ids = np.arange(opened.count, opened.count + n)
        rows = samples.rows_of(ids)
        known = rows >= 0
        again = np.zeros(n, np.bool_)
        inside = known & (rows < len(opened.seen))
        again[inside] = opened.seen[rows[inside]]
        first = first_of_each(ids)
        if len(first) < n:
            twice = np.ones(n, np.bool_)
            twice[first] = False
            again |= twice
        if again.any():
            if strict:
                raise ValueError(f"ids: {ids[np.argmax(again)]} comes twice in epoch {epoch} of {split}: want each sample once")
            self._count_repeats(split, int(again.sum()))
        fresh = ~known & ~again
        own = None
        if labels is not None and known.any():
            was = samples.labels[rows[known]]
            changed = was != labels[known]
            if samples.targets is not None and targets is not None:
                changed |= (samples.targets[rows[known]] != targets[known]).any(axis=1)
            if changed.any() and strict:
                at = np.flatnonzero(known)[np.argmax(changed)]
                hint = "" if given is not None and take is None else ": do the rows come in another order? Then give ids="
                raise ValueError(f"labels: sample {ids[at]} of {split} has label {labels[at]}, and had {samples.labels[rows[at]]}{hint}")
            if changed.any():
                own = labels
        if fresh.any():
            new_labels = np.full(n, IGNORED, np.int32) if labels is None else labels
            rows[fresh] = samples.add(ids[fresh], new_labels[fresh], None if targets is None else targets[fresh])
        opened.count += n
        keep = ~again
        if not keep.all():
            at = np.flatnonzero(keep)
            rows, ids, own = rows[at], ids[at], None if own is None else own[at]
            logits = take(at) if take is not None else logits[at]  # type: ignore[index]
        opened.mark(rows, samples.n)
        if measured != "after":
            opened.measured = measured
        if len(rows):
            self._put(Rows(split, rows, ids, own, logits, self._path))

    def _count_repeats(self, split: str, n: int) -> None:
        self._say(f"again {split}", f"samples of {split} that come more than once in an epoch count once, as they came first")

    def _restart(self, split: str) -> None:
        """Forgets what the open epoch has of a split."""
        if split in self._rows:
            self._rows[split] = _OpenSplit()
            self._put(Restart(split))

    def _whole(self) -> bool:
        """Whether the open epoch has every row of every split, where that is known."""
        return self._last is not None and all(name in self._rows and self._rows[name].n == s.n for name, s in self._samples.items())

    def _finish(self) -> None:
        """Ends the open epoch and has it committed, if there is anything of it."""
        if self._epoch is None:
            return
        epoch, self._epoch = self._epoch, None
        rows, self._rows = self._rows, {}
        if not any(opened.n for opened in rows.values()):
            return
        if self._writer.run is None:
            self._create(sorted(rows, key=lambda name: (name != "train", name)))
        new = {}
        for name in rows:
            s = self._samples[name]
            at = slice(self._handed.get(name, 0), s.n)
            self._handed[name] = s.n
            new[name] = SplitSamples(s.ids[at].copy(), s.labels[at].copy(), None if s.targets is None else s.targets[at].copy())
        self._put(Commit(epoch, new, {name: opened.measured for name, opened in rows.items()}))
        self._last = epoch

    # The thread.

    def _put(self, job: Job) -> None:
        self._background.put(job)
        self._report()

    def _ready(self, what: str) -> bool:
        """Whether there is something to do it with. A recorder that failed does nothing more, and has said so."""
        if os.getpid() != self._pid:
            raise RuntimeError(f"{what}: this process, forked from the one that made the recorder, has no part in it: record in that one")
        if self._closed:
            raise RuntimeError(f"{what}: the recorder of {self._path} is closed")
        self._report()
        return self._background.failed is None

    def _say_later(self, key: str, text: str) -> None:
        """Keeps what the thread has to say for the next call: a warning in a thread can go unseen."""
        if key not in self._said:
            self._said.add(key)
            self._unsaid.append(text)

    def _say(self, key: str, text: str) -> None:
        self._say_later(key, text)
        self._report()

    def _report(self) -> None:
        failed = self._background.failed
        if failed is not None:
            self._say_later("failed", f"{self._path} is recorded no further: {failed}. Training goes on; epochs committed before stay")
        while self._unsaid:
            text = self._unsaid.pop(0)
            try:
                warnings.warn(f"logitscope: {text}", LogitscopeWarning, stacklevel=4)
            except LogitscopeWarning:  # warnings are errors here, and a training must not end by one of ours
                print(f"logitscope: {text}", file=sys.stderr)

    def show(self, how: str | None = None, *, height: int = 800) -> None:
        """Shows what is recorded, live while it grows: see Run.show. The page is there before the first epoch is, the report after it."""
        show(self._path, how, height)

    def flush(self) -> None:
        """Waits until every epoch that is over is committed."""
        if self._ready("flush"):
            self._background.flush()
            self._report()

    def close(self, state: str | None = None) -> None:
        """Commits the last epoch, writes how the run ended, and lets go of the directory. Closing again does nothing.

        state is 'complete' unless told: 'interrupted' or 'failed' drop an epoch that is not over.
        """
        if state not in (None, "complete", "interrupted", "failed"):
            raise ValueError(f"state: {state!r}: want 'complete', 'interrupted' or 'failed'")
        if self._closed or os.getpid() != self._pid:
            return
        with self._lock:
            if state in (None, "complete") or self._whole():
                self._finish()
            self._closed = True
            self._background.end()
            if self._background.failed is not None:
                state = "failed"
            try:
                self._writer.close(state or "complete")
            except OSError as err:
                self._background.failed = self._background.failed or err
            if self._pusher is not None:
                self._pusher.finish(self._push_wait)
            self._report()
            atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        """The program ends without close: by its end, by sys.exit, or by an error."""
        died = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        interactive = hasattr(sys, "ps1") or "ipykernel" in sys.modules
        if died is not None and not interactive:
            self.close("interrupted" if isinstance(died, KeyboardInterrupt) else "failed")
        else:
            whole = self._epoch is None or self._whole() or self._last is None
            short = self._planned > 0 and (self._epoch or self._last or 0) < self._planned
            self.close("complete" if whole and not short else "interrupted")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.close("failed" if issubclass(kind, Exception) else "interrupted")

    def __reduce__(self) -> tuple[Callable[[str], _Elsewhere], tuple[str]]:
        """In another process, to which a worker takes it along, a recorder is none."""
        return _Elsewhere, (str(self._path),)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"epoch {self._epoch if self._epoch is not None else self.next_epoch}"
        return f"<logitscope.Recorder of {self._path}, {state}>"

    def _forked(self) -> None:
        atexit.unregister(self._at_exit)
        if self._writer.run is not None:
            self._writer.run.forked()


class _Elsewhere:
    """What a recorder is in a process that it was sent to."""

    def __init__(self, path: str) -> None:
        self._where = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"{name}: the recorder of {self._where} is in another process: record there")


def _in_child() -> None:
    for recorder in list(_open.values()):
        recorder._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _epoch(epoch: Any) -> int:
    if isinstance(epoch, bool) or not isinstance(epoch, (int, np.integer)):
        raise TypeError(f"epoch: want a whole number, not {epoch!r}")
    if not 0 <= epoch <= MAX_EPOCH:
        raise ValueError(f"epoch: {epoch}: want 0 to {MAX_EPOCH}")
    return int(epoch)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    text = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"{len(names)} classes ({text})"


def record(
    path: str | os.PathLike[str],
    classes: Sequence[str] | int | None = None,
    *,
    head: str | None = None,
    resume: bool = False,
    epochs: int = 0,
    config: Any = None,
    seed: int = 0,
    versions: Mapping[str, str] | None = None,
    queue_bytes: int = 64 * MiB,
    memory: int = 256 * MiB,
    patience: float = 0.1,
    splits: Sequence[str] | None = None,
    push: str | None = None,
    token: str | None = None,
    push_wait: float = 60,
) -> Recorder:
    """Begins to record a training into the directory path, which must not exist yet, or with resume=True goes on where it ends.

    classes are the names of the classes, or their number; head is seen from the logits unless it is 'sigmoid', of samples that
    may have several classes. With splits, their names, the run is there at once; else with the first pass over a watched loader, or
    with the end of the first epoch. epochs says how many are meant, config is anything that JSON can say. At most queue_bytes wait
    for the disk; what finds no room waits for at most patience seconds, and goes to a temporary file then. Of an epoch's rows
    at most memory bytes a split are held.

    With push, the address of a server started with logitscope view DIR --accept, what is committed is sent there too, beside the training.
    The token that it wants is that of the environment's LOGITSCOPE_TOKEN unless given. close waits at most push_wait seconds for what is
    left, and says what was not sent.
    """
    source = {"program": "logitscope-python", "version": __version__}
    for framework in ("torch", "jax", "tensorflow", "lightgbm", "xgboost", "sklearn"):
        if (module := sys.modules.get(framework)) is not None and hasattr(module, "__version__"):
            source |= {"framework": framework, "framework_version": str(module.__version__)}
            break
    origin = Origin(_epoch(epochs), seed, config, {"python": platform.python_version(), **(versions or {})}, source)
    return Recorder(path, classes, head, resume, origin, queue_bytes, memory, patience, splits, push, token, push_wait)
