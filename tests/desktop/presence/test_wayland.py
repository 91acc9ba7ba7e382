"""ext-idle-notify-v1: a played compositor for each habit, and the real ones, KWin and Sway, nested in X."""

from __future__ import annotations

import struct
import subprocess

import pytest

from gpuwatch_tray.desktop.presence import start_detector
from gpuwatch_tray.desktop.presence.types import Evidence, SuspendLog, moment
from gpuwatch_tray.desktop.presence.wayland import IdleNotify
from gpuwatch_tray.model import Presence
from tests.desktop.presence.compositors import (
    EXT_IDLE_NOTIFY,
    PlayedCompositor,
    need,
    nested_kwin,
    nested_sway,
    sway_version,
)
from tests.support.timing import wait_until

AWAY = 60.0
NOTIFIER, SEAT = ("ext_idle_notifier_v1", 1), ("wl_seat", 8)
IDLED, RESUMED = 0, 1


@pytest.fixture
def play(short):
    """Start a compositor with these globals, and a source that listens to it; both end with the test."""
    made = []

    def begin(*offered, away=AWAY):
        compositor = PlayedCompositor(short, *offered)
        source = IdleNotify(compositor.environment, away, SuspendLog(), interval=0.05, connect_again=0.05)
        made.extend((source, compositor))
        return compositor, source

    yield begin
    for one in made:
        one.close()


def evidence(source):
    reading = source.reading(moment())
    return reading and reading.evidence


def watched(compositor, count=1):
    """The object ids of the notifications that were asked for, once they are `count`."""
    wait_until(lambda: len(compositor.notifications()) == count, f"{count} notifications")
    return [number for _request, number, _milliseconds in compositor.notifications()]


@pytest.mark.parametrize(("version", "request_"), [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize(("away", "milliseconds"), [(300.0, 10_000), (4.0, 4_000), (0.1, 1_000)])
def test_a_short_pause_is_asked_for(play, version, request_, away, milliseconds):
    """So that all is known soon; from version 2 on of input alone, whatever keeps the screen awake."""
    compositor, _source = play(("ext_idle_notifier_v1", version), SEAT, away=away)
    watched(compositor)
    ((request, _number, pause),) = compositor.notifications()
    assert (request, pause) == (request_, milliseconds)


def test_idle_and_back(play):
    """Nothing is known before the first report; then as it says."""
    compositor, source = play(SEAT, NOTIFIER)
    (number,) = watched(compositor)
    assert evidence(source) is None
    assert source.is_listening
    compositor.say(number, IDLED)
    wait_until(lambda: evidence(source) is Evidence.IDLE_AT_LEAST, "idle")
    assert source.reading(moment()).idle >= 10
    compositor.say(number, RESUMED)
    wait_until(lambda: evidence(source) is Evidence.INPUT, "input")
    compositor.say(number, IDLED)
    wait_until(lambda: evidence(source) is Evidence.IDLE, "a pause whose begin is known")


def test_of_two_seats_one_person_is_enough(play):
    """Idle is when all seats are; one that goes counts no more, and one that comes later does."""
    compositor, source = play(NOTIFIER, SEAT, SEAT)
    first, second = watched(compositor, 2)
    compositor.say(first, IDLED)
    compositor.say(first, RESUMED)
    wait_until(lambda: evidence(source) is Evidence.INPUT, "input")
    compositor.say(first, IDLED)
    compositor.offer(9, *SEAT)
    third = watched(compositor, 3)[2]
    assert evidence(source) is Evidence.INPUT
    compositor.say(second, IDLED)
    compositor.say(third, IDLED)
    wait_until(lambda: evidence(source) is Evidence.IDLE, "idle")
    compositor.say(2, 1, struct.pack("=I", 3))  # the second seat goes
    wait_until(lambda: (second, 0, b"") in compositor.requests, "its notification to be given up")


def test_without_a_seat_nobody_is_present(play):
    """Its silence would read as input: that there is no seat is said, and the next one is watched."""
    compositor, source = play(NOTIFIER)
    wait_until(lambda: "no seat" in source.state(), "the reason")
    assert not source.is_listening
    compositor.offer(5, *SEAT)
    watched(compositor)
    wait_until(lambda: source.is_listening, "the seat to be watched")
    compositor.say(2, 1, struct.pack("=I", 5))
    wait_until(lambda: not source.is_listening, "the seat to be gone")
    assert evidence(source) is None


def test_a_compositor_without_the_protocol(play):
    """It is named for the doctor, and swayidle is wanted."""
    compositor, source = play(SEAT, ("org_kde_kwin_idle", 1))
    assert source.lacking.wait(60)
    assert source.state() == "the compositor lacks ext_idle_notifier_v1"
    assert not source.is_listening
    assert compositor.clients == 1


def test_a_compositor_that_stands_still_is_no_sign_of_a_person(play):
    """What is known is as old as its last sign of life; when it moves again, so does the time."""
    compositor, source = play(NOTIFIER, SEAT)
    (number,) = watched(compositor)
    compositor.say(number, RESUMED)
    wait_until(lambda: evidence(source) is Evidence.INPUT, "input")
    compositor.answers = False
    wait_until(lambda: compositor.unanswered, "a question that stays unanswered")
    asked = len(compositor.requests)
    before = source.reading(moment()).at
    compositor.say(number, IDLED)
    wait_until(lambda: evidence(source) is Evidence.IDLE, "the report, which is no answer")
    assert source.reading(moment()).at == before
    assert len(compositor.requests) == asked
    compositor.answers = True
    compositor.answer()
    wait_until(lambda: source.reading(moment()).at > before, "a newer time")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (struct.pack("=II", 2, 4 << 16), "its answer cannot be understood"),  # a size below the header's
        (struct.pack("=III", 2, 12 << 16, 1), "its answer cannot be understood"),  # a global that is cut off
        (struct.pack("=IIIII8s", 1, 28 << 16, 3, 1, 7, b"no way\0"), "refused: no way"),
    ],
)
def test_what_it_does_not_understand_ends_the_connection(play, said, why):
    """With a reason; then it connects again, and what was known is forgotten."""
    compositor, source = play(NOTIFIER, SEAT)
    (number,) = watched(compositor)
    compositor.say(number, RESUMED)
    wait_until(lambda: evidence(source) is Evidence.INPUT, "input")
    reasons = []
    compositor.raw(said)
    wait_until(lambda: reasons.append(source.state()) or compositor.clients == 2, "the next connection")
    assert why in reasons
    watched(compositor)
    assert evidence(source) is None


def test_bytes_that_come_one_by_one(play):
    """A message may be cut anywhere."""
    compositor, source = play(NOTIFIER, SEAT)
    (number,) = watched(compositor)
    compositor.answers = False  # nothing else is said meanwhile
    wait_until(lambda: compositor.unanswered, "a question that stays unanswered")
    message = struct.pack("=II", number, 8 << 16 | IDLED)
    for count, byte in enumerate(message, 1):
        compositor.raw(bytes([byte]))
        left = count % len(message)
        wait_until(lambda left=left: len(source._connection._buffer) == left, f"byte {count} to be read")
    wait_until(lambda: evidence(source) is Evidence.IDLE_AT_LEAST, "idle")


def test_a_compositor_that_goes_and_comes_back(short):
    """Its last report goes with it; the next one's counts anew."""
    first = PlayedCompositor(short, NOTIFIER, SEAT)
    source = IdleNotify(first.environment, AWAY, SuspendLog(), interval=0.05, connect_again=0.05)
    try:
        first.say(*watched(first), RESUMED)
        wait_until(lambda: evidence(source) is Evidence.INPUT, "input")
        first.close()
        wait_until(lambda: evidence(source) is None, "nothing known")
        wait_until(lambda: "wayland-7" in source.state(), "the reason, with the path")
        (short / "wayland-7").unlink()
        second = PlayedCompositor(short, NOTIFIER, SEAT)
        second.say(*watched(second), IDLED)
        wait_until(lambda: evidence(source) is Evidence.IDLE_AT_LEAST, "idle")
        second.close()
    finally:
        source.close()


def test_the_thread_ends_with_the_watch(play):
    """Also while it listens; the connection ends with it, by which the compositor lets go of all."""
    compositor, source = play(NOTIFIER, SEAT)
    watched(compositor)
    source.close()
    wait_until(lambda: not source._thread.is_alive(), "the thread's end")
    assert compositor._client is not None
    wait_until(lambda: compositor._client.fileno() == -1, "the connection's end")


def worked_by_the_mouse(environment, source):
    """Unknown at first, away after the limit, present with the first movement, away again."""
    watcher = start_detector(None, environment, 2.0, platform="linux", interval=0.5)
    try:
        assert watcher.check().presence is Presence.UNKNOWN
        wait_until(lambda: watcher.check().presence is Presence.AWAY, "away")
        assert watcher.check().source == source
        move = ["xdotool", "mousemove", "150", "150", "mousemove", "220", "220"]
        subprocess.run(move, env=environment, check=True, timeout=60)
        wait_until(lambda: watcher.check().presence is Presence.PRESENT, "present")
        assert watcher.check().source == source
        wait_until(lambda: watcher.check().presence is Presence.AWAY, "away again")
    finally:
        watcher.close()


@pytest.mark.desktops
def test_in_a_real_kwin_the_mouse_lies_still_and_moves(display, tmp_path):
    """Without any program of the distribution; and after a restart of the compositor again."""
    need("kwin_wayland", "xdotool")
    with nested_kwin(display, tmp_path) as environment:
        worked_by_the_mouse(environment, "ext-idle-notify")
        source = IdleNotify(environment, 1.0, SuspendLog(), interval=0.2, connect_again=0.2)
        wait_until(lambda: evidence(source) is Evidence.IDLE_AT_LEAST, "idle")
    try:
        wait_until(lambda: evidence(source) is None, "nothing known")
        with nested_kwin(display, tmp_path):
            wait_until(lambda: evidence(source) is Evidence.IDLE_AT_LEAST, "idle again")
    finally:
        source.close()


@pytest.mark.desktop
def test_a_real_sway_either_tells_or_says_that_it_lacks_the_protocol(display):
    """For one that lacks it there is swayidle."""
    need("sway", "xdotool")
    with nested_sway(display) as environment:
        if sway_version() >= EXT_IDLE_NOTIFY:
            worked_by_the_mouse(environment, "ext-idle-notify")
            return
        source = IdleNotify(environment, 1.0, SuspendLog(), interval=0.2)
        try:
            assert source.lacking.wait(60)
            assert source.state() == "the compositor lacks ext_idle_notifier_v1"
        finally:
            source.close()
