"""Why no answer came from Google: in our words, whatever the libraries say."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from gpuwatch_tray.notify.email.google_http import BoundedRequest, NoConnection, explain_no_answer
from tests.support.googleserver import GoogleServer
from tests.support.installed import closed_port
from tests.support.mailserver import MailServer
from tests.support.timing import slowness

PROSE = ("HTTP", "Max retries", "urllib3", "object at 0x", "Caused by", "_ssl.c", "Errno")


def explain(url, timeout=2.0, deadline=5.0):
    with pytest.raises(NoConnection) as caught:
        BoundedRequest(timeout, deadline)(url)
    text = explain_no_answer(caught.value)
    assert not [word for word in PROSE if word in text.replace("HTTPS_PROXY or HTTP_PROXY", "")]
    return text


def test_a_refused_connection():
    """Nobody listens there."""
    assert explain(f"https://127.0.0.1:{closed_port()}/") == "Connection refused"


@pytest.mark.usefixtures("no_network")
def test_a_name_that_cannot_be_found():
    """Offline."""
    assert explain("https://oauth2.example.invalid/").startswith("the address of the host cannot be found: ")


@pytest.mark.parametrize("proxy", ["socks5h://127.0.0.1:1", "http://127.0.0.1:1", "http://b:s3cr3t@p:99999"])
def test_a_proxy_that_cannot_be_used(monkeypatch, proxy):
    """It is named by its variable, without its password."""
    monkeypatch.delenv("https_proxy", raising=False)  # which goes before the other, also where it is empty
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    assert explain("https://oauth2.example.invalid/") == (
        "cannot connect through the proxy set in HTTPS_PROXY or HTTP_PROXY"
    )


@pytest.mark.parametrize(
    ("timeout", "deadline", "text"), [(0.2, 5.0, "no answer in time"), (5.0, 0.3, "0.3 s")]
)
def test_a_server_that_says_nothing(timeout, deadline, text):
    """Silence, or no end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert text in explain(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout, deadline)


def test_a_certificate_of_somebody_else():
    """As of a proxy that reads along."""
    with MailServer(tls="implicit") as server:
        text = explain(f"https://localhost:{server.port}/")
    assert text.startswith("the server's certificate is not accepted: ")


@pytest.mark.parametrize("head", [b"", b"Content-Length: 99999999999\r\n"])
def test_an_answer_without_end(head):
    """It is given up long before the deadline, and does not fill the memory."""

    def serve(server):
        connection, _address = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
            while True:
                connection.sendall(b"x" * 100_000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        start = time.monotonic()
        assert explain(f"http://127.0.0.1:{server.getsockname()[1]}/", 5.0, 20.0) == "the answer never ends"
        assert time.monotonic() - start < 10 * slowness()
        thread.join(60)
        assert not thread.is_alive()


def test_a_connection_that_ends():
    """The server hangs up."""
    with GoogleServer() as google:
        google.answer("token", 0, "")
        assert explain(f"{google.url}token") == "the connection was lost"
