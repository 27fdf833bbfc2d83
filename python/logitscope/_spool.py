"""Rows of logits on their way to a file: in memory while they are few, in a nameless temporary file beyond."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ._arrow import bytes_of

_BLOCK = 4 << 20


def nameless(folder: Path) -> IO[bytes]:
    """Opens a temporary file that is gone when it is closed, also by a kill, on the disk of folder."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def write_all(file: IO[bytes], data: memoryview) -> None:
    while len(data):
        data = data[file.write(data) or 0 :]


class Parked:
    """An array that was put onto the disk because memory for what waits is used up."""

    def __init__(self, array: npt.NDArray[Any], folder: Path) -> None:
        self._shape, self._dtype = array.shape, array.dtype
        self._file = nameless(folder)
        write_all(self._file, bytes_of(np.ascontiguousarray(array)))

    def load(self) -> npt.NDArray[Any]:
        with self._file as file:
            file.seek(0)
            return np.frombuffer(file.read(), self._dtype).reshape(self._shape)


class Spool:
    """Rows of one width, appended in any order and taken in another."""

    def __init__(self, width: int, dtype: npt.DTypeLike, memory: int, folder: Path) -> None:
        self.width, self.dtype, self.n = width, np.dtype(dtype), 0
        self._memory, self._folder = memory, folder
        self._rows: npt.NDArray[Any] = np.empty((0, width), self.dtype)
        self._file: IO[bytes] | None = None

    def append(self, rows: npt.NDArray[Any]) -> None:
        rows = np.ascontiguousarray(rows, self.dtype)
        need = self.n + len(rows)
        if self._file is None and need * self.width * self.dtype.itemsize > self._memory:
            self._file = nameless(self._folder)
            write_all(self._file, bytes_of(self._rows[: self.n]))
            self._rows = np.empty((0, self.width), self.dtype)
        if self._file is not None:
            write_all(self._file, bytes_of(rows))
        else:
            if need > len(self._rows):
                grown = np.empty((max(need, 2 * len(self._rows)), self.width), self.dtype)
                grown[: self.n] = self._rows[: self.n]
                self._rows = grown
            self._rows[self.n : need] = rows
        self.n = need

    def another(self) -> Spool:
        """An empty one of this kind."""
        return Spool(self.width, self.dtype, self._memory, self._folder)

    def take(self, order: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[Any]]:
        """Yields the rows in an order, some at a time."""
        rows = self._rows[: self.n]
        if self._file is not None:
            self._file.flush()
            rows = np.memmap(self._file, self.dtype, "r", shape=(self.n, self.width))
        step = max(1, _BLOCK // (self.width * self.dtype.itemsize))
        for at in range(0, len(order), step):
            yield rows[order[at : at + step]]

    def clear(self) -> None:
        """Forgets the rows. Memory that they had is kept for those to come, which are as many at every epoch."""
        self.n = 0
        if self._file is not None:
            self._file.close()
            self._file = None


def folder_for(run: Path) -> Path:
    """Where a run's temporary files lie: on its own disk, for they are as large as it."""
    return run if run.is_dir() else Path(os.path.abspath(run)).parent
