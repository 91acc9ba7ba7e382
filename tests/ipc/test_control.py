"""The user-only socket: real sockets in folders of the test's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuwatch_tray import ipc
from gpuwatch_tray.ipc import client, connections, protocol, server
from tests.support.timing import slowness, wait_until


class Echo:
    """Handlers that answer, fail, refuse and hang."""

    def __init__(self):
        self.release = threading.Event()
        self.hanging = threading.Event()

    def handlers(self):
        return {
            "echo": lambda request: {"said": request.get("text", "")},
            "fail": lambda _: {"never": 1 / 0},
            "refuse": self.refuse,
            "hang": self.hang,
            "odd": lambda _: {"not json": object()},
        }

    def refuse(self, _request):
        raise ipc.RequestRefusedError("there is no alert 7")

    def hang(self, _request):
        self.hanging.set()
        self.release.wait(20)
        return {}


@pytest.fixture
def echo():
    handlers = Echo()
    yield handlers
    handlers.release.set()


@pytest.fixture
def serving(tmp_path, echo):
    running = ipc.ControlServer(str(tmp_path / "box" / "a.sock"), echo.handlers())
    running.start()
    yield running
    running.stop()


def connected(address):
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)  # before the time limit, with which a full queue is an error at once
    line.settimeout(60)
    return line


def framed(data):
    return struct.pack("!i", len(data)) + data


def received(line):
    """One message, b'' where the other side hung up."""
    head = line.recv(4)
    if len(head) < 4:
        return b""
    (size,) = struct.unpack("!i", head)
    data = b""
    while len(data) < size and (part := line.recv(size - len(data))):
        data += part
    return data


def test_a_request_is_answered(serving):
    """What was sent comes back, umlauts and all, also for a second asker."""
    assert ipc.ask(serving.address, {"do": "echo", "text": "größer"}) == {"said": "größer"}
    assert ipc.ask(serving.address, {"do": "echo"}) == {"said": ""}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"do": "dance"}, r"unknown request \(known: echo, fail"),
        ({}, "unknown request"),
        ({"do": ["echo"]}, "unknown request"),
        ({"do": "refuse"}, "there is no alert 7"),
        ({"do": "fail"}, "the request failed"),
        ({"do": "odd"}, "the request failed"),
    ],
)
def test_what_cannot_be_done_is_answered_with_an_error(serving, request_, error):
    """An unknown request, a refusal and a fault are told apart, and none ends the serving."""
    with pytest.raises(ipc.RequestRefusedError, match=error):
        ipc.ask(serving.address, request_)
    assert ipc.ask(serving.address, {"do": "echo"})


def test_only_this_user_can_reach_it(serving):
    """The folder is 0700 and the socket 0600."""
    file = Path(serving.address)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_users_process_is_turned_away(serving, monkeypatch):
    """A foreign process gets no answer even where the folder was opened for it."""
    monkeypatch.setattr(connections.SocketConnection, "same_user", lambda _: False)
    with pytest.raises(ipc.ControlError, match=r"closed the connection"):
        ipc.ask(serving.address, {"do": "echo"})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux is asked who connects")
def test_the_kernel_says_who_connects():
    """Our own process is known as ours, and where we may try it, another user's as a foreign one."""
    name = f"\0gpuwatch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(60)
        listener.bind(name)
        listener.listen()
        with connected(name):
            assert _same_user(listener)
        if os.getuid() == 0:
            code = "import os, socket, sys; os.setuid(12345); s = socket.socket(socket.AF_UNIX);"
            code += "s.connect(chr(0) + sys.argv[1]); s.recv(1)"
            other = subprocess.Popen([sys.executable, "-c", code, name[1:]])
            assert not _same_user(listener)
            assert other.wait(60) == 0


def _same_user(listener):
    accepted, _ = listener.accept()
    accepted.setblocking(True)
    with accepted:
        return connections.SocketConnection(accepted).same_user()


# --- clients that do not behave -----------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch):
    """Short bounds, so that the tests need not wait for the real ones."""
    monkeypatch.setattr(server, "REQUEST_WITHIN", 0.3)
    monkeypatch.setattr(server, "ANSWER_WITHIN", 0.3)


@pytest.mark.parametrize(
    "said", [b"", b"\0\0", framed(b'{"do":')[:6]], ids=["nothing", "half a head", "half"]
)
def test_who_says_nothing_is_hung_up_on_and_holds_up_nobody(hasty, serving, said):
    """A silent client is cut off in time, and others are answered meanwhile."""
    with connected(serving.address) as silent:
        silent.sendall(said)
        assert ipc.ask(serving.address, {"do": "echo"}, 1.0)
        assert silent.recv(1) == b""  # within the socket's 5 s


def test_who_drips_is_hung_up_on(hasty, serving):
    """The bound is for the whole request, not for each byte of it."""

    def drip(line):
        line.sendall(struct.pack("!i", 5000))
        while time.monotonic() < began + 5:
            line.sendall(b"x")
            time.sleep(0.02)

    began = time.monotonic()
    with connected(serving.address) as line, pytest.raises(OSError, match=r"pipe|reset"):
        drip(line)
    assert time.monotonic() - began < 3 * slowness()


def test_who_does_not_take_the_answer_is_hung_up_on(hasty, tmp_path):
    """An answer larger than the buffers waits for its reader a bounded time only."""
    running = ipc.ControlServer(str(tmp_path / "s"), {"big": lambda _: {"x": "x" * 4_000_000}})
    running.start()
    with connected(running.address) as greedy:
        greedy.sendall(framed(b'{"do": "big"}'))
        wait_until(lambda: running._busy, "the request to be taken")
        wait_until(lambda: not running._busy, "the line to be given up")
    assert len(ipc.ask(running.address, {"do": "big"}, 5.0)["x"]) == 4_000_000
    running.stop()


def test_more_silent_clients_than_there_are_places_block_nobody(serving):
    """The oldest of those that say nothing gives way."""
    with ExitStack() as stack:
        for _ in range(server.MOST_CONNECTIONS + 8):
            stack.enter_context(connected(serving.address))
        assert ipc.ask(serving.address, {"do": "echo"}, 5.0)


def test_a_huge_request_is_refused_unread(serving):
    """1 MiB is the limit; the size alone decides, before anything is read."""
    with connected(serving.address) as large:
        large.sendall(struct.pack("!i", protocol.LARGEST_REQUEST + 1))
        assert json.loads(received(large)) == {"error": "larger than 1048576 bytes"}
    with connected(serving.address) as larger:
        larger.sendall(struct.pack("!iQ", -1, 2**63))
        assert json.loads(received(larger)) == {"error": "larger than 1048576 bytes"}


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """One server for all examples of garbage."""
    running = ipc.ControlServer(str(tmp_path_factory.mktemp("c") / "s"), Echo().handlers())
    running.start()
    yield running
    running.stop()


GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.just(b"[" * 200_000),
    st.just(b'{"a":' * 100_000),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(GARBAGE)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_answered_with_an_error(lasting, data):
    """Whatever a message holds, the answer is an error in JSON."""
    with connected(lasting.address) as line:
        line.sendall(framed(data))
        assert set(json.loads(received(line))) == {"error"}


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_without_a_frame_harm_nobody(lasting, data):
    """Whoever does not even speak the protocol, and leaves, leaves the server as it was."""
    with connected(lasting.address) as line:
        line.sendall(data)
    assert ipc.ask(lasting.address, {"do": "echo", "text": "a"}, 5.0) == {"said": "a"}


# --- the end, and what a crash leaves -----------------------------------------------------------------


def test_a_handler_that_hangs_holds_up_neither_others_nor_the_end(serving, echo):
    """Meanwhile others are answered; `stop` removes the socket within 2 s."""
    with pytest.raises(ipc.ControlError, match=r"no answer within 0.2 s"):
        ipc.ask(serving.address, {"do": "hang"}, 0.2)
    assert echo.hanging.wait(60)
    assert ipc.ask(serving.address, {"do": "echo"})
    began = time.monotonic()
    serving.stop()
    assert time.monotonic() - began < 2 * slowness()
    assert not Path(serving.address).exists()
    with pytest.raises(ipc.NotRunningError):
        ipc.ask(serving.address, {"do": "echo"})


def test_stop_is_harmless_twice_without_start_and_with_the_socket_gone(tmp_path):
    """The end of a program calls it in any case."""
    running = ipc.ControlServer(str(tmp_path / "s"), {})
    running.stop()
    running.start()
    Path(running.address).unlink()
    running.stop()
    running.stop()
    assert not running._acceptor.is_alive() or running._acceptor.daemon


def test_who_asks_it_to_end_is_still_answered(tmp_path):
    """The end that a request begins does not cut that request's answer off."""
    for _ in range(20):
        ends = []

        def leave(_request):
            ends.append(threading.Thread(target=running.stop))  # noqa: B023  # called in this very round
            ends[0].start()  # noqa: B023
            time.sleep(0.02)  # the end is well under way
            return {"pid": 7}

        running = ipc.ControlServer(str(tmp_path / "s"), {"quit": leave})
        running.start()
        assert ipc.ask(running.address, {"do": "quit"}) == {"pid": 7}
        ends[0].join(60)


def test_it_can_be_served_again_at_once(tmp_path):
    """Quit and start leave no time between."""
    for _ in range(20):
        running = ipc.ControlServer(str(tmp_path / "s"), Echo().handlers())
        running.start()
        assert ipc.ask(running.address, {"do": "echo"})
        running.stop()


def test_what_a_killed_process_left_is_replaced(tmp_path):
    """After kill -9 the socket's file is there, nobody answers, and the next one serves at its place."""
    address = str(tmp_path / "s")
    code = (
        "import sys, time; from gpuwatch_tray import ipc;"
        "s = ipc.ControlServer(sys.argv[1], {'who': lambda r: {'name': 'first'}}); s.start();"
        "print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, address], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "up\n"
        assert ipc.ask(address, {"do": "who"}) == {"name": "first"}
        with pytest.raises(ipc.ControlError, match=r"another process answers"):
            ipc.ControlServer(address, {}).start()  # a living one is never displaced
        assert ipc.ask(address, {"do": "who"}) == {"name": "first"}
        first.send_signal(signal.SIGKILL)
        first.wait(60)
    with pytest.raises(ipc.NotRunningError):
        ipc.ask(address, {"do": "who"})
    assert Path(address).exists()
    second = ipc.ControlServer(address, {"who": lambda _: {"name": "second"}})
    second.start()
    assert ipc.ask(address, {"do": "who"}) == {"name": "second"}
    second.stop()


def test_a_stopped_process_costs_the_asker_its_time_limit_only(tmp_path):
    """A frozen tray is told from none: asking ends in time with an error that is not NotRunningError."""
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "s"))
        frozen.listen(0)
        for _ in range(3):  # the third finds the queue full, and connecting itself waits
            began = time.monotonic()
            with pytest.raises(
                ipc.ControlError, match=r"no answer within|cannot be reached|closed the connection"
            ) as told:
                ipc.ask(str(tmp_path / "s"), {"do": "status"}, 0.2)
            assert not isinstance(told.value, ipc.NotRunningError)
            assert time.monotonic() - began < slowness()


@pytest.mark.parametrize("reply", [b"", b"nonsense", b"[]", b'"x"'])
def test_an_answer_that_is_none_is_an_error(tmp_path, reply):
    """The asker trusts the other side's answers as little as the other side its requests."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def answer():
            line, _ = listener.accept()
            with line:
                line.recv(1000)
                line.sendall(framed(reply))

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(ipc.ControlError, match=r"not JSON|not a JSON object"):
            ipc.ask(str(tmp_path / "s"), {"do": "status"})
        answering.join(60)


# --- the place ----------------------------------------------------------------------------------------


@pytest.fixture
def runtime(short, monkeypatch):
    """A session's runtime folder."""
    folder = short / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def test_the_runtime_folder_comes_first_then_the_states(short, runtime):
    """Each state has a socket of its own, and no state's name makes it long."""
    first, second, last = ipc.addresses(short / "state", "box")
    assert first.startswith(str(runtime / "gpuwatch-tray"))
    assert second.startswith(str(short / "state" / "control"))
    assert last.startswith(tempfile.gettempdir())
    others = [
        ipc.addresses(short / "state", "other"),
        ipc.addresses(short / "elsewhere", "box"),
    ]
    assert len({first, *(other[0] for other in others)}) == 3
    assert len(ipc.addresses(short, "b" * 5000)[0]) == len(first)


@pytest.mark.parametrize("mode", [None, 0o755])
def test_a_runtime_folder_that_is_not_private_is_passed_over(tmp_path, runtime, mode):
    """Neither one that is not there, as under cron, nor one that others may enter."""
    if mode is None:
        runtime.rmdir()
    else:
        runtime.chmod(mode)
    assert ipc.addresses(tmp_path, "box")[0].startswith(str(tmp_path / "control"))


def test_a_path_too_long_for_a_socket_is_passed_over(tmp_path, runtime):
    """A deep state folder is served from a short private one, and it works there."""
    runtime.rmdir()
    deep = tmp_path / ("d" * 120)
    (only,) = ipc.addresses(deep, "box")
    assert only.startswith(tempfile.gettempdir())
    running = ipc.serve([only], Echo().handlers())
    assert ipc.ask(running.address, {"do": "echo"})
    running.stop()


def test_a_folder_of_somebody_else_is_refused_and_the_next_place_taken(tmp_path):
    """A link that another user put into /tmp is not followed."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(ipc.ControlError, match=r"belongs to someone else .*XDG_RUNTIME_DIR"):
        ipc.serve([str(tmp_path / "link" / "s")], {})
    running = ipc.serve([str(tmp_path / "link" / "s"), str(tmp_path / "mine" / "s")], Echo().handlers())
    assert running.address == str(tmp_path / "mine" / "s")
    running.stop()


def test_a_folder_that_was_opened_is_closed_again(tmp_path):
    """What is ours becomes 0700 before there is a socket in it."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    ipc.serve([str(tmp_path / "open" / "s")], {}).stop()
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_a_file_that_is_no_socket_is_not_removed(tmp_path):
    """Only sockets are replaced."""
    (tmp_path / "box").mkdir(mode=0o700)
    (tmp_path / "box" / "s").write_text("precious")
    with pytest.raises(ipc.ControlError, match=r"is not a socket: remove it"):
        ipc.serve([str(tmp_path / "box" / "s")], {})
    assert (tmp_path / "box" / "s").read_text() == "precious"


def test_without_any_place_the_error_says_so():
    """No address is no crash."""
    with pytest.raises(ipc.ControlError, match=r"too long"):
        ipc.serve([], {})


@pytest.mark.parametrize("address", ["", "\0x\0", "x" * 400, "/nonexistent/s"])
def test_an_address_that_leads_nowhere_is_an_error(address):
    """Whatever a damaged description says, asking fails in one clear line."""
    with pytest.raises(ipc.ControlError):
        ipc.ask(address, {"do": "status"})


# --- the key of a named pipe, played on a socket ------------------------------------------------------


@pytest.fixture
def keyed(tmp_path, monkeypatch):
    """A server that asks for the key, as on Windows."""
    file = tmp_path / "k" / "a.key"
    for module in (protocol, server):
        monkeypatch.setattr(module, "key_file", lambda _: file)
    running = ipc.ControlServer(str(tmp_path / "s"), Echo().handlers())
    running.start()
    yield running, file
    running.stop()


def test_a_pipe_asks_for_the_key_of_a_file_that_only_the_user_reads(keyed):
    """The key is new at each start, 0600, and goes with the server."""
    running, file = keyed
    assert ipc.ask(running.address, {"do": "echo"}) == {"said": ""}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    running.stop()
    assert not file.exists()
    with pytest.raises(ipc.NotRunningError):
        ipc.ask(running.address, {"do": "echo"})
    running.start()
    assert len(before) == 32
    assert file.read_bytes() != before


def test_without_the_right_key_nothing_is_answered(keyed, monkeypatch):
    """A wrong key, or garbage instead of one, is turned away and harms nobody."""
    running, file = keyed
    monkeypatch.setattr(client, "read_key", lambda _: b"wrong")
    with pytest.raises(ipc.ControlError, match=r"cannot be reached|closed the connection"):
        ipc.ask(running.address, {"do": "echo"})
    with connected(running.address) as line:
        received(line)
        line.sendall(framed(b"garbage"))
        assert b"FAILURE" in received(line)
    monkeypatch.setattr(client, "read_key", lambda _: file.read_bytes())
    assert ipc.ask(running.address, {"do": "echo"})
