"""
The badge: how many GPUs are in use, in the lower right corner of the icon.

The digits are bitmaps of our own: a font may be missing, and none is made for five pixels of height.
"""

from __future__ import annotations

from typing import TypeAlias

from PIL import Image, ImageFilter

Bitmap: TypeAlias = tuple[str, ...]  # rows from top to bottom, "#" for ink

MOST = 9  # a larger number does not fit: "9+"

SMALL: dict[str, Bitmap] = {
    "0": ("###", "#.#", "#.#", "#.#", "###"),
    "1": (".#.", "##.", ".#.", ".#.", "###"),
    "2": ("###", "..#", "###", "#..", "###"),
    "3": ("###", "..#", ".##", "..#", "###"),
    "4": ("#.#", "#.#", "###", "..#", "..#"),
    "5": ("###", "#..", "###", "..#", "###"),
    "6": ("###", "#..", "###", "#.#", "###"),
    "7": ("###", "..#", ".#.", ".#.", ".#."),
    "8": ("###", "#.#", "###", "#.#", "###"),
    "9": ("###", "#.#", "###", "..#", "###"),
    "+": ("...", ".#.", "###", ".#.", "..."),
}
LARGE: dict[str, Bitmap] = {
    "0": (".###.", "##.##", "##.##", "##.##", "##.##", "##.##", ".###."),
    "1": ("..##.", ".###.", "..##.", "..##.", "..##.", "..##.", ".####"),
    "2": ("####.", "...##", "...##", ".###.", "##...", "##...", "#####"),
    "3": ("####.", "...##", "...##", ".###.", "...##", "...##", "####."),
    "4": ("##.##", "##.##", "##.##", "#####", "...##", "...##", "...##"),
    "5": ("#####", "##...", "##...", "####.", "...##", "...##", "####."),
    "6": (".###.", "##...", "##...", "####.", "##.##", "##.##", ".###."),
    "7": ("#####", "...##", "...##", "..##.", "..##.", ".##..", ".##.."),
    "8": (".###.", "##.##", "##.##", ".###.", "##.##", "##.##", ".###."),
    "9": (".###.", "##.##", "##.##", ".####", "...##", "...##", ".###."),
    "+": ("...", "...", ".#.", "###", ".#.", "...", "..."),
}
# The digits of each size of the icon, and how many pixels wide one of theirs becomes.
DIGITS = {16: (SMALL, 1), 22: (LARGE, 1), 24: (LARGE, 1), 32: (SMALL, 2), 48: (SMALL, 3), 64: (SMALL, 4)}


def badge_text(number: int) -> str:
    """Return the badge's text."""
    return f"{MOST}+" if number > MOST else str(number)


def badge_ink(text: str, size: int) -> Image.Image:
    """Draw the text for an icon of one of the sizes, white on black, with room for the outline around it."""
    digits, scale = DIGITS[size]
    glyphs = [digits[character] for character in text]
    lines = [".".join(rows) for rows in zip(*glyphs, strict=True)]
    bits = Image.new("L", (len(lines[0]) + 2, len(lines) + 2))
    for y, line in enumerate(lines, 1):
        for x, bit in enumerate(line, 1):
            bits.putpixel((x, y), 255 * (bit == "#"))
    return bits.resize((bits.width * scale, bits.height * scale), Image.Resampling.NEAREST)


def draw_badge(
    picture: Image.Image, text: str, ground: tuple[int, int, int, int], tone: tuple[int, int, int]
) -> None:
    """Draw the text in `tone`, outlined with `ground`, over the picture's lower right corner."""
    written = badge_ink(text, picture.width)
    scale = DIGITS[picture.width][1]
    outlined = written.filter(ImageFilter.MaxFilter(2 * scale + 1))
    corner = (picture.width - written.width, picture.height - written.height)
    picture.paste(ground, corner, outlined)
    picture.paste((*tone, 255), corner, written)
