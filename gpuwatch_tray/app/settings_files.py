"""The files of settings that a click or `setup config` writes where they are missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpuwatch_tray import settings
from gpuwatch_tray.app.bootstrap import WorkError
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from pathlib import Path


def write_missing() -> tuple[Path, ...]:
    """Write those that are not there; which they are. Raises WorkError."""
    try:
        return settings.write_missing(os.environ)
    except OSError as error:
        why = _("the settings cannot be written: {error}").format(error=error)
        raise WorkError(why) from error
