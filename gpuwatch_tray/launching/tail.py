"""The last lines of a command's output, redacted."""

from __future__ import annotations

import re
import threading
from collections import deque

from gpuwatch_tray import redact

SHOWN_LINES = 10  # lines
KEPT_LINES = 40  # lines that are redacted together, for a secret may begin above those that are shown
LONGEST_LINE = 4096  # bytes of a line: of a longer one the beginning, which names what follows
LINE_WIDTH = 200  # characters of a line that is shown
# What colours text and moves the cursor (ECMA-48): CSI, OSC and the two-byte escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")


class TailBuffer:
    """Keeps the last lines of several streams, by name; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._open: dict[str, bytes] = {}  # the line that each stream has begun

    def feed(self, stream: str, data: bytes) -> None:
        """Add output of a stream."""
        with self._lock:
            first, *rest = data.split(b"\n")
            line = _continue_line(self._open.get(stream, b""), first)
            for begun in rest:
                self._lines.append(line)
                line = _continue_line(b"", begun)
            self._open[stream] = line

    def lines(self) -> tuple[str, ...]:
        """Return the last lines that are not blank, redacted and without escape sequences."""
        with self._lock:
            kept = [*self._lines, *self._open.values()]
        plain = [_ESCAPES.sub("", line.rstrip(b"\r").decode("utf-8", "replace")) for line in kept]
        shown = [line.rstrip() for line in redact.lines("\n".join(plain)) if line.strip()]
        return tuple(
            line if len(line) <= LINE_WIDTH else f"{line[: LINE_WIDTH - 1]}…" for line in shown[-SHOWN_LINES:]
        )


def _continue_line(line: bytes, more: bytes) -> bytes:
    """Add `more` to a line; what follows a carriage return, as in a progress bar, replaces what was there."""
    whole = line + more
    body = whole.rstrip(b"\r")
    kept = body.rpartition(b"\r")[2][:LONGEST_LINE]
    return kept if len(body) == len(whole) else kept + b"\r"
