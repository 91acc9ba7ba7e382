"""Elapsed time as `ps -o etime=` writes it: `[[DD-]hh:]mm:ss`."""

from __future__ import annotations

import re

from gpuwatch_tray.model import UNKNOWN, Field, Missing, Why

NA = "NA"

_ETIME = re.compile(
    r"(?:(?:(?P<days>\d{1,9})-)?(?P<hours>\d{1,9}):)?(?P<minutes>\d{1,9}):(?P<seconds>\d{1,9})", re.ASCII
)


def elapsed_text(seconds: Field[float]) -> str:
    """
    Write whole seconds as `03:34`, `09:00:00` or `1-02:03:04`; `NA` where they are missing.

    The days have no leading zero, whatever the manual's `DD` suggests: procps prints them with `%u-`.
    """
    if isinstance(seconds, Missing):
        return NA
    minutes, s = divmod(max(0, int(seconds)), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}-{h:02}:{m:02}:{s:02}"
    return f"{h:02}:{m:02}:{s:02}" if h else f"{m:02}:{s:02}"


def parse_elapsed(text: str) -> Field[float]:
    """Read the seconds of an elapsed time; unknown for `NA`, and for any other text (which is the detail)."""
    text = text.strip()
    found = _ETIME.fullmatch(text)
    if found is None:
        return UNKNOWN if text in {"", NA} else Missing(Why.UNKNOWN, text)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
