"""The test alert: a popup, and a mail past every cooldown."""

from __future__ import annotations

import logging
import subprocess
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.machine import this_program
from gpuwatch_tray.model import Popup, Severity, labelled

if TYPE_CHECKING:
    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.notifiers import PopupSink

log = logging.getLogger(__name__)

TEST_MAIL_WITHIN = 150.0  # seconds: the reading, the connection and the answer have their own, shorter ones
KEY = "test-alert"


def test_alert(setup: RunContext, popups: PopupSink) -> None:
    """Pop up at once; have a child send a test mail, and put into the popup what came of it."""
    title = labelled(_("Test alert"), simulated=setup.simulated)
    if not setup.policy.routing.mails:
        why = _("a demo mails nowhere") if setup.simulated else setup.settings.no_recipient
        popups.show(
            Popup(
                KEY, title, _("This is how an alert looks. No mail: {why}").format(why=why), Severity.WARNING
            )
        )
        return
    popups.show(Popup(KEY, title, _("This is how an alert looks. A mail is on its way…"), Severity.WARNING))
    sent, text = _mail(setup)
    log.info("test mail: %s", text)
    severity = Severity.INFO if sent else Severity.WARNING
    popups.show(Popup(KEY, _("Test mail sent") if sent else _("The test mail was not sent"), text, severity))


def _mail(setup: RunContext) -> tuple[bool, str]:
    """Whether it was sent, and what is to be said of it."""
    command = [*this_program(), "check", "--test-mail", "--source", setup.source.value]
    try:
        # Only a child loads the mail libraries.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TEST_MAIL_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        return False, _("no answer within {seconds:g} s").format(seconds=TEST_MAIL_WITHIN)
    told, failed = (part.decode(errors="replace").strip() for part in (done.stdout, done.stderr))
    # the child speaks our language
    known = _("mail not sent: {why}").partition("{")[0]
    lines = [line.removeprefix("gpuwatch-tray: ").removeprefix(known) for line in failed.splitlines()]
    return bool(told), "\n".join([*filter(None, [told]), *lines])
