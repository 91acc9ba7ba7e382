"""Whether the tray starts at login, and whether what would start is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.autostart import AutostartError
from gpuwatch_tray.doctor.line import Line, ok, problem, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.autostart import LoginItem

TOPIC = "autostart"
MEND = "gpuwatch-tray setup autostart on"


def look(login: Callable[[], LoginItem]) -> Iterator[Line]:
    """One line."""
    try:
        kept = login()
        entry = kept.entry()
    except AutostartError as error:
        yield problem(TOPIC, str(error))
        return
    if entry is None:
        yield ok(TOPIC, _("off: `gpuwatch-tray setup autostart on` starts the tray at login"))
        return
    command = " ".join(entry.command)
    if entry.switched_off:
        yield ok(TOPIC, _("off: switched off by {what}").format(what=entry.switched_off))
    elif not entry.works:
        yield problem(TOPIC, _("{command} is gone ({where})").format(command=command, where=kept.where), MEND)
    elif entry.command[: len(kept.command)] != kept.command:
        text = _("at login it starts another installation, {command}").format(command=command)
        yield warning(TOPIC, text, MEND)
    else:
        yield ok(TOPIC, _("on: {command}").format(command=command))
