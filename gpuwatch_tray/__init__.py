"""A tray watchdog for workstations with NVIDIA GPUs."""

from __future__ import annotations

TYPE_CHECKING = False  # a command waits for this one (`app/early_start.py`), and typing takes long
if TYPE_CHECKING:
    from gpuwatch_tray.app.python_run import PythonRun

__all__ = ["__version__", "run"]
__version__ = "0.1.0"


def run(name: str = "") -> PythonRun:
    """Tell how a `with` block or a decorated function ends, and why; `name` is what to call it."""
    from gpuwatch_tray.app.python_run import PythonRun

    return PythonRun(name)
