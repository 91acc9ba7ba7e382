"""A sign: the shape of a log line that tells why a program ended."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.late_pattern import late_pattern

if TYPE_CHECKING:
    import re

    from gpuwatch_tray.runs.cause import Kind


class Weight(IntEnum):
    """How far a sign is the cause itself. The heaviest wins; among equals the first in the log."""

    HINT = 1  # only what a launcher says of the end of another process
    ECHO = 2  # mostly follows from an error elsewhere: a broken pipe, a peer that is gone
    PLAIN = 3  # an error, but others may have led to it: any exception, a collective that timed out
    PARTIAL = 4  # names what failed and not why: a worker process died, a kernel could not be run
    ROOT = 5  # names a cause
    DECISIVE = 6  # the kernel or the scheduler says so


class Sign(Struct, frozen=True):
    """
    One row of the table: lines with one of `needles` (lower case) that match `pattern` are a sign of `kind`.

    `source` is where the shape is published: a page, an issue or a source file.
    """

    name: str
    kind: Kind
    weight: Weight
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    source: str


def sign(name: str, kind: Kind, weight: Weight, needles: str, pattern: str, source: str) -> Sign:
    """Make a row of the table; `needles` are parted by `|`."""
    return Sign(name, kind, weight, tuple(needles.split("|")), late_pattern(pattern), source)
