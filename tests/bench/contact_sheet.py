"""
The README's table of the icon: every state, size and style on the panels it is made for.

    .venv/bin/python -m tests.bench.contact_sheet docs/icons.png
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont  # draws the sheet

from gpuwatch_tray import drawing
from gpuwatch_tray.drawing import IconLook
from gpuwatch_tray.model import IconStyle, Level

if TYPE_CHECKING:
    from collections.abc import Iterator


PAPER, TEXT = (0xFF, 0xFF, 0xFF), (0x24, 0x29, 0x2F)
PANELS = {"light": (0xF6, 0xF5, 0xF4), "middle": (0x6E, 0x76, 0x81), "dark": (0x20, 0x22, 0x26)}
BADGES = {Level.OK: 1, Level.SNOOZED: 2, Level.WARNING: 4, Level.CRITICAL: 12, Level.NO_DATA: 0}

NAMED = 70  # pixels that the states' names take at the left
GAP = 6  # around each picture
TITLE, HEADING, ROW = 22, 24, max(drawing.SIZES) + 2 * 3
STRIP = sum(drawing.SIZES) + GAP * (len(drawing.SIZES) + 1)


@dataclass(frozen=True, slots=True)
class Strip:
    """One column of a block: all states and sizes in one style on one panel."""

    panel: str
    style: IconStyle
    badge: bool = False

    @property
    def heading(self) -> str:
        """What stands above it."""
        style = "auto, color" if self.style is IconStyle.COLOR else self.style.value
        return f"{style}: on a {self.panel} panel{', with badge' if self.badge else ''}"


COLOR, LIGHT, DARK = IconStyle.COLOR, IconStyle.LIGHT, IconStyle.DARK
BLOCKS = [
    [Strip(panel, style, badge) for panel, style in zip(PANELS, styles, strict=True)]
    for styles in ((COLOR, COLOR, COLOR), (LIGHT, DARK, DARK))
    for badge in (False, True)
]


def columns(left: int) -> Iterator[tuple[int, int]]:
    """Each size, and where its pictures begin in the strip at `left`."""
    x = left + GAP
    for size in drawing.SIZES:
        yield size, x
        x += size + GAP


def draw_strip(sheet: Image.Image, strip: Strip, left: int, top: int) -> None:
    """Lay the panel down, and the pictures on it."""
    sheet.paste(PANELS[strip.panel], (left, top, left + STRIP, top + ROW * len(Level)))
    for row, level in enumerate(Level):
        look = IconLook(level, strip.style, BADGES[level] if strip.badge else None)
        for size, x in columns(left):
            picture = drawing.icon_image(look, size)
            sheet.paste(picture, (x, top + ROW * row + (ROW - size) // 2), picture)


def contact_sheet() -> Image.Image:
    """The whole picture."""
    block = HEADING + ROW * len(Level)
    sheet = Image.new("RGB", (NAMED + len(PANELS) * STRIP, TITLE + block * len(BLOCKS)), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    pen.text((8, TITLE // 2), "pixels", TEXT, font, anchor="lm")
    for column in range(len(PANELS)):
        for size, x in columns(NAMED + column * STRIP):
            pen.text((x + size // 2, TITLE // 2), str(size), TEXT, font, anchor="mm")
    for number, strips in enumerate(BLOCKS):
        top = TITLE + number * block
        for row, level in enumerate(Level):
            middle = top + HEADING + ROW * row + ROW // 2
            pen.text((8, middle), drawing.NAMES[level].replace("_", " "), TEXT, font, anchor="lm")
        for column, strip in enumerate(strips):
            left = NAMED + column * STRIP
            pen.text((left + GAP, top + HEADING // 2), strip.heading, TEXT, font, anchor="lm")
            draw_strip(sheet, strip, left, top + HEADING)
    return sheet


def main() -> None:
    """Draw it into the file that is named."""
    contact_sheet().quantize(128, dither=Image.Dither.NONE).save(Path(sys.argv[1]), optimize=True)


if __name__ == "__main__":
    main()
