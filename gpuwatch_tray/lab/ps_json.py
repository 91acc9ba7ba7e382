"""
What another machine's `gpuwatch-tray ps --all --json` says, read back as a snapshot. Pure.

The text is foreign: what is not of the kind that docs/json.md describes makes the whole of it unreadable, and
names are cut to a length. What it leaves out is unknown.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common import redact
from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    ClockLimit,
    Gpu,
    GpuProcess,
    Missing,
    Problem,
    ProcessKind,
    Snapshot,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import Field


SCHEMA = 1  # the newest that is understood; a newer one may mean other things by the same keys
MOST_GPUS, MOST_PROCESSES = 256, 20_000  # of a host
LONGEST = 200  # characters of a name or reason
LONGEST_COMMAND, MOST_WORDS = 1000, 200
LARGEST = 2**60


class NotAListingError(ValueError):
    """The text is no such JSON; the message says what is wrong with it."""


def parse_ps_json(text: str) -> Snapshot:
    """Read the JSON; `at` and the starts are by that machine's clock. Raises NotAListingError."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAListingError(str(error)) from None
    try:
        return _snapshot(record)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NotAListingError(f"{type(error).__name__}: {error}") from None


def _snapshot(record: dict[str, Any]) -> Snapshot:
    schema = record["schema"]
    if schema != SCHEMA:
        raise ValueError(f"schema {schema!r}, and {SCHEMA} is known here")
    gpus, processes = list(record["gpus"]), list(record["processes"])
    if len(gpus) > MOST_GPUS or len(processes) > MOST_PROCESSES:
        raise ValueError(f"{len(gpus)} GPUs and {len(processes)} processes are too many")
    problem = record["problem"]
    return Snapshot(
        _name(record["source"]),
        _time(record["at"]),
        gpus=tuple(map(_gpu, gpus)),
        processes=tuple(map(_process, processes)),
        problem=None if problem is None else Problem(_said(problem["text"]), _said(problem.get("mend", ""))),
        simulated=bool(record["simulated"]),
    )


def _gpu(record: dict[str, Any]) -> Gpu:
    def field(key: str, read: Callable[[Any], Any]) -> Any:
        return _field(record, key, read)

    uuid = record["uuid"]
    return Gpu(
        _count(record["index"]),
        "" if uuid is None else _name(uuid),
        name=field("name", _name),
        memory_used=field("memory_used_bytes", _count),
        memory_total=field("memory_total_bytes", _count),
        utilisation=field("utilisation_percent", _percent),
        temperature=field("temperature_c", _count),
        power=field("power_w", _number),
        power_limit=field("power_limit_w", _number),
        fan=field("fan_percent", _count),
        problem=_text(record["problem"]),
        process_problem=_text(record["process_problem"]),
        physical=_name(record["physical"] or ""),
        asleep=bool(record["asleep"]),
        slowdown_at=field("slowdown_c", _count),
        limited_by=field("limited_by", _limits),
        ecc_corrected=field("ecc_corrected", _count),
        ecc_uncorrected=field("ecc_uncorrected", _count),
        rows_pending=field("rows_pending", _truth),
        rows_failed=field("rows_failed", _truth),
        pcie_width=field("pcie_width", _count),
        pcie_width_most=field("pcie_width_most", _count),
    )


def _process(record: dict[str, Any]) -> GpuProcess:
    def field(key: str, read: Callable[[Any], Any]) -> Any:
        return _field(record, key, read)

    gpu, mine = record["gpu"], record["mine"]
    letters = _name(record["type"]).split("+")
    return GpuProcess(
        pid=_count(record["pid"]),
        gpu=None if gpu is None else _count(gpu),
        kinds=frozenset(kind for kind in ProcessKind if kind.value in letters),
        memory=field("memory_bytes", _count),
        user=field("user", _name),
        mine=None if mine is None else _truth(mine),
        started=field("started", _time),
        elapsed=field("elapsed_s", _number),
        cwd=field("cwd", _name),
        command=field("command", _words),
        name=field("name", _name),
        device=_name(record.get("device") or ""),
    )


def _field(record: dict[str, Any], key: str, read: Callable[[Any], Any]) -> Field[Any]:
    """Read a value, or why it is missing; a key that is not there is of another version: unknown."""
    value = record.get(key)
    if value is not None:
        return read(value)
    kind, _colon, detail = str(record["missing"].get(key, "")).partition(":")
    if kind == Why.ERROR.value:
        return Missing(Why.ERROR, _said(detail.strip()))
    return UNSUPPORTED if kind == Why.UNSUPPORTED.value else UNKNOWN


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return redact.visible(value[:LONGEST])


def _text(value: Any) -> str | None:
    return None if value is None else _said(value) or "?"


def _said(value: Any) -> str:
    return redact.text(_name(value))


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("expected a list of words")
    return tuple(str(word)[:LONGEST_COMMAND] for word in value[:MOST_WORDS])


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {type(value).__name__}")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise TypeError(f"expected a whole number, got {str(value)[:20]}")
    return value


def _percent(value: Any) -> int:
    if _count(value) > 100:  # noqa: PLR2004  # percent
        raise ValueError(f"expected a percentage, got {value}")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    if not math.isfinite(value) or not 0 <= value <= LARGEST:
        raise ValueError(f"expected a number that is not negative, got {value}")
    return float(value)


def _time(value: Any) -> float:
    moment = datetime.fromisoformat(_name(value))
    if moment.tzinfo is None:
        raise ValueError("expected a time with its zone")
    return moment.timestamp()


def _limits(value: Any) -> ClockLimit:
    found = ClockLimit(0)
    for name in _words(value):
        found |= ClockLimit.__members__.get(name.upper(), ClockLimit(0))  # a newer version may know more
    return found
