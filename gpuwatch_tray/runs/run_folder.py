"""The runs on disk: a folder for each in the state's `runs/`, with its record and its log."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict

from gpuwatch_tray.common.run_log import RECORD, new_run_folder
from gpuwatch_tray.runs.log_file import log_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


MOST_RUNS = 200
MOST_BYTES = 500 * 2**20


class RunRecord(Struct, frozen=True):
    """
    What is known of a run. Times are wall times, durations seconds, memory bytes; None is unknown.

    `command` is redacted. `code` is the exit code as a shell has it; `ended` is None while it runs, and for
    good where the process that waited for it was killed. `kind` to `confidence` are those of its `Cause`.
    """

    number: int
    command: str
    name: str = ""
    folder: str = ""  # in which it ran
    pid: int = 0
    identity: str = ""
    boot: str = ""
    began: float = 0.0
    ended: float | None = None
    seconds: float | None = None
    code: int | None = None
    gpus: tuple[str, ...] = ()  # as people know them: GPU 0
    peak_gpu_memory: int | None = None
    peak_memory: int | None = None  # of the largest of its processes
    kind: str = ""
    sentence: str = ""
    evidence: str = ""
    fix: str = ""
    confidence: str = ""
    output: tuple[str, ...] = ()  # its last lines, redacted
    attachments: tuple[str, ...] = ()  # files that go with its mail
    log_lost: int = 0  # bytes that a full disk did not take
    waits: str = ""  # what it waits for, or has waited for, before it starts

    @property
    def called(self) -> str:
        """What people call it."""
        return self.name or self.command


_TUPLES = frozenset({"gpus", "output", "attachments"})


def record_to_json(record: RunRecord) -> dict[str, Any]:
    """Turn a record into values that JSON has: the keys of `runs --json`."""
    return asdict(record)


def record_from_json(body: dict[str, Any]) -> RunRecord:
    """Read a record back, without another version's keys; raises ValueError or TypeError for what is none."""
    names = RunRecord.__struct_fields__
    values: dict[str, Any] = {name: value for name, value in body.items() if name in names}
    values |= {name: tuple(map(str, values[name])) for name in _TUPLES & values.keys()}
    return RunRecord(**values)


class RunFolder:
    """The runs of one state. Methods raise OSError."""

    def __init__(self, state: Path) -> None:
        self._root = state / "runs"

    def create(self, command: str, **facts: Any) -> tuple[RunRecord, Path]:
        """Make the folder of a new run, with its first record; the numbers rise, and none is used twice."""
        number, path = new_run_folder(self._root)
        folder = Path(path)
        record = RunRecord(number, command, **facts)
        self.write(record)
        return record, folder

    def folder(self, number: int) -> Path:
        """Return the folder of a run."""
        return self._root / f"{number:06}"

    def write(self, record: RunRecord) -> None:
        """Write a record in place of the one before, whole or not at all."""
        folder = self.folder(record.number)
        new = folder / f"{RECORD}.new"
        handle = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record_to_json(record), file)
        new.replace(folder / RECORD)

    def read(self, number: int) -> RunRecord | None:
        """Read a record; None where there is no such run, or where it cannot be read."""
        try:
            body = json.loads((self.folder(number) / RECORD).read_text("utf-8"))
            return record_from_json(body)
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return None

    def records(self) -> list[RunRecord]:
        """Read all, the latest first."""
        found = (self.read(number) for number in sorted(self._numbers(), reverse=True))
        return [record for record in found if record is not None]

    def clear(
        self, is_running: Callable[[RunRecord], bool], most: int = MOST_RUNS, most_bytes: int = MOST_BYTES
    ) -> list[int]:
        """Delete the oldest runs, beyond a number and a size of all; never one that runs. Return which."""
        cleared, total = [], 0
        for place, number in enumerate(sorted(self._numbers(), reverse=True)):
            folder = self.folder(number)
            total += log_size(folder)
            record = self.read(number)
            if (place < most and total <= most_bytes) or (record is not None and is_running(record)):
                continue
            shutil.rmtree(folder, ignore_errors=True)
            cleared.append(number)
        return cleared

    def _numbers(self) -> Iterator[int]:
        with suppress(FileNotFoundError):
            for path in self._root.iterdir():
                if path.name.isdecimal():
                    yield int(path.name)
