"""What must be true of the tray on every whole desktop; its `desk` is in `test_gnome` and `test_kde`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from PIL import ImageChops  # the tests look at the screen

from gpuwatch_tray import drawing
from gpuwatch_tray.desktop.presence import start_detector
from gpuwatch_tray.model import Button, Level, Popup, Presence, Severity
from tests.e2e import rig
from tests.e2e.peers import running_tray
from tests.e2e.test_popup_buttons import answering
from tests.e2e.whole_desktop import LARGE, SMALL, Cost, Form
from tests.support.timing import wait_until
from tests.support.tray_status import GIB, NOW, alert, gpu, named_process, process, snapshot, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from tests.e2e.whole_desktop import SeenRow, WholeDesktop

SMALL_X11, SMALL_WAYLAND = Form(), Form(wayland=True)
LARGE_X11, LARGE_WAYLAND = Form(dark=True, size=LARGE), Form(wayland=True, dark=True, size=LARGE)

OK, WARNING = drawing.COLOURS[Level.OK], drawing.COLOURS[Level.WARNING]
HEADLINE = "2 GPUs in use; the limit is 1"
HELD = (
    *(named_process("a.py", 11, 0, 5000.0), named_process("b.py", 12, 0, 4000.0)),
    *(named_process("c.py", 13, 0, 3000.0), named_process("d.py", 14, 1, 100.0)),
)
TARGET = f"11:{HELD[0].identity}"
LIMIT = Popup(
    "limit", "GPU limit", HEADLINE, Severity.WARNING, (Button.ACKNOWLEDGE, Button.SNOOZE, Button.SHOW)
)
CLICKS = [
    (("Warning:", "Acknowledge"), ("acknowledge", "a1")),
    (("Warning:", "Snooze 1 h"), ("snooze an alert for an hour", "a1")),
    (("Notify me when…", "2 GPUs are free"), ("tell when GPUs are free", "2")),
    (("Show details…",), ("show the details", "")),
]
STARTS = 20
LIVE = 32  # seconds: a menu whose host does not tell of its closing counts as open for 30 s
AFTER_START = 2.0  # seconds, by which the tray has said again what a host may have missed at first
AWAY = 3.0  # seconds
# A crowded machine: what a shell may use beside what it uses without us.
GPUS, PROCESSES = 8, 100
QUIET, CLOSED, OPEN = 5, 10, 6  # seconds
LEAST_CPU, LEAST_MEMORY = 0.15, 40.0  # cores, and MiB
FROZEN = 300.0  # MiB: a shell that has grown by so much is not waited for


def looks(percent: int = 10, held=HELD, level: Level = Level.WARNING):
    """Two GPUs at work, over the limit."""
    alerts = (alert(reason=HEADLINE),) if level is Level.WARNING else ()
    shown = snapshot([gpu(0, utilisation=percent), gpu(1, utilisation=percent)], held)
    return status(level, shown, headline=HEADLINE, alerts=alerts)


def crowd(second: int):
    """Eight GPUs with a hundred processes each; with each second many change places in the order of sizes."""
    held = [
        process(
            1000 + 100 * index + place,
            index,
            60.0 * place + second,
            started=NOW - 60.0 * place,
            identity=str(place),
            memory=GIB * (1 + (7919 * (place + 1) * (second // 3 + 1) + 31 * index) % 97) // 4,
        )
        for index in range(GPUS)
        for place in range(PROCESSES)
    ]
    gpus = [gpu(index, utilisation=(7 * second + index) % 100) for index in range(GPUS)]
    return status(Level.OK, snapshot(gpus, held), headline="8 GPUs in use")


class TrayOnShell:
    """The tray on a desktop that people have."""

    @pytest.fixture
    def tray(self, desk):
        with running_tray(desk.address, desk.client, looks()) as running:
            desk.icon_position(WARNING)
            yield running
            desk.close_menu()
        desk.icon_gone(WARNING)

    def test_the_icon_has_the_states_colour(self, desk, tray):
        """Each state, one after the other, is seen in the panel."""
        for level in (Level.OK, Level.SNOOZED, Level.CRITICAL, Level.NO_DATA, Level.WARNING):
            tray.show(looks(level=level))
            desk.icon_position(drawing.COLOURS[level])

    @pytest.mark.parametrize("pause", [0.05, 0.15, 0.25, 0.35])
    def test_two_changes_in_quick_succession_end_in_the_last_state(self, desk, tray, pause):
        """The second one comes while the shell still fetches the picture of the first."""
        rig.settle(AFTER_START)
        tray.show(looks(level=Level.CRITICAL))
        rig.settle(pause)
        tray.show(looks(level=Level.OK))
        desk.icon_position(OK)
        tray.show(looks())
        desk.icon_position(WARNING)

    @pytest.mark.timeout(300)
    def test_the_icon_is_right_in_every_start(self, desk):
        """Twenty starts, of which none stays on "no data" when the first reading comes at once."""
        wrong = []
        for number in range(STARTS):
            with running_tray(desk.address, desk.client) as running:
                running.show(looks())
                try:
                    desk.icon_position(WARNING)
                except AssertionError:
                    wrong.append(number)
            desk.icon_gone(WARNING)
        assert wrong == []

    @pytest.mark.parametrize("button", ["1", "3"])
    def test_a_click_opens_the_menu(self, desk, tray, tmp_path, button):
        """With either button; the status line is on top, and all rows that are served are on the screen."""
        desk.open_menu(WARNING, button)
        desk.shows(*[row.label for row in desk.menu() if not row.separator])
        desk.screenshot(rig.shots(tmp_path) / f"{desk.kind}-{desk.form.name}-menu.png")
        rows = desk.seen()
        assert rows[0].label == HEADLINE
        assert rows[-1].box[3] < desk.size[1]
        assert not tray.done

    def test_a_process_has_its_details_and_actions(self, desk, tray, tmp_path):
        """Below a GPU its processes, below a process all that is served for it, where a hand reaches it."""
        desk.open_menu(WARNING)
        processes = desk.open_row("GPU 0")
        names = [row.label.split(" · ")[0] for row in processes]
        assert names == ["RTX 4090", "python a.py", "python b.py", "python c.py"]
        actions = [row.label for row in desk.open_row("python a.py")]
        desk.screenshot(rig.shots(tmp_path) / f"{desk.kind}-{desk.form.name}-process.png")
        assert actions[0] == "Command: python a.py"
        known = [words for words in actions if ":" not in words]
        assert known == ["Copy PID", "Copy command", "Notify me when it ends", "End process…"], actions
        desk.press(desk.row("Notify me when it ends").middle)
        wait_until(lambda: tray.asked, "the click")
        assert tray.asked == [("tell when a process ends", TARGET)]

    @pytest.mark.parametrize(("path", "asked"), CLICKS, ids=[path[-1] for path, _ in CLICKS])
    def test_a_click_on_a_row_does_what_it_says(self, desk, tray, path, asked):
        """Once, and the menu is gone."""
        desk.open_menu(WARNING)
        desk.click_row(*path)
        wait_until(lambda: tray.asked, "the click")
        wait_until(lambda: not desk.seen(), "the menu to close")
        assert tray.asked == [asked]

    def test_quit_ends_the_tray(self, desk):
        """By a click on its row; the icon goes."""
        with running_tray(desk.address, desk.client, looks()) as running:
            desk.open_menu(WARNING)
            desk.click_row("Quit")
            wait_until(lambda: running.done, "the click")
            assert [what for what, _thread in running.done] == ["quit"]
        desk.icon_gone(WARNING)

    @pytest.mark.timeout(240)
    def test_numbers_run_in_the_open_menu(self, desk, tray):
        """For half a minute: each second the row says the new number, and all rows stay where they were."""
        desk.open_menu(WARNING)
        desk.shows(*[row.label for row in desk.menu() if not row.separator])
        before = desk.still()
        row = desk.row("GPU 1")
        for second in range(LIVE):
            former = desk.picture(row.box)
            tray.show(looks(20 + second))
            wait_until(changed(desk, row, former), f"{20 + second} % to be on the screen")
            assert f"{20 + second} %" in desk.row("GPU 1").label
            assert [one.box[1::2] for one in desk.still()] == [one.box[1::2] for one in before]
            rig.settle(1.0)

    def test_an_alert_that_comes_meanwhile_moves_no_row(self, desk, tray):
        """The status line and the row for alerts tell of it, and every row stays in its place."""
        calm = looks(level=Level.OK)
        tray.show(replace(calm, headline="All within limits"))
        desk.open_menu(OK)
        before = desk.still()
        row = desk.row("No alerts")
        former = desk.picture(row.box)
        alerts = (alert(reason=HEADLINE), alert("a2", "GPU 1: a second alert"))
        tray.show(replace(calm, level=Level.WARNING, alerts=alerts))
        wait_until(changed(desk, row, former), "the row for alerts to change")
        told = desk.row(f"Warning: {HEADLINE}")
        after = desk.still()
        assert after[0].label == HEADLINE
        assert after.index(told) == before.index(row)
        places = [(one.middle[1], two.middle[1]) for one, two in zip(before, after, strict=True)]
        assert all(abs(one - two) <= 3 for one, two in places), places  # letters may hang lower
        desk.close_menu()

    def test_a_process_that_ends_under_the_hand_says_so(self, desk, tray):
        """In the open list its row becomes "Ended", and the others stay where they are."""
        desk.open_menu(WARNING)
        desk.open_row("GPU 0")
        row, third = desk.row("python b.py"), desk.row("python c.py")
        former = desk.picture(row.box)
        tray.show(looks(held=[HELD[0], *HELD[2:]]))
        wait_until(changed(desk, row, former), "the row to change")
        ended = desk.row("Ended: python b.py")
        assert abs(ended.middle[1] - row.middle[1]) <= 2
        assert abs(desk.row("python c.py").middle[1] - third.middle[1]) <= 2

    def test_rows_that_came_while_it_was_closed_stand_in_their_places(self, desk, tray):
        """The menu has been open once; then come a third GPU, a process and an alert."""
        tray.show(looks(level=Level.OK))
        desk.open_menu(OK)
        desk.close_menu()
        alerts = (alert(reason=HEADLINE), alert("a2", "GPU 2 is hot"))
        shown = snapshot([gpu(0), gpu(1), gpu(2)], [*HELD, process(15, 2, 10.0)])
        tray.show(status(Level.WARNING, shown, headline=HEADLINE, alerts=alerts))
        desk.open_menu(WARNING)
        desk.shows(*[row.label for row in desk.menu() if not row.separator])

    def test_presence_is_known(self, desk, monkeypatch):
        """A pointer that moves is somebody, and after some seconds without nobody is there."""
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", desk.environment["DBUS_SYSTEM_BUS_ADDRESS"])
        with answering(desk.address) as popups:
            detector = start_detector(popups.bus, desk.environment, AWAY, interval=0.5)
            try:

                def there():
                    desk.point((400, 400))
                    return detector.check().presence is Presence.PRESENT

                wait_until(there, "somebody", pause=0.2)
                wait_until(lambda: detector.check().presence is Presence.AWAY, "nobody", pause=0.2)
            finally:
                detector.close()

    def test_a_button_of_a_popup_acts_once(self, desk, tmp_path):
        """However often the desktop tells of the click; the popup goes with it."""
        with answering(desk.address) as popups:
            wait_until(lambda: popups.sink._registry.owner, "the daemon to be known")
            popups.show(LIMIT)
            wait_until(lambda: desk.popup_shown(HEADLINE), "the popup")
            told = len(desk.monitor.of("ActionInvoked"))
            place = desk.still_button("Snooze 1 h")
            desk.screenshot(rig.shots(tmp_path) / f"{desk.kind}-{desk.form.name}-popup.png")
            desk.press(place)
            popups.expect(("limit", Button.SNOOZE))
            wait_until(lambda: not desk.popup_shown(HEADLINE), "the popup to go")
            rig.settle()
            assert popups.clicks == [("limit", Button.SNOOZE)]
        assert len(desk.monitor.of("ActionInvoked")) - told == desk.says_each_click

    def test_a_popup_is_replaced_and_closed(self, desk):
        """The second one stands in the place of the first, and is taken away when it is over."""
        with answering(desk.address) as popups:
            wait_until(lambda: popups.sink._registry.owner, "the daemon to be known")
            popups.show(LIMIT)
            wait_until(lambda: desk.popup_shown(HEADLINE), "the popup")
            first = desk.notifications()[-1]
            popups.show(replace(LIMIT, body="2 GPUs in use for 5 min"))
            wait_until(lambda: desk.popup_shown("for 5 min"), "the second popup")
            second = desk.notifications()[-1]
            assert (second.replaces, second.id) == (first.id, first.id)
            assert not desk.popup_shown(HEADLINE)
            popups.popups.close("limit")
            wait_until(lambda: not desk.popup_shown("for 5 min"), "the popup to go")

    def test_the_shell_killed_and_started_again_shows_the_icon_again(self, desk, tray):
        """With the state that it has by then, and with its menu."""
        desk.kill_shell()
        tray.show(looks(level=Level.CRITICAL))
        desk.start_shell()
        desk.icon_position(drawing.COLOURS[Level.CRITICAL])
        tray.show(looks())
        desk.open_menu(WARNING)
        desk.row(HEADLINE)

    def test_a_crowded_machine_costs_the_shell_nothing(self, desk):
        """8 GPUs with 100 processes each, menu closed and open: CPU and memory are near the shell's own."""
        began = desk.cost()
        alone = spent(desk, began, QUIET, lambda _: None)
        say(desk, "alone", began, alone, QUIET)
        try:
            with running_tray(desk.address, desk.client, crowd(0)) as running:
                desk.icon_position(OK)
                before = desk.cost()
                closed = spent(desk, began, CLOSED, lambda second: running.show(crowd(second)))
                say(desk, "menu closed", before, closed, CLOSED)
                quiet = (alone.cpu - began.cpu) / QUIET
                assert (closed.cpu - before.cpu) / CLOSED < quiet + LEAST_CPU
                assert closed.memory - began.memory < LEAST_MEMORY
                opened = time.monotonic()
                desk.open_menu(OK)
                desk.row("8 GPUs in use")
                print(f"{desk.kind} {desk.form.name}: the menu took {time.monotonic() - opened:.1f} s")
                before = desk.cost()
                shown = spent(desk, began, OPEN, lambda second: running.show(crowd(CLOSED + second)))
                say(desk, "menu open", before, shown, OPEN)
                assert (shown.cpu - before.cpu) / OPEN < quiet + 2 * LEAST_CPU
                assert shown.memory - began.memory < LEAST_MEMORY
                desk.close_menu()
            desk.icon_gone(OK)
        except AssertionError:  # a shell that has too much to do is of no use to the tests that follow
            desk.kill_shell()
            desk.start_shell()
            raise

    def test_dark_and_large(self, large, tmp_path):
        """On a dark desktop of 1920 x 1080 the icon is seen, and a process's last action is reached."""
        with running_tray(large.address, large.client, looks()) as running:
            large.open_menu(WARNING)
            large.open_row("GPU 0")
            large.open_row("python a.py")
            large.screenshot(rig.shots(tmp_path) / f"{large.kind}-{large.form.name}-process.png")
            large.press(large.row("Notify me when it ends").middle)
            wait_until(lambda: running.asked, "the click")
            assert running.asked == [("tell when a process ends", TARGET)]
            large.icon_position(WARNING)


def changed(desk: WholeDesktop, row: SeenRow, former: Image.Image) -> Callable[[], bool]:
    """Whether the screen has something else where the row stood."""
    return lambda: ImageChops.difference(former, desk.picture(row.box)).getbbox() is not None


def spent(desk: WholeDesktop, began: Cost, seconds: int, each_second: Callable[[int], None]) -> Cost:
    """What the shell has used by the end of so many seconds; an AssertionError once it no longer answers."""
    for second in range(seconds):
        each_second(second)
        until = time.monotonic() + 1.0
        assert desk.answers(), f"the shell does not answer: {used(began, desk.cost())}"
        now = desk.cost()
        assert now.memory - began.memory < FROZEN, f"the shell grows: {used(began, now)}"
        rig.settle(max(0.0, until - time.monotonic()))
    return desk.cost()


def used(began: Cost, now: Cost) -> str:
    """What it has used since then, to read."""
    return f"{now.cpu - began.cpu:.1f} s of CPU, {now.memory - began.memory:+.0f} MiB"


def say(desk: WholeDesktop, what: str, before: Cost, after: Cost, seconds: int) -> None:
    """Print a figure."""
    share = 100 * (after.cpu - before.cpu) / seconds
    print(f"{desk.kind} {desk.form.name}, {what}: {share:.1f} % CPU, {after.memory:.0f} MiB")


__all__ = ("LARGE_WAYLAND", "LARGE_X11", "SMALL", "SMALL_WAYLAND", "SMALL_X11", "TrayOnShell")
