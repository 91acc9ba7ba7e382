"""Where the program starts: the console script, and `python -m gpuwatch_tray`."""

from __future__ import annotations

import gc
import sys

from gpuwatch_tray import __version__


def main() -> int:
    """Run one command and return its exit code; Ctrl-C while it still loads ends it without a traceback."""
    if sys.argv[1:] == ["--version"]:  # at once: without the settings and the commands
        print(f"gpuwatch-tray {__version__}")
        return 0
    try:
        from gpuwatch_tray.common.loading import lasting_imports

        with lasting_imports():
            from gpuwatch_tray.cli import main as run_command

        return run_command()
    except KeyboardInterrupt:
        return 1  # as a command that is stopped
    finally:
        gc.freeze()  # the end is near: nothing need be given back


if __name__ == "__main__":
    sys.exit(main())
