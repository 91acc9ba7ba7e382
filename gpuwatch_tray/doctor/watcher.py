"""Who watches at the moment, and how that one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import control, redact
from gpuwatch_tray.doctor.line import Line, ok, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.lock import LockHolder

TOPIC = "watching"


def look(holder: LockHolder, places: Sequence[str]) -> Iterator[Line]:
    """One line: asked at the address that it named, else where it would answer."""
    for address in [holder.address] if holder.address else places:
        try:
            answer = control.ask(address, {"do": "status"})
        except control.NotRunningError:
            continue
        except control.ControlError as error:
            text = _("{holder} does not answer: {why}").format(holder=holder, why=redact.text(str(error)))
            yield warning(TOPIC, text, _("its log may tell why (`gpuwatch-tray doctor --log`)"))
            return
        who = f"{answer.get('face', '?')}, PID {answer.get('pid', '?')}"
        said = redact.text(str(answer.get("headline", "")))
        if holder.trouble:
            yield warning(TOPIC, f"{who}: {redact.text(holder.trouble)}")
        else:
            yield ok(TOPIC, f"{who}: {said}")
        return
    yield ok(TOPIC, _("nothing watches at the moment: `gpuwatch-tray` starts the tray"))
