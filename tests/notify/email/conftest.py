"""A mail, the servers that take it, and a computer that is offline."""

from __future__ import annotations

import socket

import pytest

from gpuwatch_tray.model import Message
from tests.support.mailserver import MailServer


@pytest.fixture
def no_network(monkeypatch):
    """No name can be looked up, as on a computer that is offline."""

    def fail(*_args, **_options):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.fixture
def message():
    """Return a mail with characters beyond ASCII."""
    return Message(
        subject="[GPU Watchdog] jürgen@lab  2026-01-07 23:27:48",
        text="Time: 2026-01-07 23:27:48\nHost: lab\n\nGPU=0  MEM=2828MiB\n  CMD: python 训练.py\n.\nend\n",
        created=1767824868.0,
        message_id="<42.1767824868@lab>",
    )


@pytest.fixture
def token(google, tmp_path):
    """A sign-in that does not expire soon."""
    return google.write_token(tmp_path / "token.json")


@pytest.fixture(scope="module")
def shared_server():
    """One STARTTLS server for all tests of a module, whose user and password go beyond ASCII."""
    with MailServer(user="jürgen", password="käse+Wörd/?&9") as running:
        yield running


@pytest.fixture
def smtpd(shared_server):
    """The shared server, which behaves normally at first."""
    shared_server.forget()
    return shared_server
