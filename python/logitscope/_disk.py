"""What the record does to a disk: files that are synced, folders that are there whole or not at all, and a lock."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._seal import crc32c

TMP = ".tmp-"  # begins the name of what is not committed

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes.wintypes import DWORD, HANDLE

    class _Place(ctypes.Structure):
        """An OVERLAPPED: where in a file."""

        _fields_ = [("internal", ctypes.c_size_t), ("high", ctypes.c_size_t), ("low", DWORD), ("top", DWORD), ("event", HANDLE)]

    _lock_file = ctypes.WinDLL("kernel32", use_last_error=True).LockFileEx
    _lock_file.argtypes = [HANDLE, DWORD, DWORD, DWORD, DWORD, ctypes.POINTER(_Place)]

    def _lock(at: int, exclusive: bool) -> bool:
        """Takes a lock without waiting: of one byte far behind the end of any file, as the program does: locked bytes cannot be read."""
        place = _Place(low=0xFFFFFFFF, top=0x7FFFFFFF)
        if _lock_file(msvcrt.get_osfhandle(at), 3 if exclusive else 1, 0, 1, 0, ctypes.byref(place)):
            return True
        if (err := ctypes.get_last_error()) in (33, 997):  # ERROR_LOCK_VIOLATION, ERROR_IO_PENDING
            return False
        raise ctypes.WinError(err)

else:
    import fcntl

    def _lock(at: int, exclusive: bool) -> bool:
        """Takes a lock without waiting."""
        try:
            fcntl.flock(at, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as err:
            if err.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            return False
        return True


# What a file system says that has no locks, as some of networks do not. There nothing is locked, and nobody knows who writes.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


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
        for _ in range(20):
            try:
                if _lock(self._at, exclusive=True):
                    return True
            except OSError as err:
                if err.errno in _NO_LOCKS:
                    return True
                raise
            time.sleep(0.01)
        return False

    @staticmethod
    def held(path: Path) -> bool:
        """Whether a process holds the lock at path. Where there are no locks nobody knows, and it counts as held."""
        at = os.open(path, os.O_RDONLY)
        try:
            return not _lock(at, exclusive=False)
        except OSError:
            return True
        finally:
            os.close(at)

    def release(self) -> None:
        if self._at >= 0:
            os.close(self._at)
            self._at = -1


def clear_left(run: Path) -> None:
    """Removes the folders that killed processes left beside a run, in which they were about to make it. A folder whose lock is held, or
    which has none yet, is another process's who may be alive. What cannot be removed stays: it is not taken for a run."""
    left = re.compile(re.escape(f"{TMP}{run.name}-") + "[A-Z2-7]{8}")
    for folder in (run.parent / name for name in os.listdir(run.parent) if left.fullmatch(name)):
        try:
            at = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            continue
        try:
            mine = _lock(at, exclusive=True)
            if mine:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # where there are no locks nobody knows
            mine = False
        finally:
            os.close(at)
        if mine:
            shutil.rmtree(folder, ignore_errors=True)  # on systems that remove no open file


class Claim(Lock):
    """The lock of who is about to make a run, whose directory, with a lock of its own, is not there yet or may still be made anew.

    It is on an empty file beside the run, which is removed when it is let go of. One that a killed process leaves is held by nobody.
    """

    def __init__(self, run: Path) -> None:
        self.path = run.parent / f"{TMP}{run.name}-lock"
        super().__init__(self.path)

    @classmethod
    def of(cls, run: Path) -> Claim | None:
        """Takes the claim on a run; None where another process has it."""
        while True:
            claim = cls(run)
            if not claim.take():
                claim.inherit()
                return None
            try:
                if os.path.samestat(os.fstat(claim._at), os.stat(claim.path)):
                    return claim
            except FileNotFoundError:
                pass
            claim.inherit()  # who had it has removed the file since it was opened here, and others do not see this one

    def release(self) -> None:
        if self._at < 0:
            return
        if os.name != "nt":  # before it is let go of, for then it may be another's
            self.path.unlink(missing_ok=True)
        super().release()
        if os.name == "nt":  # where nobody can remove a file that anyone has open
            with contextlib.suppress(OSError):
                self.path.unlink()

    def inherit(self) -> None:
        """Lets go of a forked process's share of the lock: it would hold it beyond its parent's death."""
        super().release()
