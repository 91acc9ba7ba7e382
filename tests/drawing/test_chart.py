"""The mail's picture, looked at."""

from __future__ import annotations

import io
import random
import subprocess
import sys

import pytest
from msgspec.structs import replace
from PIL import Image, ImageColor

from gpuwatch_tray.drawing.chart import HEIGHT, LEFT, PAPER, RIGHT, WIDTH, chart
from gpuwatch_tray.model import AlertMark, Severity, Span
from gpuwatch_tray.report import page
from tests.report import histories
from tests.report.histories import END, HOUR
from tests.support.contrast import contrast

SPAN = 6 * HOUR


@pytest.fixture(scope="module")
def history():
    return histories.history(2, SPAN, each=1.3 * HOUR)


def seen(data):
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")


def draw(history, samples=None, **more):
    gpu = history.gpus[1]
    samples = history.samples[gpu.uuid] if samples is None else samples
    return chart(gpu, samples, history.start, history.end, **more)


def columns(picture, colour):
    """Return the columns of the picture that hold something of this colour."""
    wanted = ImageColor.getrgb(colour)
    pixels = picture.load()
    near = (
        x
        for x in range(picture.width)
        if any(
            sum(abs(one - other) for one, other in zip(pixels[x, y], wanted, strict=True)) < 40
            for y in range(picture.height)
        )
    )
    return set(near)


def test_it_is_small_enough_for_a_mail():
    """At most 200 kB, even of a day of pure noise, which no picture format makes small."""
    rng = random.Random(8)  # noqa: S311  # a story, the same each time

    def noise(most):
        return Span(*sorted(rng.uniform(0, most) for _ in range(3)), 60)

    history = histories.history(2)
    samples = tuple(
        replace(each, memory=noise(24 * 2**30), utilisation=noise(100), temperature=noise(95))
        for each in history.samples[history.gpus[1].uuid]
    )
    data = draw(history, samples, limit=85, marks=history.marks)
    assert len(data) <= 200_000
    assert seen(data).size == (WIDTH, HEIGHT)


def test_a_gap_is_a_gap(history):
    """Where nobody looked there is no line; on both sides of it there is."""
    drawn = columns(seen(draw(history)), page.LINES[1])
    width = WIDTH - RIGHT - LEFT
    gap = range(int(LEFT + 0.43 * width), int(LEFT + 0.45 * width))
    assert not drawn & set(gap)
    assert drawn & set(range(gap[0] - 40, gap[0]))
    assert drawn & set(range(gap[-1], gap[-1] + 40))


def test_nothing_known_draws_no_line(history):
    """Without a sample there are axes, and nothing at 0."""
    assert not columns(seen(draw(history, samples=())), page.LINES[1])


def test_a_single_value_between_gaps_is_seen(history):
    """One minute of which something is known is a point, not nothing."""
    (sample,) = history.samples[history.gpus[1].uuid][30:31]
    drawn = columns(seen(draw(history, samples=(sample,))), page.LINES[1])
    assert 2 <= len(drawn) <= 10


def test_a_hot_value_outgrows_the_limit(history):
    """A value above the limit is drawn above its line, not cut off at it."""
    samples = history.samples[history.gpus[1].uuid]
    hot = tuple(replace(each, temperature=Span(104, 105, 106, 60)) for each in samples)
    below, above = seen(draw(history, limit=85)), seen(draw(history, samples=hot, limit=85))
    assert dotted(above) > dotted(below)


def dotted(picture):
    """Return the row of the limit's line: the lowest row that is mostly ink, in dots."""
    pixels = picture.load()
    dark = [sum(sum(pixels[x, y]) < 240 for x in range(LEFT, WIDTH - RIGHT)) for y in range(picture.height)]
    return max(range(len(dark)), key=dark.__getitem__)


def test_alerts_are_marked_and_those_of_another_time_are_not(history):
    """A mark where an alert began within the picture's span."""
    mark = AlertMark(1, "fan", Severity.INFO, "", END - SPAN / 2, None)
    colour = page.STATES["info"]
    assert columns(seen(draw(history, marks=[mark])), colour)
    assert not columns(seen(draw(history, marks=[replace(mark, began=END - 2 * SPAN)])), colour)


def test_a_simulated_picture_says_so(history):
    """The label of a demo makes the heading longer."""
    heads = [
        seen(draw(history, simulated=simulated))
        .convert("L")
        .crop((0, 0, WIDTH, 50))
        .point(lambda grey: 255 - grey)
        for simulated in (False, True)
    ]
    plain, labelled = [head.point(lambda ink: 255 * (ink > 128)).getbbox()[2] for head in heads]
    assert labelled > plain + 150


def test_a_hostile_name_is_drawn_without_its_tricks(history):
    """A name in letters that the font lacks, or with controls, makes a picture all the same."""
    gpu = replace(history.gpus[1], name="\u202eX\n\x1b\udcff显卡" + "y" * 4096)
    assert seen(chart(gpu, (), history.start, history.end)).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("colours", "ground"), [(page.LINES, PAPER), (page.LINES_ON_DARK, "#171d24")], ids=["light", "dark"]
)
def test_lines_stand_out_from_their_ground(colours, ground):
    """By 3:1 at least (WCAG 2.2, 1.4.11)."""
    for colour in colours:
        assert contrast(ImageColor.getrgb(colour), ImageColor.getrgb(ground)) >= 3, colour


def test_the_tray_loads_neither_the_page_nor_the_chart():
    """Importing what the tray is made of leaves the report code out of the process."""
    script = (
        "import sys, gpuwatch_tray.app.tray_app, gpuwatch_tray.app.report_page\n"
        "import gpuwatch_tray.tray.backends.statusnotifier\n"
        "heavy = ['report.document', 'report.page', 'report.payload', 'drawing.chart']\n"
        "print([name for name in heavy if f'gpuwatch_tray.{name}' in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
