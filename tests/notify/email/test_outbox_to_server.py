"""A mail from the real outbox, by the real worker, to a real server."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Instant
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.settings import Secret, SmtpSettings
from gpuwatch_tray.store import Commit, Mail


def queue(store, message, *names):
    """As an evaluation does."""
    store.commit(Commit(Instant(message.created), mails=(Mail(message, names),)))


@pytest.fixture
def transport_for(smtpd):
    """SMTP to that server."""
    settings = SmtpSettings(
        smtpd.host,
        smtpd.port,
        smtpd.user,
        Secret(smtpd.password),
        "gpu@example.org",
        smtpd.ca_file,
    )
    return lambda: SmtpTransport(settings, ("one@example.org",), timeout=5.0)


def test_a_mail_waits_for_the_server_and_its_cooldown_starts_when_it_is_sent(
    smtpd, store, transport_for, message
):
    """Refused for now: kept, with the reason; accepted: sent once, under the same Message-ID."""
    now = message.created
    queue(store, message, "gpu_count:")
    smtpd.behave(connect="421 4.3.2 down for repairs")
    (failure,) = deliver_due(store, transport_for, lambda: now).failures
    assert "down for repairs" in str(failure)
    assert store.outbox_summary(now).count == 1
    assert "down for repairs" in store.outbox_summary(now).error
    assert store.delivered("email") == {}

    smtpd.behave()
    assert deliver_due(store, transport_for, lambda: failure.at - 1).sent == ()
    (sent,) = deliver_due(store, transport_for, lambda: failure.at).sent
    assert sent.receipt.answer.startswith("250 ")
    assert store.delivered("email") == {"gpu_count:": Instant(failure.at)}
    assert deliver_due(store, transport_for, lambda: failure.at + 1000).sent == ()
    assert [mail.message["Message-ID"] for mail in smtpd.messages] == [message.message_id]


def test_a_lost_answer_sends_the_mail_again_under_the_same_id(smtpd, store, transport_for, message):
    """Nothing lost before nothing doubled: at most one more, and mail programs show it once."""
    queue(store, message, "gpu_count:")
    smtpd.behave(drop="message", times=1)
    (failure,) = deliver_due(store, transport_for, lambda: message.created).failures
    assert "may have been accepted" in str(failure)
    deliver_due(store, transport_for, lambda: failure.at)
    assert [mail.message["Message-ID"] for mail in smtpd.messages] == [message.message_id] * 2


def test_one_refused_mail_does_not_hold_up_the_next(smtpd, store, transport_for, message):
    """The first is too big, the second is sent."""
    now = message.created
    queue(store, message, "a")
    queue(store, replace(message, message_id="<2@lab>"), "b")
    smtpd.behave(message="552 5.3.4 too big", times=1)
    report = deliver_due(store, transport_for, lambda: now)
    assert (len(report.sent), len(report.failures)) == (1, 1)
    assert store.delivered("email") == {"b": Instant(now)}
