"""Figures of logits that are arrays, worked out by the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _program
from ._calibrator import Calibrator
from ._program import Report
from ._tensors import integers, to_numpy


def _given(logits: Any, labels: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    z, y = to_numpy(logits, "logits"), integers(labels, "labels")
    if z.ndim not in (1, 2):
        raise ValueError(f"logits: want [N,K], or [N] of one logit each, not an array of shape {list(z.shape)}")
    if len(z) != len(y):
        raise ValueError(f"labels: {len(y)} of them for {len(z)} rows of logits")
    return (z if z.dtype in (np.float32, np.float64) else z.astype(np.float32)), y


def score(logits: Any, labels: Any, **options: Any) -> Report:
    """Scores logits [N,K], or [N] of one logit each, against labels: NLL, accuracy, calibration errors and more.

    Options are those of logitscope score: temperature, bins, bootstrap, seed, kind, ignore_nonfinite. What is not defined is None,
    with the reason under undefined. docs/metrics.md defines every figure.
    """
    with _program.arrays(*_given(logits, labels)) as files:
        return Report(_program.ask("score", *files, **options))


def calibrate(logits: Any, labels: Any, method: str = "temperature", **options: Any) -> Calibrator:
    """Fits a calibrator to labelled logits that the model was not trained on.

    method is temperature, vector, platt, isotonic, histogram, or auto for the best by held-out NLL, which may be none.
    """
    with _program.arrays(*_given(logits, labels)) as files:
        out = Path(files[1]).parent / "calibration.json"
        report = _program.ask("calibrate", *files, method=method, output=out, **options)
        if out.exists():
            return Calibrator.load(out)
        z = np.load(files[1], mmap_mode="r")
        return Calibrator("none", 1 if z.ndim == 1 else z.shape[1], fit=report)
