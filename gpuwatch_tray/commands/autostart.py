"""`setup autostart`, and what the tray does about it at each start."""

from __future__ import annotations

import logging
import os

from gpuwatch_tray import autostart, drawing
from gpuwatch_tray.autostart import AutostartError, LoginItem
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.language import _

log = logging.getLogger(__name__)

# What a shell may have set and a session not have.
VARIABLES = ("MYGPU", "GPUWATCH_CONFIG", "GPUWATCH_NOTIFY_CONFIG", "GPUWATCH_SMTP_CONFIG", "GPUWATCH_CACHE")


def login() -> LoginItem:
    """What this system starts at login."""
    return autostart.system_login_item(str(drawing.folder() / "ok.svg"))


def run(setup: Setup, switch: str) -> int:
    """Switch it `on` or `off`, and say how it stands (`status`)."""
    if setup.trial and switch == "on":
        raise UsageError(
            _("a demo, or a start with --source auto, is for trying out: it is not for every login")
        )
    kept = login()
    try:
        if switch != "status":
            kept.switch(on=switch == "on")
        print("\n".join(described(kept)))
    except AutostartError as error:
        raise WorkError(str(error)) from error
    if switch == "on":
        for name in (name for name in VARIABLES if os.environ.get(name)):
            note = _("note: {name} is set here: at login it counts only if the session sets it as well")
            print(note.format(name=name))
    return 0


def described(kept: LoginItem) -> list[str]:
    """How it stands, in lines; raises AutostartError."""
    entry = kept.entry()
    if entry is None:
        return [_("off: it is not started at login")]
    command = " ".join(entry.command)
    if entry.switched_off:
        lines = [_("off: switched off by {what}").format(what=entry.switched_off)]
    elif entry.works:
        lines = [_("on: at login it starts {command}").format(command=command)]
    else:
        lines = [_("broken: {command} is gone; `setup autostart on` mends it").format(command=command)]
    if entry.works and entry.command[: len(kept.command)] != kept.command:
        other = _("note: that is another installation than this one, {command}")
        lines.append(other.format(command=" ".join(kept.command)))
    return [*lines, kept.where]


def mended(setup: Setup) -> None:
    """At the tray's start: put right an entry whose program has moved; a trial leaves it alone."""
    if setup.trial:
        return
    try:
        done = login().repair()
    except AutostartError as error:
        log.warning("start at login: %s", error)
        return
    if done:
        log.warning("start at login: %s", done)
