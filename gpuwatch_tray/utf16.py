"""Lengths as Windows counts them."""

from __future__ import annotations


def clip_utf16(text: str, units: int) -> str:
    """Cut `text` to at most `units` UTF-16 code units, never inside a character."""
    encoded = text.encode("utf-16-le", "replace")
    return text if len(encoded) <= 2 * units else encoded[: 2 * units].decode("utf-16-le", "ignore")
