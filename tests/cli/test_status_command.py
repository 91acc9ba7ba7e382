"""`status` and `quit`: what is said, and the way there, over real sockets and with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from msgspec.structs import replace

from gpuwatch_tray import __version__
from gpuwatch_tray.app import headless, tray_client
from gpuwatch_tray.app.bootstrap import AlreadyRunningError, acquire_store
from gpuwatch_tray.app.context import SourceKind, WorkError, create_context
from gpuwatch_tray.app.status_json import ResponderInfo, build_status, status_lines
from gpuwatch_tray.app.tray_client import describe_namesake, describe_running
from gpuwatch_tray.cli.check import check_once
from gpuwatch_tray.cli.run import print_status, quit_running
from gpuwatch_tray.doctor import CheckState
from gpuwatch_tray.doctor.environment import check_running
from gpuwatch_tray.ipc.lock import LockHolder, StoreLock
from gpuwatch_tray.model import UNSUPPORTED, Alert, Gpu, Level, Phase, Problem, Severity, Snapshot, Status
from tests.support.fakes import START, snapshot

FACTS = ResponderInfo("tray", "box", "nvml", mails_waiting=2, pid=4711)
GPU = Gpu(0, "GPU-1", "RTX 4090", 12 * 2**30, 24 * 2**30, 87, 71, 310.4)
ALERT = Alert(
    "fp",
    "gpu_limit",
    "",
    Severity.WARNING,
    "GPU_COUNT(3) > GPU_LIMIT(2)",
    START - 90,
    text="3 GPUs in use; the limit is 2",
    id=3,
    phase=Phase.FIRING,
    acknowledged=True,
    snoozed_until=START + 3600,
    inhibited_by="gpu_lost",
)
WARNING = Status(
    Level.WARNING,
    "3 GPUs in use; the limit is 2",
    START - 5,
    snapshot(gpus=(GPU,)),
    (ALERT,),
    ("Email is off",),
    snoozed_until=START + 86400,
    in_use=3,
)

KEYS = {
    "state",
    "headline",
    "at",
    "pid",
    "face",
    "host",
    "version",
    "source",
    "simulated",
    "in_use",
    "gpus",
    "alerts",
    "snoozed_until",
    "mails_waiting",
    "lab",
    "chats_waiting",
    "notes",
}


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def environ(tmp_path, short, monkeypatch):
    """A user with a state folder and a session of the test's own, as create_context is given it."""
    runtime = short / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    files = {}
    for variable in (
        "GPUWATCH_CONFIG",
        "GPUWATCH_NOTIFY_CONFIG",
        "GPUWATCH_SMTP_CONFIG",
        "GPUWATCH_LAB_CONFIG",
    ):
        files[variable] = str(tmp_path / variable)
        Path(files[variable]).touch(0o600)
    return {**files, "GPUWATCH_CACHE": str(tmp_path / "state"), "HOME": str(tmp_path), "USER": "ada"}


@pytest.fixture
def own_context(environ):
    return create_context(environ, SourceKind.NVML)


@contextmanager
def watching(own_context, handlers):
    """What the tray does: take the lock, serve, say where."""
    lock = StoreLock(own_context.settings.state, own_context.state_name)
    assert lock.acquire(LockHolder(os.getpid(), "tray"))
    try:
        with tray_client.serve_requests(own_context, handlers) as address:
            lock.describe(LockHolder(os.getpid(), "tray", address=address))
            yield address
    finally:
        lock.release()


# --- what is said -------------------------------------------------------------------------------------


def test_the_answer_has_the_documented_keys_and_survives_json():
    """These keys are the contract of `status --json`."""
    told = build_status(WARNING, FACTS)
    assert set(told) == KEYS
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["state"], told["pid"], told["face"], told["host"]) == ("warning", 4711, "tray", "box")
    assert (told["version"], told["source"], told["simulated"]) == (__version__, "nvml", False)
    assert told["gpus"] == [
        {
            "index": 0,
            "uuid": "GPU-1",
            "name": "RTX 4090",
            "utilisation": 87,
            "memory_used": 12 * 2**30,
            "memory_total": 24 * 2**30,
            "temperature": 71,
            "power": 310.4,
            "problem": None,
        }
    ]
    assert told["alerts"] == [
        {
            "id": 3,
            "rule": "gpu_limit",
            "severity": "warning",
            "text": "3 GPUs in use; the limit is 2",
            "reason": "GPU_COUNT(3) > GPU_LIMIT(2)",
            "phase": "firing",
            "since": START - 90,
            "acknowledged": True,
            "snoozed_until": START + 3600,
            "inhibited_by": "gpu_lost",
        }
    ]


def test_what_is_not_known_is_null_and_not_zero():
    """A GPU that tells nothing, a source that failed, a status before the first poll."""
    silent = Gpu(1, "", UNSUPPORTED, problem="fell off the bus")
    told = build_status(Status(Level.NO_DATA, "No data", START, snapshot(gpus=(silent,))), FACTS)
    assert told["gpus"][0] == {
        **dict.fromkeys(
            ("uuid", "name", "utilisation", "memory_used", "memory_total", "temperature", "power")
        ),
        "index": 1,
        "problem": "fell off the bus",
    }
    assert told["in_use"] is None
    for shown in (None, Snapshot("nvml", START, problem=Problem("no driver"))):
        assert build_status(Status(Level.NO_DATA, "No data", START, shown), FACTS)["gpus"] == []


def test_the_lines_for_a_person():
    """State and reason first, the age of the data, GPUs, alerts, what waits, and who says so."""
    alert = (
        "  warning 3: 3 GPUs in use; the limit is 2"
        " (firing since 15:26:18, acknowledged, snoozed until 16:27:48, muted by gpu_lost)"
    )
    assert status_lines(build_status(WARNING, FACTS), START) == [
        "warning: 3 GPUs in use; the limit is 2",
        "data of 15:27:43, 5 s old",
        "everything is snoozed until 2026-01-08 15:27:48",
        "  GPU 0 RTX 4090, 12288 / 24576 MiB, 87 %, 71 °C, 310 W",
        alert,
        "note: Email is off",
        "2 mails wait to be sent",
        f"tray, PID 4711 on box, gpuwatch-tray {__version__}, source nvml",
    ]


def test_a_demo_is_labelled_and_a_lost_gpu_named():
    """Nobody takes made-up numbers for real ones."""
    lost = Gpu(0, "GPU-1", "T4", problem="fell off the bus")
    facts = ResponderInfo("watch", "box", "demo", simulated=True)
    told = status_lines(
        build_status(Status(Level.NO_DATA, "No data", START, snapshot(gpus=(lost,))), facts), START
    )
    assert told[0] == "SIMULATED GPUs: nothing here is real"
    assert told[1] == "no data: No data"
    assert "  GPU 0 T4, fell off the bus" in told


def test_half_known_memory_shows_which_half():
    """A `?` is not a 0."""
    told = build_status(Status(Level.OK, "", START, snapshot(gpus=(Gpu(0, "u", memory_total=2**30),))), FACTS)
    assert "  GPU 0, ? / 1024 MiB" in status_lines(told, START)


def test_the_answer_of_another_version_is_shown_as_far_as_it_goes():
    """An older tray still runs after an update: missing keys are no crash."""
    assert status_lines({"state": "ok", "headline": "fine", "alerts": [{"id": 1}]}, START)[0] == "ok: fine"
    assert status_lines({}, START)


def test_a_name_with_control_characters_cannot_play_with_the_terminal():
    """Whatever a driver or a note says, no escape sequence reaches the screen."""
    odd = Status(
        Level.OK, "a\x1b[2Jb\nc", START, snapshot(gpus=(Gpu(0, "u", "T4\x1b]0;x\x07"),)), notes=("\r",)
    )
    text = "".join(status_lines(build_status(odd, FACTS), START))
    assert text.isprintable()


# --- the way there ------------------------------------------------------------------------------------


def test_status_asks_the_running_one(own_context, capsys):
    """Lines for a person, or the answer as it is."""
    with watching(own_context, {"status": lambda _: build_status(WARNING, FACTS)}):
        assert print_status(own_context, Namespace(json=False), lambda: START) == 0
        assert capsys.readouterr().out.splitlines() == status_lines(build_status(WARNING, FACTS), START)
        assert print_status(own_context, Namespace(json=True)) == 0
        assert json.loads(capsys.readouterr().out) == build_status(WARNING, FACTS)


def test_from_cron_the_sessions_socket_is_found(own_context, monkeypatch, short):
    """The lock's description names the address, so XDG_RUNTIME_DIR need not be set."""
    with watching(own_context, {"status": lambda _: {"state": "ok"}}) as address:
        assert address.startswith(str(short / "run"))
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert tray_client.try_request(own_context, {"do": "status"}) == {"state": "ok"}


def test_without_a_running_one_status_and_quit_fail_in_one_line(own_context, environ):
    """Also after a crash, which leaves a description behind; `try_request` returns None instead."""
    for _ in range(2):
        for asked in (
            lambda: print_status(own_context, Namespace(json=False)),
            lambda: quit_running(own_context, Namespace()),
        ):
            with pytest.raises(
                WorkError, match=r"nothing is watching the GPUs here .*`gpuwatch-tray` starts"
            ) as told:
                asked()
            assert "\n" not in str(told.value)
        assert tray_client.try_request(own_context, {"do": "status"}) is None
        own_context.settings.state.mkdir(exist_ok=True)
        left = StoreLock(own_context.settings.state, own_context.state_name)
        left.describe(LockHolder(99999, "tray", address=str(own_context.settings.state / "s")))


def test_one_that_takes_no_requests_is_not_taken_for_none(own_context):
    """The lock is held but no socket answers: that is an error with the holder's name."""
    lock = StoreLock(own_context.settings.state, own_context.state_name)
    lock.acquire(LockHolder(os.getpid(), "watch"))
    with pytest.raises(WorkError, match=rf"watch, PID {os.getpid()} is watching .* accepts no requests"):
        tray_client.try_request(own_context, {"do": "status"})
    lock.release()


def test_a_refusal_is_an_error_with_its_text(own_context):
    """An older one that knows no such request says which it knows."""
    with (
        watching(own_context, {"status": lambda _: {}}),
        pytest.raises(WorkError, match=rf"tray, PID {os.getpid()} on .*: unknown request \(known: status"),
    ):
        tray_client.try_request(own_context, {"do": "dance"})


def test_without_a_place_for_the_socket_the_watching_goes_on(own_context, monkeypatch, caplog):
    """The address is empty then, and the log says what will not work."""
    monkeypatch.setattr(tray_client, "control_addresses", lambda _: ())
    with tray_client.serve_requests(own_context, {}) as address:
        assert address == ""
    assert "`status` and `quit` will not reach this one" in caplog.text


def test_a_demo_is_found_without_its_lock(environ, capsys):
    """A demo's state is in a folder that nobody knows, and is apart from the real one's."""
    demo, real = create_context(environ, SourceKind.DEMO), create_context(environ, SourceKind.NVML)
    with tray_client.serve_requests(demo, {"status": lambda _: {"state": "ok", "simulated": True}}):
        assert print_status(demo, Namespace(json=False), lambda: START) == 0
        assert "nothing here is real" in capsys.readouterr().out
        assert tray_client.try_request(real, {"do": "status"}) is None
        with tray_client.serve_requests(demo, {}) as second:  # a second demo does not displace the first
            assert second != tray_client.control_addresses(demo)[0]
    with pytest.raises(WorkError, match="nothing is watching the demo's GPUs"):
        print_status(demo, Namespace(json=False))


def test_a_second_demo_finds_the_first(environ, capsys):
    """One instance: the lock of a demo is where a second one looks; a trial evaluation needs none."""
    demo = create_context(environ, SourceKind.DEMO)
    with acquire_store(demo, "tray") as lease:
        with (
            pytest.raises(AlreadyRunningError, match=f"tray, PID {os.getpid()} is watching on") as other,
            acquire_store(demo, "watch"),
        ):
            pass
        assert other.value.holder == lease.holder == tray_client.lock_holder(demo)
        with acquire_store(demo, "check"):
            assert tray_client.lock_holder(demo) == lease.holder
        with acquire_store(create_context(environ, SourceKind.NVML), "tray"):
            pass
    with acquire_store(demo, "watch"):
        pass


def test_a_second_demo_prints_the_status_of_the_first(environ, capsys):
    """As a normal second start does: the status, and exit code 0."""
    demo = create_context(environ, SourceKind.DEMO)
    with (
        acquire_store(demo, "tray") as lease,
        tray_client.serve_requests(demo, {"status": lambda _: build_status(WARNING, FACTS)}) as address,
    ):
        lease.describe(address=address)
        assert headless.run(demo) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"tray, PID {os.getpid()} is already watching\n")
    assert "3 GPUs in use; the limit is 2" in told


def held_by_a_stranger(own_context):
    """The lock as somebody takes it who can open its file: no description that is true."""
    own_context.settings.state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(StoreLock(own_context.settings.state, own_context.state_name).path, timeout=0)
    lock.acquire()
    return lock


@pytest.mark.parametrize(
    "left",
    [
        LockHolder(),
        LockHolder(2**22 - 1, "tray"),
        LockHolder(os.getpid(), "tray", address="/nonexistent/s"),
    ],
)
def test_a_lock_that_nobody_answers_for_is_a_problem(own_context, monkeypatch, left):
    """No description, one of a dead process, a socket that is gone: no GPU may be watched, so it is told."""
    monkeypatch.setattr(tray_client, "DESCRIBED_WITHIN", 0.0)
    with held_by_a_stranger(own_context):
        if left.pid:
            StoreLock(own_context.settings.state, own_context.state_name).describe(left)
        with pytest.raises(WorkError, match=r"\.lock is locked, but no process answers for it") as told:
            headless.run(own_context)
        assert "\n" not in str(told.value)
        mailed = replace(own_context, settings=replace(own_context.settings, to_email=("ada@example.org",)))
        with pytest.raises(WorkError, match="no process answers for it"):  # cron mails it
            check_once(mailed, Namespace(dry_run=False, test_mail=False))
        (line,) = check_running(left, [], tray_client.lock_problem(own_context))
        assert (line.state, line.text) == (CheckState.PROBLEM, tray_client.lock_problem(own_context))


def test_a_lock_that_somebody_answers_for_is_none(own_context):
    """The running program, and one without a socket, such as a `check` of cron; nor is a free lock."""
    assert tray_client.lock_problem(own_context) == ""
    with watching(own_context, {"status": lambda _: {}}):
        assert tray_client.lock_problem(own_context) == ""
    with acquire_store(own_context, "check"):
        assert tray_client.lock_problem(own_context) == ""


def test_a_second_start_tells_how_the_first_one_is(own_context):
    """Its status where it answers, else who it is."""
    with watching(own_context, {"status": lambda _: build_status(WARNING, FACTS)}):
        told = describe_running(tray_client.lock_holder(own_context), lambda: START)
    assert told[0] == f"tray, PID {os.getpid()} is already watching"
    assert told[1] == "warning: 3 GPUs in use; the limit is 2"
    assert describe_running(LockHolder(7, "tray")) == ["tray, PID 7 is already watching"]
    (line,) = describe_running(LockHolder(7, "tray", address="/nonexistent/s"))
    assert line == "tray, PID 7 is already watching, but it could not be reached: nothing answers there"


def test_a_demo_started_twice_is_told_of_the_first_by_its_name(environ):
    """A demo's lock is its own, so the session's name tells; one that cannot be asked is named."""
    demo = create_context(environ, SourceKind.DEMO)
    with tray_client.serve_requests(demo, {"status": lambda _: build_status(WARNING, FACTS)}):
        told = describe_namesake(demo, 7, lambda: START)
        assert told[:2] == ["tray, PID 7 is already watching in this session", f"warning: {WARNING.headline}"]
    assert describe_namesake(demo, 7) == ["tray, PID 7 is already watching in this session"]
    assert describe_namesake(demo, 0) == ["another tray is in this session"]


def test_the_sessions_name_leads_to_the_same_tray_as_the_lock(own_context, monkeypatch):
    """Whichever of the two stops a second start, it prints the first one's status."""
    with watching(own_context, {"status": lambda _: build_status(WARNING, FACTS)}):
        monkeypatch.delenv("XDG_RUNTIME_DIR")  # the address is the lock's, wherever this one would look
        holder = tray_client.lock_holder(own_context)
        told = describe_namesake(own_context, os.getpid(), lambda: START)
        assert told == describe_running(holder, lambda: START)
        assert len(told) > 3


# --- quit ---------------------------------------------------------------------------------------------


TRAY = """
import os, signal, sys, threading
from gpuwatch_tray.app import tray_client
from gpuwatch_tray.app.context import SourceKind, create_context
from gpuwatch_tray.ipc.lock import LockHolder, StoreLock
own_context = create_context(os.environ, SourceKind.NVML)
lock = StoreLock(own_context.settings.state, own_context.state_name)
assert lock.acquire(LockHolder(os.getpid(), "tray"))
asked = threading.Event()
def leave(request):
    if sys.argv[1] != "deaf":
        asked.set()
    return {"face": "tray", "pid": os.getpid()}
with tray_client.serve_requests(own_context, {"quit": leave, "status": lambda _: {"state": "ok"}}) as address:
    lock.describe(LockHolder(os.getpid(), "tray", address=address))
    print("up", flush=True)
    asked.wait(60)
if sys.argv[1] == "abrupt":
    os._exit(0)
lock.release()
print("down", flush=True)
"""


@contextmanager
def tray(environ, how):
    """Another process that watches, and leaves as told."""
    with subprocess.Popen(
        [sys.executable, "-c", TRAY, how], env=os.environ | environ, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout.readline() == "up\n"
            yield running
        finally:
            if running.poll() is None:
                running.kill()


@pytest.mark.parametrize("how", ["orderly", "abrupt"])
def test_quit_ends_the_other_process_and_waits_for_it(own_context, environ, capsys, how):
    """When it returns, the lock can be taken; also where the process left without giving it back."""
    with tray(environ, how) as running:
        assert quit_running(own_context, Namespace()) == 0
        lock = StoreLock(own_context.settings.state, own_context.state_name)
        assert lock.acquire(LockHolder(os.getpid(), "tray"))
        lock.release()
        assert running.wait(60) == 0
        assert capsys.readouterr().out == f"ended: tray, PID {running.pid}\n"


def test_quit_does_not_claim_what_has_not_happened(own_context, environ):
    """One that stays is an error after 60 s, which are the test's own."""
    now = [0.0]

    def sleep(seconds):
        now[0] += 100 * seconds

    with tray(environ, "deaf") as running:
        with pytest.raises(
            WorkError, match=rf"tray, PID {running.pid}: asked to quit, but still running after 60 s"
        ):
            quit_running(own_context, Namespace(), monotonic=lambda: now[0], sleep=sleep)
        assert running.poll() is None


def test_quit_waits_for_one_that_takes_long(own_context, environ, capsys):
    """With 800 processes an end takes more than 5 s: it is waited for, and the person is told so once."""
    now = [0.0]

    with tray(environ, "deaf") as running:

        def sleep(seconds):
            now[0] += 20 * seconds
            if now[0] >= 12:
                running.kill()
                running.wait(60)

        assert quit_running(own_context, Namespace(), monotonic=lambda: now[0], sleep=sleep) == 0
        told = capsys.readouterr()
        assert told.err == f"gpuwatch-tray: tray, PID {running.pid}: still finishing its work\n"
        assert told.out == f"ended: tray, PID {running.pid}\n"


def test_after_kill_9_the_state_is_free_and_status_says_so(own_context, environ):
    """What the dead one left, socket and description, misleads nobody and blocks no successor."""
    with tray(environ, "deaf") as running:
        assert tray_client.try_request(own_context, {"do": "status"}) == {"state": "ok"}
        running.send_signal(signal.SIGKILL)
        running.wait(60)
    assert tray_client.try_request(own_context, {"do": "status"}) is None
    with watching(own_context, {"status": lambda _: {"state": "warning"}}):
        assert tray_client.try_request(own_context, {"do": "status"}) == {"state": "warning"}
