"""`ps`: the GPU process list."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NoReturn

from gpuwatch_tray.app.context import RunContext, WorkError, open_source, read_once
from gpuwatch_tray.cli.base import add_json, positive_seconds
from gpuwatch_tray.common.proclist import all_text, listing_json, own_text, totals_text
from gpuwatch_tray.common.reading_gaps import gaps, owner_gaps
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.model import GpuProcess, Snapshot
    from gpuwatch_tray.sources import Source


def add_commands(commands: CommandGroup) -> None:
    """Add `ps`."""
    ps = commands.command("ps", print_processes, _("list the GPU processes"), "ps --all", "ps --watch 5")
    ps.add_argument(
        "--all", action="store_true", help=_("everyone's processes, graphics too, with owner and type")
    )
    add_json(ps)
    ps.add_argument(
        "--watch", type=positive_seconds, metavar="N", help=_("repeat every N seconds, until Ctrl-C")
    )


def print_processes(context: RunContext, args: argparse.Namespace) -> int:
    """Print the processes, once or every N seconds; what could not be read makes the exit code 1."""
    context.require_valid_settings()
    source = open_source(context)
    try:
        if args.watch is not None:
            _watch(context, source, args)
        snapshot = read_once(context, source)
        sys.stdout.write(_text(snapshot, args))
        sys.stdout.flush()
        if missing := _missing(snapshot, args):
            raise WorkError("\n".join(missing))
    except KeyboardInterrupt:
        pass
    finally:
        source.close()
    return 0


def _watch(context: RunContext, source: Source, args: argparse.Namespace) -> NoReturn:
    """Print the processes every N seconds until Ctrl-C: on a terminal in place, else list after list."""
    if sys.stdout.isatty() and not args.json:
        from gpuwatch_tray.app.terminal import LiveListing

        hint = _("every {seconds:g} s · Ctrl-C stops").format(seconds=args.watch)
        with LiveListing(sys.stdout, hint) as listing:
            while True:
                snapshot = read_once(context, source)
                text = "\n".join([_text(snapshot, args).rstrip(), *_missing(snapshot, args)])
                listing.show(text, snapshot.at)
                time.sleep(args.watch)
    while True:
        snapshot = read_once(context, source)
        sys.stdout.write(_text(snapshot, args))
        sys.stdout.flush()
        for gap in _missing(snapshot, args):
            print(gap, file=sys.stderr, flush=True)
        time.sleep(args.watch)


def _text(snapshot: Snapshot, args: argparse.Namespace) -> str:
    return _process_json(snapshot, args.all) if args.json else _process_table(snapshot, args.all)


def _missing(snapshot: Snapshot, args: argparse.Namespace) -> tuple[str, ...]:
    """Return what could not be read, the owners of the processes included."""
    shown = snapshot.processes if args.all else snapshot.computing
    return (*gaps(snapshot), *owner_gaps(shown))


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
    import json

    processes = snapshot.processes if everyone else _own_processes(snapshot)
    return json.dumps(listing_json(snapshot, processes, with_users=everyone), indent=2) + "\n"
