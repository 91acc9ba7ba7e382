"""A Gmail sign-in that has ended, end to end: the installed tray, dunst, a browser, a local Google."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing

import pytest

from gpuwatch_tray.common import host
from gpuwatch_tray.store import Store
from tests.e2e.app import App
from tests.store.commits import mail, step
from tests.support.installed import closed_port
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver, pytest.mark.configured(POLL_SEC=0.3)]

BLOCKED = "Mail cannot be sent until you act"
FETCH = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=20)"


@pytest.fixture
def signed_out(installed, google, tmp_path):
    """Mail by Gmail, whose sign-in Google no longer takes; a browser that does what a person would."""
    token = google.write_token(tmp_path / "token.json", expiry="2020-01-01T00:00:00Z")
    credentials = google.write_credentials(tmp_path / "credentials.json")
    credentials.chmod(0o600)
    installed.write(
        "notify.env",
        f"EMAIL_WHEN=always\nNOTIFY_METHOD=gmail_api\nGMAIL_API_TOKEN={token}\n"
        f"GMAIL_API_CREDENTIALS={credentials}\n",
    )
    browser = tmp_path / "browser.py"
    browser.write_text(FETCH)
    installed.environment |= {
        "BROWSER": f"{sys.executable} {browser} %s",
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
        "HTTPS_PROXY": f"http://127.0.0.1:{closed_port()}",  # Gmail itself is not to be reached from here
    }
    return installed


def test_one_popup_explains_and_a_click_on_it_signs_in_again(signed_out, desk, google, tmp_path):
    """invalid_grant: the likely cause in one popup; the click opens the browser; the mail waits meanwhile."""
    google.answer("token", 400, {"error": "invalid_grant", "error_description": "Bad Request"})
    signed_out.state.mkdir()
    with closing(Store(signed_out.state, host.host())) as store:
        store.commit(step(mail(1, ["a"], created=time.time())))
    desk.clear_popups()
    before = len(desk.notifications())

    def popups(title):
        return [one for one in desk.notifications()[before:] if one.title == title]

    def clicked():  # dunst answers before the popup is on the screen
        subprocess.run(["dunstctl", "action", "0"], env=desk.environment, check=True, timeout=60)
        return popups("Waiting for your sign-in to Gmail")

    def tried_again():  # the note stands on several rows
        told = " ".join(label.strip() for label in desk.labels())
        return "Email: " in told and "cannot be reached" in told

    app = App(signed_out, desk)
    try:
        (ended,) = wait_until(lambda: popups(BLOCKED), "the popup")
        for words in ("invalid_grant", "'Testing'", "7 days"):
            assert words in ended.body
        google.answer("token", 400, {}, times=0)
        wait_until(clicked, "the sign-in to begin", pause=0.3, timeout=60)
        wait_until(lambda: popups("Signed in to Gmail"), "the sign-in")
        assert "1//new-refresh-token" in (tmp_path / "token.json").read_text()
        wait_until(tried_again, "the mail to be tried again at once")
        assert len(popups(BLOCKED)) == 1
        assert google.mails == []
    finally:
        app.close()
