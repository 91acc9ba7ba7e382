"""The real program, whose interpreter goes while it watches: its mail leaves, or the reason is told."""

from __future__ import annotations

import json
import sys
import time

import pytest

from tests.support.installed import SCRIPT, Installed, busy, own_environment
from tests.support.mailserver import MailServer
from tests.support.workers import workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a virtual environment of links")


@pytest.fixture
def installed(tmp_path):
    """Return an installation in a virtual environment of its own, and its watch is not started."""
    return Installed(tmp_path, {"PATH": "/usr/bin:/bin"}, own_environment(tmp_path))


def watch_replaced(installed, server, tmp_path, until):
    """Start `watch`, take its interpreter away, have two GPUs busy, and wait for `until` to be true."""
    installed.configure(POLL_SEC=1)
    installed.write("notify.env", "EMAIL_WHEN=always\n")
    installed.mail_through(server)
    with installed.watching(), workers(tmp_path, ["a.py"], ["b.py"]) as two:
        installed.script.parent.rename(installed.folder / "elsewhere")
        installed.script = SCRIPT
        installed.play(busy(*(worker.pid for worker in two)))
        end = time.monotonic() + 60
        while not (result := until()):
            assert time.monotonic() < end, installed.run("mail", "queue").stdout
            time.sleep(0.3)
    return result


def test_the_reason_and_the_mend_are_told(installed, tmp_path):
    """Without another installation the queue and `doctor` say so; after a repair it leaves."""
    with MailServer() as server:

        def queued():
            mails = json.loads(installed.run("mail", "queue", "--json").stdout)["mails"]
            return next((mail for mail in mails if "was it replaced?" in (mail["error"] or "")), None)

        mail = watch_replaced(installed, server, tmp_path, queued)
        assert "restart gpuwatch-tray" in mail["error"]
        assert "restart gpuwatch-tray" in installed.run("doctor").stdout
        assert installed.run("mail", "retry", str(mail["id"])).returncode == 0
        assert len(server.wait_for(1)) == 1


def test_another_installation_sends(installed, tmp_path):
    """The program that PATH finds takes its place; the mail leaves all the same."""
    installed.environment["PATH"] = f"{SCRIPT.parent}:/usr/bin:/bin"
    with MailServer() as server:
        watch_replaced(installed, server, tmp_path, lambda: server.messages)
        assert installed.run("mail", "queue", "--json").returncode == 0
