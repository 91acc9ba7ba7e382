"""`ps`: the GPU process list."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import RunContext, WorkError, open_source, read_once
from gpuwatch_tray.cli.base import positive_seconds
from gpuwatch_tray.common.proclist import all_text, listing_json, own_text, totals_text
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL
from gpuwatch_tray.rules.verdict import gaps

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.model import GpuProcess, Snapshot


CLEAR_SCREEN = "\x1b[H\x1b[2J\x1b[3J"  # home, screen, scroll-back: what `clear` writes


def add_commands(commands: CommandGroup) -> None:
    """Add `ps`."""
    ps = commands.command("ps", print_processes, _("list the GPU processes"), "ps --all", "ps --watch 5")
    ps.add_argument(
        "--all", action="store_true", help=_("everyone's processes, graphics too, with owner and type")
    )
    ps.add_argument("--json", action="store_true", help=_("as JSON"))
    ps.add_argument(
        "--watch", type=positive_seconds, metavar="N", help=_("repeat every N seconds, until Ctrl-C")
    )


def print_processes(context: RunContext, args: argparse.Namespace) -> int:
    """Print the processes, once or every N seconds; what could not be read makes the exit code 1."""
    context.require_valid_settings()
    source = open_source(context)
    try:
        while True:
            snapshot = read_once(context, source)
            text = _process_json(snapshot, args.all) if args.json else _process_table(snapshot, args.all)
            if args.watch is not None and sys.stdout.isatty():
                sys.stdout.write(CLEAR_SCREEN)
            sys.stdout.write(text)
            sys.stdout.flush()
            missing = gaps(snapshot)
            if args.watch is None:
                if missing:
                    raise WorkError("\n".join(missing))
                return 0
            for gap in missing:
                print(gap, file=sys.stderr, flush=True)
            time.sleep(args.watch)
    except KeyboardInterrupt:
        return 0
    finally:
        source.close()


def _own_processes(snapshot: Snapshot) -> tuple[GpuProcess, ...]:
    """Return the processes of the Bash tool's list: the user's own, with a compute context."""
    return tuple(process for process in snapshot.processes if process.mine and process.computes)


def _process_table(snapshot: Snapshot, everyone: bool) -> str:
    if everyone:
        text = all_text(snapshot.processes) + totals_text(snapshot.processes)
        if not snapshot.processes and not gaps(snapshot):
            text = _("no GPU processes") + "\n"
    else:
        text = own_text(_own_processes(snapshot), redacted=False)
    return f"{_(LABEL)}\n\n{text}" if snapshot.simulated else text


def _process_json(snapshot: Snapshot, everyone: bool) -> str:
    processes = snapshot.processes if everyone else _own_processes(snapshot)
    return json.dumps(listing_json(snapshot, processes, with_users=everyone), indent=2) + "\n"
