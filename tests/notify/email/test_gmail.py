"""Gmail through Google's real libraries, against a local server that speaks token and send."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import stat
import threading

import pytest
import requests
from msgspec.structs import replace

from gpuwatch_tray.common.private import replace_private
from gpuwatch_tray.notify.email import google_credentials
from gpuwatch_tray.notify.email.gmail import GMAIL_URL, GmailTransport
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from tests.notify.email.failures import send_failure
from tests.support.googleserver import SCOPE

LONG_AGO = "2020-01-01T00:00:00Z"
SECRETS = ("ya29.good-access-token", "1//old-refresh-token", "GOCSPX-client-secret")


def transport(google, token, to=("one@example.org",), **options) -> GmailTransport:
    return GmailTransport(token, to, endpoint=google.url, timeout=5.0, **options)


def failure(mailer: GmailTransport, message) -> TransportError:
    error = send_failure(mailer, message)
    assert not any(secret in str(error) for secret in SECRETS)
    return error


def test_a_mail_is_sent_with_an_existing_sign_in(google, token, message):
    """One request, the mail unchanged, the receipt with the way and Gmail's id."""
    receipt = transport(google, token, ("a@example.org", "b@example.org")).send(message)
    (mail,) = google.mails
    assert [name for name, _ in google.requests] == ["send"]
    assert (receipt.transport, receipt.answer) == ("Gmail API", "accepted as 18c2, thread 18c0")
    assert mail["Subject"] == message.subject
    assert mail["To"] == "a@example.org, b@example.org"
    assert mail["From"] is None
    assert mail["Message-ID"] == message.message_id
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().replace("\r\n", "\n") == message.text


def test_from_email_of_notify_env_is_the_sender(google, token, message):
    """An alias may send, if the account has it."""
    transport(google, token, from_email="gpu@example.org").send(message)
    assert google.mails[0]["From"] == "gpu@example.org"


def test_the_token_goes_to_google_by_default():
    """No setting and no variable names the address that gets the token."""
    assert GMAIL_URL == "https://gmail.googleapis.com/"


def test_variables_of_the_environment_do_not_redirect_the_token(google, token, message, monkeypatch):
    """Those of googleapiclient for other universes are not followed."""
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "evil.example")
    monkeypatch.setenv("GOOGLE_API_USE_MTLS_ENDPOINT", "always")
    transport(google, token).send(message)
    assert len(google.mails) == 1


def test_an_ended_sign_in_is_renewed_and_kept(google, token, message):
    """The new access token is in the file, mode 0600; beside it lies the lock, which holds nothing."""
    google.write_token(token, token="ya29.old", expiry=LONG_AGO)
    transport(google, token).send(message)
    kept = json.loads(token.read_text())
    assert [name for name, _ in google.requests] == ["token", "send"]
    assert kept["token"] == google.good_token
    assert kept["refresh_token"] == "1//old-refresh-token"
    assert kept["token_uri"] == f"{google.url}token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    lock = token.with_name("token.json.lock")
    assert sorted(token.parent.iterdir()) == [token, lock]
    assert (lock.read_bytes(), stat.S_IMODE(lock.stat().st_mode)) == (b"", 0o600)


def test_a_token_without_expiry_is_renewed_first(google, token, message):
    """As Google's libraries have it: unknown means ended."""
    google.write_token(token, expiry=None, token=None)
    transport(google, token).send(message)
    assert google.count("token") == 1


def test_a_token_that_ended_early_is_renewed_and_the_mail_sent_once(google, token, message):
    """401 on a token that should be good: renewed, then sent; one mail."""
    google.write_token(token, token="ya29.revoked")
    transport(google, token).send(message)
    assert [name for name, _ in google.requests] == ["send", "token", "send"]
    assert len(google.mails) == 1


def test_a_401_after_the_renewal_wants_a_new_sign_in(google, token, message):
    """Two refusals are enough: sign in again."""
    google.answer("send", 401, {"error": {"code": 401, "message": "no"}})
    error = failure(transport(google, token), message)
    assert error.kind is FailureKind.SIGN_IN
    assert "mail login" in str(error)
    assert google.count("send") == 2


def test_invalid_grant_is_explained(google, token, message):
    """The likely cause first: an app in Testing loses its sign-ins after 7 days."""
    google.write_token(token, expiry=LONG_AGO)
    google.answer("token", 400, {"error": "invalid_grant", "error_description": "Token has been revoked."})
    error = failure(transport(google, token), message)
    assert error.kind is FailureKind.SIGN_IN
    for words in ("invalid_grant", "'Testing'", "7 days", "gpuwatch-tray mail login"):
        assert words in str(error)


def test_a_deleted_client_needs_another_credentials_file(google, token, message):
    """invalid_client is not mended by signing in alone."""
    google.write_token(token, expiry=LONG_AGO)
    google.answer("token", 401, {"error": "invalid_client"})
    error = failure(transport(google, token), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "credentials.json" in str(error)


def refusal(status: int, reason: str, text: str = "words of Google") -> dict:
    return {"error": {"code": status, "message": text, "errors": [{"reason": reason, "message": text}]}}


# status, reason -> kind, whether other mails are affected, words of the error
REFUSALS = [
    (403, "rateLimitExceeded", FailureKind.QUOTA, True, "limit"),
    (403, "dailyLimitExceeded", FailureKind.QUOTA, True, "limit"),
    (429, "userRateLimitExceeded", FailureKind.QUOTA, True, "limit"),
    (403, "insufficientPermissions", FailureKind.SIGN_IN, True, "mail login"),
    (403, "accessNotConfigured", FailureKind.CONFIGURATION, True, "enable the Gmail API"),
    (400, "failedPrecondition", FailureKind.CONFIGURATION, True, "mailbox"),
    (400, "invalidArgument", FailureKind.RECIPIENT, False, "TO_EMAIL"),
    (413, "uploadTooLarge", FailureKind.MESSAGE, False, "too big"),
    (500, "backendError", FailureKind.TRANSIENT, True, "500"),
    (503, "backendError", FailureKind.TRANSIENT, True, "503"),
]


@pytest.mark.parametrize(("status", "reason", "kind", "for_all", "words"), REFUSALS)
def test_each_refusal_is_classed_and_told(google, token, message, status, reason, kind, for_all, words):
    """The kind decides what the outbox does; the line holds Google's words and the mend; sent once."""
    google.answer("send", status, refusal(status, reason))
    error = failure(transport(google, token), message)
    assert (error.kind, error.for_all) == (kind, for_all)
    assert words in str(error)
    assert "words of Google" in str(error)
    assert google.count("send") == 1


def test_how_long_google_wants_us_to_wait_is_kept(google, token, message):
    """Retry-After reaches the outbox."""
    google.answer("send", 429, refusal(429, "rateLimitExceeded"), Retry_After="7200")
    assert failure(transport(google, token), message).wait == 7200.0


@pytest.mark.parametrize("endpoint", ["send", "token"])
@pytest.mark.parametrize("page", ["<html>Please sign in to the hotel</html>", [], {}])
def test_a_captive_portal_is_no_success(google, token, message, endpoint, page):
    """200 with a page, or with JSON that is none of Google's: nothing was sent."""
    google.write_token(token, expiry=LONG_AGO)
    google.answer(endpoint, 200, page)
    error = failure(transport(google, token), message)
    assert error.kind is FailureKind.TRANSIENT
    assert google.mails == []


def test_a_page_with_an_error_status_is_transient_at_the_token_endpoint(google, token, message):
    """A proxy's 404 page is not Google's refusal."""
    google.write_token(token, expiry=LONG_AGO)
    google.answer("token", 404, "<html>who?</html>")
    assert failure(transport(google, token), message).kind is FailureKind.TRANSIENT


def test_a_connection_dropped_after_the_request_is_ambiguous_and_sent_once(google, token, message):
    """httplib2 would send it a second time by itself."""
    google.answer("send", 0, "")
    error = failure(transport(google, token), message)
    assert (error.kind, error.for_all) == (FailureKind.AMBIGUOUS, False)
    assert google.count("send") == 1


def test_a_refused_connection_is_transient(google, token, message):
    """Nobody there: later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    mailer = GmailTransport(token, ("a@example.org",), endpoint=f"http://127.0.0.1:{port}/")
    error = failure(mailer, message)
    assert (error.kind, error.for_all) == (FailureKind.TRANSIENT, True)


def test_without_a_network_it_is_transient(token, message, no_network):
    """Offline: later."""
    mailer = GmailTransport(token, ("a@example.org",), endpoint="http://gmail.example.org/")
    assert failure(mailer, message).kind is FailureKind.TRANSIENT


def test_a_server_without_an_answer_is_given_up(token, message):
    """The time-out of a request holds; the mail may have been taken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        mailer = GmailTransport(token, ("a@example.org",), endpoint=f"http://127.0.0.1:{port}/", timeout=0.3)
        assert failure(mailer, message).kind is FailureKind.AMBIGUOUS


def test_an_unwritable_folder_does_not_stop_the_mail(google, token, message, monkeypatch, caplog):
    """The renewed token cannot be kept: said in the log, and the mail goes out."""
    google.write_token(token, expiry=LONG_AGO)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    transport(google, token).send(message)
    assert len(google.mails) == 1
    assert "No space left on device" in caplog.text


# what is in token.json -> words of the error
BAD_TOKENS = [
    ("{", "not a JSON file"),
    ("[1]", "not a JSON object"),
    (b"\xff\xfe", "not a JSON file"),
    ('{"token": "x"}', "client_id is missing"),
    ('{"client_id": "a", "client_secret": "b", "refresh_token": null}', "refresh_token is missing"),
    ('{"client_id": "a", "client_secret": "b", "refresh_token": "c", "expiry": 5}', "expiry"),
    (
        '{"client_id": "a", "client_secret": "b", "refresh_token": "c", "expiry": "soon"}',
        "not a Google sign-in",
    ),
    (
        '{"client_id": "a", "client_secret": "b", "refresh_token": "c", "scopes": ["gmail.readonly"]}',
        "does not allow sending",
    ),
    (
        '{"client_id": "a", "client_secret": "b", "refresh_token": "c", "token_uri": "http://evil.example/"}',
        "not an https address",
    ),
]


@pytest.mark.parametrize(("content", "words"), BAD_TOKENS)
def test_a_bad_token_file_is_named_with_its_fault(google, token, message, content, words):
    """Each fault has its own line, with the path and the mend, and nobody is asked."""
    token.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = failure(transport(google, token), message)
    assert error.kind is FailureKind.SIGN_IN
    assert str(token) in str(error)
    assert words in str(error)
    assert google.requests == []


def test_a_missing_token_says_to_sign_in(google, token, message, tmp_path):
    """With credentials.json there, the sign-in is what is missing."""
    token.unlink()
    credentials = google.write_credentials(tmp_path / "credentials.json")
    error = failure(transport(google, token, credentials=credentials), message)
    assert "token.json is missing" in str(error)
    assert "mail login" in str(error)


def test_missing_credentials_are_named_before_the_token(google, token, message, tmp_path):
    """Without credentials.json nobody can sign in: that comes first."""
    token.unlink()
    error = failure(transport(google, token, credentials=tmp_path / "credentials.json"), message)
    assert "credentials.json is missing" in str(error)
    assert "Desktop app" in str(error)


def test_a_token_that_others_can_read_is_refused(google, token, message):
    """It is as good as a password: the mend is a chmod."""
    token.chmod(0o644)
    error = failure(transport(google, token), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert f"chmod 600 {token}" in str(error)


def test_a_token_that_is_a_link_is_refused(google, token, message, tmp_path):
    """A link would be replaced by the first renewal."""
    link = tmp_path / "link.json"
    link.symlink_to(token)
    assert "is a link" in str(failure(transport(google, link), message))


def test_strangers_cannot_add_headers(google, token, message):
    """CR and LF in a process name stay in the subject."""
    transport(google, token).send(replace(message, subject="evil\r\nBcc: victim@example.org"))
    assert google.mails[0]["Bcc"] is None
    assert google.mails[0]["To"] == "one@example.org"


def test_the_secrets_of_the_sign_in_are_never_told(google, token, message, caplog):
    """Google repeating a token in an answer: neither error nor log holds it."""
    google.write_token(token, expiry=LONG_AGO, scopes=[SCOPE])
    google.answer("token", 400, {"error": "invalid_grant", "error_description": " ".join(SECRETS)}, times=1)
    with caplog.at_level(logging.DEBUG):
        failure(transport(google, token), message)
        google.answer("send", 403, refusal(403, "forbidden", " ".join(SECRETS)))
        google.write_token(token)
        error = failure(transport(google, token), message)
    assert "***" in str(error)
    assert not any(secret in caplog.text for secret in SECRETS)


def test_a_renewal_does_not_undo_a_new_sign_in(google, token, message, monkeypatch):
    """While a mail waits for the lock a person signs in again: the new sign-in sends, and stays on file."""
    google.write_token(token, expiry=LONG_AGO)
    read, looked, sent = google_credentials.read_token, threading.Event(), []

    def look(path):
        found = read(path)
        looked.set()
        return found

    monkeypatch.setattr(google_credentials, "read_token", look)
    with google_credentials.token_lock(token):
        mail = threading.Thread(target=lambda: sent.append(transport(google, token).send(message)))
        mail.start()
        assert looked.wait(60)
        new = google.write_token(token.with_name("new.json"), refresh_token="1//second-sign-in").read_text()
        replace_private(token, new)
    mail.join(60)
    assert len(sent) == 1
    assert google.count("token") == 0
    assert json.loads(token.read_text())["refresh_token"] == "1//second-sign-in"


def test_a_lock_that_cannot_be_had_does_not_stop_the_mail(google, token, message, monkeypatch, caplog):
    """Somebody holds it for ever: said in the log, and the mail goes out."""
    monkeypatch.setattr(google_credentials, "LOCK_TIMEOUT", 0.05)
    with google_credentials.token_lock(token):
        transport(google, token).send(message)
    assert len(google.mails) == 1
    assert "is not locked: Timeout" in caplog.text


def test_trying_the_way_renews_the_sign_in_and_sends_nothing(google, token):
    """Only Google can say whether the sign-in is good, so it is asked for a new token, which is kept."""
    google.write_token(token, token="ya29.not-yet-ended")
    steps = []
    transport(google, token).probe(steps.append)
    assert steps == [f"{token} exists and allows sending", "Google has renewed the sign-in"]
    assert ([name for name, _ in google.requests], google.mails) == (["token"], [])
    assert json.loads(token.read_text())["token"] == google.good_token


def test_trying_the_way_tells_of_a_sign_in_that_has_ended(google, token):
    """The step before is done, this one fails with the mend."""
    google.answer("token", 400, {"error": "invalid_grant"})
    steps = []
    with pytest.raises(TransportError, match="invalid_grant") as caught:
        transport(google, token).probe(steps.append)
    assert caught.value.kind is FailureKind.SIGN_IN
    assert len(steps) == 1


def test_the_login_of_a_netrc_does_not_take_the_place_of_the_sign_in(
    google, token, message, tmp_path, monkeypatch
):
    """A `default` entry of ~/.netrc is for FTP; sent to Google, it would be a refused sign-in and a leak."""
    file = tmp_path / "netrc"
    file.write_text("default login anonymous password other-secret\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    transport(google, token).send(message)
    assert [name for name, _ in google.requests] == ["send"]


@pytest.mark.parametrize("status", [302, 400, 403, 404, 407, 408])
def test_a_page_with_an_error_status_gives_up_no_mail(google, token, message, status):
    """What a proxy on the way there says is neither Google's refusal of the address nor of the sign-in."""
    google.answer("send", status, "<html>Blocked by the firewall</html>")
    error = failure(transport(google, token), message)
    assert (error.kind, error.for_all) == (FailureKind.TRANSIENT, True)
    assert google.count("send") == 1


@pytest.mark.parametrize("status", [404, 408, 409, 425])
def test_what_google_says_of_the_request_gives_up_no_mail(google, token, message, status):
    """Only 400 is about the mail and its recipients."""
    google.answer("send", status, {"error": {"code": status, "message": "try later"}})
    assert failure(transport(google, token), message).kind is FailureKind.TRANSIENT


def test_a_redirect_does_not_get_the_secrets(google, token, message):
    """A 307 would have the refresh token and the mail sent on to whatever it names."""
    google.write_token(token, expiry=LONG_AGO)
    google.answer("token", 307, "", Location=f"{google.url}elsewhere")
    assert failure(transport(google, token), message).kind is FailureKind.TRANSIENT
    assert google.count("elsewhere") == 0


def test_a_proxy_that_cannot_be_used_is_told_as_such(google, token, message, monkeypatch):
    """Nothing was sent: the mail cannot have been accepted."""
    monkeypatch.delenv("http_proxy", raising=False)  # which goes before the other, also where it is empty
    monkeypatch.setenv("HTTP_PROXY", "socks5h://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    mailer = GmailTransport(token, ("one@example.org",), endpoint="http://gmail.example.invalid/")
    error = failure(mailer, message)
    assert error.kind is FailureKind.TRANSIENT
    assert "HTTPS_PROXY" in error.text


@pytest.mark.parametrize(
    "address",
    ["http://bob:s3cr3t-word@proxy:99999", "http://bob:s3cr3t/word@proxy:1", "http://b:s3cr3t#w@proxy:1"],
)
@pytest.mark.parametrize("expiry", ["2999-01-01T00:00:00Z", LONG_AGO])
def test_the_password_of_a_proxy_is_never_told(google, token, message, monkeypatch, address, expiry):
    """The libraries quote an address of wrong form; nothing was sent, and the error holds no password."""
    monkeypatch.setenv("HTTP_PROXY", address)
    monkeypatch.setenv("NO_PROXY", "")
    google.write_token(token, expiry=expiry, token_uri="http://127.0.0.1:1/token")
    error = failure(
        GmailTransport(token, ("one@example.org",), endpoint="http://gmail.example.invalid/"), message
    )
    assert error.kind is FailureKind.TRANSIENT
    assert "s3cr3t" not in str(error)


@pytest.mark.parametrize("endpoint", ["token", "send"])
def test_a_server_that_drips_is_ended_by_the_deadline(google, token, message, endpoint):
    """A byte now and then outlasts every time-out by read; the mail as a whole ends in time."""
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        server.settimeout(60.0)  # a thread that nobody comes to is not waited for without end
        connection, _address = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            with contextlib.suppress(OSError):
                while not over.wait(0.05):
                    connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        if endpoint == "token":
            google.write_token(token, expiry=LONG_AGO, token_uri=f"{url}token")
        mailer = GmailTransport(
            token, ("one@example.org",), endpoint=url, timeout=5.0, deadline=3.0
        )  # s: within it the libraries are loaded
        error = failure(mailer, message)
        over.set()
        thread.join()
    assert error.kind is (FailureKind.TRANSIENT if endpoint == "token" else FailureKind.AMBIGUOUS)
    assert "3 s" in error.text


def test_each_address_gets_a_short_try_only(google, token, message, monkeypatch):
    """A dead IPv6 route has several addresses, which must not eat up the time of the IPv4 ones."""
    asked = []

    class Session(requests.Session):
        def request(self, *args, **options):
            asked.append(options["timeout"])
            return super().request(*args, **options)

    monkeypatch.setattr(requests, "Session", Session)
    GmailTransport(token, ("one@example.org",), endpoint=google.url).send(message)
    assert asked == [(5.0, 15.0)]
