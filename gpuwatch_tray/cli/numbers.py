"""Numbers on the command line."""

from __future__ import annotations

import argparse

from gpuwatch_tray.language import _

HIGHEST_PORT = 65535


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(
            _("expected a number of seconds above 0, got {text!r}").format(text=text)
        )
    return found


def number(text: str) -> int:
    """A whole number above 0."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(_("expected a whole number above 0, got {text!r}").format(text=text))
    return int(text)


def port(text: str) -> int:
    """A TCP port."""
    found = number(text)
    if found > HIGHEST_PORT:
        wrong = _("expected a port up to {most}, got {text!r}").format(most=HIGHEST_PORT, text=text)
        raise argparse.ArgumentTypeError(wrong)
    return found
