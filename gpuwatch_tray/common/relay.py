"""
Passing on what a command writes, unchanged, and into its log.

On POSIX a process of its own does it: it outlives the one that waits for the command, so that neither a kill
of that nor what the command left in the background ends the output. Elsewhere a thread does. Imports next
to nothing: a command waits for it (`app/early_start.py`).
"""

from __future__ import annotations

import _thread
import errno
import os
import sys
import time

TYPE_CHECKING = False  # the typing module takes longer than all of this one
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.common.run_log import RunLog


BLOCK = 2**20  # bytes that are passed on at once, and that a pipe takes: costs less than its usual 64 KiB
RETRY_WRITE = 0.01  # seconds until the next attempt to write to a reader that takes no more at the moment
QUIET, LONGEST = 0.3, 5.0  # seconds for output that comes after the end: without news, and at all
OUT, ERR = 1, 2
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk takes no more, for the moment


class OutputStream:
    """
    Where the command writes, `end`, and where that goes, `target`: both file descriptors.

    On a terminal `end` is one too; where none can be had, it is `target` itself, and nothing is passed on.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.end = target
        self.reading: int | None = None
        self._terminal = os.isatty(target)
        made = _open_terminal_pair(target) if self._terminal else os.pipe()
        if made is not None:
            self.reading, self.end = made
            _widen_pipe(self.end)

    def close_end(self) -> None:
        """Leave the command's end to the command."""
        if self.reading is not None:
            os.close(self.end)

    def close(self) -> None:
        """Close the stream: nothing will come."""
        self.close_end()
        if self.reading is not None:
            os.close(self.reading)
            self.reading = None

    def leave(self) -> None:
        """Leave the reading to another process, but for a terminal's, whose size is set there."""
        if self.reading is not None and not self._terminal:
            os.close(self.reading)
            self.reading = None

    def resize(self) -> None:
        """Give the command's terminal the size that the real one has now."""
        if self._terminal and self.reading is not None:
            _resize_terminal(self.target, self.reading)


class LogSink:
    """What keeps the output: the run's log, and a file that gets all of it; None for neither."""

    def __init__(self, log: RunLog | None, copy: int | None) -> None:
        self._log = log
        self._copy = copy
        self._lock = _thread.allocate_lock()
        self.trouble = 0  # the error (errno) for which the file is no longer written

    def files(self) -> list[int]:
        """Return the open file descriptors."""
        files = [] if self._log is None else self._log.files()
        return files if self._copy is None else [*files, self._copy]

    def write(self, data: memoryview) -> None:
        """Keep it."""
        with self._lock:
            if self._log is not None:
                self._log.write(data)
            if self._copy is not None and (trouble := _write_all(self._copy, data)):
                self.trouble = trouble
                self._copy = None

    def summary(self) -> bytes:
        """Return what is lost, and the trouble, as the one who waits reads it."""
        return b"%d %d\n" % (0 if self._log is None else self._log.lost, self.trouble)


class Relay:
    """
    Passes on the `streams` from its making on, and ends with them.

    After `finish`, which says that the command has ended, what it left in the background is passed on still.
    """

    def __init__(self, streams: Sequence[OutputStream], sink: LogSink) -> None:
        read = [stream for stream in streams if stream.reading is not None]
        ended, self._end = os.pipe()
        self._report, report = os.pipe()
        self._desk = _Desk(ended, report, len(read), sink)
        if not read:
            self._desk.report()
        elif sys.platform != "win32":
            if os.fork() == 0:
                try:
                    _leave_the_rest(read, [ended, report, *sink.files()])
                    self._desk.run(read)
                finally:
                    os._exit(0)
            os.close(report)
            for stream in read:
                stream.leave()
        else:
            _thread.start_new_thread(self._desk.run, (read,))
        os.close(ended)

    def finish(self) -> tuple[int, int] | None:
        """
        Tell that the command has ended, and wait for its last output.

        Return how many bytes of the log are lost and the copy's trouble (errno); None where the relay itself
        has ended before its time.
        """
        os.close(self._end)
        if sys.platform == "win32" and not self._desk.wait():
            return 0, 0
        said = b""
        while not said.endswith(b"\n") and (more := os.read(self._report, 64)):
            said += more
        os.close(self._report)
        lost, _, trouble = said.partition(b" ")
        return (int(lost), int(trouble)) if trouble else None


class _Desk:
    """The work of the relay: a thread for each stream, so that a reader who waits holds back no other."""

    def __init__(self, ended: int, report: int, streams: int, sink: LogSink) -> None:
        self._ended = ended
        self._report = report
        self._open = streams  # that are not read to their end, or quiet
        self._sink = sink
        self._lock = _thread.allocate_lock()

    def wait(self) -> bool:
        """Wait until all is read, for a while; return whether it is. For where it is a thread."""
        until = time.monotonic() + LONGEST
        while self._open and time.monotonic() < until:
            time.sleep(RETRY_WRITE)
        return not self._open

    def run(self, streams: Sequence[OutputStream]) -> None:
        """Pass on until the end of each."""
        locks = []
        for stream in streams[1:]:
            lock = _thread.allocate_lock()
            lock.acquire()
            locks.append(lock)
            _thread.start_new_thread(self._pass_on, (stream, lock))
        self._pass_on(streams[0])
        for lock in locks:
            lock.acquire()

    def _pass_on(self, stream: OutputStream, done: _thread.LockType | None = None) -> None:
        news = _News(stream.reading or 0, self._ended)
        buffer = memoryview(bytearray(BLOCK))
        open_target, quiet = True, False
        while (count := news.read(buffer)) is not None:
            if count < 0:  # the command has ended, and nothing more has come
                quiet = True
                self._settle()
                continue
            self._sink.write(buffer[:count])
            if open_target:
                trouble = _write_all(stream.target, buffer[:count])
                if trouble == errno.EPIPE:
                    break  # its reader has closed it: the command learns it at its next write
                # What a full disk does not take is in the log; a terminal that is gone takes no more.
                open_target = not trouble or trouble in FULL
        os.close(stream.reading or 0)
        if sys.platform != "win32":  # there it is this process's own
            os.close(stream.target)
        if not quiet:
            self._settle()
        if done is not None:
            done.release()

    def _settle(self) -> None:
        """Report once the last stream is read to its end, or quiet."""
        with self._lock:
            self._open -= 1
            if not self._open:
                self.report()

    def report(self) -> None:
        """Tell what is lost."""
        try:
            os.write(self._report, self._sink.summary())
        except OSError:  # nobody waits any more
            pass
        os.close(self._report)


if sys.platform != "win32":
    # What `signal` wraps in enumerations, whose import takes half of the time until a command starts.
    import _signal as signal  # type: ignore[import-not-found]
    import fcntl
    import select

    class _News:
        """Waits for output, and for the end of the command."""

        def __init__(self, reading: int, ended: int) -> None:
            self._reading, self._ended = reading, ended
            self._poll = select.poll()
            self._poll.register(reading, select.POLLIN)
            self._poll.register(ended, select.POLLIN)
            self._end: float | None = None
            self._last = 0.0
            self._told = False

        def read(self, buffer: memoryview) -> int | None:
            """Return how many bytes came; None at the end of the stream, once -1 where it is quiet."""
            while True:
                ready = {file for file, _why in self._poll.poll(self._timeout())}
                if self._ended in ready:
                    self._end = time.monotonic()
                    self._poll.unregister(self._ended)
                if self._end is not None and not self._told and time.monotonic() > self._end + LONGEST:
                    self._told = True  # though there is always more
                    return -1
                if self._reading in ready:
                    self._last = time.monotonic()
                    try:
                        return os.readv(self._reading, [buffer]) or None
                    except OSError:  # a terminal whose other side is closed
                        return None
                if not ready and self._end is not None:
                    self._told = True
                    return -1

        def _timeout(self) -> int | None:
            """Return the milliseconds after which it is quiet."""
            if self._end is None or self._told:
                return None
            until = min(max(self._end, self._last) + QUIET, self._end + LONGEST)
            return max(0, round((until - time.monotonic()) * 1000))

    def _leave_the_rest(streams: Sequence[OutputStream], files: Sequence[int]) -> None:
        """Have nothing to do with the terminal's signals, nor with files that are others'."""
        os.setsid()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT):
            signal.signal(number, signal.SIG_IGN)
        kept = {*files, *(stream.target for stream in streams), *(stream.reading or 0 for stream in streams)}
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, OUT, ERR):
            if standard not in kept:
                os.dup2(nowhere, standard)
        for name in os.listdir("/dev/fd"):
            if int(name) > ERR and int(name) not in kept:
                try:
                    os.close(int(name))
                except OSError:  # the folder's own
                    pass

    def _open_terminal_pair(real: int) -> tuple[int, int] | None:
        """Open a terminal like `real`; return the reading and the command's side, None where it fails."""
        import termios  # late: most output goes to no terminal

        try:
            reading, writing = os.openpty()
        except OSError:
            return None
        try:
            modes = termios.tcgetattr(writing)
            modes[1] &= ~termios.OPOST  # line ends pass as they are: the real terminal sees to them
            termios.tcsetattr(writing, termios.TCSANOW, modes)
        except (termios.error, OSError):
            pass
        _resize_terminal(real, reading)
        return reading, writing

    def _widen_pipe(end: int) -> None:
        """Have a pipe take BLOCK bytes, where the system lets it."""
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
            try:
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, BLOCK)
            except OSError:
                pass

    def _resize_terminal(real: int, other: int) -> None:
        """Give the other terminal the size of the real one."""
        import termios

        try:
            size = fcntl.ioctl(real, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(other, termios.TIOCSWINSZ, size)
        except OSError:
            pass

else:

    class _News:
        """Waits for output: a pipe cannot be waited for together with anything else here."""

        def __init__(self, reading: int, _ended: int) -> None:
            self._reading = reading

        def read(self, buffer: memoryview) -> int | None:
            """Return how many bytes came; None at the end of the stream."""
            data = os.read(self._reading, len(buffer))
            buffer[: len(data)] = data
            return len(data) or None

    def _leave_the_rest(_streams: Sequence[OutputStream], _files: Sequence[int]) -> None:
        """Do nothing: it is a thread here."""

    def _open_terminal_pair(_real: int) -> tuple[int, int] | None:
        """Return None: here the command writes to the console itself, and its lines are not kept."""
        return None

    def _widen_pipe(_end: int) -> None:
        """Do nothing: a pipe is as wide as it is."""

    def _resize_terminal(_real: int, _other: int) -> None:
        """Do nothing: there is no such terminal."""


def _write_all(target: int, data: memoryview) -> int:
    """Write all of it; return the error (errno), 0 for none."""
    while data:
        try:
            data = data[os.write(target, data) :]
        except BlockingIOError:
            time.sleep(RETRY_WRITE)
        except OSError as error:
            return error.errno or errno.EIO
    return 0
