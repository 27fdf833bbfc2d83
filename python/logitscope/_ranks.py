"""Ranks of a distributed job: each hands its rows of an epoch over in files, and rank 0, which writes the run, takes them in.

A file system is all that they share. Rank 3 of RUN has the folder .tmp-RUN-ranks/3 beside it:

    lock      held while the rank lives; rank 0 has one as well
    000012/   its rows of an epoch, there whole or not at all: SPLIT.arrow of id, label, overflowed, targets and logits, and part.json
    ended     it has closed its record in order, and nothing more comes

Rank 0 waits for every rank's part before it commits an epoch. It waits in the thread that writes, so that no training does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrow import Column, decode, encode
from ._disk import TMP, Lock, make_folders, sync_folder, write_file
from ._run import Head, _verified
from ._seal import seal, unseal

GRACE = 60.0  # seconds that rank 0 waits for a rank that never came, or at its end for one that is late
SOON = 3.0  # seconds after which it says so


def find(rank: int | None, ranks: int | None) -> tuple[int, int]:
    """Returns which rank this process is, and of how many: as it is told, as torch.distributed or its launcher say, or the only one."""
    if rank is None and ranks is None:
        if (job := _job()) is not None:
            return job
        told = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
        rank, ranks = (int(told[0]), int(told[1])) if told[0].isdigit() and told[1].isdigit() else (0, 1)
    rank, ranks = rank or 0, 1 if ranks is None else ranks
    if not 0 <= rank < ranks:
        raise ValueError(f"rank: {rank} of ranks={ranks}: want 0 to {ranks - 1}")
    return rank, ranks


def _job() -> tuple[int, int] | None:
    """Which rank this is of how many of torch.distributed; None where that has not begun."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def check_alone() -> None:
    """Raises where a process that took itself for the only one turns out to be a rank of several."""
    job = _job()
    if job is not None and job[1] > 1:
        raise RuntimeError(
            f"rank: this process is rank {job[0]} of {job[1]} of torch.distributed, which had not begun when the recorder was made."
            f" Say record(…, rank=, ranks={job[1]}) in every rank (of Lightning, trainer.global_rank and trainer.world_size), or make"
            " the recorder after init_process_group; where one rank alone is to record what it sees, ranks=1 there"
        )


def _home(run: Path) -> Path:
    return run.parent / f"{TMP}{run.name}-ranks"


def _columns(head: Head) -> list[Column]:
    targets = [Column("targets", "uint8", head.columns)] if head.kind == "sigmoid" else []
    overflowed = [Column("overflowed", "int32")] if head.encoding == "float16" else []
    return [Column("id", "int64"), Column("label", "int32"), *overflowed, *targets, Column("logits", head.encoding, head.columns)]


@dataclass
class PartRows:
    """What a rank has of a split."""

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]
    targets: npt.NDArray[np.uint8] | None
    logits: Iterable[npt.NDArray[Any]]
    overflowed: npt.NDArray[np.int32] | None  # logits of each row that float16 made infinite, where rows are of it
    measured: str
    repeated: int


class Desk:
    """Where a rank other than 0 lays its parts down."""

    def __init__(self, run: Path, rank: int) -> None:
        self._run, self._at = run, _home(run) / str(rank)
        make_folders(self._at)
        own = self._at / f"{TMP}lock-{os.getpid()}"
        self._lock = Lock(own)
        self._lock.take()  # before others see it: one that is not held is of a rank that is gone
        if _held(self._at / "lock"):
            own.unlink()
            self._lock.release()
            raise RuntimeError(f"rank: {rank} of {run} is another process, or came long after the others and is left out")
        _clear(self._at)
        os.replace(own, self._at / "lock")
        self._met = False  # rank 0, which clears away what earlier jobs left before it begins

    def _meet(self) -> None:
        limit = time.monotonic() + GRACE
        while not _held(self._at.parent / "0" / "lock"):
            if self._met:
                raise OSError(f"rank 0 records {self._run} no more")
            if time.monotonic() > limit:
                raise OSError(f"rank 0 does not record {self._run}")
            time.sleep(0.02)
        self._met = True

    def put(self, epoch: int, head: Head, splits: Mapping[str, PartRows]) -> None:
        self._meet()
        tmp = self._at / f"{TMP}{epoch:06d}"
        tmp.mkdir()
        said = []
        for name, r in splits.items():
            optional = [[v] for v in (r.overflowed, r.targets) if v is not None]
            values: list[Iterable[npt.NDArray[Any]]] = [[r.ids], [r.labels], *optional, r.logits]
            content = write_file(tmp / f"{name}.arrow", encode(_columns(head), values, len(r.ids)))
            said.append({"name": name, "n": len(r.ids), "measured": r.measured, "repeated": r.repeated, **content})
        write_file(tmp / "part.json", [seal({"epoch": epoch, "splits": said})])
        sync_folder(tmp)
        os.rename(tmp, self._at / f"{epoch:06d}")
        sync_folder(self._at)

    def close(self, whole: bool) -> None:
        """whole says that the rank ends in order; else rank 0 takes it for gone."""
        try:
            if whole and not self._met:
                self._meet()
            if whole and self._at.is_dir():
                write_file(self._at / "ended", [])
        except FileNotFoundError:
            pass  # rank 0 has ended too
        finally:
            self.release()

    def release(self) -> None:
        self._lock.release()


class Ranks:
    """The other ranks, as rank 0 sees them."""

    def __init__(self, run: Path, ranks: int, ending: Callable[[], bool], say: Callable[[str, str], None]) -> None:
        self._home, self._ending, self._say = _home(run), ending, say
        self._others = list(range(1, ranks))
        self._locks: list[Lock] = []  # of this rank, and of those that never came, so that none does later
        # Locks that an earlier job left. A rank clears what lies beside its own before it puts another in its place, maybe at this
        # moment, so that rank 0 removes nothing of it, and looks at nothing before the lock is another.
        self._old: dict[int, os.stat_result] = {}
        for rank in self._others:
            lock = self._home / str(rank) / "lock"
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(lock)
                if not _held(lock):
                    self._old[rank] = there
        make_folders(self._home / "0")
        self._locks.append(Lock(self._home / "0" / "lock"))
        self._locks[0].take()

    def parts(self, epoch: int, head: Head) -> Iterator[tuple[int, dict[str, PartRows]]]:
        """Yields each rank's part of an epoch when it is there. A rank that is gone without one is an OSError."""
        for rank in list(self._others):
            folder = self._wait(rank, epoch)
            if folder is not None:
                yield rank, _read(folder, rank, head)

    def _wait(self, rank: int, epoch: int) -> Path | None:
        at, limit, began = self._home / str(rank), None, time.monotonic()
        while True:
            came = self._came(rank)
            alive = came and _held(at / "lock")
            later = came and any(name.isdigit() and int(name) > epoch for name in os.listdir(at) if name != "lock")
            if came and (folder := at / f"{epoch:06d}").is_dir():
                return folder
            if later or (came and (at / "ended").exists()):
                return None  # it has nothing of this epoch
            if came and not alive:
                raise OSError(f"rank {rank} is gone, and epoch {epoch} is not whole without its rows: it is not committed")
            if not came and time.monotonic() > began + SOON:
                self._say(
                    f"waits {rank}",
                    f"rank {rank} has not made its recorder, as every rank is to do: epoch {epoch} waits for it, for {GRACE:.0f} s from its"
                    " end on. Where rank 0 alone is to record, say record(…, ranks=1)",
                )
            if not came or self._ending():
                limit = limit or time.monotonic() + GRACE
                if time.monotonic() > limit:
                    self._give_up(rank, epoch, came)
                    return None
            time.sleep(0.02)

    def _came(self, rank: int) -> bool:
        """Whether the rank of this job has made its recorder, alive or not."""
        try:
            there = os.stat(self._home / str(rank) / "lock")
        except FileNotFoundError:
            return False
        return rank not in self._old or not os.path.samestat(there, self._old[rank])

    def _give_up(self, rank: int, epoch: int, came: bool) -> None:
        if came:
            raise OSError(f"rank {rank} has not handed over epoch {epoch} for {GRACE:.0f} s: it is not committed")
        make_folders(self._home / str(rank))
        lock = Lock(self._home / str(rank) / "lock")
        if not lock.take():
            lock.release()
            raise OSError(f"rank {rank} came too late, and epoch {epoch} is not whole without its rows: it is not committed")
        self._locks.append(lock)
        self._others.remove(rank)
        self._say(f"rank {rank}", f"rank {rank} records nothing: what it sees is not in the record. Say ranks=1 where that is meant")

    def taken(self, epoch: int) -> None:
        """The epoch is committed."""
        for rank in self._others:
            shutil.rmtree(self._home / str(rank) / f"{epoch:06d}", ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        self.release()

    def release(self) -> None:
        for lock in self._locks:
            lock.release()


def _held(lock: Path) -> bool:
    """Whether a process holds a lock."""
    try:
        return Lock.held(lock)
    except FileNotFoundError:
        return False


def _clear(at: Path) -> None:
    """Removes what a rank of an earlier job has left."""
    for name in os.listdir(at):
        if "lock" not in name:
            shutil.rmtree(at / name) if (at / name).is_dir() else (at / name).unlink()


def _read(folder: Path, rank: int, head: Head) -> dict[str, PartRows]:
    try:
        info = unseal((folder / "part.json").read_bytes())
        found = {}
        for entry in info["splits"]:
            values: Any = decode(_verified(folder / f"{entry['name']}.arrow", entry), _columns(head), entry["n"])
            if values is None:
                raise ValueError(f"its logits are not those of a {head.kind} head of {head.columns} columns, kept as {head.encoding}")
            targets = values[-2] if head.kind == "sigmoid" else None
            overflowed = values[2] if head.encoding == "float16" else None
            found[entry["name"]] = PartRows(values[0], values[1], targets, [values[-1]], overflowed, entry["measured"], entry["repeated"])
        return found
    except ValueError as err:
        raise ValueError(f"what rank {rank} handed over is not taken: {err}") from err
