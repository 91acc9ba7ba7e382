"""What must be true of the tray on every panel: the icon, the menu, and that it holds still while it runs."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageChops  # the test looks at the screen

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.e2e import rig
from tests.e2e.peers import running_tray
from tests.support.timing import wait_until
from tests.support.tray_status import alert, gpu, named_process, process, snapshot, status

if TYPE_CHECKING:
    from tests.e2e.hosts import Host

OK, WARNING = drawing.COLOURS[Level.OK], drawing.COLOURS[Level.WARNING]
HELD = [
    *(named_process("a.py", 11, 0, 5000.0), named_process("b.py", 12, 0, 4000.0)),
    *(named_process("c.py", 13, 0, 3000.0), named_process("d.py", 14, 1, 100.0)),
]
STARTS = 20
LIVE = 32  # seconds: a menu whose panel does not tell of its closing counts as open for 30 s
BACK_INTO_IT = ("Up", "Down", "Right")
NUMBERS = 260  # pixels at the end of a row, where the numbers are


def looks(percent=10, held=HELD, level=Level.OK, **more):
    return status(level, snapshot([gpu(0, utilisation=percent), gpu(1, utilisation=percent)], held), **more)


class Eye:
    """What can be seen of the menu, against the screen without it."""

    def __init__(self, desk, folder):
        self.desk, self.folder, self.count = desk, folder, 0
        self.empty = self.look()

    def look(self, name=""):
        """Return the screen under the panel; keep it as `name`."""
        self.count += 1
        path = self.folder / (f"{self.desk.host.name}-{name}.png" if name else f"look-{self.count}.png")
        with Image.open(self.desk.screenshot(path)) as shot:
            return shot.convert("RGB").crop((0, 36, *rig.SCREEN))

    def differs(self, former):
        """Return whether the screen is another than it was."""
        return changed(former, self.look())

    def menu(self):
        """Return the box of what is new on the screen, in its pixels; None for nothing."""
        box = ImageChops.difference(self.look(), self.empty).getbbox()
        return box and (box[0], box[1] + 36, box[2], box[3] + 36)

    def has_grown(self, former, least):
        """Return whether the menu has another box than it had, down to this line at least."""
        box = self.menu()
        return box is not None and box != former and box[3] > least

    def settled(self):
        """Return the box once it has stopped changing."""
        former = []

        def still():
            former.append(self.menu())
            return len(former) > 1 and former[-1] == former[-2] and former[-1]

        return wait_until(still, "the menu on the screen", pause=0.1)


def opened(desk, eye):
    """Open the menu, and put the pointer on its first row: over the icon it would call the tooltip up."""
    desk.right_click(desk.icon_position(OK))
    box = eye.settled()
    desk.move((box[0] + 40, box[1] + 8))
    rig.settle(0.2)
    return eye.settled()


def changed(before, after):
    """Return the box in which two pictures differ."""
    return ImageChops.difference(before, after).getbbox()


def gpu_submenu(desk, eye, box):
    """Move the pointer down the menu until the second submenu opens, the first GPU's; the box of all."""
    opened = []
    for y in range(box[1] + 8, box[3], 14):
        desk.move((box[0] + 60, y))
        desk.move((box[0] + 64, y + 1))
        rig.settle(0.35)  # panels wait a little, for a hand that only passes
        if eye.menu() not in (box, *opened):
            opened.append(eye.settled())
        if len(opened) == 2:
            return opened[-1]
    raise AssertionError("no second row of the menu opens a submenu")


def differ(before, after, line):
    """Return whether the pictures differ on this line of pixels."""
    return changed(*(one.crop((0, line, one.width, line + 1)) for one in (before, after))) is not None


def press_until(reached, keys, desk, eye):
    """
    Press the keys until the menu on the screen is as it shall be; once more out of the last row and back.

    A GTK menu opens at once and never grows: where the tray is slow to answer, its list is whole next time.
    """
    for pressed in (keys, BACK_INTO_IT, BACK_INTO_IT):
        desk.key(*pressed)
        with suppress(AssertionError):
            return wait_until(lambda: (box := eye.menu()) and reached(box), "a list", timeout=10, pause=0.1)
    raise AssertionError(f"the menu does not show what {' '.join(keys)} opens")


class TrayOnHost:
    """The tray on one panel, and nothing else on the screen."""

    HOST: Host

    @pytest.fixture(scope="class")
    @classmethod
    def desk(cls, tmp_path_factory):
        """Run a desktop with this panel, and nothing else on the screen."""
        rig.require()
        with rig.desktop(tmp_path_factory.mktemp("host"), host=cls.HOST, notifier=None) as running:
            yield running

    @pytest.fixture
    def panel_tray(self, desk):
        with running_tray(desk.address, desk.client, looks()) as running:
            desk.icon_position(OK)
            yield running
            desk.close_menu()
        desk.icon_gone(OK)

    @pytest.fixture
    def eye(self, desk, panel_tray, tmp_path):
        """Eyes that know the empty screen."""
        desk.move((20, rig.SCREEN[1] - 20))
        rig.settle(0.2)
        return Eye(desk, rig.shots(tmp_path))

    @pytest.mark.timeout(300)
    def test_the_icon_is_right_in_every_start(self, desk):
        """Twenty starts, of which none stays on "no data" when the first reading comes at once."""
        wrong = []
        for number in range(STARTS):
            with running_tray(desk.address, desk.client) as running:
                running.show(looks(level=Level.WARNING))
                try:
                    desk.icon_position(WARNING)
                except AssertionError:
                    wrong.append(number)
            desk.icon_gone(WARNING)
        assert wrong == []

    def test_two_changes_in_quick_succession_end_in_the_last_state(self, desk, panel_tray):
        """Also where the second one comes while the panel still fetches the picture of the first."""
        for pause in (0.05, 0.15, 0.25, 0.35):
            panel_tray.show(looks(level=Level.CRITICAL))
            rig.settle(pause)
            panel_tray.show(looks(level=Level.WARNING))
            desk.icon_position(WARNING)
            panel_tray.show(looks())
            desk.icon_position(OK)

    def test_a_click_opens_the_menu(self, desk, panel_tray, eye):
        """By each button that this panel gives to menus; a click elsewhere closes it."""
        for button in desk.host.buttons:
            position = desk.icon_position(OK)
            (desk.left_click if button == "left" else desk.right_click)(position)
            left, top, right, bottom = eye.settled()
            assert left < position[0]
            assert (right - left > 300, bottom - top > 120) == (True, True)
            eye.look(f"menu-{button}")
            desk.close_menu()
            wait_until(lambda: eye.menu() is None, "the menu to close")
        assert not panel_tray.done

    @pytest.mark.timeout(240)
    def test_numbers_run_in_the_open_menu_and_nothing_else_moves(self, desk, panel_tray, eye):
        """For half a minute the menu stands where it stood; only the ends of the GPU rows look different."""
        box = opened(desk, eye)
        before = former = eye.look()
        for second in range(LIVE):
            panel_tray.show(looks(20 + second))
            wait_until(partial(eye.differs, former), f"{20 + second} % to be on the screen")
            rig.settle(1.0)
            assert eye.menu() == box
            former = eye.look()
        after = eye.look("live")
        left, top, right, bottom = changed(before, after)
        assert right - left < NUMBERS  # the numbers' digits
        rows = (bottom - top) / (box[3] - box[1])
        assert 0 < rows < 0.5  # of two GPU rows, one under the other

    def test_a_process_that_ends_keeps_its_row_under_the_pointer(self, desk, panel_tray, eye):
        """In the open submenu its row turns into "Ended", and those above and below stay where they are."""
        box = opened(desk, eye)
        wide = gpu_submenu(desk, eye, box)
        before = eye.look("submenu")
        panel_tray.show(looks(10, [HELD[0], *HELD[2:]]))
        rig.settle()
        after = eye.look("ended")
        assert eye.menu() == wide
        left, top, right, bottom = changed(before, after)
        assert bottom - top < 40  # one row
        assert right - left > 100
        assert "Ended: python b.py" in " ".join(desk.labels())

    def test_an_alert_that_comes_meanwhile_moves_no_row(self, desk, panel_tray, eye):
        """The status line and the row for alerts tell of it at once, and the menu keeps its height."""
        box = opened(desk, eye)
        before = eye.look()
        panel_tray.show(
            looks(10, level=Level.WARNING, alerts=(alert(), alert("a2", "GPU 1: a second alert")))
        )
        rig.settle()
        after = eye.look("alert")
        grown = eye.menu()
        assert (grown[1], grown[3]) == (box[1], box[3])
        lines = [line for line in range(box[1], box[3]) if differ(before, after, line - 36)]
        assert lines
        assert len(lines) < 0.35 * (box[3] - box[1])
        desk.close_menu()
        panel_tray.show(looks())

    def test_the_menu_is_whole_when_it_is_opened_again(self, desk, panel_tray, eye):
        """What came while it was closed is there, as high as it takes."""
        desk.right_click(desk.icon_position(OK))
        box = eye.settled()
        desk.close_menu()
        wait_until(lambda: eye.menu() is None, "the menu to close")
        alerts = (alert(), alert("a2", "GPU 1: a second alert"))
        panel_tray.show(looks(10, level=Level.WARNING, alerts=alerts, notes=("No email",)))
        position = desk.icon_position(WARNING)
        desk.right_click(position)
        wait_until(eye.menu, "the menu")
        rig.settle()
        eye.look("again")
        assert "Warning: GPU 1: a second alert" in desk.labels()
        if desk.host.name == "lxqt-panel":
            assert eye.menu()[3] > box[3]
        panel_tray.show(looks())

    def test_the_panel_killed_and_started_again_shows_the_icon_again(self, desk, panel_tray):
        """Also with a state that changed while there was no panel."""
        desk.stop_panel()
        panel_tray.show(looks(level=Level.WARNING, alerts=(alert(),)))
        desk.start_panel()
        desk.icon_position(WARNING, timeout=60)
        panel_tray.show(looks())
        desk.icon_position(OK)


class TrayWithKeys(TrayOnHost):
    """The same on a panel whose menu is reached by keys."""

    def test_a_list_that_is_made_when_it_opens_is_whole(self, desk, panel_tray, eye):
        """Of eight GPUs with thirty processes each, the last list and what is below its last process."""
        held = [process(100 * gpu + n, gpu, 1000.0 - n) for gpu in range(8) for n in range(30)]
        panel_tray.show(status(shown=snapshot([gpu(n) for n in range(8)], held)))
        boxes = [opened(desk, eye)]
        _, top, _, bottom = boxes[0]
        for name, keys, reached in (
            (
                "gpus",
                ("Down", "Down", "Right"),
                lambda box: box[3] > bottom,
            ),  # eight below the row of all GPUs
            # twelve processes below the last GPU
            ("processes", (*["Down"] * 7, "Right"), lambda box: box[3] > top + 1.5 * (bottom - top)),
            ("details", (*["Down"] * 11, "Right"), lambda box: box != boxes[2]),
        ):
            press_until(reached, keys, desk, eye)
            boxes.append(eye.settled())
            eye.look(f"crowd-{name}")
        assert len(panel_tray.rows()) <= 160
        desk.close_menu()
        panel_tray.show(looks())
