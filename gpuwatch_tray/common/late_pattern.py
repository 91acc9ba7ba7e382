"""Regular expressions that are compiled when they are first used: a command needs few of the program's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from re import compile as late_pattern
else:

    def late_pattern(pattern: str, flags: int = 0) -> _LatePattern:
        """Return what has the methods of `re.compile(pattern, flags)`."""
        return _LatePattern(pattern, flags)


class _LatePattern:
    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(*self._source)  # which keeps what it has compiled
        found = getattr(compiled, name)
        setattr(self, name, found)  # the next call finds it at once
        return found
