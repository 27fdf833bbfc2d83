"""A fitted calibrator, applied with NumPy alone. This file needs nothing of the others, so that it may be shipped by itself."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

_MOST_ODDS = 1e37  # beyond what a classifier gives, and within float32


@dataclass(frozen=True)
class Calibrator:
    """A function from logits to calibrated logits. fit says how it was fitted, and what it does on rows that it did not see."""

    method: str
    columns: int
    temperature: float | None = None
    weights: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    biases: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    curves: tuple[dict[str, Any], ...] = ()
    curves_of: str = ""
    fit: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Calibrator:
        """Reads what logitscope calibrate writes."""
        given = json.loads(text)

        def array(name: str) -> npt.NDArray[np.float64]:
            return np.asarray(given.get(name) or (), np.float64)

        curves = tuple({**c, "x": np.asarray(c["x"], np.float64), "y": np.asarray(c["y"], np.float64)} for c in given.get("curves") or ())
        return cls(
            given["method"],
            int(given["columns"]),
            given.get("temperature"),
            array("weights"),
            array("biases"),
            curves,
            given.get("curves_of", ""),
            given.get("fit") or {},
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibrator:
        """Reads a calibration.json."""
        with open(path, encoding="utf-8") as file:
            return cls.from_json(file.read())

    def transform(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Returns the calibrated logits of rows [N,columns], or [N] of one column."""
        if callable(getattr(logits, "detach", None)):  # a tensor of PyTorch, which may be on a device and have a gradient
            logits = logits.detach().cpu().double().numpy()  # type: ignore[union-attr]
        try:
            z = np.asarray(logits, np.float64)
        except (TypeError, ValueError) as err:
            raise TypeError(f"logits: this {type(logits).__name__} is no array of numbers: {err}") from None
        rows = z[:, None] if z.ndim == 1 and self.columns == 1 else z
        if rows.ndim != 2 or rows.shape[1] != self.columns:
            raise ValueError(f"logits: want [N,{self.columns}], a row a sample, not an array of shape {list(z.shape)}")
        with np.errstate(all="ignore"):
            out = np.where(rows == -np.inf, -np.inf, self._rows(rows))
        return out.reshape(z.shape)

    def probabilities(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Returns the calibrated probabilities: the softmax of transform, or of one column the sigmoid."""
        z = self.transform(logits)
        with np.errstate(all="ignore"):
            if self.columns == 1:
                half = 0.5 * (1 + np.tanh(0.5 * z))
                return np.where(z < -30, np.exp(z), half)
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))

    def _rows(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.method == "none":
            return z
        if self.method == "temperature":
            assert self.temperature is not None
            return np.asarray(z / self.temperature)
        if self.method == "vector":
            return np.asarray(z * self.weights + self.biases)
        s = np.clip(_log_odds(z), -_MOST_ODDS, _MOST_ODDS)
        if self.columns <= 2:
            last = s[:, -1]
            if self.method == "platt":
                last = self.weights[0] * last + self.biases[0]
            else:
                y = self._curve(0, last)
                last = np.log(y) - np.log1p(-y) + (last - last)
            out = np.zeros_like(z) + (last - last)[:, None]
            out[:, -1] = last
            return out
        if self.method == "platt":
            return np.asarray(-np.logaddexp(0, -(self.weights * s + self.biases)))
        return np.stack([np.log(self._curve(j, s[:, j])) + (s[:, j] - s[:, j]) for j in range(self.columns)], axis=1)

    def _curve(self, j: int, s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        c = self.curves[j]
        at = s if self.curves_of == "log_odds" else 1 / (1 + np.exp(-s))
        x, y = c["x"], c["y"]
        if not c.get("steps"):
            return np.asarray(np.interp(at, x, y))
        i = np.searchsorted(x, at, side="right") - 1
        low = np.clip(i, 0, None)
        edge = (i > 0) & (x[low] == at)
        return np.asarray(np.where(edge, (y[np.clip(low - 1, 0, None)] + y[low]) / 2, y[low]))


def _log_odds(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the log-odds of each class against the rest: z_k − log Σ exp of the others."""
    if z.shape[1] == 1:
        return z
    out = np.empty_like(z)
    for k in range(z.shape[1]):
        others = np.delete(z, k, axis=1)
        top = others.max(axis=1, keepdims=True)
        held = np.where(np.isfinite(top), top, 0)
        out[:, k] = z[:, k] - (held[:, 0] + np.log(np.exp(others - held).sum(axis=1)))
    return out
