"""One key of the files: where it stands, how it is read, and what holds where it is not set."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

WATCH, NOTIFY, SMTP = "gpu-watch.env", "notify.env", "smtp.env"  # in the order in which they are read


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """
    One key, at home in `file`, though it may stand in any of the three.

    `example` is the pattern of the placeholders that count as not set.
    """

    name: str
    file: str
    check: Callable[[str], T]
    default: T
    example: str = ""

    def is_placeholder(self, text: str) -> bool:
        """Whether this is the example's value, untouched."""
        return bool(self.example) and fnmatchcase(text, self.example)
