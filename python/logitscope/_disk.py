"""What the record does to a disk: files that are synced, folders that are there whole or not at all, and a lock."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._seal import crc32c

try:
    import fcntl
except ImportError:  # Windows: a run without end.json counts as running there
    fcntl = None  # type: ignore[assignment]

TMP = ".tmp-"  # begins the name of what is not committed


def write_file(path: Path, pieces: Iterable[bytes | memoryview]) -> dict[str, Any]:
    """Writes and syncs a new file; returns its size and checksum as the format names them."""
    size, crc = 0, 0
    with open(path, "xb", buffering=0) as file:
        for piece in pieces:
            left = memoryview(piece)
            if not len(left):
                continue
            crc = crc32c(left, crc)
            size += len(left)
            while len(left):
                left = left[file.write(left) or 0 :]
        os.fsync(file.fileno())
    return {"size": size, "crc32c": f"{crc:08x}"}


def sync_folder(path: Path) -> None:
    """What was made in the folder, or renamed into it, survives a loss of power."""
    if os.name == "nt":
        return  # where folders cannot be opened, the system keeps a journal of names
    at = os.open(path, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def make_folders(path: Path) -> None:
    """Makes a folder and the parents that it lacks, each to survive a loss of power."""
    if path.is_dir():
        return
    make_folders(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a directory", str(path)) from None
    sync_folder(path.parent)


class Lock:
    """The lock of a run, held from take to release or to the end of the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self._at = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self) -> bool:
        """Reports whether the lock is ours. A reader that looks at it holds it for a moment, so that one failure means nothing."""
        if fcntl is None:
            return True
        for _ in range(20):
            try:
                fcntl.flock(self._at, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError as err:
                if err.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
            time.sleep(0.01)
        return False

    @staticmethod
    def held(path: Path) -> bool:
        """Whether a process holds the lock at path. Where there are no locks nobody knows, and it counts as held."""
        if fcntl is None:
            return True
        at = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(at, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except OSError:
            return True
        finally:
            os.close(at)

    def release(self) -> None:
        if self._at >= 0:
            os.close(self._at)
            self._at = -1

    def inherit(self) -> None:
        """Lets go of a forked process's share of the lock: it would hold it beyond its parent's death."""
        self.release()
