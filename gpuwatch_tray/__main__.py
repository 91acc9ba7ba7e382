"""`python -m gpuwatch_tray`: the same as the console script."""

from __future__ import annotations

import sys

from gpuwatch_tray.cli import main

if __name__ == "__main__":
    sys.exit(main())
