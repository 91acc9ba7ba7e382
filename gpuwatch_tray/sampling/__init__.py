"""The past, pure: readings into samples, samples into longer ones, alerts onto the time axis."""

from __future__ import annotations

from gpuwatch_tray.sampling.joining import joined, pieces, portion, summed, total
from gpuwatch_tray.sampling.marks import concerned, marks
from gpuwatch_tray.sampling.sampler import Over, Sampler
from gpuwatch_tray.sampling.steady import LONGEST, Steady

__all__ = [
    "LONGEST",
    "Over",
    "Sampler",
    "Steady",
    "concerned",
    "joined",
    "marks",
    "pieces",
    "portion",
    "summed",
    "total",
]
