"""The button "Sign in again": a child signs in, and a popup says what came of it."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import closing

import pytest

from gpuwatch_tray.app import actions
from gpuwatch_tray.app.actions import ActionDispatcher, SignInAction
from gpuwatch_tray.app.bootstrap import open_store
from gpuwatch_tray.app.context import SourceKind, create_context
from gpuwatch_tray.app.deliver import deliver_now
from gpuwatch_tray.common.host import this_program
from gpuwatch_tray.model import Button
from gpuwatch_tray.notify.transport import FailureKind
from tests.store.commits import mail, step
from tests.support.fakes import FakePopups
from tests.support.googleserver import GoogleServer
from tests.support.installed import closed_port
from tests.support.timing import PATIENCE

WAITING = "Waiting for your sign-in to Gmail"


class Signing:
    """A SigningIn whose child is `code`; `done` is set when it was told that the sign-in is there."""

    def __init__(self, signed_out, code=None):
        self.popups, self.done = FakePopups(), threading.Event()
        self.signing = SignInAction(signed_out, self.popups, self.done.set)
        if code is not None:
            self.signing._command = [sys.executable, "-c", code]

    def titles(self, count):
        """The titles of the popups, once there are so many."""
        end = time.monotonic() + PATIENCE
        while len(self.popups.shown) < count:
            assert time.monotonic() < end, self.popups.shown
            time.sleep(0.01)
        return [popup.title for popup in self.popups.shown]


@pytest.fixture
def signed_out(tmp_path, monkeypatch):
    """Settings for Gmail whose sign-in has ended."""
    with GoogleServer() as google:
        google.write_credentials(tmp_path / "credentials.json").chmod(0o600)
        google.write_token(tmp_path / "token.json", expiry="2020-01-01T00:00:00Z")
        google.answer("token", 400, {"error": "invalid_grant"})
        (tmp_path / "gpu-watch.env").write_text("TO_EMAIL=ada@example.org\n")
        (tmp_path / "notify.env").write_text(
            f"NOTIFY_METHOD=gmail_api\nGMAIL_API_TOKEN={tmp_path / 'token.json'}\n"
            f"GMAIL_API_CREDENTIALS={tmp_path / 'credentials.json'}\n"
        )
        environ = {
            "GPUWATCH_CONFIG": str(tmp_path / "gpu-watch.env"),
            "GPUWATCH_NOTIFY_CONFIG": str(tmp_path / "notify.env"),
            "GPUWATCH_SMTP_CONFIG": "/dev/null",
            "GPUWATCH_LAB_CONFIG": "/dev/null",
            "GPUWATCH_CACHE": str(tmp_path / "state"),
            "OAUTHLIB_INSECURE_TRANSPORT": "1",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        made = create_context(environ, SourceKind.NVML)
        assert made.problems == ()
        yield made, google


def test_a_mail_that_waits_for_a_sign_in_is_due_once_the_person_has_signed_in(
    signed_out, tmp_path, monkeypatch
):
    """Refused with invalid_grant it is kept; the button opens the browser; then it is due at once."""
    made, google = signed_out
    with closing(open_store(made)) as store:
        store.commit(step(mail(1, ["a"], created=time.time() - 60)))
        (line,) = deliver_now(made, store)
        assert "invalid_grant" in line
        assert "'Testing'" in line
        waiting = store.outbox_summary(time.time())
        assert (waiting.count, waiting.failure) == (1, FailureKind.SIGN_IN.value)
        assert waiting.next_at > time.time() + 600

        google.answer("token", 400, {}, times=0)
        fetch = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=20)"
        browser = tmp_path / "browser.py"
        browser.write_text(fetch)
        monkeypatch.setenv("BROWSER", f"{sys.executable} {browser} %s")
        monkeypatch.setenv("DISPLAY", ":99")
        monkeypatch.delenv("SSH_CONNECTION", raising=False)
        monkeypatch.delenv("SSH_TTY", raising=False)
        run = Signing(made)
        login = [*this_program(), "mail", "login", "--source", "nvml"]
        assert run.signing._command == login
        run.signing._command = [*login, "--port", str(closed_port())]
        run.signing.begin()
        assert run.titles(2) == [WAITING, "Signed in to Gmail"]
        assert run.done.wait(60)
        assert store.outbox_summary(time.time()).next_at <= time.time()
        assert store.outbox_summary(time.time()).count == 1
    assert "1//new-refresh-token" in (tmp_path / "token.json").read_text()


def test_a_sign_in_that_fails_is_told_with_its_reason(signed_out):
    """The line of the command, and nothing of what it printed before."""
    code = "print('http://secret', flush=True); raise SystemExit('gpuwatch-tray: port 8765 cannot be used')"
    run = Signing(signed_out[0], code)
    run.signing.begin()
    assert run.titles(2)[1] == "Not signed in to Gmail"
    assert run.popups.shown[1].body == "port 8765 cannot be used"
    assert not run.done.is_set()


def test_a_sign_in_that_dies_without_a_word_is_told(signed_out):
    """With its exit code."""
    run = Signing(signed_out[0], "raise SystemExit(5)")
    run.signing.begin()
    run.titles(2)
    assert run.popups.shown[1].body == "it ended with exit code 5"


def test_two_clicks_are_one_sign_in(signed_out, tmp_path):
    """While one waits for the person the second only says so again; after its end the next begins."""
    marks = tmp_path / "marks"
    code = f"open({str(marks)!r}, 'a').write('x'); import sys, time; time.sleep(0.5)"
    run = Signing(signed_out[0], code)
    run.signing.begin()
    run.signing.begin()
    assert run.titles(3) == [WAITING, WAITING, "Signed in to Gmail"]
    run.signing.begin()
    run.titles(5)
    assert marks.read_text() == "xx"


def test_a_child_that_never_ends_is_ended(signed_out, monkeypatch):
    """Nobody signs in, and the child hangs: after its time it is ended, and the button works again."""
    monkeypatch.setattr(actions, "SIGN_IN_TIMEOUT", 0.2)
    run = Signing(signed_out[0], "import time; time.sleep(60)")
    run.signing.begin()
    assert run.titles(2)[1] == "Not signed in to Gmail"
    run.signing.begin()
    assert run.titles(4)[3] == "Not signed in to Gmail"


def test_a_child_that_cannot_be_started_is_told(signed_out):
    """As when the installation was removed meanwhile; the button works again."""
    run = Signing(signed_out[0])
    run.signing._command = ["/nonexistent/python"]
    run.signing.begin()
    run.signing.begin()
    assert run.titles(2) == ["The sign-in could not be started"] * 2


def test_the_button_of_the_popup_begins_it(signed_out, monkeypatch):
    """Whatever the popup is called; the click's thread does not wait for the person."""
    begun = []
    monkeypatch.setattr(SignInAction, "begin", lambda _self: begun.append(1))

    class Monitor:
        def members(self, _key):
            return ()

        def send_mails_now(self):
            """Nothing."""

    dispatcher = ActionDispatcher(signed_out[0], None, None, lambda: None)
    dispatcher.bind(Monitor(), lambda _key: (), FakePopups(), lambda _extras: None, lambda _action: None)
    dispatcher.on_popup_button("mail-blocked", Button.SIGN_IN)
    assert len(begun) == 1
