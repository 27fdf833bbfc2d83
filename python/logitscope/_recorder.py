"""The recorder: what a training calls. What becomes of it is told in _epochs, up to the commit, and in _writer."""

from __future__ import annotations

import atexit
import os
import platform
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ._background import Background, Job
from ._disk import Claim, make_folders
from ._epochs import Epochs, check_epoch, whole_number
from ._previews import Previews
from ._push import Pusher, address
from ._ranks import Ranks, check_alone, find
from ._run import MAX_EPOCH, Origin, Run, being_recorded, check_config, check_free, check_place, check_run_name, check_split_name
from ._show import show
from ._tensors import integers, labels_or_targets, logit_rows
from ._version import __version__
from ._voice import LogitscopeWarning, Voice
from ._watch import Watcher, measure
from ._writer import Shard, Writer

__all__ = ["LogitscopeWarning", "Recorder", "record"]

MiB = 1 << 20

_open: weakref.WeakValueDictionary[str, Recorder] = weakref.WeakValueDictionary()


class Recorder:
    """Records the logits of a training into a run directory, in a thread of its own. logitscope.record makes one."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        classes: Sequence[str] | int | None,
        head: str | None,
        rows: str | None,
        resume: bool,
        origin: Origin,
        queue_bytes: int,
        memory: int,
        patience: float,
        splits: Sequence[str] | None,
        rank: int,
        ranks: int,
        push: str | None,
        token: str | None,
        push_wait: float,
        previews: Mapping[str, Any] | None,
    ) -> None:
        self._closed = self._took_alone = False
        self._here = True  # not in a process that was forked off
        self._ranks = ranks
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path: want the directory of the run, not {path!r}")
        self._path = Path(os.path.abspath(os.fspath(path)))
        check_run_name(self._path.name, "path")
        check_place(self._path)
        if push is not None:
            address(push, token)  # before anything is touched
        if (other := _open.get(str(self._path))) is not None and not other._closed:
            if not resume:
                raise RuntimeError(
                    f"path: {self._path} is being recorded by another recorder of this program: close() that one first"
                    ", or, in a notebook's cell that is run again, say resume=True: that closes it and goes on where it ends"
                )
            other._give_way()  # a notebook's cell that is run again
        self._lock = threading.RLock()
        self._voice = Voice()
        self._origin = origin
        run = claim = None
        try:
            if rank == 0:
                claim = _claimed(self._path)
            if resume and (self._path / "manifest.json").exists():
                run = Run.resume(self._path) if rank == 0 else Run.look(self._path)
            elif rank == 0:
                check_free(self._path)
            if claim is not None and run is not None and run.epochs:
                claim.release()  # it is not made anew, and its own lock is enough
            begun = run is not None and bool(run.epochs)
            self._previews = Previews(previews, run.layout if run is not None and begun else None, begun, self._voice.later)
            if splits is not None:
                self._previews.check_splits(list(splits))
            self._epochs = Epochs(self._path, classes, head, self._voice, self._put, self._previews, run, rank, ranks, rows)
            encoding = self._epochs.encoding
            if rank > 0:
                self._writer: Writer = Shard(self._path, rank, memory, self._voice.later, self._epochs.head, encoding)
            else:
                others = Ranks(self._path, ranks, lambda: self._background.ending, self._voice.later) if ranks > 1 else None
                self._writer = Writer(self._path, origin, run, memory, self._voice.later, others, claim, self._previews, encoding)
            if run is None and splits is not None:
                self._epochs.names = [check_split_name(name) for name in splits]
        except BaseException:
            if run is not None:
                run.release()
            if claim is not None:
                claim.release()
            raise
        self._background = Background(self._writer.do, queue_bytes, patience)
        self._watcher = Watcher(self._epochs, self._voice, self._live)
        if self._epochs.head is not None:
            self._epochs.head_is(self._epochs.head)
            self._background.flush()
            self._speak()
        self._pusher = None if push is None or rank > 0 else Pusher(self._path, push, token, self._voice.later, self._final)
        self._push_wait = push_wait
        _open[str(self._path)] = self
        atexit.register(self._at_exit)

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._path

    @property
    def next_epoch(self) -> int:
        """The number of the next epoch: 1, or where a resumed record goes on."""
        return self._epochs.next

    def log(
        self,
        epoch: int,
        split: str,
        logits: Any,
        labels: Any = None,
        *,
        ids: Any = None,
        measured: str = "after",
        previews: Sequence[Any] | None = None,
    ) -> None:
        """Records logits of a batch, or of all of a split, at an epoch.

        logits are [N,K], or [N] of a binary head; labels are 0 to K − 1, −100 for none, or [N,K] of 0 and 1 with head="sigmoid".
        ids tell the samples apart, whole numbers, each once in an epoch; without them they are numbered in the order in which
        they come, which must then be the same at every epoch. ids='new' says that each epoch has samples of its own, as where a
        stream never comes to its end: no sample is followed over epochs then. measured is 'during' of logits that were seen while
        the weights moved. An epoch is over when a later one begins, or close is called. previews are a text or a picture a row, None for
        none, as record(…, previews=) has them by id, and are kept of new samples.
        """
        if not self._ready("log"):
            return
        if previews is not None and self._ranks > 1:
            raise ValueError("previews: rank 0 writes the run for all ranks: give it those of every sample, record(…, previews={…})")
        if self._took_alone and self._epochs.last is None:
            check_alone()
        epoch = check_epoch(epoch)
        split = check_split_name(split)
        if measured not in ("after", "during"):
            raise ValueError(f"measured: {measured!r}: want 'after' or 'during'")
        with self._lock:
            self._epochs.begin(epoch)  # which ends the one before, whatever is wrong with these rows
        z, n, columns = logit_rows(logits, self._epochs.encoding)
        with self._lock:
            head = self._epochs.head_of(columns, "logits")
            y, targets, soft = labels_or_targets(labels, n, head.columns, len(head.classes), head.kind == "sigmoid")
            new = _are_new(ids, split, self._epochs)
            given = None if ids is None or new else integers(ids, "ids")
            if given is not None and len(given) != n:
                raise ValueError(f"ids: {len(given)} of them for {n} rows of logits")
            if previews is not None and (isinstance(previews, (str, bytes)) or len(previews) != n):
                what = "one text" if isinstance(previews, (str, bytes)) else f"{len(previews)} of them"
                raise ValueError(f"previews: {what} for {n} rows of logits")
            self._epochs.begin(epoch)  # another thread may have begun a later one in between
            if previews is not None:
                self._previews.learn(previews)  # before the run is made
            if soft:
                self._voice.say("soft", "soft targets are no labels: rows of them are recorded without one")
            self._epochs.head_is(head)
            self._epochs.settle()
            if new:
                self._epochs.new.add(split)
            self._epochs.add(split, z, y, targets, given, n, strict=True, measured=measured, previews=previews)
            if self._epochs.whole():
                self._epochs.finish()

    def _in_rounds(self) -> None:
        """What is recorded next is a round of boosting, which the run says where it is not there yet."""
        if not self._epochs.created and self._origin.unit == "epoch":
            self._origin.unit = "round"

    def watch(self, what: Any, split: str | None = None, *, ids: Callable[[Any], Any] | str | None = None) -> Any:
        """Watches a loader of a split, a loss, or a model that computes its own; use what it returns in its place.

        A batch of a watched loader that meets a watched loss is recorded. An epoch begins with a pass over the loader of 'train',
        or of the first split where none is, and holds the passes over the others until the next. The samples' ids are the
        indices that PyTorch's samplers draw. Of other loaders they are what ids, a function of the batch, says; without it the
        rows are numbered as they come. Where their labels show that the order is not the same at each pass, or ids='new' says it, each
        epoch has samples of its own, and none is followed over epochs.
        """
        self._ready("watch")
        if split is not None:
            if _are_new(ids, check_split_name(split), self._epochs):
                self._epochs.new.add(split)
            if ids is None:
                self._previews.check_length(split, what)
            return self._watcher.loader(what, split, ids)
        if callable(what):
            return self._watcher.loss_or_model(what)
        raise TypeError(f"split: which is {type(what).__name__} of? A loader is watched with one: watch(loader, 'train')")

    def measure(self, model: Any, loader: Any, split: str, *, ids: Callable[[Any], Any] | None = None) -> None:
        """Passes over a loader with a PyTorch model at rest, in eval mode and without gradients, and records it as the split's
        rows of the epoch: in place of those that were seen while it trained."""
        if self._ready("measure"):
            measure(self._watcher, model, loader, check_split_name(split), ids)

    # The thread.

    def _live(self) -> bool:
        """Whether what a loop does is recorded. The process is another one in a worker that was forked."""
        if self._took_alone and self._epochs.last is None:
            check_alone()
        return not self._closed and self._background.failed is None and self._here

    def _final(self) -> bool:
        """Whether the run that is there is this recorder's, and is not made anew any more."""
        run = self._writer.run
        return run is not None and (self._epochs.told or bool(run.epochs))

    def _put(self, job: Job) -> None:
        self._background.put(job)
        self._speak()

    def _ready(self, what: str) -> bool:
        """Whether there is something to do it with. A recorder that failed does nothing more, and has said so."""
        if not self._here:
            raise RuntimeError(f"{what}: this process, forked from the one that made the recorder, has no part in it: record in that one")
        if self._closed:
            raise RuntimeError(f"{what}: the recorder of {self._path} is closed")
        self._speak()
        return self._background.failed is None

    def _speak(self) -> None:
        failed = self._background.failed
        if failed is not None:
            self._voice.later("failed", f"{self._path} is recorded no further: {failed}. Training goes on; epochs committed before stay")
        self._voice.speak()

    def show(self, how: str | None = None, *, height: int = 800) -> None:
        """Shows what is recorded, live while it grows: see Run.show. The page is there before the first epoch is, the report after it."""
        show(self._path, how, height)

    def flush(self) -> None:
        """Waits until every epoch that is over is committed."""
        if self._ready("flush"):
            self._background.flush()
            self._speak()

    def close(self, state: str | None = None) -> None:
        """Commits the last epoch, writes how the run ended, and lets go of the directory. Closing again does nothing.

        state is 'complete' unless told: 'interrupted' or 'failed' drop an epoch that is not over.
        """
        if state not in (None, "complete", "interrupted", "failed"):
            raise ValueError(f"state: {state!r}: want 'complete', 'interrupted' or 'failed'")
        if self._closed or not self._here:
            return
        with self._lock:
            if state in (None, "complete") or self._epochs.whole():
                self._epochs.finish()
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
            self._speak()
            atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        """The program ends without close: by its end, by sys.exit, or by an error."""
        died = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        interactive = hasattr(sys, "ps1") or "ipykernel" in sys.modules
        if died is not None and not interactive:
            self.close("interrupted" if isinstance(died, KeyboardInterrupt) else "failed")
        else:
            whole, e = self._epoch_is_over(), self._epochs
            planned = self._origin.planned_epochs
            short = planned > 0 and (e.current or e.last or 0) < planned
            self.close("complete" if whole and not short else "interrupted")

    def _epoch_is_over(self) -> bool:
        """Whether the open epoch is taken for whole where nobody closes it. Of the first nobody knows how many rows it should have."""
        e = self._epochs
        with self._lock:
            e.settle()
            return e.current is None or e.whole(new=True) or e.last is None

    def _give_way(self) -> None:
        """Closes for the next recorder of the directory, as that of a notebook's cell that is run again. A first epoch in which a pass was
        left before its end is not over then."""
        over = self._epoch_is_over() and not (self._epochs.last is None and self._watcher.passes.broken)
        self.close("complete" if over else "interrupted")

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
        e = self._epochs
        state = "closed" if self._closed else f"epoch {e.current if e.current is not None else e.next}"
        return f"<logitscope.Recorder of {self._path}, {state}>"

    def _forked(self) -> None:
        self._here = False
        atexit.unregister(self._at_exit)
        self._watcher.forked()
        self._writer.forked()


class _Elsewhere:
    """What a recorder is in a process that it was sent to."""

    def __init__(self, path: str) -> None:
        self._where = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"{name}: the recorder of {self._where} is in another process: record there")


def _claimed(path: Path) -> Claim | None:
    """Claims a run that is not there yet, so that who else begins to record it is told at once."""
    try:
        make_folders(path.parent)
        claim = Claim.of(path)
    except OSError:  # a disk that is full, say: what cannot be written is said when it is to be, and ends no training
        return None
    if claim is None:
        raise FileExistsError(being_recorded(path))
    return claim


def _are_new(ids: Any, split: str, epochs: Epochs) -> bool:
    """Whether ids say that the samples of a split are others at every epoch."""
    if not isinstance(ids, str):
        return False
    if ids != "new":
        raise ValueError(f"ids: {ids!r}: want whole numbers, or 'new' where each epoch has samples of its own")
    if split not in epochs.new and split in epochs.samples and epochs.samples[split].n:
        raise ValueError(f"ids: {split} has samples with ids already, so that they cannot be new ones at every epoch")
    return True


def _in_child() -> None:
    for recorder in list(_open.values()):
        recorder._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def record(
    path: str | os.PathLike[str],
    classes: Sequence[str] | int | None = None,
    *,
    head: str | None = None,
    rows: str | None = None,
    resume: bool = False,
    epochs: int = 0,
    unit: str = "epoch",
    config: Any = None,
    seed: int = 0,
    versions: Mapping[str, str] | None = None,
    queue_bytes: int = 64 * MiB,
    memory: int = 256 * MiB,
    patience: float = 0.1,
    splits: Sequence[str] | None = None,
    rank: int | None = None,
    ranks: int | None = None,
    push: str | None = None,
    token: str | None = None,
    push_wait: float = 60,
    previews: Mapping[str, Any] | None = None,
) -> Recorder:
    """Begins to record a training into the directory path, which must not exist yet, or with resume=True goes on where it ends.

    classes are the names of the classes, or their number; head is seen from the logits unless it is 'sigmoid', of samples that
    may have several classes. The run is there with the first rows. Until its first epoch is over its splits may become more, unless
    splits names them, or two loaders or more are watched. epochs says how many are meant, and unit what their numbers count: 'epoch',
    'step' or 'round'. config is anything that JSON can say.

    At most queue_bytes wait for the disk; what finds no room waits for at most patience seconds, and goes to a temporary file then.
    Of an epoch's rows at most memory bytes a split are held.

    rows is how logits are kept: 'float32', unless told, or 'float16', of which each has 11 bits and which takes half the room. Logits on a
    device are rounded there, so that no more is copied from it. Those beyond 65,504 become infinite, which is said and counted. A run
    that is resumed goes on as it began.

    previews are what the page shows of the samples, by split: {"train": texts, "val": val_texts}. Each is a sequence or a dict by id, or a
    function of the id, of texts, of which 1,000 bytes are kept, or of pictures (uint8 [H,W] or [H,W,C], fractions from 0 to 1, PyTorch's
    [C,H,W], PIL's), which are made small. They are looked up once a sample, in the thread that writes; none is kept that was not given.

    In a distributed job each of its ranks records what it sees, to the same path on a file system that they share, and rank 0 makes
    one run of it. Which rank of how many ranks this is torch.distributed or RANK and WORLD_SIZE tell, unless it is given.

    With push, the address of a server started with logitscope view DIR --accept, what is committed is sent there too, beside the training.
    The token that it wants is that of the environment's LOGITSCOPE_TOKEN unless given. close waits at most push_wait seconds for what is
    left, and says what was not sent.
    """
    source = {"program": "logitscope-python", "version": __version__}
    for framework in ("torch", "jax", "tensorflow", "lightgbm", "xgboost", "sklearn"):
        if (module := sys.modules.get(framework)) is not None and hasattr(module, "__version__"):
            source |= {"framework": framework, "framework_version": str(module.__version__)}
            break
    if isinstance(splits, str) or (splits is not None and (not list(splits) or len(set(splits)) < len(list(splits)))):
        raise ValueError(f"splits: {splits!r}: want a list of names, each once, such as ['train', 'val']")
    told_versions = {"python": platform.python_version(), **(versions or {})}
    if not all(isinstance(text, str) for pair in told_versions.items() for text in pair):
        raise TypeError(f"versions: want names and versions as text, not {versions!r}")
    planned = whole_number(epochs, "epochs", MAX_EPOCH)
    config = None if config is None else check_config(config)
    if unit not in ("epoch", "step", "round"):
        raise ValueError(f"unit: {unit!r}: want 'epoch', 'step' or 'round'")
    origin = Origin(planned, unit, whole_number(seed, "seed", 2**64 - 1), config, told_versions, source)
    told = rank is not None or ranks is not None
    rank, ranks = find(rank, ranks)
    recorder = Recorder(path, classes, head, rows, resume, origin, queue_bytes, memory, patience, splits, rank, ranks, push, token,
                        push_wait, previews)  # fmt: skip
    recorder._took_alone = ranks == 1 and not told
    return recorder
