"""The past: readings become samples, samples longer ones; alerts are put on the time axis."""

from __future__ import annotations

from gpuwatch_tray.history.process_runs import alert_marks, gpus_of_alert
from gpuwatch_tray.history.sampler import FinishedMinute, Sampler

__all__ = ["FinishedMinute", "Sampler", "alert_marks", "gpus_of_alert"]
