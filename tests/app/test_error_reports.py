"""Faults: logged with their traceback, told once, and the thread lives on."""

from __future__ import annotations

import logging
import os
import re
import stat
import threading

import pytest

from gpuwatch_tray.app import logs, private_log
from gpuwatch_tray.app.context import RunContext, SourceKind
from gpuwatch_tray.app.error_reports import report_errors
from gpuwatch_tray.app.logs import LOG_FORMAT, RedactingFormatter
from gpuwatch_tray.common.threads import FIRST_PAUSE, LONGEST_PAUSE, PeriodicThread, run_forever
from gpuwatch_tray.settings import Settings

WAIT = 5.0
log = logging.getLogger("gpuwatch_tray.test")


def note_another():
    try:
        {}["nowhere"]
    except KeyError:
        log.exception("again")


class Told:
    """What the person is told; `wait` waits for one more."""

    def __init__(self):
        self.lines = []
        self._more = threading.Semaphore(0)

    def __call__(self, line):
        self.lines.append(line)
        self._more.release()

    def wait(self):
        assert self._more.acquire(timeout=WAIT)
        return self.lines[-1]


def fail(text="boom"):
    raise ValueError(text)


def note(text="boom"):
    try:
        fail(text)
    except ValueError:
        log.exception("it failed")


def test_each_kind_is_told_once():
    """The same error from the same place is one line, another is another; what was foreseen is none."""
    told = Told()
    with report_errors(told):
        for _ in range(5):
            note()
        assert told.wait() == "ValueError: boom"
        log.error("the server is down")
    assert told.lines == ["ValueError: boom"]


def test_the_line_names_our_own_place():
    """The last file of ours that the error came through, with its line."""
    told = Told()
    with report_errors(told):
        PeriodicThread(fail, 1.0, "poller").tick()
        assert told.wait().startswith("ValueError: boom (common/threads.py:")


def test_a_thread_that_ends_with_a_fault_is_told(caplog):
    """Whatever a thread did not catch is logged with its traceback, and told; an exit is none."""
    told = Told()
    with report_errors(told):
        quiet = threading.Thread(target=exit_thread)
        ending = threading.Thread(target=fail, name="reader")
        for thread in (quiet, ending):
            thread.start()
            thread.join(WAIT)
        assert told.wait() == "ValueError: boom"
    assert "the thread reader has ended with a fault" in caplog.text
    assert "Traceback" in caplog.text
    assert len(told.lines) == 1


def exit_thread():
    raise SystemExit(3)


def test_the_line_holds_no_secret():
    """An error's text is redacted for the popup, and with its traceback for the log."""
    told = Told()
    with report_errors(told):
        note("login failed: --password hunter2")
        assert "hunter2" not in told.wait()
    error = ValueError("--token hunter2")
    record = log.makeRecord("x", logging.ERROR, "f", 1, "failed", (), (ValueError, error, None))
    written = RedactingFormatter(LOG_FORMAT).format(record)
    assert "ValueError" in written
    assert "hunter2" not in written


def test_a_teller_that_fails_ends_nothing():
    """A popup that cannot be shown is no second fault."""
    told = Told()

    def tell(line):
        told(line)
        raise OSError("no desktop")

    with report_errors(tell):
        note()
        told.wait()
        note_another()
        told.wait()
    assert len(told.lines) == 2


def test_a_poll_that_fails_again_and_again_does_not_fill_the_log(caplog):
    """The traceback is written once, again after another error or a success."""
    answers = iter([ValueError("a"), ValueError("a"), ValueError("b"), None, ValueError("b")])

    def read():
        answer = next(answers)
        if answer is not None:
            raise answer

    poller = PeriodicThread(read, 1.0, "poller")
    written = []
    for _ in range(5):
        caplog.clear()
        poller.tick()
        written.append("Traceback" in caplog.text)
    assert written == [True, False, True, False, True]


class Stop:
    """Notes the pauses, and stops after so many."""

    def __init__(self, pauses):
        self.pauses = []
        self._most = pauses

    def wait(self, seconds):
        self.pauses.append(seconds)
        return len(self.pauses) >= self._most


def test_a_thread_begins_again_with_back_off(caplog):
    """After each fault a pause twice as long, up to a minute; the traceback is in the log."""
    stop = Stop(9)
    run_forever("reader", fail, stop)
    assert stop.pauses == [FIRST_PAUSE, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert "reader: failed; it begins again in 1 s" in caplog.text


def test_a_thread_that_is_done_does_not_begin_again():
    """Work that returns has come to its end, also after faults."""
    answers = iter([ValueError("once"), None])

    def work():
        answer = next(answers)
        if answer is not None:
            raise answer

    stop = Stop(9)
    run_forever("reader", work, stop)
    assert stop.pauses == [FIRST_PAUSE]


@pytest.fixture
def log_file(tmp_path):
    """The handler of a log that is full after two lines or three."""
    handler = private_log.PrivateLogFile(tmp_path / "it.log", encoding="utf-8")
    handler.setFormatter(RedactingFormatter(LOG_FORMAT))
    yield handler
    handler.close()


def log_line(number):
    """A record of some eighty bytes."""
    return logging.LogRecord("gpuwatch_tray", logging.INFO, "", 0, f"line {number:03} {'.' * 20}", (), None)


def test_a_full_log_is_begun_anew(log_file, tmp_path, monkeypatch):
    """Every line is in one of three private files, the newest in the log, but for those of the oldest."""
    monkeypatch.setattr(private_log, "MAX_LOG_BYTES", 200)
    for number in range(100):
        log_file.emit(log_line(number))
    files = [tmp_path / name for name in ("it.log.2", "it.log.1", "it.log")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    numbers = [int(number) for file in files for number in re.findall(r"line (\d+)", file.read_text())]
    assert numbers == list(range(numbers[0], 100))
    assert all(file.stat().st_size <= 300 for file in files)


def test_a_log_whose_place_is_taken_goes_on(log_file, tmp_path, monkeypatch):
    """It grows, and no line is lost."""
    monkeypatch.setattr(private_log, "MAX_LOG_BYTES", 200)
    (tmp_path / "it.log.1").mkdir()
    (tmp_path / "it.log.2" / "taken").mkdir(parents=True)
    for number in range(10):
        log_file.emit(log_line(number))
    assert (tmp_path / "it.log").read_text().count("line ") == 10


def test_the_log_makes_no_folder_that_others_can_enter(tmp_path, monkeypatch):
    """The log is the first thing that a start writes: the state's folder above it is private as well."""
    before = os.umask(0o022)
    try:
        context = RunContext(
            Settings(tmp_path / "gpu-watch.env", tmp_path / "cache" / "state"),
            (),
            SourceKind.NVML,
            "box",
            "ada",
        )
        private_log.log_to_file(context)
    finally:
        os.umask(before)
        for handler in [*logging.getLogger("gpuwatch_tray").handlers]:
            if isinstance(handler, private_log.PrivateLogFile):
                handler.close()
                logging.getLogger("gpuwatch_tray").removeHandler(handler)
                logging.getLogger("asyncio").removeHandler(handler)
    for folder in (context.settings.state, context.settings.state / "log"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(logs.log_path(context).stat().st_mode) == 0o600
