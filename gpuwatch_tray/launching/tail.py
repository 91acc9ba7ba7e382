"""The last lines of what a command has printed, redacted, as far as they are lines for people."""

from __future__ import annotations

import re
import threading
from collections import deque

from gpuwatch_tray import redact

SHOWN = 10  # lines
KEPT = 40  # lines that are redacted together, for a secret may begin above those that are shown
LONGEST = 4096  # bytes of a line: of a longer one the beginning, which names what follows
WIDTH = 200  # characters of a line that is shown
# What colours text and moves the cursor (ECMA-48): CSI, OSC and the two-byte escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")


class Tail:
    """Takes output as it comes, from several streams by name; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque(maxlen=KEPT)
        self._open: dict[str, bytes] = {}  # the line that each stream has begun

    def feed(self, stream: str, data: bytes) -> None:
        """More of a stream."""
        with self._lock:
            first, *rest = data.split(b"\n")
            line = _joined(self._open.get(stream, b""), first)
            for begun in rest:
                self._lines.append(line)
                line = _joined(b"", begun)
            self._open[stream] = line

    def lines(self) -> tuple[str, ...]:
        """The last lines that are not blank."""
        with self._lock:
            kept = [*self._lines, *self._open.values()]
        plain = [_ESCAPES.sub("", line.rstrip(b"\r").decode("utf-8", "replace")) for line in kept]
        shown = [line.rstrip() for line in redact.lines("\n".join(plain)) if line.strip()]
        return tuple(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in shown[-SHOWN:])


def _joined(line: bytes, more: bytes) -> bytes:
    """The line with `more` of it; a progress bar that begins anew takes the place of what it overwrites."""
    whole = line + more
    body = whole.rstrip(b"\r")
    kept = body.rpartition(b"\r")[2][:LONGEST]
    return kept if len(body) == len(whole) else kept + b"\r"
