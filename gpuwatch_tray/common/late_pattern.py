"""Regular expressions that are compiled when they are first used: a command needs few of the program's."""

from __future__ import annotations

import re
from typing import Any, cast


def late_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return what has the methods of `re.compile(pattern, flags)`; a mistake is told at the first use."""
    return cast("re.Pattern[str]", LatePattern(pattern, flags))


class LatePattern:
    """A pattern that compiles itself, and has the methods of a compiled one."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        method = getattr(re.compile(*self._source), name)
        setattr(self, name, method)  # from now on it is found without this
        return method
