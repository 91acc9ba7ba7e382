"""`setup config`: the three files of settings, written, checked, or named."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gpuwatch_tray import settings
from gpuwatch_tray.context import RunContext, WorkError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from pathlib import Path


def write() -> int:
    """Write those that are not there, and say which; nothing that exists is touched."""
    written = write_missing()
    for place in settings.files(os.environ):
        done = _("written:") if place.path in written else _("left as it is:")
        print(f"{done} {place.path}")
    return 0


def write_missing() -> tuple[Path, ...]:
    """Write those that are not there; which they are. Raises WorkError."""
    try:
        return settings.write_missing(os.environ)
    except OSError as error:
        why = _("the settings cannot be written: {error}").format(error=error)
        raise WorkError(why) from error


def check(setup: RunContext) -> int:
    """Raise UsageError with every mistake in them; else say so, and why nobody is mailed."""
    for warning in setup.settings.warnings:
        print(_("warning: {text}").format(text=warning), file=sys.stderr)
    setup.require_valid_settings()
    print(_("no mistake in the settings"))
    if not setup.settings.to_email:
        print(_("Email is off: {why}").format(why=setup.settings.no_recipient))
    return 0


def show_paths() -> int:
    """Print where each is, or would be, and which variable says so."""
    for place in settings.files(os.environ):
        notes = [
            *([] if place.exists else [_("not there")]),
            *([_("named by {variable}").format(variable=place.named)] if place.named else []),
        ]
        print(f"{place.path}" + (f"  ({', '.join(notes)})" if notes else ""))
    return 0
