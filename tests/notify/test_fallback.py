"""Popups without a notification service: the icon's own, plyer, and none."""

from __future__ import annotations

import logging
import sys
import threading
import types

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Button, Popup, Severity
from gpuwatch_tray.notify import fallback, one_at_a_time
from gpuwatch_tray.notify.sinks import Popups, ignore_answer
from tests.support.timing import wait_until

POPUP = Popup("limit", "GPU limit", "GPU_COUNT(3) > GPU_LIMIT(2)", Severity.WARNING)


class Sink:
    def __init__(self, works):
        self.works, self.shown, self.closed = works, [], []

    def show(self, popup, on_answer=ignore_answer):
        self.shown.append(popup)
        if self.works:
            on_answer(True)
        return self.works

    def close(self, key):
        self.closed.append(key)


def test_the_first_sink_that_works_shows_the_popup():
    """The order is the preference, and one popup is shown once."""
    broken, first, second = Sink(works=False), Sink(works=True), Sink(works=True)
    assert Popups([broken, first, second]).show(POPUP)
    assert (broken.shown, first.shown, second.shown) == ([POPUP], [POPUP], [])


def test_that_no_popups_are_possible_is_said_once(caplog):
    """Once until a sink works again, not at each alert."""
    sink = Sink(works=False)
    popups = Popups([sink])
    with caplog.at_level(logging.WARNING):
        assert [popups.show(POPUP) for _ in range(3)] == [False] * 3
        assert len(caplog.records) == 1
        sink.works = True
        assert popups.show(POPUP)
        sink.works = False
        assert not popups.show(POPUP)
    assert [record.message for record in caplog.records] == [
        "desktop popups are not available here: alerts are told by the icon and by email only"
    ] * 2


def test_no_text_can_break_the_way_that_it_goes():
    """Half a pair cannot be sent over a bus, and a NUL ends the connection that the icon needs too."""
    sink = Sink(works=True)
    assert Popups([sink]).show(Popup("k", "a\0b\ud800", "one\x1b\ntwo\u202e\r\nthree", Severity.INFO))
    (shown,) = sink.shown
    assert (shown.title, shown.body) == ("a\\x00b\\ud800", "one\\x1b\ntwo\\u202e\nthree")


def test_closing_reaches_every_sink():
    """Whoever showed it takes it away."""
    sinks = [Sink(works=True), Sink(works=True)]
    Popups(sinks).close("limit")
    assert [sink.closed for sink in sinks] == [["limit"]] * 2


def test_whoever_can_have_buttons_is_told_who_answers_them():
    """The others are not asked for what their systems cannot do."""

    class Clickable(Sink):
        on_button = None

        def answer(self, on_button):
            self.on_button = on_button

    def on_button(_key, _button):
        pass

    first, second = Clickable(works=True), Clickable(works=True)
    Popups([first, Sink(works=True), fallback.plyer_popups()], on_button)
    Popups([second])
    assert (first.on_button, second.on_button) == (on_button, None)


def test_buttons_are_no_words_in_a_popup_that_cannot_have_them():
    """Nothing to click is promised."""
    shown = []
    sink = fallback.CallbackPopups(lambda *words: shown.append(words), "icon")
    assert sink.show(Popup("limit", "GPU limit", "3 GPUs", Severity.WARNING, tuple(Button)))
    assert shown == [("GPU limit", "3 GPUs")]


def test_a_popup_through_the_icon_is_clipped_to_what_windows_takes():
    """63 and 255 UTF-16 units, no leading dash, never empty."""
    shown = []
    sink = fallback.CallbackPopups(lambda *words: shown.append(words), "icon")
    assert sink.show(Popup("k", "--title" + "t" * 100, "b" * 400, Severity.INFO))
    assert sink.show(Popup("k", "-", "", Severity.INFO))
    assert shown[0] == ("title" + "t" * 58, "b" * 255)
    assert shown[1] == ("gpuwatch-tray", " ")


def test_a_failing_popup_is_not_shown_and_says_why(caplog):
    """Whatever the library raises becomes False and one line."""

    def notify(_title, _body):
        raise NotImplementedError("no such thing")

    with caplog.at_level(logging.INFO):
        assert not fallback.CallbackPopups(notify, "icon").show(POPUP)
    assert "no popup through icon: NotImplementedError: no such thing" in caplog.text


def test_a_popup_that_takes_long_counts_as_shown_and_none_is_tried_beside_it(monkeypatch):
    """The worker thread goes on; what comes meanwhile follows, and each answer counts when it comes."""
    monkeypatch.setattr(one_at_a_time, "POPUP_TIMEOUT", 0.05)
    going_on, calls, answers = threading.Event(), [], []

    def notify(*words):
        calls.append(words)
        going_on.wait(10)

    sink = fallback.CallbackPopups(notify, "icon")
    assert sink.show(POPUP, answers.append)
    assert sink.show(replace(POPUP, key="other", title="Other"), answers.append)
    assert (len(calls), answers) == (1, [])
    going_on.set()
    wait_until(lambda: answers == [True, True], "both answers")
    assert [title for title, _body in calls] == ["GPU limit", "Other"]


def test_a_popup_that_hangs_for_good_is_not_shown_and_nothing_is_tried_while_it_hangs(monkeypatch):
    """It fails at the end of all patience, and the next ones at once, until it comes back."""
    monkeypatch.setattr(one_at_a_time, "POPUP_TIMEOUT", 0.05)
    monkeypatch.setattr(fallback, "ANSWER_TIMEOUT", 0.2)
    hanging, calls, answers = threading.Event(), [], []

    def notify(*words):
        calls.append(words)
        hanging.wait(10)

    sink = fallback.CallbackPopups(notify, "icon")
    assert sink.show(POPUP, answers.append)
    wait_until(lambda: answers, "the end of patience")
    assert answers == [False]
    assert not sink.show(POPUP)
    assert len(calls) == 1
    hanging.set()
    wait_until(lambda: sink.show(POPUP), "its way to be free again")
    assert len(calls) == 2


def test_plyer_is_called_with_its_own_names(monkeypatch):
    """Title, message and application name."""
    shown = []
    notification = types.SimpleNamespace(notify=lambda **words: shown.append(words))
    monkeypatch.setitem(sys.modules, "plyer", types.SimpleNamespace(notification=notification))
    monkeypatch.setitem(sys.modules, "dbus", types.ModuleType("dbus"))
    assert fallback.plyer_popups().show(POPUP)
    assert shown == [
        {"title": POPUP.title, "message": POPUP.body, "app_name": "gpuwatch-tray", "timeout": 10}
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the way plyer fails on Linux")
def test_plyer_on_linux_without_dbus_python_does_not_pretend(monkeypatch):
    """Its programs' failures go unseen, so it is not asked."""
    monkeypatch.setitem(sys.modules, "dbus", None)
    assert not fallback.plyer_popups().show(POPUP)


class Late(Sink):
    """Takes every popup, and says later what became of it."""

    def __init__(self):
        super().__init__(works=True)
        self.unanswered = []

    def show(self, popup, on_answer=ignore_answer):
        self.shown.append(popup)
        self.unanswered.append(on_answer)
        return True


@pytest.mark.parametrize("works", [True, False])
def test_what_fails_late_goes_the_next_way(works):
    """Whoever asked is told once, and only when all ways have answered."""
    late, last, answers = Late(), Sink(works=works), []
    assert Popups([late, last]).show(POPUP, answers.append)
    assert (answers, last.shown) == ([], [])
    late.unanswered[0](False)
    assert last.shown == [POPUP]
    assert answers == [works]


def test_what_was_shown_late_goes_no_other_way():
    """One popup, and its answer."""
    late, last, answers = Late(), Sink(works=True), []
    Popups([late, last]).show(POPUP, answers.append)
    late.unanswered[0](True)
    assert (answers, last.shown) == ([True], [])
