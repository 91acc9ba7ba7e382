"""The silences that were made here, as a small file of their ids: only those may be ended from here."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.common.private import make_private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_BYTES = 2**20


class SilencesMade:
    """The ids and ends (wall time) in `file`; those that are over are forgotten."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock

    def ids(self) -> frozenset[str]:
        """Return the ids of those that last; none where the file cannot be read: then none is ours to end."""
        return frozenset(self._read())

    def add(self, silence_id: str, until: float) -> None:
        """Remember one. Raises OSError."""
        self._write(self._read() | {silence_id: until})

    def remove(self, silence_id: str) -> None:
        """Forget one. Raises OSError."""
        self._write({one: until for one, until in self._read().items() if one != silence_id})

    def _read(self) -> dict[str, float]:
        try:
            with self._file.open("rb") as stream:
                made = json.loads(stream.read(_MOST_BYTES))
            now = self._clock()
            return {str(one): float(until) for one, until in made.items() if float(until) > now}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _write(self, made: dict[str, float]) -> None:
        make_private_folder(self._file.parent)
        part = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        write_private(part, json.dumps(made))
        part.replace(self._file)
