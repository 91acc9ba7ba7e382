"""`alerts`: what fires and why; acknowledge and snooze it. Through the running tray, else on the store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.commands.alerts import (
    acknowledge_alerts,
    end_snoozes,
    explain_rules,
    forget_gpu,
    print_alerts,
    snooze_alerts,
)
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import CommandGroup


def add_commands(commands: CommandGroup) -> None:
    """Add `alerts` and its tasks."""
    parser, tasks = commands.group(
        "alerts",
        _("what fires and why, and your word on it"),
        "alerts",
        "alerts snooze 2h",
        body=print_alerts,
    )
    parser.add_argument("--json", action="store_true", help=_("as JSON"))
    listed = tasks.command(
        "list", print_alerts, _("what is active, and the last 100 (default)"), "alerts list --json"
    )
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=_("as JSON"))
    tasks.command(
        "explain", explain_rules, _("each rule, and what will be sent when and why"), "alerts explain"
    )
    ack = tasks.command(
        "ack", acknowledge_alerts, _("seen: no repeats until it ends or gets worse"), "alerts ack 7"
    )
    ack.add_argument("ids", nargs="+", metavar="ID", help=_("the alert's number, as `alerts` prints it"))
    snooze = tasks.command(
        "snooze",
        snooze_alerts,
        _("silence every channel, email included"),
        "alerts snooze 2h",
        "alerts snooze max_etime tomorrow",
    )
    snooze.add_argument("names", nargs="*", metavar="RULE|ID", help=_("without one: everything"))
    snooze.add_argument("duration", metavar="DURATION", help=_("30m, 2h, 1d12h, or tomorrow"))
    tasks.command("resume", end_snoozes, _("end every snooze"), "alerts resume")
    forget = tasks.command(
        "forget", forget_gpu, _("a GPU that was taken out is not lost"), "alerts forget GPU-5c0f..."
    )
    forget.add_argument("uuid", metavar="UUID")
