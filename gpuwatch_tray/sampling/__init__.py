"""The past: readings become samples, samples longer ones; alerts are put on the time axis."""

from __future__ import annotations

from gpuwatch_tray.sampling.joining import (
    merge_spans,
    merge_stretches,
    slice_stretch,
    split_stretch,
    sum_known,
)
from gpuwatch_tray.sampling.marks import alert_marks, gpus_of_alert
from gpuwatch_tray.sampling.sampler import FinishedMinute, Sampler
from gpuwatch_tray.sampling.steady import LONGEST_STRETCH, StretchCompactor

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
