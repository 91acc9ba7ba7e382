"""Lengths as Windows counts them."""

from __future__ import annotations


def clip(text: str, units: int) -> str:
    """`text` cut to so many UTF-16 units, never inside a character."""
    encoded = text.encode("utf-16-le", "replace")
    return text if len(encoded) <= 2 * units else encoded[: 2 * units].decode("utf-16-le", "ignore")
