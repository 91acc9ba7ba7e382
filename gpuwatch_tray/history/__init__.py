"""The past: readings become samples, samples longer ones; alerts are put on the time axis."""

from __future__ import annotations

from gpuwatch_tray.history.aggregate import (
    LONGEST_STRETCH,
    StretchCompactor,
    merge_spans,
    merge_stretches,
    slice_stretch,
    split_stretch,
    sum_known,
)
from gpuwatch_tray.history.runs import alert_marks, gpus_of_alert
from gpuwatch_tray.history.sampler import FinishedMinute, Sampler

__all__ = [
    "LONGEST_STRETCH",
    "FinishedMinute",
    "Sampler",
    "StretchCompactor",
    "alert_marks",
    "gpus_of_alert",
    "merge_spans",
    "merge_stretches",
    "slice_stretch",
    "split_stretch",
    "sum_known",
]
