"""The files that go with the mail about a run: its log, and those that its owner named, in bounded size."""

from __future__ import annotations

import logging
import mimetypes
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.text import strip_escapes
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import Attachment
from gpuwatch_tray.runs.log_file import read_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gpuwatch_tray.model import Message
    from gpuwatch_tray.runs.run_folder import RunFolder, RunRecord


log = logging.getLogger(__name__)

LOG_HEAD, LOG_TAIL = 32 * 1024, 224 * 1024  # bytes of a log that are attached
MOST_FILES, MOST_MATCHES = 10, 200
MOST_BYTES = 5 * 2**20  # of all named files: many servers take 10 MB, and base64 adds a third
LEFT_OUT = "left-out.txt"


def run_attachments(
    runs: RunFolder, read: Callable[[int], RunRecord | None], message: Message
) -> tuple[Attachment, ...]:
    """Return what goes with the mail about a run, whose record `read` returns; nothing with another."""
    record = read(message.details.run) if message.details.run else None
    if record is None:
        return ()
    attached = []
    try:
        attached.append(_log(runs, record))
    except OSError as error:
        log.info("the log of run %d cannot be attached: %s", record.number, error)
    return (*attached, *_named_files(record))


def _log(runs: RunFolder, record: RunRecord) -> Attachment:
    """Return the log, without colours and secrets; of a long one, beginning and end."""
    kept = read_log(runs.folder(record.number))
    whole = kept.head + (b"" if kept.left_out else kept.tail)
    if not kept.left_out and len(whole) <= LOG_HEAD + LOG_TAIL:
        text = _plain(whole)
    else:
        tail = kept.end(LOG_TAIL)
        count = len(kept.head) + kept.left_out + len(kept.tail) - LOG_HEAD - len(tail)
        between = ngettext("[{count} byte was left out here]", "[{count} bytes were left out here]", count)
        text = f"{_plain(whole[:LOG_HEAD])}\n\n{between.format(count=count)}\n\n{_plain(tail)}"
    return Attachment(f"run-{record.number}.log", "text/plain", text.encode("utf-8", "replace"))


def _plain(data: bytes) -> str:
    """Redact text as for the mail itself; of a line that was written over, what stood there last."""
    text = strip_escapes(data.decode("utf-8", "replace")).replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(redact.lines("\n".join(lines)))


def _named_files(record: RunRecord) -> Iterator[Attachment]:
    """Yield the files of --attach that fit, and the names of those that do not."""
    room, places = MOST_BYTES, MOST_FILES
    missing: list[str] = []
    for path in islice(_files(record), MOST_MATCHES):
        try:
            size = path.stat().st_size
            if size > room or not places:
                missing.append(_("{file}: left out, {size} bytes").format(file=path.name, size=size))
                continue
            data = path.read_bytes()
        except OSError as error:
            missing.append(f"{path.name}: {error.strerror}")
            continue
        room, places = room - size, places - 1
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if _is_text(data):
            kind, data = "text/plain", _plain(data).encode("utf-8", "replace")
        yield Attachment(path.name, kind, data)
    if missing:
        yield Attachment(LEFT_OUT, "text/plain", "\n".join(missing).encode("utf-8", "replace"))


def _files(record: RunRecord) -> Iterable[Path]:
    """Yield the plain files that match, once each; patterns are relative to the folder of the run."""
    seen = set()
    for pattern in record.attachments:
        whole = Path(record.folder) / Path(pattern).expanduser()
        for path in Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))):
            if path not in seen and path.is_file():
                seen.add(path)
                yield path


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
