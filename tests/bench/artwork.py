"""
Renders the icon's artwork anew, after a change of an SVG in icons/: every PNG from its source, and the pixels
of a state's PNGs in one file for the bus.

    .venv/bin/python -m tests.bench.artwork

Needs rsvg-convert (Debian: librsvg2-bin). There are three sources to a picture, each drawn on a grid of
whole pixels: 16 for the smallest, 22 also for 24 (which gets a margin of a pixel), and 32 for the larger.
"""

from __future__ import annotations

import subprocess
import zlib
from typing import TYPE_CHECKING

from PIL import Image

from gpuwatch_tray import drawing

if TYPE_CHECKING:
    from pathlib import Path


SOURCES = {16: "-16", 22: "-22", 24: "-22"}  # the source's ending by size; the others have none
DRAWN = {24: 22}  # what is drawn smaller than its picture, in its middle


def names() -> list[str]:
    """The pictures, as their files' names begin."""
    return [name + kind for name in drawing.NAMES.values() for kind in ("", "-symbolic")]


def source(name: str, size: int) -> Path:
    """The SVG that the picture of this size is made of."""
    return drawing.icons_folder() / f"{name}{SOURCES.get(size, '')}.svg"


def render(name: str, size: int, target: Path) -> None:
    """Draw a picture at one of `drawing.SIZES` into the PNG `target`."""
    drawn = DRAWN.get(size, size)
    margin = (size - drawn) // 2
    lengths = {"width": drawn, "height": drawn, "page-width": size, "page-height": size}
    lengths |= {"left": margin, "top": margin}
    options = [f"--{option}={length}" for option, length in lengths.items()]
    subprocess.run(["rsvg-convert", *options, source(name, size), "-o", target], check=True, timeout=20)


def pixels(name: str) -> bytes:
    """The pixels of a picture at all sizes, as `drawing` reads them."""
    parts = []
    for size in drawing.SIZES:
        with Image.open(drawing.icons_folder() / f"{name}-{size}.png") as picture:
            parts.append(drawing.argb(picture.convert("RGBA")))
    return b"".join(parts)


def main() -> None:
    """Render all of them."""
    for name in names():
        for size in drawing.SIZES:
            render(name, size, drawing.icons_folder() / f"{name}-{size}.png")
        packed = zlib.compress(pixels(name), 9)
        (drawing.icons_folder() / f"{name}.pixels").write_bytes(packed)


if __name__ == "__main__":
    main()
