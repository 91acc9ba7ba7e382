"""The sign-in through a browser, against a local consent page and token endpoint."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gpuwatch_tray.notify.email import oauth as login_module
from gpuwatch_tray.notify.email import oauth as redirect_module
from gpuwatch_tray.notify.email.oauth import browser_is_here, sign_in
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import Settings
from tests.support.googleserver import SCOPE
from tests.support.installed import closed_port
from tests.support.timing import slowness


@pytest.fixture
def settings(google, tmp_path, monkeypatch):
    """Return settings with a downloaded credentials.json and no token yet."""
    # the local Google's token endpoint is plain http, which oauthlib accepts on request only
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    return Settings(
        config=tmp_path / "gpu-watch.env",
        state=tmp_path,
        gmail_credentials=google.write_credentials(tmp_path / "credentials.json"),
        gmail_token=tmp_path / "token.json",
    )


class Browser(io.StringIO):
    """What the command prints to; once the address is there, opens it as a browser would, on a thread."""

    def __init__(self, before=None) -> None:
        super().__init__()
        self.page = ""
        self.address = ""
        self._before = before
        self._thread: threading.Thread | None = None

    def flush(self) -> None:
        found = re.search(r"http://\S+", self.getvalue())
        if found and self._thread is None:
            self.address = found[0]
            self._thread = threading.Thread(target=self._open)
            self._thread.start()

    def _open(self) -> None:
        if self._before is not None:
            self._before(self.address)
        with urllib.request.urlopen(self.address, timeout=10) as answer:  # noqa: S310  # the local Google
            self.page = answer.read().decode()

    def done(self) -> None:
        if self._thread is not None:
            self._thread.join()


def run_sign_in(settings, browser=None, *, port=0, timeout=10.0):
    browser = browser or Browser()
    try:
        return sign_in(settings, port=port, open_browser=False, timeout=timeout, out=browser), browser
    finally:
        browser.done()


def failure(settings, browser=None, **options) -> TransportError:
    with pytest.raises(TransportError) as caught:
        run_sign_in(settings, browser, **options)
    assert "\n" not in str(caught.value)
    assert "GOCSPX" not in str(caught.value)
    return caught.value


def test_a_sign_in_writes_the_token(google, settings):
    """token.json is what Google's libraries read, mode 0600, for sending only."""
    path, browser = run_sign_in(settings)
    token = json.loads(path.read_text())
    assert path == settings.gmail_token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token["refresh_token"] == "1//new-refresh-token"
    assert token["token_uri"] == f"{google.url}token"
    assert token["scopes"] == [SCOPE]
    assert "has arrived" in browser.page


def test_the_request_asks_for_sending_only_offline_and_with_pkce(google, settings):
    """gmail.send, a refresh token every time, and a challenge that the exchange answers."""
    run_sign_in(settings)
    asked = dict(google.requests)["auth"]
    exchange = dict(google.requests)["token"]
    assert asked["scope"] == SCOPE
    assert (asked["access_type"], asked["prompt"]) == ("offline", "consent")
    assert asked["code_challenge_method"] == "S256"
    assert len(exchange["code_verifier"]) >= 43
    assert asked["redirect_uri"].startswith("http://127.0.0.1:")


def test_a_new_sign_in_replaces_the_old_token(google, settings):
    """The file is replaced in one step, whatever mode it had."""
    settings.gmail_token.write_text("old")
    settings.gmail_token.chmod(0o644)
    run_sign_in(settings)
    assert stat.S_IMODE(settings.gmail_token.stat().st_mode) == 0o600
    assert {path.name for path in settings.gmail_token.parent.iterdir()} == {
        "credentials.json",
        "token.json",
        "token.json.lock",
    }


def test_the_token_of_a_sign_in_sends_mail(google, settings, message):
    """From the browser to the mail."""
    from gpuwatch_tray.notify.email.gmail import GmailTransport

    path, _ = run_sign_in(settings)
    GmailTransport(path, ("one@example.org",), endpoint=google.url).send(message)
    assert len(google.mails) == 1


def test_stray_requests_do_not_end_the_sign_in(google, settings):
    """A favicon, a wrong state, and a connection that says nothing: the right answer still counts."""

    def disturb(address):
        port = int(re.search(r"127\.0\.0\.1%3A(\d+)", address)[1])
        for path in ("favicon.ico", "?state=wrong&code=evil", "?code=evil"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10)
            refused.value.close()
        socket.create_connection(("127.0.0.1", port)).close()

    path, _ = run_sign_in(settings, Browser(disturb))
    assert path.exists()
    assert google.count("token") == 1


def test_a_refusal_in_the_browser_is_told(google, settings):
    """access_denied: nothing is written."""

    def refuse(address):
        google.answer("auth", 302, "", Location=redirect(address, error="access_denied"))

    error = failure(settings, Browser(refuse))
    assert error.kind is FailureKind.SIGN_IN
    assert "access_denied" in str(error)
    assert not settings.gmail_token.exists()


@pytest.mark.parametrize(
    "request_text",
    [
        "",  # a browser that connects ahead of time, and says nothing
        "HEAD / HTTP/1.0\r\n\r\n",
        "POST /?state={state}&code=x HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00",  # TLS
        "GET /?code=stolen&state=wrong HTTP/1.0\r\n\r\n",
        "GET /?state={state} HTTP/1.0\r\n\r\n",  # neither a code nor an error
        "GET " + "x" * 70_000 + " HTTP/1.0\r\n\r\n",
    ],
)
def test_what_is_no_answer_to_this_sign_in_changes_nothing(google, settings, monkeypatch, request_text):
    """Whatever comes to the port first, the sign-in is done by the browser, and the code of nobody else."""
    monkeypatch.setattr("gpuwatch_tray.notify.email.oauth.REQUEST_TIMEOUT", 0.3)
    monkeypatch.setattr("gpuwatch_tray.notify.email.oauth._RedirectHandler.timeout", 0.3)

    def disturb(address):
        (uri,), (state,) = (parse_qs(urlsplit(address).query)[name] for name in ("redirect_uri", "state"))
        with socket.create_connection(("127.0.0.1", urlsplit(uri).port)) as stray:
            stray.sendall(request_text.replace("{state}", state).encode("latin-1"))
            stray.settimeout(5)
            with contextlib.suppress(OSError):
                while stray.recv(4096):
                    pass

    path, _ = run_sign_in(settings, Browser(disturb))
    assert path.exists()
    assert dict(google.requests)["token"]["code"] == "4/code"


class Pasting(io.StringIO):
    """A person who pastes `lines` once the address is there; {back} is where the browser would have ended."""

    def __init__(self, *lines: str) -> None:
        super().__init__()
        self.lines = lines
        self.reader, self.writer = os.pipe()
        self._pasted = False

    def flush(self) -> None:
        found = re.search(r"http://\S+", self.getvalue())
        if found and not self._pasted:
            self._pasted = True
            address = found[0].replace("/auth?", "/auth_without_browser?")
            with urllib.request.urlopen(address) as answer:  # noqa: S310  # the local Google
                back = answer.read().decode()
            os.write(self.writer, "".join(f"{line.format(back=back)}\n" for line in self.lines).encode())
            os.close(self.writer)


@pytest.mark.parametrize(
    "lines", [("{back}",), ("yes", "", "  {back}  "), ("http://127.0.0.1:1/?state=x&code=y", "{back}")]
)
def test_the_address_at_which_the_browser_ended_can_be_pasted(google, settings, lines):
    """Where no port leads to this computer; a wrong line is told, and the next one counts."""
    person = Pasting(*lines)
    path = sign_in(settings, port=0, open_browser=False, timeout=10, out=person, pasted=person.reader)
    os.close(person.reader)
    assert json.loads(path.read_text())["refresh_token"] == "1//new-refresh-token"
    assert person.getvalue().count("not the address") == len([line for line in lines if line]) - 1


def test_nothing_pasted_still_waits_for_the_browser(google, settings):
    """An input that ends at once, as under nohup, is no answer."""
    reader, writer = os.pipe()
    os.close(writer)
    browser = Browser()
    sign_in(settings, port=0, open_browser=False, timeout=10, out=browser, pasted=reader)
    browser.done()
    os.close(reader)


# the environment, the platform -> whether a browser is opened
PLACES = [
    ({"DISPLAY": ":0"}, "linux", True),
    ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
    ({}, "linux", False),
    ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22"}, "linux", False),
    ({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/1"}, "linux", False),
    ({}, "darwin", True),
    ({"SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22"}, "darwin", False),
    ({}, "win32", True),
]


@pytest.mark.parametrize(("environ", "platform", "opens"), PLACES)
def test_a_browser_is_opened_in_front_of_the_person_only(environ, platform, opens):
    """Not over SSH, where it would open elsewhere or in the terminal; not without a screen."""
    assert browser_is_here(environ, platform) is opens


def redirect(address: str, **query: str) -> str:
    asked = parse_qs(urlsplit(address).query)
    return f"{asked['redirect_uri'][0]}?{urlencode({'state': asked['state'][0], **query})}"


def test_the_box_for_sending_left_unticked_is_told(google, settings):
    """Google grants less than was asked: no token is kept."""
    google.granted = "openid"
    assert "sending mail was not allowed" in str(failure(settings))
    assert not settings.gmail_token.exists()


def test_a_sign_in_without_refresh_token_is_told(google, settings):
    """It would work for an hour only."""
    google.refresh_token = None
    assert "no refresh token" in str(failure(settings))


def test_a_refused_exchange_is_told(google, settings):
    """The code was used or has ended."""
    google.answer("token", 400, {"error": "invalid_grant", "error_description": "Malformed auth code."})
    error = failure(settings)
    assert error.kind is FailureKind.SIGN_IN
    assert "invalid_grant" in str(error)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "says"),
    [
        (401, {"error": "invalid_client"}, FailureKind.CONFIGURATION, "download credentials.json again"),
        (401, {"error": "deleted_client"}, FailureKind.CONFIGURATION, "download credentials.json again"),
        (200, "<html>Please pay</html>", FailureKind.TRANSIENT, "does this network require a sign-in?"),
        (302, "<html>Please pay</html>", FailureKind.TRANSIENT, "does this network require a sign-in?"),
        (511, "<html>Please pay</html>", FailureKind.TRANSIENT, "does this network require a sign-in?"),
    ],
)
def test_an_exchange_fails_for_the_reasons_for_which_sending_does(
    google, settings, status, answer, kind, says
):
    """A deleted OAuth client and a captive portal's page are told in the words of sending."""
    google.answer("token", status, answer)
    error = failure(settings)
    assert (error.kind, says in str(error)) == (kind, True)


@pytest.mark.parametrize("status", [0, 200, 500])
def test_an_exchange_without_a_token_is_told(google, settings, status):
    """Dropped, a captive portal's page, or a fault of the server."""
    google.answer("token", status, "<html>?</html>")
    words = "does this network require a sign-in?" if status else "connection was lost"
    assert words in str(failure(settings))
    assert not settings.gmail_token.exists()


@pytest.mark.parametrize("answer", [[1], [], None, 5, {"access_token": 5}, {"access_token": "x", "scope": 7}])
def test_an_answer_that_is_no_token_is_told(google, settings, answer):
    """JSON of another kind makes the libraries stumble; the person gets one clear line all the same."""
    google.answer("token", 200, answer)
    assert "unexpected answer" in failure(settings).text
    assert not settings.gmail_token.exists()


@pytest.mark.parametrize("held", [1, 6, 3 * redirect_module.MOST_CONNECTIONS])
def test_the_browser_is_answered_while_connections_are_held_open(google, settings, monkeypatch, held):
    """Browsers connect ahead of time and send nothing; the page comes while all of those are still open."""
    monkeypatch.setattr(redirect_module, "REQUEST_TIMEOUT", 60.0)
    monkeypatch.setattr(redirect_module._RedirectHandler, "timeout", 60.0)
    silent = []

    def connect(address):
        port = urlsplit(parse_qs(urlsplit(address).query)["redirect_uri"][0]).port
        silent.extend(socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(held))

    browser = Browser(connect)
    path, _ = run_sign_in(settings, browser)
    assert path.exists()
    assert "Google's answer has arrived" in browser.page
    for connection in silent:  # each is cut at the end, the latest no sooner
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        connection.close()


def test_a_connection_that_drips_does_not_outlast_the_sign_in(settings, monkeypatch):
    """A byte now and then to the port is cut off: the time that the person has still ends."""
    monkeypatch.setattr(redirect_module, "REQUEST_TIMEOUT", 0.3)
    over = threading.Event()
    cut = []

    def drip(address):
        port = urlsplit(parse_qs(urlsplit(address).query)["redirect_uri"][0]).port
        with socket.create_connection(("127.0.0.1", port)) as connection:
            try:
                while not over.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                cut.append(True)

    class Dripping(Browser):
        def _open(self):
            drip(self.address)

    browser = Dripping()
    with pytest.raises(TransportError) as caught:
        sign_in(settings, port=0, open_browser=False, timeout=0.5, out=browser)
    over.set()
    browser.done()
    assert "no one signed in" in caught.value.text
    assert cut


def test_a_token_address_that_drips_is_given_up(settings, google, monkeypatch):
    """The exchange as a whole ends in time."""
    monkeypatch.setattr(login_module, "EXCHANGE_DEADLINE", 0.3)
    over = threading.Event()
    answer = google._programmed

    def late(endpoint):
        if endpoint == "token":
            over.wait(10)
        return answer(endpoint)

    monkeypatch.setattr(google, "_programmed", late)
    try:
        error = failure(settings)
    finally:
        over.set()
    assert "0.3 s" in error.text


def test_nobody_in_front_of_the_browser_ends_in_time(settings):
    """The flow does not wait for ever."""
    start = time.monotonic()
    with pytest.raises(TransportError, match=r"no one signed in within 0.2 s"):
        sign_in(settings, port=0, open_browser=False, timeout=0.2, out=io.StringIO())
    assert time.monotonic() - start < 3 * slowness()


def test_the_address_and_the_port_for_ssh_are_printed(settings):
    """Over SSH a person needs both."""
    out = io.StringIO()
    with pytest.raises(TransportError):
        sign_in(settings, port=0, open_browser=False, timeout=0.05, out=out)
    assert re.search(r"ssh -L (\d+):127\.0\.0\.1:\1 ", out.getvalue())


def test_the_browser_is_opened_when_asked(settings, monkeypatch):
    """With the address that is printed."""
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address, **_: opened.append(address))
    out = io.StringIO()
    with pytest.raises(TransportError):
        sign_in(settings, port=0, open_browser=True, timeout=0.5, out=out)
    assert opened[0] in out.getvalue()


def test_a_busy_port_is_told(settings):
    """Another sign-in is waiting: the port is named."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        error = failure(settings, port=port)
    assert error.kind is FailureKind.SIGN_IN
    assert f"port {port}" in str(error)


def test_a_second_sign_in_can_follow_at_once(google, settings):
    """What the system remembers of the last connection to the port does not stand in the way."""
    port = closed_port()
    for _ in range(3):
        assert run_sign_in(settings, port=port)[0].exists()


# what is in credentials.json -> words of the error
BAD_CREDENTIALS = [
    (None, "is missing"),
    ("{", "not a JSON file"),
    ("[]", "not a JSON object"),
    ('{"web": {"client_id": "a"}}', "of type 'web'"),
    ('{"type": "service_account"}', "no OAuth client"),
    ('{"installed": {"client_id": "a"}}', "no OAuth client"),
    (
        '{"installed": {"client_id": "a", "client_secret": "b", "auth_uri": "http://x/", "token_uri": "https://y/"}}',
        "auth_uri is not an https address",
    ),
]


@pytest.mark.parametrize(("content", "words"), BAD_CREDENTIALS)
def test_a_bad_credentials_file_is_named_with_its_fault(settings, content, words):
    """Each fault has its own line, with the path and where to get the right file."""
    settings.gmail_credentials.unlink()
    if content is not None:
        settings.gmail_credentials.write_text(content)
    error = failure(settings)
    assert error.kind is FailureKind.CONFIGURATION
    assert str(settings.gmail_credentials) in str(error)
    assert words in str(error)
    assert "Google Cloud console" in str(error)


def test_the_settings_must_name_the_files(settings, tmp_path):
    """Without GMAIL_API_TOKEN or GMAIL_API_CREDENTIALS, the key is named."""
    nothing = Settings(config=tmp_path / "c", state=tmp_path)
    assert "GMAIL_API_TOKEN" in str(failure(nothing))
    token_only = Settings(config=tmp_path / "c", state=tmp_path, gmail_token=tmp_path / "token.json")
    assert "GMAIL_API_CREDENTIALS" in str(failure(token_only))


def test_a_folder_that_cannot_be_written_is_told(google, settings, tmp_path):
    """The sign-in worked and cannot be kept."""
    from msgspec.structs import replace

    error = failure(replace(settings, gmail_token=tmp_path / "missing" / "token.json"))
    assert "cannot be written" in str(error)
