"""
The icon's pictures, from the artwork in icons/: a silhouette and a colour for each state, at six sizes.

A dark outline keeps it readable on light panels, from 22 pixels a light one around that on dark ones. In the
one-tone pictures only the silhouette tells the states apart.

Each state has PNGs, and their pixels once more as the bus takes them: Pillow, which takes 3 MB of a tray, is
loaded for a badge, and for the icons that pystray draws.
"""

from __future__ import annotations

import errno
import io
import os
import zlib
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import IconStyle, Level

if TYPE_CHECKING:
    from PIL import Image


SIZES = (16, 22, 24, 32, 48, 64)
NAMES = {
    Level.OK: "ok",
    Level.SNOOZED: "snoozed",
    Level.WARNING: "warning",
    Level.CRITICAL: "critical",
    Level.NO_DATA: "no_data",
}
# The fill of each silhouette: Okabe-Ito's bluish green, sky blue, orange and vermillion, and a bluish grey,
# since plain greys are in the edges of every panel's letters, and the tests find the icon by its fill.
COLOURS = {
    Level.OK: (0x00, 0x9E, 0x73),
    Level.SNOOZED: (0x56, 0xB4, 0xE9),
    Level.WARNING: (0xE6, 0x9F, 0x00),
    Level.CRITICAL: (0xD5, 0x5E, 0x00),
    Level.NO_DATA: (0xAD, 0xB8, 0xC3),
}
# The styles of one tone: dark for a light panel, light for a dark one.
TONES = {
    IconStyle.LIGHT: (0x1B, 0x1B, 0x1B),
    IconStyle.DARK: (0xF5, 0xF5, 0xF5),
}
BLACK, WHITE, CLEAR = (0, 0, 0, 255), (255, 255, 255), (0, 0, 0, 0)


class ArtworkMissingError(Exception):
    """A picture of icons/ is not where it belongs; the text names it."""


class IconLook(Struct, frozen=True):
    """
    What the icon shows. `badge` is the number of GPUs in use; None shows none.

    The style AUTO is COLOR, which suits every panel: no desktop reports the panel's colour.
    """

    level: Level
    style: IconStyle = IconStyle.AUTO
    badge: int | None = None


@cache
def icons_folder() -> Path:
    """Return the icons' folder: in the package (a wheel), else beside it. Raises ArtworkMissingError."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "icons", package.parent / "icons"):
        if (place / "ok.svg").is_file():
            return place
    text = _("no icons beside {package} or in it: install gpuwatch-tray again")
    raise ArtworkMissingError(text.format(package=package))


def icon_path(level: Level | IconLook, size: int = 48) -> Path:
    """Return the PNG of a state at one of `SIZES`, in colour, for places outside the panel."""
    state = level.level if isinstance(level, IconLook) else level
    return icons_folder() / f"{NAMES[state]}-{size}.png"


def icon_image(look: Level | IconLook, size: int = 64) -> Image.Image:
    """Return the picture at one of `SIZES`, RGBA, not to be changed. Raises ArtworkMissingError."""
    return _image(*_parts(look), size)


def icon_pixmaps(look: Level | IconLook) -> tuple[tuple[int, int, bytes], ...]:
    """Return the picture at all sizes as (width, height, pixels), smallest first."""
    # A, R, G, B bytes, row by row, not premultiplied: StatusNotifierItem's IconPixmap.
    return _pixmaps(*_parts(look))


def _parts(look: Level | IconLook) -> tuple[Level, IconStyle, str]:
    """Return the level, the style and the badge's text: the same for all looks that share a picture."""
    full = IconLook(look) if isinstance(look, Level) else look
    style = full.style if full.style in TONES else IconStyle.COLOR
    if full.badge is None:
        return full.level, style, ""
    from gpuwatch_tray.drawing.badge import badge_text

    return full.level, style, badge_text(full.badge)


# A tray runs for months: only the pictures of the last few states are kept.
@lru_cache(maxsize=24)
def _image(level: Level, style: IconStyle, label: str, size: int) -> Image.Image:
    from PIL import Image

    tone = TONES.get(style)
    if tone is None:
        picture = _open(f"{NAMES[level]}-{size}.png")
    else:
        shape = _open(f"{NAMES[level]}-symbolic-{size}.png").getchannel("A")
        picture = Image.new("RGBA", shape.size, tone)
        picture.putalpha(shape)
    if label:
        from gpuwatch_tray.drawing import badge

        badge.draw_badge(picture, label, BLACK if tone is None else CLEAR, tone or WHITE)
    return picture


@lru_cache(maxsize=4)
def _pixmaps(level: Level, style: IconStyle, label: str) -> tuple[tuple[int, int, bytes], ...]:
    if label:
        return tuple((size, size, argb(_image(level, style, label, size))) for size in SIZES)
    pictures, at = [], 0
    pixels = _pixels(level, style)
    for size in SIZES:
        end = at + 4 * size * size
        pictures.append((size, size, pixels[at:end]))
        at = end
    return tuple(pictures)


def argb(picture: Image.Image) -> bytes:
    """Return the pixels of a picture in RGBA, row by row, in the order of the bus."""
    from PIL import Image

    red, green, blue, alpha = picture.split()
    return Image.merge("RGBA", (alpha, red, green, blue)).tobytes()


def _pixels(level: Level, style: IconStyle) -> bytes:
    """Return the pixels of a picture without a badge, of all sizes one after the other."""
    tone = TONES.get(style)
    name = f"{NAMES[level]}{'' if tone is None else '-symbolic'}.pixels"
    try:
        pixels = bytearray(zlib.decompress(_artwork()[name]))
    except (OSError, KeyError, zlib.error) as error:
        raise _missing(name, error) from error
    for place, part in enumerate(tone or (), 1):
        pixels[place::4] = bytes([part]) * (len(pixels) // 4)
    return bytes(pixels)


@cache
def _artwork() -> dict[str, bytes]:
    """Read all pictures at once (80 kB): the files may be replaced under a running tray."""
    folder = icons_folder()
    return {file.name: file.read_bytes() for kind in ("*.png", "*.pixels") for file in folder.glob(kind)}


def _open(name: str) -> Image.Image:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(_artwork()[name])) as picture:
            return picture.convert("RGBA")
    except (OSError, KeyError) as error:
        raise _missing(name, error) from error


def _missing(name: str, error: Exception) -> ArtworkMissingError:
    why = os.strerror(errno.ENOENT) if isinstance(error, KeyError) else error
    text = _("{file}: {error}: install gpuwatch-tray again")
    return ArtworkMissingError(text.format(file=icons_folder() / name, error=why))
