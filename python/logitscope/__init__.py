"""A scope for the last layer of a classifier: records every sample's logits at every epoch, beside any training."""

from ._calibrator import Calibrator
from ._figures import calibrate, score
from ._open import Run, compare, diagnose, labels, open
from ._program import Report
from ._recorder import Recorder, record
from ._version import __version__
from ._voice import LogitscopeWarning

__all__ = [
    "Calibrator",
    "LogitscopeWarning",
    "Recorder",
    "Report",
    "Run",
    "__version__",
    "calibrate",
    "compare",
    "diagnose",
    "labels",
    "open",
    "record",
    "score",
]
