"""Types of numbers on the command line."""

from __future__ import annotations

import argparse

from gpuwatch_tray.language import _

HIGHEST_PORT = 65535


def positive_seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(
            _("expected a number of seconds above 0, got {text!r}").format(text=text)
        )
    return value


def positive_int(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(_("expected a whole number above 0, got {text!r}").format(text=text))
    return int(text)


def tcp_port(text: str) -> int:
    """Parse a TCP port."""
    value = positive_int(text)
    if value > HIGHEST_PORT:
        wrong = _("expected a port up to {most}, got {text!r}").format(most=HIGHEST_PORT, text=text)
        raise argparse.ArgumentTypeError(wrong)
    return value
