"""A program run within limits of time and output, of which nothing is left behind: no child, no open pipe."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.model.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence


MAX_OUTPUT = 4 * MIB  # bytes of each stream
_CHUNK = 2**16
_TICK = 0.1  # seconds
_GRACE = 0.5  # seconds of silence after the end: what the program wrote is in the pipe already
_REAP = 1.0  # seconds for a killed program to go; one that hangs in the kernel does not


class RunResult(Struct, frozen=True):
    """How a run ended. `code` is None where the program was killed, or could not be killed (`stuck`)."""

    code: int | None
    out: bytes
    err: bytes
    timed_out: bool = False
    too_long: bool = False
    stuck: bool = False


class SubprocessRunner:
    """Runs one program at a time. `run` and `stop` may be called from different threads."""

    def __init__(self, timeout: float, limit: int = MAX_OUTPUT) -> None:
        self._timeout = timeout
        self._limit = limit
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called: there will be no further run."""
        return self._stopped

    def run(self, argv: Sequence[str]) -> RunResult:
        """Run `argv`; `stuck` while the last run still hangs. Raises OSError where it cannot be started."""
        with self._lock:
            if self._stopped or (self._child is not None and self._child.poll() is None):
                return RunResult(None, b"", b"", stuck=not self._stopped)
            child = self._child = _process_start(argv)
        try:
            out, err, complete = _read(child, self._timeout, self._limit)
        except BaseException:
            self._end(child)
            raise
        too_long = max(len(out), len(err)) > self._limit
        code = child.poll() if complete and not too_long else None
        stuck = code is None and not self._end(child)
        return RunResult(code, out, err, timed_out=not (complete or too_long), too_long=too_long, stuck=stuck)

    def stop(self) -> None:
        """Kill the program that runs, and start no other."""
        with self._lock:
            self._stopped = True
            child = self._child
        if child is not None and child.poll() is None:
            _kill(child)

    @staticmethod
    def _end(child: subprocess.Popen[bytes]) -> bool:
        """Kill the program and its children; False where it cannot be killed."""
        _kill(child)
        try:
            child.wait(_REAP)
        except subprocess.TimeoutExpired:
            return False
        return True


def _process_start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program in a session (on Windows: a group) of its own: it can be killed with its children."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        flags = 0
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        creationflags=flags,
    )


def _streams(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if child.stdout is None or child.stderr is None:  # never: both are pipes
        raise ValueError("the program was started without pipes")
    return child.stdout, child.stderr


def _read_with_threads(
    child: subprocess.Popen[bytes], timeout: float, limit: int
) -> tuple[bytes, bytes, bool]:
    """Return both streams, up to about `limit` bytes, and whether the program ended and that is all."""
    until = time.monotonic() + timeout
    got = (bytearray(), bytearray())

    def read(stream: IO[bytes], buffer: bytearray) -> None:
        with contextlib.suppress(OSError, ValueError), stream:
            while len(buffer) <= limit and (chunk := os.read(stream.fileno(), _CHUNK)):
                buffer += chunk

    readers = [start_thread("output", read, *pair) for pair in zip(_streams(child), got, strict=True)]
    complete = False
    while not complete and max(map(len, got)) <= limit and time.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_TICK)
        if child.returncode is not None:
            size = sum(map(len, got))
            for reader in readers:
                reader.join(_GRACE)
            # A grandchild may keep a stream open; what the program itself wrote has come when nothing does.
            complete = size == sum(map(len, got)) or not any(reader.is_alive() for reader in readers)
    out, err = got
    return bytes(out), bytes(err), complete


if sys.platform == "win32":
    _read = _read_with_threads  # select cannot wait for its pipes

    def _kill(child: subprocess.Popen[bytes]) -> None:
        """Kill the program with its children, which `Popen.kill` alone would leave."""
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(child.pid)],
            check=False,
            capture_output=True,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        child.kill()

else:
    import selectors
    import signal

    def _kill(child: subprocess.Popen[bytes]) -> None:
        """Kill the program's session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)

    def _read(child: subprocess.Popen[bytes], timeout: float, limit: int) -> tuple[bytes, bytes, bool]:
        """Read as `_read_with_threads` does, in the calling thread, which no grandchild can hold up."""
        until = time.monotonic() + timeout
        out, err = _streams(child)
        got = {out: bytearray(), err: bytearray()}
        quiet_since = time.monotonic()
        complete = False
        with selectors.DefaultSelector() as selector, out, err:
            for stream in got:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
            while not complete and max(map(len, got.values())) <= limit and time.monotonic() < until:
                ended = child.poll() is not None
                ready = selector.select(_TICK) if selector.get_map() else []
                for key, _ in ready:
                    stream = out if key.fileobj is out else err
                    chunk = os.read(stream.fileno(), _CHUNK)
                    got[stream] += chunk
                    if not chunk:
                        selector.unregister(stream)
                if ready or not ended:
                    quiet_since = time.monotonic()
                if not selector.get_map():
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(max(0.0, until - time.monotonic()))
                    complete = child.poll() is not None
                elif ended and time.monotonic() - quiet_since > _GRACE:
                    complete = True
        return bytes(got[out]), bytes(got[err]), complete
