"""The checks of thresholds: amounts with a unit, `auto` and `off`. As `checks`, they raise ValueError."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.language import _
from gpuwatch_tray.model import Auto
from gpuwatch_tray.settings.checks import DECIMAL, DIGITS, LARGEST, shown, whole
from gpuwatch_tray.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_HOTTEST = 150
_MOST_GIB = 9999


def count(text: str) -> int:
    """A whole number that is not 0."""
    return _within(text, 1, LARGEST, _("a whole number"))


def percent(text: str) -> int:
    """A share, from 1 to 100."""
    return _within(text, 1, 100, _("a percentage"))


def degrees(text: str) -> int:
    """A temperature that a chip can have, in degrees C."""
    return _within(text, 1, _HOTTEST, _("degrees C"))


def auto_or_degrees(text: str) -> int | Auto:
    """A temperature, or that which fits each GPU."""
    if text.lower() == Auto.AUTO.value:
        return Auto.AUTO
    try:
        return degrees(text)
    except ValueError as error:
        raise ValueError(_("{said} (or auto)").format(said=error)) from None


def gib(text: str) -> int:
    """An amount of memory, written in GiB, as bytes."""
    if not DECIMAL.fullmatch(text) or Decimal(text) > _MOST_GIB:
        said = _("expected GiB from 0 to {most}, got {got}").format(most=_MOST_GIB, got=shown(text))
        raise ValueError(_("{said}: a fraction takes a point").format(said=said) if "," in text else said)
    return int(Decimal(text) * GIB)


def price(text: str) -> float:
    """What something costs, in whatever money."""
    if not DECIMAL.fullmatch(text) or Decimal(text) > LARGEST:
        said = _("expected a price such as 0.30, got {got}").format(got=shown(text))
        raise ValueError(_("{said}: a fraction takes a point").format(said=said) if "," in text else said)
    return float(text)


def or_off(check: Callable[[str], T]) -> Callable[[str], T | None]:
    """The check of a threshold whose rule can be switched off: None is off."""

    def checked(text: str) -> T | None:
        return None if text.lower() == "off" else check(text)

    return checked


def _within(text: str, least: int, most: int, what: str) -> int:
    value = whole(text) if DIGITS.fullmatch(text) else -1
    if not least <= value <= most:
        raise ValueError(
            _("expected {what} from {least} to {most}, got {got}").format(
                what=what, least=least, most=most, got=shown(text)
            )
        )
    return value
