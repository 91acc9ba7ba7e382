"""How a picture looks to an eye: brightness, contrast, and the eye that lacks the green cones."""

from __future__ import annotations

from functools import cache

from PIL import Image  # the tests look at pictures

Colour = tuple[int, int, int]

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
BRIGHTNESS = (0.2126, 0.7152, 0.0722)


def linear(value: int) -> float:
    """A channel of sRGB as light."""
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def encoded(light: float) -> int:
    """Light as a channel of sRGB."""
    light = min(max(light, 0.0), 1.0)
    return round(255 * (light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


@cache
def brightness(colour: Colour) -> float:
    """The relative luminance of WCAG 2."""
    return sum(weight * linear(value) for weight, value in zip(BRIGHTNESS, colour, strict=True))


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21; 3 is what it asks of graphics."""
    dark, light = sorted((brightness(one), brightness(other)))
    return (light + 0.05) / (dark + 0.05)


@cache
def in_grey(colour: Colour) -> Colour:
    """A colour where there is none."""
    value = encoded(brightness(colour))
    return value, value, value


@cache
def without_green(colour: Colour) -> Colour:
    """A colour as a deuteranope sees it."""
    light = [linear(value) for value in colour]
    red, green, blue = (
        encoded(sum(weight * part for weight, part in zip(row, light, strict=True))) for row in DEUTERANOPIA
    )
    return red, green, blue


def on_panel(picture: Image.Image, panel: Colour) -> list[Colour]:
    """The pixels of a picture laid on a panel, row by row."""
    ground = Image.new("RGBA", picture.size, (*panel, 255))
    flat = Image.alpha_composite(ground, picture).convert("RGB").tobytes()
    return [(flat[at], flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3)]
