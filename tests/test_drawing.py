"""The icon's artwork: complete, and told apart without colour."""

from __future__ import annotations

import itertools
import subprocess

import pytest
from PIL import Image, ImageChops  # noqa: TID251  # the test looks at pictures

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.desktop import rig


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("size", drawing.SIZES)
def test_each_state_has_a_picture_at_each_size(level, size):
    """PNG of the right size, with transparent corners and its colour in it."""
    picture = drawing.image(level, size)
    assert (picture.size, picture.mode) == ((size, size), "RGBA")
    assert picture.getpixel((0, 0))[3] == 0
    colours = {pixel[:3] for _, pixel in picture.getcolors(size * size)}
    assert drawing.COLOURS[level] in colours


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(Level, 2)))
def test_silhouettes_differ_without_any_colour(one, other):
    """At 16 pixels the outlines of two states share less than 85 % of what either covers."""
    masks = [
        drawing.image(level, 16).getchannel("A").point(lambda a: 255 * (a > 127)) for level in (one, other)
    ]
    both = sum(ImageChops.darker(*masks).tobytes()) / 255
    either = sum(ImageChops.lighter(*masks).tobytes()) / 255
    assert both / either < 0.85


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("panel", [(0x20, 0x20, 0x20), (0xF6, 0xF5, 0xF4)])
def test_an_outline_reads_on_dark_and_light_panels(level, panel):
    """Enough of the picture stands clear of the panel behind it, by brightness alone."""
    picture = drawing.image(level, 24)
    ground = Image.new("RGBA", picture.size, (*panel, 255))
    shown = Image.alpha_composite(ground, picture).convert("L")
    behind = ground.convert("L").getpixel((0, 0))
    clear = sum(abs(value - behind) > 60 for value in shown.tobytes())
    assert clear > 24 * 24 * 0.15


@pytest.mark.parametrize("level", Level)
def test_pixmaps_are_argb_in_network_order(level):
    """StatusNotifierItem's order, with the same pixels as the picture."""
    for width, height, pixels in drawing.pixmaps(level):
        assert len(pixels) == width * height * 4
        place = (width // 2, height // 2)
        start = 4 * (place[1] * width + place[0])
        alpha, red, green, blue = pixels[start : start + 4]
        assert drawing.image(level, width).getpixel(place) == (red, green, blue, alpha)


@pytest.mark.desktop
@pytest.mark.parametrize("level", Level)
def test_the_pngs_are_the_drawings_of_the_svgs(level, tmp_path):
    """Nobody changed a source without rendering it."""
    rig.require()
    target = tmp_path / "drawn.png"
    source = drawing.folder() / f"{drawing.NAMES[level]}.svg"
    subprocess.run(
        ["rsvg-convert", "-w", "32", "-h", "32", str(source), "-o", str(target)], check=True, timeout=20
    )
    with Image.open(target) as drawn:
        difference = ImageChops.difference(drawn.convert("RGBA"), drawing.image(level, 32))
    assert max(high for _, high in difference.getextrema()) <= 16


def test_a_missing_picture_is_named(monkeypatch, tmp_path):
    """The error says which file, and what to do."""
    drawing.image.cache_clear()
    monkeypatch.setattr(drawing, "folder", lambda: tmp_path)
    with pytest.raises(drawing.ArtworkMissing, match=r"ok-64\.png.*install gpuwatch-tray again"):
        drawing.image(Level.OK)
