"""Batches that wait, in memory of one piece.

Nearly every step of nearly every training hands its loss a row of logits for each label of a batch, as PyTorch's tensors in memory.
To make arrays of these takes longer than all else that is done at a step, and arrays that stay break up the memory that is used
again for the next batch. So their bytes are copied behind those of the batch before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ._tensors import BFLOAT16

_BYTES = 1 << 20  # of logits
_ROWS = 1 << 16

_Tensor = torch.Tensor
_LOGITS: dict[Any, npt.DTypeLike] = {
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.float64: np.float64,
    torch.bfloat16: BFLOAT16,
}
_LABELS = {torch.int64: np.int64, torch.int32: np.int32, torch.uint8: np.uint8}

# memmove as ctypes has it, but that it keeps the interpreter's lock: to take that again costs more than to copy a batch.
_move = ctypes.PYFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)(ctypes.cast(ctypes.memmove, ctypes.c_void_p).value or 0)


class Block:
    """Batches, each with a row of logits and a label for every sample."""

    def __init__(self, logits: torch.Tensor, target: torch.Tensor, ignored: int, measured: str) -> None:
        self.ignored, self.measured = ignored, measured
        self.n, self.columns = 0, logits.shape[1]
        self._z_type, self._y_type = logits.dtype, target.dtype
        z, y = np.dtype(_LOGITS[logits.dtype]), np.dtype(_LABELS[target.dtype])
        self._row, self._item = self.columns * z.itemsize, y.itemsize
        self._room = max(len(logits), min(_BYTES // self._row, _ROWS))
        self.logits: npt.NDArray[Any] = np.empty((self._room, self.columns), z)
        self.labels: npt.NDArray[Any] = np.empty(self._room, y)
        self._z, self._y = self.logits.ctypes.data, self.labels.ctypes.data
        self._ids: list[Sequence[int] | npt.NDArray[np.int64]] = []

    @property
    def sizes(self) -> list[int]:
        """How many samples each batch has."""
        return [len(ids) for ids in self._ids]

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        return np.fromiter(chain.from_iterable(self._ids), np.int64, self.n)

    def take(self, ids: Sequence[int] | npt.NDArray[np.int64], logits: Any, target: Any, ignored: int, measured: str) -> bool:
        """Copies a batch behind those that are here. Reports whether it is like them, and there was room."""
        n, at = len(ids), self.n
        if not (
            type(logits) is _Tensor  # not of a class of its own, whose values may be elsewhere
            and type(target) is _Tensor
            and logits.shape == (n, self.columns)
            and target.shape == (n,)
            and logits.dtype is self._z_type
            and target.dtype is self._y_type
            and logits.is_cpu
            and target.is_cpu
            and logits.is_contiguous()
            and target.is_contiguous()
            and at + n <= self._room
            and measured == self.measured
            and ignored == self.ignored
        ):
            return False
        _move(self._y + at * self._item, target.data_ptr(), n * self._item)
        _move(self._z + at * self._row, logits.data_ptr(), n * self._row)
        self._ids.append(ids)
        self.n = at + n
        return True

    def back(self, ids: Any, logits: torch.Tensor) -> bool:
        """Takes the last batch back, where it is that of ids and has these very logits. Reports whether it was."""
        z = logits.detach()
        taken = self.logits[self.n - len(ids) : self.n]
        if z.dtype is torch.bfloat16:
            z, taken = z.view(torch.int16), taken.view(np.int16)
        if self._ids[-1] is not ids or not torch.equal(torch.from_numpy(taken), z):
            return False
        self._ids.pop()
        self.n -= len(ids)
        return True


def block_for(ids: Sequence[int] | npt.NDArray[np.int64], logits: Any, target: Any, ignored: int, measured: str) -> Block | None:
    """Returns a block that begins with a batch. None where it is not of the kind that blocks are made of."""
    plain = type(logits) is _Tensor and type(target) is _Tensor and logits.dtype in _LOGITS and target.dtype in _LABELS
    if not plain or not logits.is_cpu or logits.ndim != 2 or logits.numel() == 0:
        return None
    block = Block(logits, target, ignored, measured)
    return block if block.take(ids, logits, target, ignored, measured) else None
