"""The end of a sign-in: withdrawn at Google, the file deleted; never deleted without Google's word."""

from __future__ import annotations

import logging
import socket

import pytest

from gpuwatch_tray.notify.email.oauth import REVOKE_URL, revoke_sign_in
from gpuwatch_tray.notify.transport import FailureKind, TransportError

REFRESH_TOKEN = "1//old-refresh-token"


def withdraw(google, token):
    return revoke_sign_in(token, endpoint=f"{google.url}revoke", timeout=5.0)


def failure(google, token) -> str:
    with pytest.raises(TransportError) as caught:
        withdraw(google, token)
    assert REFRESH_TOKEN not in str(caught.value)
    return str(caught.value)


def test_a_sign_in_is_withdrawn_at_google_and_deleted(google, token):
    """The refresh token ends, and with it every access token; the address is Google's own by default."""
    assert withdraw(google, token)
    assert google.requests == [("revoke", {"token": REFRESH_TOKEN})]
    assert not token.exists()
    assert REVOKE_URL == "https://oauth2.googleapis.com/revoke"


def test_a_sign_in_that_has_ended_already_is_deleted(google, token):
    """Google does not know it any more: the file is worth nothing."""
    google.answer("revoke", 400, {"error": "invalid_token", "error_description": REFRESH_TOKEN})
    assert not withdraw(google, token)
    assert not token.exists()


def test_a_sign_in_for_something_else_is_withdrawn_too(google, token):
    """A file that cannot send can be got rid of all the same."""
    google.write_token(token, scopes=["https://www.googleapis.com/auth/gmail.readonly"])
    assert withdraw(google, token)
    assert not token.exists()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {}), (400, {"error": "other"}), (400, []), (200, "<html>hotel</html>"), (404, "<html/>"), (0, "")],
)
def test_without_googles_word_the_file_stays(google, token, status, body):
    """A fault, a captive portal, a lost answer: it may still be good, and the line says what to do."""
    google.answer("revoke", status, body)
    text = failure(google, token)
    assert "not revoked" in text
    assert "myaccount.google.com/permissions" in text
    assert token.exists()


def test_offline_the_file_stays(google, token):
    """Nobody there: tried again later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match="cannot be reached") as caught:
        revoke_sign_in(token, endpoint=f"http://127.0.0.1:{port}/revoke")
    assert caught.value.kind is FailureKind.TRANSIENT
    assert token.exists()


def test_without_a_file_it_is_told(google, tmp_path):
    """There is nothing to withdraw."""
    assert "is missing" in failure(google, tmp_path / "token.json")
    assert google.requests == []


def test_the_token_is_in_no_log(google, token, caplog):
    """It goes in the body, not in the address."""
    with caplog.at_level(logging.DEBUG):
        withdraw(google, token)
    assert REFRESH_TOKEN not in caplog.text
    assert "1%2F%2Fold-refresh-token" not in caplog.text
