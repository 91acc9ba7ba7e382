"""The X protocol's few words: the cookie file, and servers that refuse, stop in between or talk nonsense."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpuwatch_tray.desktop.presence import x11
from gpuwatch_tray.desktop.presence.x11 import (
    COOKIE,
    FAMILY_LOCAL,
    FAMILY_WILD,
    XConnection,
    XServerError,
    authority_file,
    find_cookie,
)
from tests.e2e import rig
from tests.support.timing import wait_until

SECRET = bytes(range(16))


def entry(family, address, number, data, name=COOKIE):
    fields = (address, number, name, data)
    return struct.pack(">H", family) + b"".join(struct.pack(">H", len(one)) + one for one in fields)


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"", b""),
        # by this machine's name and the display's number
        (entry(FAMILY_LOCAL, b"here", b"7", SECRET), SECRET),
        (entry(FAMILY_LOCAL, b"there", b"7", SECRET), b""),
        (entry(FAMILY_LOCAL, b"here", b"8", SECRET), b""),
        # wildcards, as display managers write them: any host, any display
        (entry(FAMILY_WILD, b"", b"7", SECRET), SECRET),
        (entry(FAMILY_WILD, b"", b"", SECRET), SECRET),
        # another kind of secret, and an entry of the Internet, are not for us
        (entry(FAMILY_LOCAL, b"here", b"7", SECRET, b"XDM-AUTHORIZATION-1"), b""),
        (entry(0, b"\x7f\0\0\1", b"7", SECRET), b""),
        # the right one among others, and after it a file cut short
        (
            entry(FAMILY_LOCAL, b"there", b"7", b"x" * 16)
            + entry(FAMILY_LOCAL, b"here", b"7", SECRET)
            + b"\1",
            SECRET,
        ),
    ],
)
def test_the_cookie_is_found(authority, expected):
    """What the comment above each row says."""
    assert find_cookie(authority, "here", "7") == expected


@given(st.binary(max_size=80))
@example(entry(FAMILY_LOCAL, b"here", b"7", SECRET)[:-20])
def test_a_damaged_cookie_file_is_no_fault(authority):
    """Whatever is in it, there is an answer."""
    assert isinstance(find_cookie(authority, "here", "7"), bytes)


def test_the_cookie_file_is_the_variables_or_the_homes():
    """As for every X program."""
    assert str(authority_file({"XAUTHORITY": "/run/x", "HOME": "/home/u"})) == "/run/x"
    assert str(authority_file({"HOME": "/home/u"})) == "/home/u/.Xauthority"


@pytest.mark.desktop
def test_a_server_that_wants_a_cookie(tmp_path):
    """With the right one it answers; without, the reason is the server's own words."""
    rig.require()
    authority = tmp_path / "cookies"
    authority.write_bytes(entry(FAMILY_WILD, b"", b"", SECRET))
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp", "-noreset", "-auth", str(authority)]
    with rig.process(command, {"PATH": os.environ["PATH"]}, tmp_path / "x.log", pass_fds=[writing]):
        os.close(writing)
        with os.fdopen(reading) as answer:
            display = f":{answer.readline().strip()}"
        with contextlib.closing(
            XConnection({"DISPLAY": display, "XAUTHORITY": str(authority)})
        ) as connection:
            assert connection.idle() >= 0
        with pytest.raises(XServerError, match=r"refused: .*[Aa]uthorization"):
            XConnection({"DISPLAY": display, "XAUTHORITY": str(tmp_path / "none")})


@pytest.fixture
def nonsense(tmp_path, monkeypatch):
    """Let the connection lead to a server that answers with the bytes given, and hangs up or waits."""
    made = []

    def serve(answer, *, hangs_up=True):
        ours, theirs = socket.socketpair()
        ours.settimeout(0.2)
        monkeypatch.setattr(x11, "_connect", lambda _path, _timeout: ours)
        theirs.sendall(answer)
        if hangs_up:
            theirs.shutdown(socket.SHUT_WR)
        made.append(theirs)
        return {"DISPLAY": ":1", "HOME": str(tmp_path)}

    yield serve
    for one in made:
        one.close()


WELCOME = struct.pack("<BB4xH", 1, 0, 10)  # 40 bytes follow
SERVER = struct.pack("<16xH3xB10xI", 0, 0, 0x50C) + bytes(4)  # without a vendor and formats


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "the connection was ended"),
        (b"\1", "the connection was ended"),
        (struct.pack("<BB4xH", 0, 7, 2) + b"go away\0", "refused: go away"),
        (struct.pack("<BB4xH", 0, 0, 0), "no reason given"),
        (struct.pack("<BB4xH", 1, 0, 1) + b"abcd", "cannot be understood"),
        (WELCOME + SERVER + b"\0\2" + bytes(30), "answered with error 2"),
        (WELCOME + SERVER + b"\1" * 32, "XWayland"),
        (WELCOME + SERVER + 2 * (b"\1" + bytes(31)), "lacks the MIT-SCREEN-SAVER"),
    ],
)
def test_a_server_that_does_not_tell(nonsense, answer, why):
    """Each way of failing is an XFailed with its reason, and the socket is closed."""
    with pytest.raises(XServerError, match=why):
        XConnection(nonsense(answer))


def test_events_in_between_are_passed_over(nonsense):
    """A change of the keyboard is told to every client, whether it asked or not."""
    event, no, yes = b"\42" + bytes(31), b"\1" + bytes(31), b"\1" + bytes(7) + b"\1\x90" + bytes(22)
    info = b"\1" + bytes(15) + struct.pack("<I", 2500) + bytes(12)
    server = XConnection(nonsense(WELCOME + SERVER + no + event + yes + event + info))
    assert server.idle() == 2.5
    server.close()


def test_a_server_that_says_nothing_is_given_up(nonsense):
    """After the time given; and a wait can be ended from outside."""
    with pytest.raises(XServerError, match="no answer: timed out"):
        XConnection(nonsense(b"", hangs_up=False))


def test_a_wait_is_ended_from_outside(nonsense):
    """The thread that waits gets its error at once."""
    no, yes = b"\1" + bytes(31), b"\1" + bytes(7) + b"\1\x90" + bytes(22)
    server = XConnection(nonsense(WELCOME + SERVER + no + yes, hangs_up=False))
    server._socket.settimeout(30)
    ended = []

    def ask():
        try:
            server.idle()
        except XServerError as error:
            ended.append(str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    server.interrupt()
    wait_until(lambda: ended, "the end of the wait")
    server.close()
    server.interrupt()


def test_a_display_elsewhere_is_not_asked():
    """Over the network, or SSH, nobody sits here."""
    for name in ("there:0", "localhost:10.0", "", "nonsense", ":0:0"):
        with pytest.raises(XServerError, match="not a display of this machine"):
            XConnection({"DISPLAY": name})
