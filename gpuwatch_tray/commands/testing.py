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

TEST_MAIL_TIMEOUT = 150.0  # seconds: the reading, the connection and the answer have their own, shorter ones
TEST_ALERT_KEY = "test-alert"


def show_test_alert(context: RunContext, popups: PopupSink) -> None:
    """Show a popup at once, have a child process send a test mail, and show in the popup what came of it."""
    title = labelled(_("Test alert"), simulated=context.simulated)
    if not context.policy.routing.mails:
        why = _("a demo mails nowhere") if context.simulated else context.settings.no_recipient
        popups.show(
            Popup(
                TEST_ALERT_KEY,
                title,
                _("This is how an alert looks. No mail: {why}").format(why=why),
                Severity.WARNING,
            )
        )
        return
    popups.show(
        Popup(TEST_ALERT_KEY, title, _("This is how an alert looks. A mail is on its way…"), Severity.WARNING)
    )
    sent, answer = _send_test_mail(context)
    log.info("test mail: %s", answer)
    severity = Severity.INFO if sent else Severity.WARNING
    popups.show(
        Popup(
            TEST_ALERT_KEY, _("Test mail sent") if sent else _("The test mail was not sent"), answer, severity
        )
    )


def _send_test_mail(context: RunContext) -> tuple[bool, str]:
    """Send a test mail from a child process: whether it was sent, and what the child says."""
    command = [*this_program(), "check", "--test-mail", "--source", context.source.value]
    try:
        # Only a child loads the mail libraries.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TEST_MAIL_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return False, _("no answer within {seconds:g} s").format(seconds=TEST_MAIL_TIMEOUT)
    sent, failed = (part.decode(errors="replace").strip() for part in (done.stdout, done.stderr))
    # the child speaks our language
    prefix = _("mail not sent: {why}").partition("{")[0]
    lines = [line.removeprefix("gpuwatch-tray: ").removeprefix(prefix) for line in failed.splitlines()]
    return bool(sent), "\n".join([*filter(None, [sent]), *lines])
