"""The login item: `setup autostart`, and its repair when the tray starts."""

from __future__ import annotations

import logging
import os

from gpuwatch_tray import drawing
from gpuwatch_tray.app.context import RunContext, UsageError, WorkError
from gpuwatch_tray.desktop import autostart
from gpuwatch_tray.desktop.autostart import AutostartError, LoginItem
from gpuwatch_tray.i18n import _

log = logging.getLogger(__name__)

# Variables that a shell may have set and the login session not.
SHELL_VARIABLES = (
    "MYGPU",
    "GPUWATCH_CONFIG",
    "GPUWATCH_NOTIFY_CONFIG",
    "GPUWATCH_SMTP_CONFIG",
    "GPUWATCH_LAB_CONFIG",
    "GPUWATCH_CACHE",
)


def login_item() -> LoginItem:
    """Return the login item of this program."""
    return autostart.system_login_item(str(drawing.icons_folder() / "ok.svg"))


def set_autostart(context: RunContext, switch: str) -> int:
    """Switch the start at login `on` or `off`, and print how it stands (`status`)."""
    if context.trial and switch == "on":
        raise UsageError(_("a demo or --source auto is only for trying out: it is not started at login"))
    item = login_item()
    try:
        if switch != "status":
            item.switch(on=switch == "on")
        print("\n".join(describe_login_item(item)))
    except AutostartError as error:
        raise WorkError(str(error)) from error
    if switch == "on":
        for name in (name for name in SHELL_VARIABLES if os.environ.get(name)):
            note = _("note: {name} is set here: at login it counts only if the session sets it as well")
            print(note.format(name=name))
    return 0


def describe_login_item(item: LoginItem) -> list[str]:
    """Describe the login item in lines; raises AutostartError."""
    entry = item.entry()
    if entry is None:
        return [_("off: it is not started at login")]
    command = " ".join(entry.command)
    if entry.switched_off:
        lines = [_("off: disabled by {what}").format(what=entry.switched_off)]
    elif entry.works:
        lines = [_("on: at login it starts {command}").format(command=command)]
    else:
        lines = [_("broken: {command} is gone; `setup autostart on` fixes it").format(command=command)]
    if entry.works and entry.command[: len(item.command)] != item.command:
        other = _("note: that is a different installation from this one, {command}")
        lines.append(other.format(command=" ".join(item.command)))
    return [*lines, item.where]


def repair_login_item(context: RunContext) -> None:
    """Repair a login item whose program has moved; not in a trial."""
    if context.trial:
        return
    try:
        done = login_item().repair()
    except AutostartError as error:
        log.warning("start at login: %s", error)
        return
    if done:
        log.warning("start at login: %s", done)
