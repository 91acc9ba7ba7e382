"""The check of the running program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import control, redact
from gpuwatch_tray.doctor.line import CheckResult, ok, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.lock import LockHolder

RUNNING_TOPIC = "watching"


def check_running(holder: LockHolder, addresses: Sequence[str]) -> Iterator[CheckResult]:
    """Check the tray or `watch`: at the lock holder's address, else at `addresses`."""
    for address in [holder.address] if holder.address else addresses:
        try:
            answer = control.ask(address, {"do": "status"})
        except control.NotRunningError:
            continue
        except control.ControlError as error:
            text = _("{holder} does not answer: {why}").format(holder=holder, why=redact.text(str(error)))
            yield warning(RUNNING_TOPIC, text, _("its log may tell why (`gpuwatch-tray doctor --log`)"))
            return
        name = f"{answer.get('face', '?')}, PID {answer.get('pid', '?')}"
        headline = redact.text(str(answer.get("headline", "")))
        if holder.trouble:
            yield warning(RUNNING_TOPIC, f"{name}: {redact.text(holder.trouble)}")
        else:
            yield ok(RUNNING_TOPIC, f"{name}: {headline}")
        return
    yield ok(RUNNING_TOPIC, _("nothing watches at the moment: `gpuwatch-tray` starts the tray"))
