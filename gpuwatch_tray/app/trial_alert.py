"""The menu's test alert: a popup, a test mail and test messages, and what came of them."""

from __future__ import annotations

import logging
import subprocess
from typing import TYPE_CHECKING

from gpuwatch_tray.common.host import this_program
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Popup, Severity

if TYPE_CHECKING:
    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.notify.sinks import PopupSink


log = logging.getLogger(__name__)

TEST_MAIL_TIMEOUT = 150.0  # seconds: the reading, the connection and the answer have their own, shorter ones


def show_test_alert(context: RunContext, popups: PopupSink) -> None:
    """Show a popup at once, have children send a test mail and messages, and show what came of them."""

    def show(title: str, body: str, severity: Severity = Severity.WARNING, key: str = "test-alert") -> None:
        popups.show(Popup(key, title, body, severity))

    title = _("Test alert")
    if context.policy.routing.chats:
        if not context.policy.routing.mails:
            show(title, _("This is how an alert looks. A message is on its way…"))
        reached, answer = _send_test_messages(context)
        log.info("test messages: %s", answer)
        said = _("Test messages sent") if reached else _("A chat was not reached")
        show(said, answer, Severity.INFO if reached else Severity.WARNING, "test-chat")
    if not context.policy.routing.mails:
        if context.policy.routing.chats:
            return
        why = _("a demo sends no mail") if context.simulated else context.settings.no_recipient
        show(title, _("This is how an alert looks. No mail: {why}").format(why=why))
        return
    show(title, _("This is how an alert looks. A mail is on its way…"))
    sent, answer = _send_test_mail(context)
    log.info("test mail: %s", answer)
    if sent:
        show(_("Test mail sent"), answer, Severity.INFO)
    else:
        show(_("The test mail was not sent"), answer)


def _send_test_mail(context: RunContext) -> tuple[bool, str]:
    """Send a test mail from a child process: whether it was sent, and what the child says."""
    done = _run_child(context, "check", "--test-mail")
    if done is None:
        return False, _("no answer within {seconds:g} s").format(seconds=TEST_MAIL_TIMEOUT)
    sent, failed = (part.decode(errors="replace").strip() for part in (done.stdout, done.stderr))
    # the child speaks our language
    prefix = _("mail not sent: {why}").partition("{")[0]
    lines = [line.removeprefix("gpuwatch-tray: ").removeprefix(prefix) for line in failed.splitlines()]
    return bool(sent), "\n".join([*filter(None, [sent]), *lines])


def _send_test_messages(context: RunContext) -> tuple[bool, str]:
    """Send a test message to each chat from a child process: whether all took it, and what it says."""
    done = _run_child(context, "chat", "test")
    if done is None:
        return False, _("no answer within {seconds:g} s").format(seconds=TEST_MAIL_TIMEOUT)
    said = b"\n".join(filter(None, (done.stdout.strip(), done.stderr.strip())))
    lines = [" ".join(line.split()) for line in said.decode(errors="replace").splitlines()]
    return done.returncode == 0, "\n".join(lines)


def _run_child(context: RunContext, *words: str) -> subprocess.CompletedProcess[bytes] | None:
    """Run a command of ours, which alone loads the libraries that send; None where it takes too long."""
    command = [*this_program(), *words, "--source", context.source.value]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TEST_MAIL_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return None
