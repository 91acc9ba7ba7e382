"""The checks of `gpuwatch-tray doctor`, each bounded in time; none changes anything or shows a secret."""

from gpuwatch_tray.doctor.checks import CHECK_TIMEOUT, Check, examine
from gpuwatch_tray.doctor.output import CheckResult, CheckState

__all__ = ["CHECK_TIMEOUT", "Check", "CheckResult", "CheckState", "examine"]
