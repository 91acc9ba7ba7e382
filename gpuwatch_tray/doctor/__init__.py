"""
The checks of `gpuwatch-tray doctor`: each returns results, with what mends them.

`examine` bounds each check in time, so that a driver, a bus or a network drive that does not answer is a
result as well. No check changes anything, and no result holds a secret.
"""

from gpuwatch_tray.doctor.checks import CHECK_TIMEOUT, Check, examine
from gpuwatch_tray.doctor.output import CheckResult, CheckState

__all__ = ["CHECK_TIMEOUT", "Check", "CheckResult", "CheckState", "examine"]
