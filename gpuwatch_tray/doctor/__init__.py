"""
The checks of `gpuwatch-tray doctor`: each returns findings, with what mends them.

`examine` bounds each check in time, so that a driver, a bus or a network drive that does not answer is a
finding as well. No check changes anything, and no finding holds a secret.
"""

from gpuwatch_tray.doctor.checks import CHECK_TIMEOUT, Check, examine
from gpuwatch_tray.doctor.line import Finding, FindingState

__all__ = ["CHECK_TIMEOUT", "Check", "Finding", "FindingState", "examine"]
