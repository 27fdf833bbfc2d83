"""Logits and targets of any shape as rows: which dimension the classes are in, and which rows are padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

POSITIONS = 20  # a token's id is its sample's shifted by so many bits, and its position


@dataclass
class Seen:
    """Logits as rows [n,K] of the framework's own, with what their loss was told."""

    logits: Any
    labels: Any = None  # [n], or None
    shares: Any = None  # [n,K] of each class, in place of labels
    positions: int | None = None  # rows a sample, where it has several
    several: bool = False  # whether a sample may have several classes


class ShapeError(ValueError):
    """Logits and targets that make no rows."""


def rows(logits: Any, target: Any, kind: str) -> Seen:
    """Lays logits and target out as rows. kind is 'classes', 'binary', or 'any' where the loss does not say."""
    shape, of = tuple(logits.shape), None if target is None else tuple(target.shape)
    if kind == "binary":
        return _binary(logits, target)
    if len(shape) == 1 and of == ():
        return Seen(logits.reshape(1, -1), target.reshape(1))
    if len(shape) == 1:
        if of == shape and kind == "any":
            return _binary(logits, target)
        raise ShapeError(f"logits of shape {list(shape)}: want [N,K]")
    if target is None:
        return Seen(logits.reshape(-1, shape[-1]), positions=None if len(shape) == 2 else _product(shape[1:-1]))
    if len(shape) == 2 and of == (shape[0],):
        return Seen(logits, target)
    if of == shape:  # shares of each class; the classes are in dimension 1, as PyTorch has it
        if kind == "any" and len(shape) == 2 and not _is_share(target):
            return _binary(logits, target)
        positions = None if len(shape) == 2 else _product(shape[2:])
        return Seen(_classes_last(logits), shares=_classes_last(target), positions=positions)
    if of == shape[:1] + shape[2:]:
        return Seen(_classes_last(logits), target.reshape(-1), positions=_product(shape[2:]))
    if of == shape[:-1] and kind == "any":
        return Seen(logits.reshape(-1, shape[-1]), target.reshape(-1), positions=_product(shape[1:-1]))
    raise ShapeError(f"logits of shape {list(shape)} and targets of shape {list(of or ())} make no rows")


def _binary(logits: Any, target: Any) -> Seen:
    shape, of = tuple(logits.shape), tuple(target.shape)
    if len(shape) == 2 and shape[1] > 1:
        if of != shape:
            raise ShapeError(f"logits of shape {list(shape)} and targets of shape {list(of)} make no rows")
        return Seen(logits, shares=target, several=True)
    if len(shape) > 2:
        raise ShapeError(f"logits of shape {list(shape)} of a binary loss: want [N] or [N,K]; hand others to log()")
    return Seen(logits.reshape(-1, 1), target.reshape(-1))


def _classes_last(x: Any) -> Any:
    if x.ndim == 2:
        return x
    return x.flatten(2).transpose(1, 2).reshape(-1, x.shape[1])


def _is_share(target: Any) -> bool:
    """Whether each row gives one whole to the classes: soft targets, not several labels."""
    sums = target.detach().sum(dim=1)
    return bool(((sums - 1).abs() < 1e-3).all())


def _product(sizes: tuple[int, ...]) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n
