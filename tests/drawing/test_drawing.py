"""The icon's artwork: complete, readable on every panel, and told apart without colour."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFilter

from gpuwatch_tray import drawing
from gpuwatch_tray.drawing import IconLook, badge
from gpuwatch_tray.model import IconStyle, Level
from tests.bench import artwork, contact_sheet
from tests.e2e import rig
from tests.support.contrast import contrast, in_grey, on_panel, without_green

ROOT = Path(__file__).parents[2]
STYLES = (IconStyle.COLOR, IconStyle.LIGHT, IconStyle.DARK)
DARK_PANEL, LIGHT_PANEL = (0x20, 0x20, 0x20), (0xF6, 0xF5, 0xF4)
PANELS = {
    IconStyle.COLOR: (DARK_PANEL, LIGHT_PANEL),
    IconStyle.LIGHT: (LIGHT_PANEL,),
    IconStyle.DARK: (DARK_PANEL,),
}
PAIRS = list(itertools.combinations(Level, 2))
COUNTS = range(12)


def silhouette(look, size):
    return drawing.icon_image(look, size).getchannel("A").point(lambda alpha: 255 * (alpha > 127))


def area(mask):
    return sum(mask.tobytes()) / 255


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("size", drawing.SIZES)
def test_each_state_has_a_picture_at_each_size(level, style, size):
    """RGBA of the right size, with a transparent corner and enough of its colour to be known by."""
    picture = drawing.icon_image(IconLook(level, style), size)
    assert (picture.size, picture.mode) == ((size, size), "RGBA")
    assert picture.getpixel((0, 0))[3] == 0
    colours = {pixel: count for count, pixel in picture.getcolors(size * size)}
    fill = drawing.TONES.get(style, drawing.COLOURS[level])
    assert colours[*fill, 255] >= size * size * 0.09


@pytest.mark.parametrize("count", [None, 4, 12])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [16, 22])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_silhouettes_differ_without_any_colour(one, other, size, style, count):
    """The outlines of two states share less than 85 % of what either covers, the badge included."""
    masks = [silhouette(IconLook(level, style, count), size) for level in (one, other)]
    assert area(ImageChops.darker(*masks)) < 0.85 * area(ImageChops.lighter(*masks))


@pytest.mark.parametrize("seen", [in_grey, without_green])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [16, 22])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_states_differ_to_an_eye_that_sees_no_green(one, other, size, style, seen):
    """Of the pixels that either covers, a quarter differ clearly, in greyscale and under deuteranopia."""
    looks = IconLook(one, style), IconLook(other, style)
    covered = area(ImageChops.lighter(*(silhouette(look, size) for look in looks)))
    for panel in PANELS[style]:
        pixels = zip(*(on_panel(drawing.icon_image(look, size), panel) for look in looks), strict=True)
        seen_pixels = ([seen(colour) for colour in pair] for pair in pixels)
        differing = sum(max(abs(a - b) for a, b in zip(*pair, strict=True)) > 48 for pair in seen_pixels)
        assert differing > covered / 4


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("size", [size for size in drawing.SIZES if size > 16])
def test_the_outlines_read_on_every_grey_from_black_to_white(level, size):
    """One of the two outlines stands at 3:1 or better against any panel, around the whole silhouette."""
    for grey in range(0, 256, 17):
        assert edge_contrast(IconLook(level), size, (grey, grey, grey)) >= 3


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("level", Level)
def test_the_smallest_reads_on_dark_and_light_panels(level, style):
    """At 16 pixels the edge, by outline or fill, stands at 3:1 or better against the style's panels."""
    for panel in PANELS[style]:
        assert edge_contrast(IconLook(level, style), 16, panel) >= 3


def edge_contrast(look, size, panel):
    """How clearly the edge stands out where it does least, looking no further in than its outlines go."""
    pixels, covered = on_panel(drawing.icon_image(look, size), panel), silhouette(look, size)
    reach = max(2, size // 11)
    inner = covered.filter(ImageFilter.MinFilter(3))
    clearest = []
    for x, y in itertools.product(range(size), repeat=2):
        if covered.getpixel((x, y)) and not inner.getpixel((x, y)):
            across, down = (range(max(at - reach, 0), min(at + reach + 1, size)) for at in (x, y))
            near = ((u, v) for u in across for v in down if covered.getpixel((u, v)))
            clearest.append(max(contrast(pixels[v * size + u], panel) for u, v in near))
    return min(clearest)


@pytest.mark.parametrize("size", drawing.SIZES)
def test_each_number_has_a_badge_of_its_own_up_to_nine(size):
    """0 to 9 all differ from each other and from none at all; what is more is 9+."""
    pictures = [
        drawing.icon_image(IconLook(Level.OK, badge=count), size).tobytes() for count in (None, *COUNTS)
    ]
    assert len(set(pictures)) == 12
    assert pictures[-1] == pictures[-2]
    assert badge.badge_text(9) == "9"
    assert badge.badge_text(10) == badge.badge_text(640) == "9+"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("level", Level)
def test_a_badge_is_legible_at_the_smallest_size(level, style):
    """Each pixel of a digit is the tone, each one beside it the outline: no artwork shines through."""
    tone = (*drawing.TONES.get(style, drawing.WHITE), 255)
    ground = drawing.BLACK if style is IconStyle.COLOR else drawing.CLEAR
    for digit in "0123456789":
        picture = drawing.icon_image(IconLook(level, style, int(digit)), 16)
        lines = [f".{row}." for row in badge.SMALL[digit]]
        for y, line in enumerate(lines, 10):
            for x, bit in enumerate(line, 11):
                beside = "#" in line[max(x - 12, 0) : x - 9]
                if bit == "#" or beside:
                    assert picture.getpixel((x, y)) == (tone if bit == "#" else ground)


@pytest.mark.parametrize("count", [0, 8, 12])
@pytest.mark.parametrize("size", drawing.SIZES)
@pytest.mark.parametrize("level", Level)
def test_a_badge_does_not_hide_the_silhouette(level, size, count):
    """Most of the picture stays as it is: over four fifths with one digit, two thirds with 9+."""
    bare, badged = (drawing.icon_image(IconLook(level, badge=number), size) for number in (None, count))
    changed = ImageChops.difference(bare, badged).convert("RGBA").split()
    touched = [any(parts) for parts in zip(*(part.tobytes() for part in changed), strict=True)]
    shape = silhouette(IconLook(level), size).tobytes()
    hidden = sum(hit and inside > 0 for hit, inside in zip(touched, shape, strict=True))
    assert hidden < (shape.count(255) / 3 if count > badge.MOST else shape.count(255) / 5)


@pytest.mark.parametrize("look", [IconLook(level, style, 3) for level in Level for style in STYLES])
def test_pixmaps_are_argb_in_network_order(look):
    """StatusNotifierItem's order, with the same pixels as the picture, smallest first."""
    assert [width for width, _, _ in drawing.icon_pixmaps(look)] == list(drawing.SIZES)
    for width, height, pixels in drawing.icon_pixmaps(look):
        picture = drawing.icon_image(look, width)
        assert len(pixels) == width * height * 4
        for place in ((width // 2, height // 2), (width - 2, height - 2), (0, 0)):
            start = 4 * (place[1] * width + place[0])
            alpha, red, green, blue = pixels[start : start + 4]
            assert picture.getpixel(place) == (red, green, blue, alpha)


@pytest.mark.parametrize("name", artwork.names())
def test_the_pixels_for_the_bus_are_those_of_the_pngs(name):
    """Nobody rendered a picture without packing its pixels, which are shown without Pillow."""
    packed = (drawing.icons_folder() / f"{name}.pixels").read_bytes()
    assert zlib.decompress(packed) == artwork.pixels(name)


@pytest.mark.parametrize("count", [None, 3])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("level", Level)
def test_the_bus_gets_the_picture(level, style, count):
    """Whether it comes from the packed pixels or is drawn with a badge."""
    look = IconLook(level, style, count)
    drawn = [(size, size, drawing.argb(drawing.icon_image(look, size))) for size in drawing.SIZES]
    assert list(drawing.icon_pixmaps(look)) == drawn


@pytest.mark.parametrize("level", Level)
def test_a_bare_level_and_auto_are_the_coloured_picture(level):
    """Who knows only the state gets the picture that is made for every panel."""
    coloured = IconLook(level, IconStyle.COLOR)
    assert (
        drawing.icon_image(level, 22)
        is drawing.icon_image(IconLook(level), 22)
        is drawing.icon_image(coloured, 22)
    )
    assert drawing.icon_pixmaps(level) is drawing.icon_pixmaps(coloured)
    assert drawing.icon_path(level, 16) == drawing.icon_path(IconLook(level, IconStyle.DARK, 7), 16)
    assert drawing.icon_path(level).name == f"{drawing.NAMES[level]}-48.png"


def test_months_of_changing_badges_keep_no_more_than_a_few_pictures():
    """Both caches have an end, far below the number of looks there can be."""
    for level, style, count in itertools.product(Level, STYLES, range(100)):
        drawing.icon_pixmaps(IconLook(level, style, count))
    kept = [cache.cache_info() for cache in (drawing._image, drawing._pixmaps)]
    assert [info.currsize for info in kept] == [info.maxsize for info in kept]
    assert kept[0].maxsize <= 24
    assert kept[1].maxsize <= 4


@pytest.mark.desktop
@pytest.mark.parametrize("name", artwork.names())
@pytest.mark.parametrize("size", drawing.SIZES)
def test_the_pngs_are_the_drawings_of_the_svgs(name, size, tmp_path):
    """Nobody changed a source without rendering it."""
    rig.require()
    artwork.render(name, size, tmp_path / "drawn.png")
    with (
        Image.open(tmp_path / "drawn.png") as drawn,
        Image.open(drawing.icons_folder() / f"{name}-{size}.png") as kept,
    ):
        difference = ImageChops.difference(drawn.convert("RGBA"), kept.convert("RGBA"))
    assert max(high for _, high in difference.getextrema()) <= 16


def test_the_readme_shows_the_icons_of_today():
    """docs/icons.png is what the contact sheet draws, save for its fewer colours and another font."""
    with Image.open(ROOT / "docs/icons.png") as kept:
        drawn, shown = contact_sheet.contact_sheet(), kept.convert("RGB")
    assert shown.size == drawn.size
    difference = ImageChops.difference(drawn, shown).convert("L").point(lambda value: 255 * (value > 32))
    assert area(difference) < 0.002 * shown.width * shown.height


@pytest.mark.parametrize(
    ("look", "file"),
    [(Level.OK, r"ok-64\.png"), (IconLook(Level.SNOOZED, IconStyle.DARK), r"snoozed-symbolic-64\.png")],
)
def test_a_missing_picture_is_named(request, monkeypatch, tmp_path, look, file):
    """The error says which file, and what to do."""
    drawing._image.cache_clear()
    drawing._artwork.cache_clear()
    request.addfinalizer(drawing._artwork.cache_clear)
    monkeypatch.setattr(drawing, "icons_folder", lambda: tmp_path)
    with pytest.raises(drawing.ArtworkMissingError, match=rf"{file}.*install gpuwatch-tray again"):
        drawing.icon_image(look)


def test_pictures_are_drawn_also_when_the_files_are_gone(monkeypatch, tmp_path):
    """All were read with the first one: a tray goes on while its package is replaced."""
    drawing.icon_image(Level.OK)
    drawing._image.cache_clear()
    monkeypatch.setattr(drawing, "icons_folder", lambda: tmp_path)
    assert drawing.icon_image(IconLook(Level.CRITICAL, IconStyle.DARK)).getbbox() is not None
