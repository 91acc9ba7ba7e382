"""What mailing costs the tray: its memory before and after a hundred mails."""

from __future__ import annotations

import time
from contextlib import closing

import psutil  # measures the program from outside
import pytest
from msgspec.structs import replace

from gpuwatch_tray.common import host
from gpuwatch_tray.store import Commit, Mail, Store
from tests.e2e.app import App
from tests.support import mail_parts
from tests.support.mailserver import MailServer
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver, pytest.mark.configured(POLL_SEC=0.5, greeted=True)]

MAILS, EACH = 100, 25  # in as many visits of the child as their quotient
EARLIER = 400  # mails, until what Python keeps for itself no longer grows: 2,000 more take no more
MOST = 2_000_000  # bytes


def queue(installed, first, count):
    """So many mails as an evaluation writes them, and a word to the tray, which looks at once."""
    made = mail_parts.firing()
    now = host.now()
    mails = tuple(
        Mail(replace(made, message_id=f"<{number}@lab1>", created=now.wall), ())
        for number in range(first, first + count)
    )
    with closing(Store(installed.state, host.host())) as store:
        store.commit(Commit(now, mails=mails))
    assert installed.run("mail", "retry", "all").returncode == 0


def settled(process):
    """Return the resident memory once it has stood still for a second."""
    last, since = process.memory_info().rss, time.monotonic()
    while time.monotonic() - since < 1.0:
        time.sleep(0.1)
        found = process.memory_info().rss
        if abs(found - last) > 100_000:
            last, since = found, time.monotonic()
    return process.memory_info().rss


def test_a_hundred_mails_leave_the_memory_of_the_tray_as_it_was(installed, desk):
    """With HTML, through the real child and a real server: within 2 MB, the least held after each visit."""
    with MailServer() as server:
        installed.mail_through(server)
        app = App(installed, desk)
        try:
            desk.item()
            tray = psutil.Process(app.process.pid)

            def least(firsts: range) -> int:
                """Mail from each of these numbers on to the next; the least memory that was held between."""
                held = []
                for first in firsts:
                    queue(installed, first, firsts.step)
                    wait_until(lambda now=first + firsts.step: len(server.messages) == now, "the mails")
                    held.append(settled(tray))
                return min(held)

            least(range(0, EARLIER, EARLIER // 4))
            before, after = (least(range(first, first + MAILS, EACH)) for first in (EARLIER, EARLIER + MAILS))
        finally:
            app.close()
        print(f"RSS {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after {MAILS} mails")
        assert after - before < MOST
        assert len({mail.message["Message-ID"] for mail in server.messages}) == EARLIER + 2 * MAILS
