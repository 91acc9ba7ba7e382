"""Values that may be missing, and in which way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, TypeVar

T = TypeVar("T")


class Why(Enum):
    """In which way a value is missing."""

    UNSUPPORTED = "unsupported"  # this device, driver or platform never gives it
    ERROR = "error"  # it could not be read this time
    UNKNOWN = "unknown"  # this source never learns it


@dataclass(frozen=True, slots=True)
class Missing:
    """The absence of a value, with its kind and, for errors, the cause in a few words."""

    why: Why
    detail: str = ""


UNSUPPORTED = Missing(Why.UNSUPPORTED)
UNKNOWN = Missing(Why.UNKNOWN)
Field: TypeAlias = T | Missing


def known(value: Field[T]) -> T | None:
    """Return the value, or None where it is missing: for display, never for a decision."""
    return None if isinstance(value, Missing) else value
