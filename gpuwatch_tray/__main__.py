"""Where the program starts: the console script, and `python -m gpuwatch_tray`."""

from __future__ import annotations

import gc
import os
import sys

from gpuwatch_tray import __version__


def main() -> int:
    """Run one command and return its exit code; Ctrl-C while it still loads ends it without a traceback."""
    if sys.argv[1:] == ["--version"]:  # at once: without the settings and the commands
        print(f"gpuwatch-tray {__version__}")
        return 0
    _open_standard_files()
    begun = None
    try:
        if sys.argv[1:3] == ["when", "run"]:  # its command does not wait until the rest is loaded
            from gpuwatch_tray.app.early_start import begin_early

            begun = begin_early(sys.argv[3:])
        from gpuwatch_tray.common.loading import lasting_imports

        with lasting_imports():
            from gpuwatch_tray import cli

            cli.import_commands(sys.argv[1:])
        return cli.main(begun=begun)
    except KeyboardInterrupt:
        return 1  # as a command that is stopped
    except Exception as error:
        if begun is None or begun.finished:
            raise
        sys.excepthook(type(error), error, error.__traceback__)
        return begun.wait()  # a broken installation, say: the command runs all the same
    finally:
        gc.freeze()  # the end is near: nothing need be given back


def _open_standard_files() -> None:
    """Open what the shell has closed of input and output, lest another file get its number."""
    if os.name == "posix":
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free


if __name__ == "__main__":
    sys.exit(main())
