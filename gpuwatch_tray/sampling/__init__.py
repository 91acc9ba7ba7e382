"""The past, pure: readings into samples, samples into longer ones, alerts onto the time axis."""

from __future__ import annotations

from gpuwatch_tray.sampling.marks import concerned, marks

__all__ = ["concerned", "marks"]
