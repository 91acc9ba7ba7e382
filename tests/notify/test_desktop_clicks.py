"""The thread that answers clicks."""

from __future__ import annotations

import subprocess
import sys
import threading

from gpuwatch_tray.model import Button
from gpuwatch_tray.notify import desktop_popups as room
from gpuwatch_tray.notify.desktop_popups import ClickQueue


class Answer:
    """An `on_button` that notes what it is asked and then does as told."""

    def __init__(self, *, block=False, fail=0):
        self.fail = fail
        self.free = threading.Event()
        if not block:
            self.free.set()
        self.begun, self.done = threading.Event(), threading.Semaphore(0)
        self.heard = []

    def __call__(self, key, button):
        self.begun.set()
        assert self.free.wait(60)
        self.heard.append((key, button, threading.current_thread().name))
        self.done.release()
        if len(self.heard) <= self.fail:
            raise RuntimeError("the store is locked")


def test_clicks_are_answered_in_their_order_on_one_thread_of_their_own():
    """The bus's loop, which hears them, is never kept waiting."""
    answer = Answer(block=True)
    clicks = ClickQueue(answer)
    clicks.put("limit", Button.SNOOZE)
    clicks.put("lost", Button.SHOW)  # the first one blocks, and this comes back all the same
    assert not answer.heard
    answer.free.set()
    assert answer.done.acquire(timeout=60)
    assert answer.done.acquire(timeout=60)
    assert answer.heard == [
        ("limit", Button.SNOOZE, "popup-clicks"),
        ("lost", Button.SHOW, "popup-clicks"),
    ]


def test_an_answer_that_fails_is_logged_and_the_next_click_is_answered(caplog):
    """One broken click does not end the thread."""
    answer = Answer(fail=1)
    clicks = ClickQueue(answer)
    clicks.put("limit", Button.ACKNOWLEDGE)
    clicks.put("limit", Button.SHOW)
    assert answer.done.acquire(timeout=60)
    assert answer.done.acquire(timeout=60)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.message == "what acknowledge asked for could not be done"
    assert "the store is locked" in str(record.exc_info)


def test_clicks_beyond_the_bound_are_dropped_with_a_word(monkeypatch, caplog):
    """A hanging answer gathers no endless queue."""
    monkeypatch.setattr(room, "ROOM", 2)
    answer = Answer(block=True)
    clicks = ClickQueue(answer)
    clicks.put("first", Button.SHOW)
    assert answer.begun.wait(60)
    for key in ("second", "third", "fourth"):
        clicks.put(key, Button.SHOW)
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "a click on show is lost: the one before it is still being answered"
    ]
    answer.free.set()
    for _ in range(3):
        assert answer.done.acquire(timeout=60)
    assert [key for key, *_ in answer.heard] == ["first", "second", "third"]


def test_a_hanging_answer_does_not_keep_the_program_from_ending():
    """Quit means quit."""
    code = (
        "import threading\n"
        "from gpuwatch_tray.model import Button\n"
        "from gpuwatch_tray.notify.desktop_popups import ClickQueue\n"
        "begun = threading.Event()\n"
        "def hang(key, button): begun.set(); threading.Event().wait()\n"
        "ClickQueue(hang).put('limit', Button.SHOW)\n"
        "assert begun.wait(60)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
