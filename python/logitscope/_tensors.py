"""Arrays of any framework as NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

IGNORED = -100  # the label of a sample without one


def is_torch(value: object) -> bool:
    return any(c.__module__ == "torch" and c.__name__ == "Tensor" for c in type(value).__mro__)


def to_numpy(value: Any, name: str) -> npt.NDArray[Any]:
    """Returns a value as an array; its memory may be the value's own. Errors name the argument."""
    try:
        if is_torch(value):
            value = value.detach()
            if str(value.dtype) == "torch.bfloat16":
                value = value.float()
            array: npt.NDArray[Any] = value.cpu().numpy()
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
    kind = array.dtype.kind
    if (kind == "V" and array.dtype.name == "bfloat16") or array.dtype.name.startswith(("bfloat", "float8")):
        array = array.astype(np.float32)
    elif kind not in "fiub":
        raise TypeError(f"{name}: an array of {array.dtype} is not of numbers")
    return array


def logit_rows(value: Any, name: str = "logits") -> npt.NDArray[np.float32]:
    """Returns logits as float32 rows [N,columns] in memory of their own. A vector is one column."""
    array = to_numpy(value, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name}: want one row a sample, [N,K] or [N], not an array of shape {list(array.shape)}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is named with the others
        return np.array(array, np.float32, order="C", copy=True)


def integers(value: Any, name: str) -> npt.NDArray[np.int64]:
    """Returns whole numbers, of whatever type they come in."""
    array = to_numpy(value, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name}: want a number a row, [N], not an array of shape {list(array.shape)}")
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
