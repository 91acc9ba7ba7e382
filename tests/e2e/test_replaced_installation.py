"""An upgrade under the running program, and an installation that goes: a real environment and desktop."""

from __future__ import annotations

import copy
import json

import pytest

from gpuwatch_tray import __version__, drawing
from gpuwatch_tray.model import Level
from tests.support.installed import SCRIPT, Installed, busy, own_environment
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

OK, WARNING = drawing.COLOURS[Level.OK], drawing.COLOURS[Level.WARNING]
SLOW = 60.0  # seconds in which two imports of the whole program are done on a machine that is busy
HASTY = """
import sys
from gpuwatch_tray.app import installation
from gpuwatch_tray.cli import main

installation.LOOK_EVERY, installation.TRY_AGAIN = 0.3, 1.0
sys.exit(main())
"""


@pytest.fixture
def installed(tmp_path, server_of_mails):
    """The program in an environment of its own, which looks at its files in quick succession."""
    made = Installed(tmp_path, {"PATH": "/usr/bin:/bin"}, own_environment(tmp_path, copied=True))
    made.script.write_text(made.script.read_text().splitlines()[0] + HASTY)
    made.configure(POLL_SEC=0.3)
    made.write("notify.env", "EMAIL_WHEN=always\n")
    made.met()
    made.mail_through(server_of_mails)
    return made


@pytest.fixture
def server_of_mails():
    from tests.support.mailserver import MailServer

    with MailServer() as running:
        yield running


class Other:
    """Another installation, whose commands ask the running program."""

    def __init__(self, installed):
        self._asked = copy.copy(installed)
        self._asked.script = SCRIPT

    def run(self, *words):
        return self._asked.run(*words)

    def status(self):
        answer = self.run("status", "--json")
        return json.loads(answer.stdout) if answer.returncode == 0 else {}

    def wait(self, fact, what):
        """Wait until the status is so."""
        return wait_until(
            lambda: (status := self.status()) and fact(status) and status, what, SLOW, pause=0.3
        )


def package(installed):
    (found,) = installed.folder.glob("venv/lib/python3*/site-packages/gpuwatch_tray")
    return found


def upgrade(installed, version="9.9.9"):
    """As pip does: the file is another one."""
    file = package(installed) / "__init__.py"
    new = file.read_text().replace(__version__, version)
    file.unlink()
    file.write_text(new)


def test_an_upgraded_tray_starts_itself_anew_and_keeps_what_it_knows(
    installed, desk, start, two, server_of_mails
):
    """The same process, the new version; an alert stays acknowledged, and nothing is told twice."""
    other = Other(installed)
    installed.play(busy(*two))
    app = start()
    desk.icon_position(WARNING)
    (alert,) = other.wait(lambda status: status["alerts"], "the alert")["alerts"]
    wait_until(lambda: server_of_mails.messages, "the mail", SLOW)
    assert other.run("alerts", "ack", str(alert["id"])).returncode == 0
    shown = len(desk.notifications())
    upgrade(installed)
    status = other.wait(lambda status: status["version"] == "9.9.9" and status["alerts"], "the new version")
    assert status["pid"] == app.process.pid
    assert [(one["id"], one["acknowledged"]) for one in status["alerts"]] == [(alert["id"], True)]
    desk.icon_position(WARNING)
    assert (len(server_of_mails.messages), len(desk.notifications())) == (1, shown)
    assert other.run("quit").returncode == 0
    assert app.quit() == 0
    assert "Traceback" not in app.log.read_text()


def test_watch_starts_itself_anew_with_its_words(installed):
    """On a server: the terminal and the process stay."""
    other = Other(installed)
    with installed.watching() as running:
        upgrade(installed)
        status = other.wait(lambda status: status["version"] == "9.9.9", "the new version")
        assert (status["pid"], status["face"]) == (running.pid, "watch")


@pytest.mark.parametrize("part", ["lib", "bin"])
def test_an_installation_that_is_gone_is_told_until_it_is_back(installed, desk, start, part):
    """In the status, the menu, doctor and a popup, with what mends it; then all is as before."""
    other = Other(installed)
    app = start()
    desk.icon_position(OK)
    before = len(desk.notifications())
    folder = installed.folder / "venv" / part
    folder.rename(folder.with_name("elsewhere"))
    status = other.wait(lambda status: status["notes"], "the note")
    (note,) = status["notes"]
    assert "install it again" in note
    assert ("No module named" if part == "lib" else "No such file") in note
    assert status["state"] == "warning"
    assert any("install it again" in label for label in desk.labels())
    assert "install it again" in other.run("doctor").stdout
    popup = wait_until(lambda: desk.notifications()[before:], "the popup")[-1]
    assert popup.body == note
    folder.with_name("elsewhere").rename(folder)
    other.wait(lambda status: not status["notes"], "the end of the note")
    wait_until(lambda: popup.id in desk.closed_notifications(), "the popup to close")
    assert other.status()["pid"] == app.process.pid
    desk.icon_position(OK)


def test_a_new_version_that_cannot_be_started_is_told_and_started_once_it_can(installed):
    """What runs goes on meanwhile."""
    other = Other(installed)
    broken = package(installed) / "app" / "headless.py"
    right = broken.read_text()
    with installed.watching() as running:
        broken.write_text("import no_such_library\n")
        upgrade(installed)
        note = other.wait(lambda status: status["notes"], "the note")["notes"][0]
        assert "No module named 'no_such_library'" in note
        assert other.status()["version"] == __version__
        broken.write_text(right)
        status = other.wait(lambda status: status["version"] == "9.9.9", "the new version")
        assert (status["pid"], status["notes"]) == (running.pid, [])
