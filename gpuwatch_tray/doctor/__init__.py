"""
What is right here and what is not, a line each, with its mend: `gpuwatch-tray doctor`.

Each check is one small room that looks at one thing and returns lines; `examine` gives each of them its time,
so that a driver, a bus or a network drive that does not answer is a line as well. Nothing is changed, and
nothing secret is said.
"""

from gpuwatch_tray.doctor.checks import WITHIN, Check, examine
from gpuwatch_tray.doctor.line import Line, State

__all__ = ["WITHIN", "Check", "Line", "State", "examine"]
