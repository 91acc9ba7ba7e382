"""
The icon's pictures, from the artwork in icons/: the only module that knows Pillow.

Each state has its own silhouette and its own colour of the Okabe-Ito palette, drawn at six sizes; a dark
outline inside a white one keeps it readable on light and dark panels.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image  # noqa: TID251  # the one importer

from gpuwatch_tray.model import Level

SIZES = (16, 22, 24, 32, 48, 64)
NAMES = {
    Level.OK: "ok",
    Level.WARNING: "warning",
    Level.CRITICAL: "critical",
    Level.NO_DATA: "no_data",
}
# The fill of each silhouette: Okabe-Ito's bluish green, orange and vermillion, and a grey.
COLOURS = {
    Level.OK: (0x00, 0x9E, 0x73),
    Level.WARNING: (0xE6, 0x9F, 0x00),
    Level.CRITICAL: (0xD5, 0x5E, 0x00),
    Level.NO_DATA: (0x99, 0x99, 0x99),
}


class ArtworkMissing(Exception):  # noqa: N818  # a fact about the installation
    """A picture of icons/ is not where it belongs; the text names it."""


@cache
def folder() -> Path:
    """The icons' folder: in the package (a wheel), else beside it (a checkout); raises ArtworkMissing."""
    package = Path(__file__).resolve().parent
    for place in (package / "icons", package.parent / "icons"):
        if (place / "ok.svg").is_file():
            return place
    raise ArtworkMissing(f"no icons beside {package} or in it: install gpuwatch-tray again")


def path(level: Level, size: int = 48) -> Path:
    """The PNG of a state at one of `SIZES`."""
    return folder() / f"{NAMES[level]}-{size}.png"


@cache
def image(level: Level, size: int = 64) -> Image.Image:
    """The picture of a state at one of `SIZES`, RGBA; raises ArtworkMissing."""
    file = path(level, size)
    try:
        with Image.open(file) as picture:
            return picture.convert("RGBA")
    except OSError as error:
        raise ArtworkMissing(f"{file}: {error}: install gpuwatch-tray again") from error


@cache
def pixmaps(level: Level) -> tuple[tuple[int, int, bytes], ...]:
    """
    The picture of a state at all sizes as (width, height, pixels), smallest first.

    Pixels are A, R, G, B bytes, row by row, not premultiplied: StatusNotifierItem's IconPixmap.
    """
    found = []
    for size in SIZES:
        red, green, blue, alpha = image(level, size).split()
        pixels = Image.merge("RGBA", (alpha, red, green, blue)).tobytes()
        found.append((size, size, pixels))
    return tuple(found)
