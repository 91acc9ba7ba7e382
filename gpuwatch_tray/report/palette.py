"""The colours of the page and of the mail's picture, told apart by colour-blind people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Okabe-Ito's hues, darkened or lightened until they stand out from their ground by 3:1 (WCAG 2.2, 1.4.11);
# each line has a dash pattern besides. Owners have pale colours, with the name in the bar.
LINES = ("#0072b2", "#d55e00", "#00805c", "#aa4499", "#2b8cc4", "#8c6d00", "#882255", "#4d4d4d")
LINES_ON_DARK = ("#56b4e9", "#f0883e", "#2fc79a", "#e29ccb", "#a8d8f7", "#e6c34a", "#f08a9b", "#d0d4d8")
OWNERS = ("#bbccee", "#ccddaa", "#eeeebb", "#ffcccc", "#cceeff", "#e0d0f0", "#ffd9b3", "#dddddd")
OWNER_INK = "#16202a"
# The states, as the icon's fills; on white the two light ones and the grey are darker.
STATES = {
    "ok": "#008a64",
    "warning": "#e69f00",
    "critical": "#d55e00",
    "snoozed": "#2b8cc4",
    "no_data": "#6d7a87",
    "info": "#0072b2",
    "limit": "#16202a",
}
STATES_ON_DARK = {
    "ok": "#2fc79a",
    "warning": "#f0b429",
    "critical": "#f0743e",
    "snoozed": "#56b4e9",
    "no_data": "#adb8c3",
    "info": "#56b4e9",
    "limit": "#e6ebf0",
}


def palette_css() -> str:
    """Return the colours as custom properties of CSS."""
    light = "".join(_css_properties(LINES, STATES))
    dark = "".join(_css_properties(LINES_ON_DARK, STATES_ON_DARK))
    return f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _css_properties(lines: tuple[str, ...], states: Mapping[str, str]) -> Iterator[str]:
    for place, colour in enumerate(lines):
        yield f"--gpu{place}:{colour};"
    for place, colour in enumerate(OWNERS):
        yield f"--owner{place}:{colour};"
    yield f"--owner-ink:{OWNER_INK};"
    for name, colour in states.items():
        yield f"--{name}:{colour};"
