"""The tray on a real xfce4-panel: seen in screenshots, clicked with a pointer."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace
from PIL import Image, ImageChops  # the test looks at the screen

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.e2e import rig
from tests.e2e.peers import running_tray
from tests.support.timing import slowness, wait_until
from tests.support.tray_status import alert, gpu, process, snapshot, status

pytestmark = pytest.mark.desktop

BUSY = snapshot(
    [gpu(0), gpu(1, utilisation=3)],
    [
        process(2943615, 0, mine=True, command=("python", "train.py", "--api_key=abcdef", "--batch_size=64")),
        process(2943700, 1, 600.0, user="bob", mine=False),
    ],
)


@pytest.fixture
def desk_tray(desk):
    with running_tray(desk.address, desk.client, status(shown=BUSY)) as running:
        desk.icon_position(drawing.COLOURS[Level.OK])
        yield running
    desk.icon_gone(drawing.COLOURS[Level.OK])


def crop(path, box):
    with Image.open(path) as picture:
        return picture.convert("RGB").crop(box)


def test_the_icon_changes_shape_and_colour_with_the_state(desk, desk_tray, tmp_path):
    """Each state is found by its colour, and no two look alike in grey."""
    seen = {}
    for level in Level:
        desk_tray.show(status(level, BUSY))
        x, y = desk.icon_position(drawing.COLOURS[level])
        shot = desk.screenshot(rig.shots(tmp_path) / f"icon-{drawing.NAMES[level]}.png")
        seen[level] = (
            crop(shot, (x - 12, y - 12, x + 12, y + 12)).convert("L").point(lambda v: 255 * (v > 128))
        )
    for level in Level:
        for other in Level:
            if level < other:
                assert sum(ImageChops.difference(seen[level], seen[other]).tobytes()) > 255 * 40
    desk_tray.show(status(shown=BUSY))


@pytest.mark.parametrize("button", ["right", "left"])
def test_either_button_opens_the_menu(desk, desk_tray, tmp_path, button):
    """The menu's window covers the screen under the icon, and Escape closes it."""
    position = desk.icon_position(drawing.COLOURS[Level.OK])
    below = (500, 40, position[0], 200)
    empty = crop(desk.screenshot(tmp_path / "before.png"), below)
    (desk.right_click if button == "right" else desk.left_click)(position)
    shot = rig.shots(tmp_path) / f"menu-{button}.png"

    def opened():
        return ImageChops.difference(crop(desk.screenshot(shot), below), empty).getbbox()

    wait_until(opened, "the menu on the screen")
    desk.key("Down", "Down", "Right", "Right")
    rig.settle()
    desk.screenshot(shot)
    desk.close_menu()
    shot = tmp_path / "after.png"
    wait_until(lambda: not opened(), "the menu to close")
    assert not desk_tray.done


WIDTH = range(350, 451)  # pixels of the menu
SENTENCE = "python (PID 2943615, GPU 0) has run for 6 h 3 min; the limit is 6 h"
LONG = snapshot(
    [gpu(0, name="NVIDIA RTX 6000 Ada Generation"), gpu(1, name="NVIDIA GeForce RTX 4070 Ti SUPER")],
    [process(2943615, 0, user="wilhelmina.long", command=("python", "pretrain_language_model_v2.py"))],
)
LOOKS = {
    "calm": status(shown=snapshot([gpu(0)], [])),
    "two": status(shown=BUSY),
    "long names": status(shown=LONG),
    "alert": status(Level.WARNING, BUSY, headline=SENTENCE, alerts=(alert(text=SENTENCE),)),
    "alerts": status(Level.WARNING, LONG, headline="2 alerts", alerts=(alert(text=SENTENCE), alert("a2"))),
    "notes": status(shown=BUSY, notes=("Email is off: there is no /home/alice/.config/gpu-watch.env", "x")),
}


def boxes(desk, tmp_path, *keys):
    """Open the menu; return the boxes of what is on the screen, at first and after the keys."""
    below = (0, 40, *rig.SCREEN)
    desk.move((20, rig.SCREEN[1] - 20))
    rig.settle()
    empty = crop(desk.screenshot(tmp_path / "empty.png"), below)
    desk.right_click(desk.icon_position(drawing.COLOURS[Level.OK]))
    found = []
    for pressed in ((), keys):
        if pressed:
            desk.key(*pressed)
        rig.settle()
        shown = crop(desk.screenshot(tmp_path / "shown.png"), below)
        found.append(ImageChops.difference(shown, empty).getbbox())
    desk.close_menu()
    rig.settle()
    return found


@pytest.mark.parametrize("name", LOOKS)
def test_the_menu_is_of_a_fitting_width(desk, desk_tray, tmp_path, name):
    """With one GPU and with long names, with an alert and without: neither narrow nor wide."""
    told = LOOKS[name]
    desk_tray.show(replace(told, level=Level.OK))
    ((left, _top, right, _bottom), _) = boxes(desk, tmp_path)
    assert right - left in WIDTH
    desk_tray.show(status(shown=BUSY))


def test_the_list_of_processes_is_of_a_fitting_width(desk, desk_tray, tmp_path):
    """Owner and script with long names, a PID of seven digits."""
    desk_tray.show(LOOKS["long names"])
    (root, both) = boxes(desk, tmp_path, "Down", "Down", "Right")
    assert 150 < (both[2] - both[0]) - (root[2] - root[0]) <= WIDTH[-1]
    desk_tray.show(status(shown=BUSY))


def test_a_number_in_the_menu_moves_no_other(desk, desk_tray, tmp_path):
    """From 3 to 100 percent, in the panel's proportional font: nothing differs but the number."""
    pictures = []
    for percent in (3, 100):
        desk_tray.show(status(shown=snapshot([gpu(0, utilisation=percent)], [])))
        desk.right_click(desk.icon_position(drawing.COLOURS[Level.OK]))
        rig.settle()
        pictures.append(crop(desk.screenshot(tmp_path / "shown.png"), (0, 40, *rig.SCREEN)))
        desk.close_menu()
        rig.settle()
    left, top, right, bottom = ImageChops.difference(*pictures).getbbox()
    assert right - left < 40  # three digits
    assert bottom - top < 20
    desk_tray.show(status(shown=BUSY))


def test_the_menu_on_the_bus_is_what_the_panel_shows(desk, desk_tray):
    """The rig reads the rows as the panel does: processes in, secrets out."""
    labels = desk.labels()
    assert "python train.py · alice · 2.8 GiB · 3:24 h · PID 2943615" in labels
    assert not any("abcdef" in label for label in labels)
    desk.click("Check now")
    wait_until(lambda: desk_tray.done, "the click")


def test_a_row_is_clicked_with_the_pointer(desk, desk_tray):
    """Keyboard and pointer reach the action through the real panel."""
    desk.right_click(desk.icon_position(drawing.COLOURS[Level.OK]))
    rig.settle()
    # from the end: Quit, More, Show details
    desk.key(*["Up"] * 3, "Return")
    wait_until(lambda: desk_tray.done, "the click")
    assert desk_tray.done[0][0] == "show the details"


def test_the_panel_killed_and_started_again_shows_the_icon_again(desk, desk_tray):
    """Also with a state that changed while there was no panel."""
    desk.stop_panel()
    desk_tray.show(status(Level.CRITICAL, BUSY))
    began = time.monotonic()
    desk.start_panel()
    desk.icon_position(drawing.COLOURS[Level.CRITICAL])
    assert time.monotonic() - began < 5 * slowness()
    assert "GPU 1 is lost" in desk.labels()
    desk_tray.show(status(shown=BUSY))
    desk.icon_position(drawing.COLOURS[Level.OK])


def test_a_menu_opened_again_shows_what_came_since_at_once(desk, desk_tray, tmp_path):
    """The panel never says that it closed the menu: alerts, notes and processes are there at the next one."""
    folder = rig.shots(tmp_path)
    held = [process(11, 0, 500.0), process(12, 0, 90.0)]
    desk_tray.show(status(shown=snapshot([gpu(0), gpu(1, utilisation=0)], held)))
    position = desk.icon_position(drawing.COLOURS[Level.OK])

    def look(name, *keys):
        desk.right_click(position)
        rig.settle()
        desk.key(*keys) if keys else None
        rig.settle()
        shown, labels = crop(desk.screenshot(folder / name), (0, 32, *rig.SCREEN)), desk.labels()
        desk.key("Escape", "Escape", "Escape")
        desk.close_menu()
        rig.settle()
        return shown, labels

    first, labels = look("menu-first.png", "Down", "Down", "Down", "Right")
    assert "no processes" in labels

    busy = snapshot([gpu(0), gpu(1), gpu(2)], [process(12, 0, 90.0), process(13, 1, 5.0)])
    note = "config/gpu-watch.env:3: GPU_LIMIT: broken"
    desk_tray.show(status(Level.WARNING, busy, notes=(note,)))
    desk.icon_position(drawing.COLOURS[Level.WARNING])
    # the panel has not told of the closing, and a longer menu would shift its rows under the pointer
    assert note not in desk.labels()
    assert "GPU_COUNT(3) > GPU_LIMIT(2)" in desk.labels()[0]
    again, labels = look("menu-again.png")
    assert {note, "Warning: GPU_COUNT(3) > GPU_LIMIT(2)"} <= set(labels)
    ends = [label.split(" · ")[0 if label.startswith("GPU ") else -1] for label in labels]
    assert [end for end in ends if end.startswith(("PID", "GPU "))] == [
        *("GPU 0", "PID 12", "GPU 1", "PID 13", "GPU 2")
    ]
    assert not any(label.startswith(("Ended", "Until now")) for label in labels)
    assert ImageChops.difference(first, again).getbbox()

    second = status(Level.WARNING, busy, alerts=(alert(), alert("a2", "GPU 1: a second alert")))
    desk_tray.show(second)
    _, labels = look("menu-second.png", "Down", "Right")
    assert "Warning: GPU 1: a second alert" in labels
    assert not any(note in label for label in labels)
    desk_tray.show(status(shown=BUSY))
