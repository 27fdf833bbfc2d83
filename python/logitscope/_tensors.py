"""Arrays of any framework as NumPy's."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

IGNORED = -100  # the label of a sample without one
BFLOAT16 = np.dtype([("bfloat16", np.uint16)])  # bits of what NumPy has no type for, until the thread that writes widens them


class Loadable(Protocol):
    """An array that is not in memory yet, or still on its way from a device."""

    def load(self) -> npt.NDArray[Any]: ...


def is_torch(value: object) -> bool:
    return any(c.__module__ == "torch" and c.__name__ == "Tensor" for c in type(value).__mro__)


def widened(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns an array of numbers of NumPy's own: of BFLOAT16 as float32, which holds each of them, of others as it is."""
    if array.dtype != BFLOAT16:
        return array
    bits = array.view(np.uint16).astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def narrowed(logits: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int32]]:
    """Rounds rows of logits, by way of float32, to the nearest float16, ties to even. Returns them, and how many finite ones of each
    row became infinite, for they were beyond 65,504."""
    none = np.zeros(len(logits), np.int32)
    if logits.dtype == np.float16:
        return logits, none
    with np.errstate(over="ignore"):
        logits = np.asarray(logits, np.float32)
        halves = logits.astype(np.float16)
    infinite = np.isinf(halves)
    if not infinite.any():
        return halves, none
    return halves, np.count_nonzero(infinite & np.isfinite(logits), axis=1).astype(np.int32)


def unrounded(halves: npt.NDArray[np.float16], overflowed: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """Returns rows of which narrowed gives these halves and counts: of those that a device has rounded and counted."""
    if not overflowed.any():
        return halves
    rows = halves.astype(np.float32)
    at = np.flatnonzero(overflowed)
    infinite = np.isinf(rows[at])
    finite = infinite & (np.cumsum(infinite, axis=1) <= overflowed[at, None])  # which of several it was does not matter
    rows[at] = np.where(finite, np.copysign(np.float32(1 << 17), rows[at]), rows[at])
    return rows


# What to give in place of texts.
_NUMBERED = {
    "labels": "want the numbers of their classes, from 0: np.unique(labels, return_inverse=True)[1], where classes are sorted by name",
    "ids": "want whole numbers, the same at every epoch, such as rows of the data set; previews= of record shows texts beside the samples",
}


def to_numpy(value: Any, name: str) -> npt.NDArray[Any]:
    """Returns a value as an array; its memory may be the value's own. Errors name the argument."""
    return widened(_as_it_is(value, name))


def _as_it_is(value: Any, name: str) -> npt.NDArray[Any]:
    """Returns a value as an array, of BFLOAT16 where it is of bfloat16."""
    try:
        if is_torch(value):
            value = value.detach().cpu()  # before it is widened, which is for the host to do
            if str(value.dtype) == "torch.bfloat16":
                return np.asarray(value.view(sys.modules["torch"].int16).numpy().view(BFLOAT16))
            array: npt.NDArray[Any] = value.numpy()
        elif hasattr(value, "__array__") or isinstance(value, (list, tuple, range, int, float)):
            array = np.asarray(value)
        elif hasattr(value, "numpy"):
            array = np.asarray(value.numpy())
        elif hasattr(value, "__dlpack__"):
            array = np.from_dlpack(value)
        else:
            raise TypeError(f"{name}: want an array of NumPy, PyTorch, JAX or TensorFlow, not {type(value).__name__}")
    except (ValueError, RuntimeError, BufferError) as err:
        raise TypeError(f"{name}: this {type(value).__name__} is no array of numbers: {err}") from err
    if array.dtype.name == "bfloat16":
        array = array.view(BFLOAT16)
    elif array.dtype.name.startswith("float8"):
        array = array.astype(np.float32)
    elif array.dtype.kind not in "fiub":
        if name in _NUMBERED and array.size and isinstance(array.flat[0], (str, bytes)):
            raise TypeError(f"{name}: they are texts: {_NUMBERED[name]}")
        raise TypeError(f"{name}: an array of {array.dtype} is not of numbers")
    return array


def logit_rows(value: Any, encoding: str, name: str = "logits") -> tuple[npt.NDArray[Any] | Loadable, int, int]:
    """Returns logits as rows [N,columns] in memory of their own, with N and columns. A vector is one column.

    Rows are of float32, or of float16 or BFLOAT16 where they come so. What is on a device is reduced there to what encoding keeps of it.
    """
    on_device = is_torch(value) and value.device.type != "cpu" and value.is_floating_point()
    array = value if on_device else _from_device(value, name) if encoding == "float16" else _as_it_is(value, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name}: want one row a sample, [N,K] or [N], not an array of shape {list(array.shape)}")
    n, columns = array.shape
    if on_device:
        from . import _torch

        return _torch.capture(array, encoding), n, columns
    kept = array.dtype if array.dtype in (np.float16, BFLOAT16) else np.float32
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is named with the others
        return np.array(array, kept, order="C", copy=True), n, columns


def _from_device(value: Any, name: str) -> npt.NDArray[Any]:
    """Returns an array, which one of JAX or TensorFlow that is on a device is rounded to float16 for there. Where that does not hold it,
    it is copied as it is."""
    if _is_away(value) and (halves := _halved(value)) is not None and not np.isinf(rounded := np.asarray(halves)).any():
        return rounded
    return _as_it_is(value, name)


def _is_away(value: Any) -> bool:
    """Whether this is an array of JAX or TensorFlow that is not in the host's memory."""
    if callable(devices := getattr(value, "devices", None)):
        return any(getattr(d, "platform", "cpu") != "cpu" for d in devices())
    return type(value).__module__.startswith("tensorflow") and ":CPU:" not in str(getattr(value, "device", ":CPU:"))


def _halved(value: Any) -> Any:
    """Returns a floating-point array of JAX or TensorFlow as float16, rounded where it is. None where there is nothing to round."""
    dtype = getattr(value.dtype, "name", str(value.dtype))
    if dtype not in ("float32", "float64"):
        return None
    if hasattr(value, "astype"):
        return value.astype("float32").astype("float16")
    cast = sys.modules["tensorflow"].cast
    return cast(cast(value, "float32"), "float16")


def integers(value: Any, name: str) -> npt.NDArray[np.int64]:
    """Returns whole numbers, of whatever type they come in."""
    array = to_numpy(value, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        one_hot = ": of one-hot rows, their argmax" if name == "labels" and array.ndim == 2 else ""
        raise ValueError(f"{name}: want a number a row, [N], not an array of shape {list(array.shape)}{one_hot}")
    if array.dtype.kind == "u" and len(array) and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: {array.max()} is larger than 2^63 − 1")
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.trunc(array))
        if not whole.all():
            row = int(np.argmin(whole))
            raise ValueError(f"{name}: row {row} is {array[row]}, which is no whole number")
    return array.astype(np.int64)


def check_labels(labels: npt.NDArray[np.int64], classes: int, name: str = "labels") -> npt.NDArray[np.int32]:
    """Returns labels of 0 to classes − 1, or IGNORED."""
    if len(labels) and labels.min() >= 0 and labels.max() < classes:
        return labels.astype(np.int32)  # as nearly always
    good = (labels >= 0) & (labels < classes) | (labels == IGNORED)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"{name}: row {row} has label {labels[row]}: want 0 to {classes - 1}, or {IGNORED} for none")
    return labels.astype(np.int32)


def multi_hot(value: Any, columns: int, name: str = "labels") -> npt.NDArray[np.uint8]:
    """Returns which classes each sample has, [N,columns] of 0 and 1."""
    array = to_numpy(value, name)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name}: a sigmoid head wants [N,{columns}] of 0 and 1, not an array of shape {list(array.shape)}")
    good = ((array == 0) | (array == 1)).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"{name}: row {row} is not of 0 and 1 alone")
    return array.astype(np.uint8)


def hard_of(shares: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Labels of rows that give each class a share: the class that has all of it, else none."""
    if ((shares == 0) | (shares == 1)).all() and (shares.sum(axis=1) > 1).any():
        raise ValueError("labels: rows with several classes: say head='sigmoid' to record(…)")
    return np.where(shares.max(axis=1) == 1, shares.argmax(axis=1), IGNORED).astype(np.int32)


def labels_or_targets(
    value: Any, n: int, columns: int, classes: int, sigmoid: bool
) -> tuple[npt.NDArray[np.int32] | None, npt.NDArray[np.uint8] | None, bool]:
    """Returns the labels of n rows, the classes of each where the head is sigmoid, and whether some gave classes shares."""
    if value is None:
        return None, None, False
    array = to_numpy(value, "labels")
    if len(array.shape) == 0 or array.shape[0] != n:
        raise ValueError(f"labels: an array of shape {list(array.shape)} for {n} rows of logits")
    if sigmoid:
        return np.full(n, IGNORED, np.int32), multi_hot(array, columns), False
    if array.ndim == 2 and array.shape[1] == columns and columns > 1:
        hard = hard_of(array)
        return hard, None, bool((hard == IGNORED).any())
    return check_labels(integers(array, "labels"), classes), None, False
