"""The numbers by which people name what is about the lab, as L7: its state counts as this computer's does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def lab_number(name: str) -> str | None:
    """Return the number in `L7` or `l7`; None for any other name."""
    number = name[1:]
    return number if name[:1] in {"L", "l"} and number.isascii() and number.isdecimal() else None


def with_lab_numbers(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of the lab's state with the numbers that people give as their `id`."""
    return [{**row, "id": f"L{row['id']}"} for row in rows]
