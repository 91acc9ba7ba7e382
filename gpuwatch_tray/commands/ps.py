"""`ps`: the GPU process list."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.context import Setup, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.listing.records import listing_json
from gpuwatch_tray.listing.text import all_text, own_text
from gpuwatch_tray.listing.totals import totals_text
from gpuwatch_tray.model import LABEL
from gpuwatch_tray.reading import open_source, read_once
from gpuwatch_tray.rules.scope import gaps

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import GpuProcess, Snapshot

CLEAR = "\x1b[H\x1b[2J\x1b[3J"  # home, screen, scroll-back: what `clear` writes


def run(
    setup: Setup,
    *,
    everyone: bool,
    as_json: bool,
    every: float | None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """
    Print the list, once or `every` so many seconds until interrupted.

    The user's own compute processes as the Bash tool printed them, or with `everyone` all processes with
    owner and type, and the totals of each user. What could not be read goes to standard error and makes the
    exit code 1.
    """
    setup.require()
    source = open_source(setup)
    try:
        while True:
            snapshot = read_once(setup, source)
            text = _json(snapshot, everyone) if as_json else _text(snapshot, everyone)
            if every is not None and sys.stdout.isatty():
                sys.stdout.write(CLEAR)
            sys.stdout.write(text)
            sys.stdout.flush()
            missing = gaps(snapshot)
            if every is None:
                if missing:
                    raise WorkError("\n".join(missing))
                return 0
            for gap in missing:
                print(gap, file=sys.stderr, flush=True)
            sleep(every)
    except KeyboardInterrupt:
        return 0
    finally:
        source.close()


def own(snapshot: Snapshot) -> tuple[GpuProcess, ...]:
    """The processes of the Bash tool's list: the user's own, with a compute context."""
    return tuple(process for process in snapshot.processes if process.mine and process.computes)


def _text(snapshot: Snapshot, everyone: bool) -> str:
    if everyone:
        text = all_text(snapshot.processes) + totals_text(snapshot.processes)
    else:
        text = own_text(own(snapshot), redacted=False)
    return f"{_(LABEL)}\n\n{text}" if snapshot.simulated else text


def _json(snapshot: Snapshot, everyone: bool) -> str:
    processes = snapshot.processes if everyone else own(snapshot)
    facts = listing_json(snapshot, processes, with_users=everyone)
    return json.dumps(facts, indent=2) + "\n"
