"""Menus and popups read off a picture of the screen, on a desktop that nobody can ask where its rows are."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from PIL import Image, ImageChops  # looks at screenshots

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.whole_desktop import Box

PANEL = 32  # pixels at the top, where the panel's own pictures change
EDGE = 8  # pixels of a menu's frame, and more
FRAME = 4  # pixels of its frame, with rounded corners
SHADE = 6  # how much a panel may change an icon's colour
SAME = 12  # how much two colours may differ that are meant to be the same
LETTERS = 4  # pixels: less high is no row of letters, nor is a lower gap one between two rows
ROW = 6  # pixels of a row above and below its letters
LEAST = 30  # pixels: a menu, a popup or a button is at least so wide


def middle_of(picture: Image.Image, colour: tuple[int, int, int], pixels: int) -> tuple[int, int] | None:
    """The middle of what has this colour, of so many pixels at least."""
    near = ImageChops.difference(picture, Image.new("RGB", picture.size, colour)).split()
    masks = [part.point(lambda value: 255 * (value <= SHADE)) for part in near]
    mask = ImageChops.darker(ImageChops.darker(masks[0], masks[1]), masks[2])
    box = mask.getbbox()
    if box is None or mask.histogram()[255] < pixels:
        return None
    return (box[0] + box[2]) // 2, (box[1] + box[3]) // 2


def differing(one: Image.Image, other: Image.Image, ignored: Iterable[Box] = ()) -> Box | None:
    """The box under the panel in which two pictures differ, but for what is ignored."""
    mask = ImageChops.difference(one, other).convert("L").point(lambda value: 255 * (value > SAME))
    mask.paste(0, (0, 0, mask.width, PANEL))
    for box in ignored:
        mask.paste(0, box)
    return mask.getbbox()


def new_list(before: Image.Image, picture: Image.Image, ignored: Iterable[Box]) -> Box | None:
    """The box of one more list that has come, beside changes in what is ignored."""
    box = differing(picture, before, ignored)
    if box is None or box[2] - box[0] < LEAST or box[3] - box[1] < LETTERS:
        return None
    return box


def frame(box: Box) -> list[Box]:
    """The boxes of a list's four edges: Plasma 6 draws the corners of a list anew when the next one opens."""
    left, top, right, bottom = box
    return [
        (left, top, right, top + FRAME),
        (left, bottom - FRAME, right, bottom),
        (left, top, left + FRAME, bottom),
        (right - FRAME, top, right, bottom),
    ]


def alike(one: Image.Image, other: Image.Image, box: Box) -> bool:
    """Whether two pictures are nearly the same in this box."""
    mask = ImageChops.difference(one.crop(box), other.crop(box)).convert("L")
    changed = sum(mask.point(lambda value: value > SAME).histogram()[1:])
    return changed < 0.05 * mask.width * mask.height


def rows(picture: Image.Image, box: Box) -> list[Box]:
    """The boxes of the rows of letters in a menu: neither lines nor the pointer's mark have letters."""
    left, top, right, bottom = box
    inner = picture.crop((left + EDGE, top, right - EDGE, bottom)).convert("L")
    inked = [place for place in range(inner.height) if _letters(inner, place)]
    found: list[list[int]] = []
    for place in inked:
        if found and place - found[-1][1] <= LETTERS:
            found[-1][1] = place
        else:
            found.append([place, place])
    return [
        (left, top + first - ROW, right, top + last + ROW) for first, last in found if last - first >= LETTERS
    ]


def _letters(picture: Image.Image, place: int) -> bool:
    """Whether this line of pixels has more than its ground."""
    line = picture.crop((0, place, picture.width, place + 1)).tobytes()
    ground = max(set(line), key=line.count)
    return any(abs(value - ground) > 2 * SAME for value in line)


def buttons(picture: Image.Image, box: Box, number: int) -> list[tuple[int, int]]:
    """The middles of a popup's buttons, left to right: the boxes along its lower edge."""
    left, _top, right, bottom = box
    height = bottom - 29  # through the buttons, above their letters
    line = picture.crop((left, height, right, height + 1)).convert("L").tobytes()
    edges = [place for place in range(1, len(line)) if abs(line[place] - line[place - 1]) > SAME // 2]
    wide = [(first, last) for first, last in pairwise(edges) if last - first > LEAST]
    return [(left + (first + last) // 2, height + 10) for first, last in wide[-number:]]


@dataclass
class OpenList:
    """A list on the screen, the picture from before it came, and its rows as they were last seen whole."""

    box: Box
    before: Image.Image
    rows: list[Box] = field(default_factory=list)


@dataclass
class Menus:
    """The lists on the screen, from the root on."""

    blank: Image.Image
    lists: list[OpenList] = field(default_factory=list)

    def opened(self, picture: Image.Image) -> bool:
        """Whether the root is on the screen; it is remembered."""
        box = differing(picture, self.blank)
        if box is None or box[2] - box[0] < LEAST:
            return False
        self.lists = [OpenList(box, self.blank)]
        return True

    def shown(self, picture: Image.Image) -> list[list[Box]]:
        """The rows of the lists that are still on the screen; the last one may lie on others."""
        for place, one in enumerate(self.lists):
            if alike(picture, one.before, one.box):
                self.lists = self.lists[:place]
                break
        if self.lists:
            self.lists[-1].rows = rows(picture, self.lists[-1].box)
        return [one.rows for one in self.lists]
