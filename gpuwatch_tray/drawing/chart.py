"""
The mail's picture: memory, utilisation and temperature of one GPU over the last hours.

Apart from the icon, so that the tray never loads it. English only: Pillow's own font has no other letters.
"""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from PIL import Image, ImageColor, ImageDraw, ImageFont

from gpuwatch_tray.model import LABEL, Severity
from gpuwatch_tray.model.units import DAY, GIB, HOUR, local_datetime, local_time
from gpuwatch_tray.report import page, payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.model import AlertMark, GpuFacts, GpuSample
    from gpuwatch_tray.report.payload import MetricLine, TimeGrid


WIDTH, HEIGHT = 720, 640  # pixels; a phone shows it at half of that
SCALE = 2  # drawn so much larger, for smooth edges
LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 62, 18, 44, 36, 44
TYPE, HEADING = 21, 24  # pixels
INK, QUIET, GRID, PAPER = "#16202a", "#52606d", "#e3e8ed", "#ffffff"
TICKS = (300, 600, 1800, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY)
MOST_TICKS = 6
MOST_STEPS = 320  # two pixels each: finer ones would only cost bytes
PALE = 0.18  # of the colour, for the range from the lowest to the highest
MARKS = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}


def chart(
    gpu: GpuFacts,
    samples: Sequence[GpuSample],
    start: float,
    end: float,
    *,
    limit: int | None = None,
    marks: Sequence[AlertMark] = (),
    simulated: bool = False,
) -> bytes:
    """Return a PNG of at most 200 kB: `samples` of `gpu` between two wall times, shown as local time."""
    # `limit` is the temperature in degrees C at which an alert fires, `marks` are the alerts to show on the
    # time axis. What is not known is a gap.
    picture = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
    pen = ImageDraw.Draw(picture)
    colour = page.LINES[gpu.index % len(page.LINES)]
    name = "".join(letter for letter in gpu.name or "" if letter.isascii() and letter.isprintable())
    title = f"GPU {gpu.index}  {name}".rstrip()
    _text(pen, (LEFT, 14), f"{LABEL}: {title}" if simulated else title, INK, HEADING, "la")
    grid = payload.make_grid(start, end, MOST_STEPS)
    total = gpu.memory_total / GIB if gpu.memory_total else None
    panels = (
        ("Memory", "GiB", "memory", GIB, (0.0, total), None),
        ("Utilisation", "%", "utilisation", 1, (0.0, 100.0), None),
        ("Temperature", "°C", "temperature", 1, (None, None), limit),
    )
    height = (HEIGHT - TOP - BOTTOM - BETWEEN * len(panels)) / len(panels)
    for place, (word, unit, key, divisor, ends, at) in enumerate(panels):
        top = TOP + BETWEEN + place * (height + BETWEEN)
        panel = _Panel(pen, top, height, grid, colour)
        line = _divided(payload.metric_line(samples, key, grid), divisor)
        panel.frame(f"{word}  {unit}", _ends(line, ends, at), timed=place == len(panels) - 1)
        panel.marks(marks)
        panel.values(line)
        if at is not None:
            panel.limit(at, unit)
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    few = small.quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def _divided(line: MetricLine, divisor: int) -> MetricLine:
    lists = (line.low, line.mean, line.high)
    return payload.MetricLine(*([None if one is None else one / divisor for one in some] for some in lists))


def _ends(
    line: MetricLine, ends: tuple[float | None, float | None], limit: int | None
) -> tuple[float, float]:
    """Return the lowest and the highest value that a panel has room for."""
    lows = [value for value in line.low if value is not None]
    highs = [value for value in line.high if value is not None]
    low, high = ends
    bottom = min([30.0, *lows]) if low is None else low
    top = max([bottom + 1.0, *highs, *([limit + 5.0] if limit is not None else [])]) if high is None else high
    return bottom, top


class _Panel:
    """One metric; positions in pixels of the finished picture."""

    def __init__(
        self, pen: ImageDraw.ImageDraw, top: float, height: float, grid: TimeGrid, colour: str
    ) -> None:
        self._pen = pen
        self._top = top
        self._bottom = top + height
        self._grid = grid
        self._colour = colour
        self._low, self._high = 0.0, 1.0

    def frame(self, title: str, ends: tuple[float, float], *, timed: bool) -> None:
        """Draw the axes; the lowest panel shows the time for all."""
        self._low, self._high = ends
        _text(self._pen, (LEFT, self._top - 8), title, INK, TYPE, "ls")
        for share in (0.0, 0.5, 1.0):
            value = self._low + share * (self._high - self._low)
            y = self._y(value)
            self._line([(LEFT, y), (WIDTH - RIGHT, y)], GRID, 1.5)
            _text(self._pen, (LEFT - 8, y), f"{value:.0f}", QUIET, TYPE, "rm")
        for at, text in _ticks(self._grid.start, self._grid.end):
            x = self._x(at)
            self._line([(x, self._top), (x, self._bottom)], GRID, 1.5)
            if timed:
                _text(self._pen, (min(x, WIDTH - RIGHT - 24), self._bottom + 6), text, QUIET, TYPE - 2, "ma")

    def values(self, line: MetricLine) -> None:
        """Draw the range from lowest to highest, and the mean; a gap where nothing is known."""
        for stretch in _known(line.mean):
            xs = [self._x(self._grid.start + (place + 0.5) * self._grid.step) for place in stretch]
            means = [self._y(line.mean[place] or 0.0) for place in stretch]
            lows = [self._y(line.low[place] or 0.0) for place in stretch]
            highs = [self._y(line.high[place] or 0.0) for place in stretch]
            if len(stretch) == 1:
                x, y = xs[0], means[0]
                self._pen.ellipse(_scaled([(x - 2.5, y - 2.5), (x + 2.5, y + 2.5)]), fill=self._colour)
                continue
            edge = [*zip(xs, highs, strict=True), *zip(reversed(xs), reversed(lows), strict=True)]
            self._pen.polygon(_scaled(edge), fill=_mixed(self._colour))
            self._line(list(zip(xs, means, strict=True)), self._colour, 2.5)

    def limit(self, value: int, unit: str) -> None:
        """Draw a dotted line with its value."""
        y = self._y(value)
        for x in range(LEFT, WIDTH - RIGHT, 8):
            self._line([(x, y), (x + 4, y)], INK, 2)
        _text(self._pen, (LEFT + 4, y - 4), f"limit {value} {unit}", INK, TYPE - 2, "ls")

    def marks(self, marks: Sequence[AlertMark]) -> None:
        """Draw a line where an alert began, and the page's shape of its severity."""
        for mark in marks:
            if not self._grid.start <= mark.began <= self._grid.end:
                continue
            x, colour = self._x(mark.began), page.STATES[MARKS[mark.severity]]
            self._line([(x, self._top), (x, self._bottom)], colour, 1.5)
            y = self._top - 7
            if mark.severity is Severity.INFO:
                self._pen.ellipse(_scaled([(x - 6, y - 6), (x + 6, y + 6)]), colour, INK, SCALE)
                continue
            corners = [(x, y - 8), (x + 8, y), (x, y + 8), (x - 8, y)]
            if mark.severity is Severity.WARNING:
                corners = [(x, y - 7), (x + 8, y + 6), (x - 8, y + 6)]
            self._pen.polygon(_scaled(corners), fill=colour, outline=INK, width=SCALE)

    def _x(self, at: float) -> float:
        share = (at - self._grid.start) / (self._grid.end - self._grid.start)
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    def _y(self, value: float) -> float:
        share = (min(max(value, self._low), self._high) - self._low) / (self._high - self._low)
        return self._bottom - share * (self._bottom - self._top)

    def _line(self, points: list[tuple[float, float]], colour: str, width: float) -> None:
        self._pen.line(_scaled(points), fill=colour, width=round(width * SCALE), joint="curve")


def _known(values: Sequence[float | None]) -> Iterator[list[int]]:
    """Return the runs of places without a gap."""
    for known, places in groupby(range(len(values)), key=lambda place: values[place] is not None):
        if known:
            yield list(places)


def _ticks(start: float, end: float) -> Iterator[tuple[float, str]]:
    """Return a few round moments of local time, with the hour, or the day where they are days apart."""
    step = next((step for step in TICKS if (end - start) / step <= MOST_TICKS), TICKS[-1])
    offset = local_datetime(start).utcoffset()
    shift = 0.0 if offset is None else offset.total_seconds()
    at = -(-(start + shift) // step) * step - shift
    while at <= end:
        yield at, local_time(at, "%H:%M" if step < TICKS[-3] else "%m-%d")
        at += step


def _text(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: str, size: int, anchor: str
) -> None:
    ((x, y),) = _scaled([at])
    font = _font(size * SCALE)
    pen.text((x, y), text, fill=colour, font=font, anchor=anchor, stroke_width=3 * SCALE, stroke_fill=PAPER)


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _scaled(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]


def _mixed(colour: str) -> tuple[int, ...]:
    """Return the colour mixed with the paper's."""
    pairs = zip(ImageColor.getrgb(colour), ImageColor.getrgb(PAPER), strict=True)
    return tuple(round(one * PALE + other * (1 - PALE)) for one, other in pairs)
