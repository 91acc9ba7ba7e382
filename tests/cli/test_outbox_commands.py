"""`mail queue`, `retry` and `drop` through the installed console script, on a server that refuses."""

from __future__ import annotations

import json

import pytest

from tests.support.installed import busy
from tests.support.workers import workers

pytestmark = pytest.mark.driver


@pytest.fixture
def refused(installed, server, tmp_path):
    """A mail whose recipient the server does not take."""
    server.behave(rcpt="550 5.1.1 no such user")
    with workers(tmp_path, ["a.py"], ["b.py"]) as two:
        installed.play(busy(*(worker.pid for worker in two)))
        done = installed.run("check")
        yield done


def mail(installed, *words, code=0):
    done = installed.run("mail", *words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout or done.stderr


def test_a_refused_mail_is_told_once_and_listed_until_somebody_acts(installed, server, refused):
    """The `check` that gave it up names it; the next says nothing; `mail queue` has reason and mend."""
    assert refused.returncode == 1
    assert "1 mail given up (`gpuwatch-tray mail queue`): " in refused.stderr
    assert "550 5.1.1 no such user" in refused.stderr
    assert installed.run("check").stderr == ""  # it is told once
    (one,) = json.loads(mail(installed, "queue", "--json"))["mails"]
    assert (one["id"], one["state"], one["failure"]) == (1, "dead", "recipient")
    assert "550 5.1.1" in one["error"]
    assert "given up: `gpuwatch-tray mail retry 1` sends it again" in mail(installed, "queue")


def test_retry_sends_it_after_all(installed, server, refused):
    """The address was mended: without a tray the very mail leaves by this command, once."""
    still = installed.run("mail", "retry", "1")
    assert (still.returncode, still.stdout) == (1, "1 mail is due now\n")
    assert "550 5.1.1 no such user" in still.stderr
    server.behave()
    assert mail(installed, "retry", "1") == "1 mail is due now\n"
    assert len(server.messages) == 1
    assert mail(installed, "queue") == "no queued mails\n"
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1


def test_drop_ends_it(installed, server, refused):
    """Nothing leaves, and the alert is not mailed again within its cooldown."""
    server.behave()
    assert mail(installed, "drop", "all") == "1 mail dropped\n"
    assert mail(installed, "queue") == "no queued mails\n"
    assert installed.run("check").returncode == 0
    assert server.messages == ()


def test_a_number_that_is_none_is_refused(installed):
    """One line, and the exit code of wrong use or of failed work."""
    assert "`gpuwatch-tray mail queue` lists them" in mail(installed, "retry", "first", code=2)
    assert "there is no queued mail 7" in mail(installed, "drop", "7", code=1)
