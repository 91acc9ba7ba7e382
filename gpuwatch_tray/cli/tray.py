"""Without a command: the tray."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common.loading import lasting_imports

if TYPE_CHECKING:
    from gpuwatch_tray.app.context import RunContext


def run_tray(context: RunContext, _args: Any) -> int:
    """Run the tray, or without a desktop the loop in the terminal."""
    with lasting_imports():
        from gpuwatch_tray.app import tray_app

    return tray_app.run(context)


def without_words() -> SimpleNamespace:
    """Return what the parser makes of no words, without argparse: the tray would keep it loaded."""
    return SimpleNamespace(command=None, run=run_tray)
