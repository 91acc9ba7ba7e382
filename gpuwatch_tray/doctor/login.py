"""The check of the login item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.autostart import AutostartError
from gpuwatch_tray.doctor.line import CheckResult, ok, problem, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.autostart import LoginItem

AUTOSTART_TOPIC = "autostart"
AUTOSTART_MEND = "gpuwatch-tray setup autostart on"


def check_login(open_login: Callable[[], LoginItem]) -> Iterator[CheckResult]:
    """Check whether the tray starts at login, and whether the program to start exists."""
    try:
        item = open_login()
        entry = item.entry()
    except AutostartError as error:
        yield problem(AUTOSTART_TOPIC, str(error))
        return
    if entry is None:
        yield ok(AUTOSTART_TOPIC, _("off: `gpuwatch-tray setup autostart on` starts the tray at login"))
        return
    command = " ".join(entry.command)
    if entry.switched_off:
        yield ok(AUTOSTART_TOPIC, _("off: switched off by {what}").format(what=entry.switched_off))
    elif not entry.works:
        yield problem(
            AUTOSTART_TOPIC,
            _("{command} is gone ({where})").format(command=command, where=item.where),
            AUTOSTART_MEND,
        )
    elif entry.command[: len(item.command)] != item.command:
        text = _("at login it starts another installation, {command}").format(command=command)
        yield warning(AUTOSTART_TOPIC, text, AUTOSTART_MEND)
    else:
        yield ok(AUTOSTART_TOPIC, _("on: {command}").format(command=command))
