"""The samples of a split: which ids there are, and what each is labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_DENSE = 1 << 26  # ids below are looked up in an array


class Growing:
    """An array that is appended to."""

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._data = np.empty(0 if width is None else (0, width), dtype)
        self.n = 0

    @property
    def values(self) -> npt.NDArray[Any]:
        return self._data[: self.n]

    def append(self, more: npt.NDArray[Any]) -> None:
        need = self.n + len(more)
        if need > len(self._data):
            grown = np.empty((max(need, 2 * len(self._data)), *self._data.shape[1:]), self._data.dtype)
            grown[: self.n] = self._data[: self.n]
            self._data = grown
        self._data[self.n : need] = more
        self.n = need


class Samples:
    """Rows by id. A row's number is the order in which the samples became known."""

    def __init__(self, columns: int, sigmoid: bool) -> None:
        self._dense = np.full(0, -1, np.int64)
        self._sparse: dict[int, int] = {}
        self._ids = Growing(np.int64)
        self._labels = Growing(np.int32)
        self._targets = Growing(np.uint8, columns) if sigmoid else None
        self.gone = 0  # samples of epochs before that never come again, and are not kept here

    @property
    def n(self) -> int:
        return self._ids.n

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        return self._ids.values  # type: ignore[return-value]

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        return self._labels.values  # type: ignore[return-value]

    @property
    def targets(self) -> npt.NDArray[np.uint8] | None:
        return None if self._targets is None else self._targets.values  # type: ignore[return-value]

    def rows_of(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns the row of each id, −1 where it is not known."""
        if len(ids) and ids.min() >= 0 and ids.max() < len(self._dense):
            return self._dense[ids]  # as nearly always
        rows = np.full(len(ids), -1, np.int64)
        dense = (ids >= 0) & (ids < len(self._dense))
        rows[dense] = self._dense[ids[dense]]
        if self._sparse:
            for at in np.flatnonzero(~dense):
                rows[at] = self._sparse.get(int(ids[at]), -1)
        return rows

    def distinct(self, rows: npt.NDArray[np.int64]) -> bool:
        """Whether rows that are known have each but once."""
        marks = np.zeros(self.n, np.bool_)
        marks[rows] = True
        return int(np.count_nonzero(marks)) == len(rows)

    def add(
        self, ids: npt.NDArray[np.int64], labels: npt.NDArray[np.int32], targets: npt.NDArray[np.uint8] | None
    ) -> npt.NDArray[np.int64]:
        """Adds samples that are not known, each once, and returns their rows."""
        rows = np.arange(self.n, self.n + len(ids))
        small = (ids >= 0) & (ids < _DENSE)
        if small.any():
            top = int(ids[small].max()) + 1
            if top > len(self._dense):
                grown = np.full(max(top, min(2 * len(self._dense), _DENSE)), -1, np.int64)
                grown[: len(self._dense)] = self._dense
                for known in [k for k in self._sparse if 0 <= k < len(grown)]:
                    grown[known] = self._sparse.pop(known)
                self._dense = grown
            self._dense[ids[small]] = rows[small]
        for at in np.flatnonzero(~small):
            self._sparse[int(ids[at])] = int(rows[at])
        self._ids.append(ids)
        self._labels.append(labels)
        if self._targets is not None:
            self._targets.append(np.zeros((len(ids), self._targets.values.shape[1]), np.uint8) if targets is None else targets)
        return rows


def first_of_each(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns where each id stands first, in their order."""
    return np.sort(np.unique(ids, return_index=True)[1])
