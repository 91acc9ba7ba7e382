"""`alerts`: what fires and why, and the person's word on it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import RunContext


def add(commands: Branch) -> None:
    """Add them."""
    alerts, tasks = commands.family(
        "alerts", _("what fires and why, and your word on it"), "alerts", "alerts snooze 2h", run=_show
    )
    alerts.add_argument("--json", action="store_true", help=_("as JSON"))
    listed = tasks.command(
        "list", _show, _("what is active, and the last 100 (default)"), "alerts list --json"
    )
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=_("as JSON"))
    tasks.command("explain", _explain, _("each rule, and what will be sent when and why"), "alerts explain")
    ack = tasks.command("ack", _ack, _("seen: no repeats until it ends or gets worse"), "alerts ack 7")
    ack.add_argument("ids", nargs="+", metavar="ID", help=_("the alert's number, as `alerts` prints it"))
    snooze = tasks.command(
        "snooze",
        _snooze,
        _("silence every channel, email included"),
        "alerts snooze 2h",
        "alerts snooze max_etime tomorrow",
    )
    snooze.add_argument("names", nargs="*", metavar="RULE|ID", help=_("without one: everything"))
    snooze.add_argument("duration", metavar="DURATION", help=_("30m, 2h, 1d12h, or tomorrow"))
    tasks.command("resume", _resume, _("end every snooze"), "alerts resume")
    forget = tasks.command(
        "forget", _forget, _("a GPU that was taken out is not lost"), "alerts forget GPU-5c0f..."
    )
    forget.add_argument("uuid", metavar="UUID")


def _show(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import alerts

    return alerts.show(setup, as_json=asked.json)


def _explain(setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import alerts

    return alerts.explain(setup)


def _ack(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import alerts

    return alerts.acknowledge(setup, asked.ids)


def _snooze(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import alerts

    return alerts.snooze(setup, asked.names, asked.duration)


def _resume(setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import alerts

    return alerts.resume(setup)


def _forget(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import alerts

    return alerts.forget(setup, asked.uuid)
