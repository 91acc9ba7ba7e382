"""A day without the mail server, a thousand alerts long, in simulated time; then a real server again."""

from __future__ import annotations

import re

from gpuwatch_tray.engine import late_digest
from gpuwatch_tray.engine.mail_builder import PER_DAY, PER_HOUR
from gpuwatch_tray.model import MessageKind
from gpuwatch_tray.model.units import DAY, HOUR
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import Secret, SmtpSettings
from gpuwatch_tray.store import OutboxSummary
from tests.engine.bench import HEAD
from tests.support.fakes import process, snapshot
from tests.support.mailserver import MailServer

POLLS, EACH = 250, 4  # a thousand alerts, in mails of four
EVERY = 100.0  # seconds: beyond the cap of an hour, and then of the day
BORN = 4000.0  # seconds that each process has run by then: beyond the limit


class Down:
    """Nobody answers."""

    name = "down"

    def __init__(self):
        self.tries = 0

    def send(self, _message):
        self.tries += 1
        raise TransportError(FailureKind.TRANSIENT, "cannot be reached: connection refused", for_all=True)


def crowd(number):
    """Four processes that nobody has seen before."""
    return snapshot(*(process(1000 + EACH * number + n, 0, BORN) for n in range(EACH)))


def visit(bench, way):
    """As the outbox process: only when something is due."""
    due = bench.store.outbox_summary(bench.clock.now).next_at
    if due is not None and due <= bench.clock.now:
        deliver_due(bench.store, lambda: way, bench.clock, chance=lambda: 0.5, gather=late_digest(HEAD))


def test_a_thousand_alerts_during_a_day_without_the_server_are_one_digest(away):
    """Nothing is lost, not by a restart either; the caps hold at every moment; one mail tells all."""
    way, pids = Down(), set()
    for number in range(POLLS):
        away.look(crowd(number), EVERY)
        pids |= {f"PID={1000 + EACH * number + n}" for n in range(EACH)}
        assert away.store.queued_since(away.clock.now, HOUR) <= PER_HOUR
        assert away.store.queued_since(away.clock.now, DAY) <= PER_DAY
        visit(away, way)
        if number == POLLS // 2:
            away.restart()
    for _ in range(int((DAY - POLLS * EVERY) / 600)):
        away.clock.advance(600)
        visit(away, way)
    waiting = away.store.outbox_summary(away.clock.now)
    assert (waiting.failure, waiting.dead) == ("transient", 0)
    assert way.tries < 500  # it backs off

    with MailServer() as server:
        smtp = SmtpSettings(
            server.host, server.port, server.user, Secret(server.password), "", server.ca_file
        )
        up = SmtpTransport(smtp, ("ada@example.org",), timeout=10.0)
        for _ in range(7):  # within the longest pause
            away.clock.advance(600)
            visit(away, up)
        (mail,) = server.messages
        assert mail.message["Subject"].startswith("[GPU Watchdog] digest of ")
        told = mail.text.partition("\n\nThe last of them:")[0]
        assert set(re.findall(r"PID=\d+", told)) == pids
        times = re.findall(r"(?m)^ada@box  (\S+ \S+)$", told)
        assert len(times) == len(set(times)) == POLLS
        assert (away.store.outbox_summary(away.clock.now), away.store.unsent_mails()) == (OutboxSummary(), ())
        assert len(away.store.delivered("email")) == EACH * POLLS

        (ends,) = away.look(snapshot(), 60).mails
        assert ends.kind is MessageKind.RESOLVED
        assert {name for name in pids if f"{name} " in ends.text} == pids
        visit(away, up)
        assert len(server.messages) == 2
