"""Reading the log of a run, which `common/run_log.py` writes: also while it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.run_log import COUNT, HEAD_NAME, START, TAIL_NAME
from gpuwatch_tray.common.text import strip_escapes

if TYPE_CHECKING:
    from pathlib import Path


class LogText(Struct, frozen=True):
    """A log as it was kept: `left_out` bytes lie between `head` and `tail`."""

    head: bytes
    left_out: int = 0
    tail: bytes = b""

    def end(self, most: int) -> bytes:
        """Return the last `most` bytes at most, without the part that was left out."""
        if self.left_out or len(self.tail) >= most:
            return self.tail[-most:]
        return (self.head + self.tail)[-most:]


def read_log(folder: Path) -> LogText:
    """Read the log of a run. Raises OSError where there is none."""
    head = (folder / HEAD_NAME).read_bytes()
    try:
        file = (folder / TAIL_NAME).read_bytes()
    except FileNotFoundError:
        return LogText(head)
    written, ring = int.from_bytes(file[:COUNT], "little"), file[START:]
    if written <= len(ring):
        return LogText(head, 0, ring[:written])
    at = written % len(ring)
    return LogText(head, written - len(ring), ring[at:] + ring[:at])


def log_size(folder: Path) -> int:
    """Return how many bytes the files of a run take."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


SHOWN_LINES = 10  # lines
KEPT_LINES = 40  # lines that are redacted together, for a secret may begin above those that are shown
LONGEST_LINE = 4096  # bytes of a line: of a longer one the beginning, which names what follows
LINE_WIDTH = 200  # characters of a line that is shown


def last_lines(log: bytes) -> tuple[str, ...]:
    """Return the last lines of an output that are not blank, redacted and without escape sequences."""
    kept = map(_last_state, log.rsplit(b"\n", KEPT_LINES)[-KEPT_LINES:])
    plain = [strip_escapes(line.decode("utf-8", "replace")) for line in kept]
    shown = [line.rstrip() for line in redact.lines("\n".join(plain)) if line.strip()]
    return tuple(
        line if len(line) <= LINE_WIDTH else f"{line[: LINE_WIDTH - 1]}…" for line in shown[-SHOWN_LINES:]
    )


def _last_state(line: bytes) -> bytes:
    """Return what a line has last: what follows a carriage return, as in a progress bar, replaces all."""
    return line.rstrip(b"\r").rpartition(b"\r")[2][:LONGEST_LINE]
