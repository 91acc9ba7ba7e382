"""Connections that are made, and end, in bounded time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from gpuwatch_tray.notify.email import smtp_client
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.email.smtp_client import Deadline, open_connection, resolve, resolve_with_timeout
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import Secret, SmtpSecurity, SmtpSettings
from tests.support.mailserver import MailServer
from tests.support.timing import slowness


@pytest.fixture
def listener():
    """Open a port that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def dead_port():
    """Open a port that neither accepts nor refuses a connection, as a dead route: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def address(port: int) -> smtp_client.SocketAddress:
    return (socket.AF_INET, "127.0.0.1", port)


def test_addresses_alternate_between_ipv6_and_ipv4(monkeypatch):
    """IPv6 first, and a dead IPv6 is followed by IPv4, not by the next IPv6."""
    six, four = socket.AF_INET6, socket.AF_INET
    names = {four: ["192.0.2.1", "192.0.2.2"], six: ["2001:db8::1", "2001:db8::2", "::3"]}
    found = [(family, 1, 6, "", (name, 25)) for family, group in names.items() for name in group]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    assert [name for _, name, _ in resolve("host", 25)] == [
        "2001:db8::1",
        "192.0.2.1",
        "2001:db8::2",
        "192.0.2.2",
        "::3",
    ]


def test_a_dead_address_costs_a_short_time_only(monkeypatch, dead_port, listener):
    """The second address is tried after the short connect time-out, not after the step's."""
    monkeypatch.setattr(smtp_client, "CONNECT_TIMEOUT", 0.2)
    port = listener.getsockname()[1]
    start = time.monotonic()
    with Deadline(10) as deadline:
        sock = open_connection("host", port, deadline, 10, lambda *_: [address(dead_port), address(port)])
    assert 0.1 < time.monotonic() - start < 5 * slowness()
    assert sock.getpeername()[1] == port
    sock.close()


def test_dead_addresses_do_not_outlast_the_deadline(dead_port):
    """Ten dead addresses are not ten time-outs."""
    start = time.monotonic()
    with Deadline(0.3) as deadline, pytest.raises(TimeoutError):
        open_connection("host", dead_port, deadline, 10, lambda *_: [address(dead_port)] * 10)
    assert time.monotonic() - start < 5 * slowness()


def test_a_refused_address_is_followed_by_the_next(listener):
    """Nobody on the first address: the second is asked at once."""
    port = listener.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as gone:
        closed = gone.getsockname()[1]
    with Deadline(10) as deadline:
        open_connection("host", port, deadline, 5, lambda *_: [address(closed), address(port)]).close()


def test_a_name_without_addresses_is_an_error():
    """An empty answer of the resolver is no connection."""
    with Deadline(10) as deadline, pytest.raises(OSError, match="no address"):
        open_connection("host", 25, deadline, 5, lambda *_: [])


def test_a_hanging_look_up_is_left_behind():
    """The resolver has no time-out of its own."""
    release = threading.Event()

    def hang(*_):
        release.wait(10)
        return []

    with pytest.raises(TimeoutError, match=r"name lookup took longer than 0\.1 s"):
        resolve_with_timeout("host", 25, 0.1, hang)
    release.set()


def test_the_errors_of_the_look_up_are_passed_on():
    """They are those of a direct call."""

    def fail(*_):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(socket.gaierror, match="unknown"):
        resolve_with_timeout("host", 25, 5, fail)


def test_the_watchdog_ends_a_read(listener):
    """A read without time-out returns when the time is over."""
    with socket.create_connection(listener.getsockname()) as sock, Deadline(0.2) as deadline:
        sock.settimeout(10)
        deadline.guard(sock)
        assert sock.recv(1) == b""
        assert deadline.expired
        with pytest.raises(TimeoutError):
            deadline.time_left(5)


def test_the_watchdog_of_a_step_in_time_does_nothing(listener):
    """Afterwards the connection is as it was, and the timer's thread is gone."""
    threads = threading.active_count()
    with socket.create_connection(listener.getsockname()) as sock:
        with Deadline(30) as deadline:
            deadline.guard(sock)
            assert 0 < deadline.time_left(5) <= 5
        sock.sendall(b"x")
        assert not deadline.expired
    assert threading.active_count() == threads


def test_a_socket_given_to_a_watchdog_too_late_is_ended(listener):
    """The connection came about while the time ran out."""
    with socket.create_connection(listener.getsockname()) as sock, Deadline(30) as deadline:
        deadline._expire()
        deadline.guard(sock)
        assert sock.recv(1) == b""


@contextlib.contextmanager
def flooding_server(step: str, line: bytes):
    """Serve one client, in plain text; at the command `step` repeat `line` until it hangs up."""

    def serve(server):
        connection, _address = server.accept()
        with connection, connection.makefile("rb") as commands, contextlib.suppress(OSError):
            command, text = b"connect", False
            while command:
                if command.lower().startswith(step.encode()):
                    while True:
                        connection.sendall(line)
                if not text:
                    code = {b"connect": b"220", b"data\r\n": b"354"}.get(command, b"250")
                    connection.sendall(code + b" ok\r\n")
                text = text or command.startswith(b"data")
                command = commands.readline()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("line", [b"250-" + b"x" * 4000 + b"\r\n", b"250-\r\n", b"354-\r\n"])
@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data", "."])
def test_a_reply_without_end_is_given_up(message, step, line):
    """At whatever command: after a bounded number of lines and bytes, without waiting for the deadline."""
    with flooding_server(step, line) as port:
        settings = SmtpSettings(
            "127.0.0.1", port, "", Secret(""), "gpu@example.org", security=SmtpSecurity.NONE
        )
        start = time.monotonic()
        with pytest.raises(TransportError) as caught:
            SmtpTransport(settings, ("one@example.org",), timeout=5.0, deadline=20.0).send(message)
    assert time.monotonic() - start < 10 * slowness()
    kind = FailureKind.AMBIGUOUS if step == "." else FailureKind.CONFIGURATION
    assert (caught.value.kind, "never ends" in caught.value.text) == (kind, True)


def test_a_long_reply_is_read_whole():
    """A hundred lines at EHLO are no fault."""
    with MailServer() as server:
        server.offer("\r\n".join(["250-X-FEATURE"] * 100 + ["250-AUTH PLAIN"]))
        account = (server.host, server.port, server.user, Secret(server.password))
        settings = SmtpSettings(*account, "gpu@example.org", server.ca_file)
        SmtpTransport(settings, ("one@example.org",), timeout=5.0).probe(lambda _step: None)
