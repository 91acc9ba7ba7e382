"""`alerts`: what fires and why; acknowledge and snooze it. Through the running tray, else on the store."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import i18n
from gpuwatch_tray.alerts import SilenceScope
from gpuwatch_tray.app.bootstrap import create_engine, open_store
from gpuwatch_tray.app.context import RunContext, UsageError, WorkError, lab_context, open_source, read_once
from gpuwatch_tray.app.control import alerts_json, operate
from gpuwatch_tray.app.lab_operations import (
    end_silences_for_everyone,
    explain_lab,
    forget_host,
    lab_alerts,
    lab_store,
    operate_on_lab,
    silence_for_everyone,
    split_names,
)
from gpuwatch_tray.app.status_json import silence_texts
from gpuwatch_tray.cli.base import add_json
from gpuwatch_tray.cli.printing import show
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.common.lab_numbers import with_lab_numbers
from gpuwatch_tray.common.text import pad_to_width
from gpuwatch_tray.engine import operations
from gpuwatch_tray.engine.explain import describe_entry
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Phase
from gpuwatch_tray.model.units import local_time

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from gpuwatch_tray.cli.base import CommandGroup


def alert_lines(answer: Mapping[str, Any]) -> list[str]:
    """Format the answer of `alerts_json` for a terminal."""
    current = [*_section_lines(_("Active:"), answer["active"]), *_snooze_lines(answer["snoozes"])]
    past = list(_section_lines(_("Over:"), answer["past"]))
    if not answer["active"] and past:
        current.insert(0, _("No active alerts."))
    return [redact.visible(line) for line in [*current, *past]] or [_("no active alerts and no past ones")]


def _section_lines(title: str, alerts_: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if alerts_:
        yield title
    for alert in alerts_:
        severity = pad_to_width(i18n.translate_key(alert["severity"]), 8)
        yield f"{alert['id']:>5}  {severity}  {alert['rule']}: {alert['text']}"
        yield f"       {_state_text(alert)}"
        for change in alert["history"]:
            what, why = describe_entry(change["what"], change["why"])
            why = f" ({why})" if why and why != alert["text"] else ""
            yield f"         {local_time(change['at'])}  {what}{why}"


def _state_text(alert: Mapping[str, Any]) -> str:
    if alert["phase"] == Phase.RESOLVED.value:
        if not alert["resolved"]:
            return _("began {time}").format(time=local_time(alert["since"]))
        began, over = local_time(alert["since"]), local_time(alert["resolved"])
        return _("began {began}, over since {over}").format(began=began, over=over)
    recovering = alert["phase"] == Phase.RECOVERING.value
    state = _("began {time}, over for now") if recovering else _("{phase} since {time}")
    states = [state.format(phase=i18n.translate_key(alert["phase"]), time=local_time(alert["since"]))]
    if alert["flapping"]:
        states.append(_("comes and goes"))
    return _(", ").join([*states, *silence_texts(alert, local_time)])


def _snooze_lines(snoozes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for snooze in snoozes:
        what = f"{i18n.translate_key(snooze['scope'])} {snooze['name']}"
        if snooze["scope"] == SilenceScope.ALL.value:
            what = _("everything")
        yield _("Snoozed until {time}: {what}").format(time=local_time(snooze["until"]), what=what)


def print_alerts(context: RunContext, args: argparse.Namespace) -> int:
    """Print what is active and the last 100, with every transition and its reason."""
    from gpuwatch_tray.app.tray_client import request_or_use_store

    answer = request_or_use_store(context, {"do": "alerts"}, lambda store: alerts_json(store, host.now()))
    answer["lab"] = lab_alerts(context)
    if args.json:
        print(json.dumps(answer, indent=2))
    else:
        show("\n".join(alert_lines(answer)), hang=2)
        if answer["lab"] is not None:
            numbered = {key: with_lab_numbers(answer["lab"][key]) for key in ("active", "past")}
            print()
            show("\n".join([_("The lab:"), *alert_lines({**answer["lab"], **numbered})]), hang=2)
    return 0


def acknowledge_alerts(context: RunContext, args: argparse.Namespace) -> int:
    """Record that these alerts have been seen."""
    here, there = split_names(args.ids)
    if there:
        show(operate_on_lab(context, lambda operations: operations.acknowledge(*there)))
    return _operate(context, do="acknowledge", names=here) if here else 0


def snooze_alerts(context: RunContext, args: argparse.Namespace) -> int:
    """Silence everything, or these rules and alerts, for a duration."""
    try:
        length = operations.parse_duration(args.duration, host.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if args.everyone or args.comment:
        if not args.everyone or not args.names:
            raise UsageError(
                _("name alerts of the lab with --everyone, as in `alerts snooze L7 2h --everyone`")
            )
        show(silence_for_everyone(context, args.names, length, args.comment))
        return 0
    here, there = split_names(args.names)
    if there or (not here and lab_context(context) is not None):
        show(operate_on_lab(context, lambda operations: operations.snooze(length, *there)))
    return _operate(context, do="snooze", names=here, seconds=length) if here or not there else 0


def end_snoozes(context: RunContext, args: argparse.Namespace) -> int:
    """End every snooze; with --everyone the silences in the Alertmanager that were made here."""
    if args.everyone:
        show(end_silences_for_everyone(context))
        return 0
    if lab_context(context) is not None:
        operate_on_lab(context, lambda operations: operations.resume())
    return _operate(context, do="resume")


def forget_gpu(context: RunContext, args: argparse.Namespace) -> int:
    """Take a GPU, or a host of the lab, that is gone for good out of the inventory."""
    if context.simulated:
        raise UsageError(_("a demo has no list of GPUs to forget: leave out --demo"))
    with lab_store(context) as of_lab:
        if of_lab is not None and forget_host(of_lab, args.uuid):
            print(_("forgotten: {uuid}").format(uuid=args.uuid))
            return 0
    with closing(open_store(context)) as store:
        known = [gpu.uuid for gpu in store.gpus() if not gpu.forgotten]
        if not store.forget_gpu(args.uuid):
            text = _("unknown GPU {uuid!r} (known: {uuids})")
            raise WorkError(text.format(uuid=args.uuid, uuids=", ".join(known) or _("none")))
    print(_("forgotten: {uuid}").format(uuid=args.uuid))
    return 0


def explain_rules(context: RunContext, _args: argparse.Namespace) -> int:
    """Print each rule, its value and threshold, and what will be sent when and why."""
    from gpuwatch_tray.app.tray_client import try_request

    answer = try_request(context, {"do": "explain"})
    if answer is not None:
        show("\n".join(answer["lines"]))
        return 0
    if context.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    with closing(open_store(context)) as store, closing(open_source(context, store)) as source:
        lines = create_engine(context, store, in_loop=False).explain(read_once(context, source))
    print(_("no tray or watch is running: this is what `gpuwatch-tray check` would do") + "\n")
    show("\n".join([*lines, *explain_lab(context)]))
    return 0


def _operate(context: RunContext, **request: Any) -> int:
    show(operate(context, request)["said"])
    return 0


def add_commands(commands: CommandGroup) -> None:
    """Add `alerts` and its tasks."""
    parser, tasks = commands.group(
        "alerts",
        _("show alerts; acknowledge or snooze them"),
        "alerts",
        "alerts snooze 2h",
        body=print_alerts,
    )
    add_json(parser)
    listed = tasks.command(
        "list", print_alerts, _("the active alerts and the last 100 (default)"), "alerts list --json"
    )
    add_json(listed, again=True)
    tasks.command("explain", explain_rules, _("each rule, and what is sent when and why"), "alerts explain")
    ack = tasks.command(
        "ack", acknowledge_alerts, _("acknowledge: no repeats until it ends or gets worse"), "alerts ack 7"
    )
    ack.add_argument("ids", nargs="+", metavar="ID", help=_("the number that `alerts` shows"))
    snooze = tasks.command(
        "snooze",
        snooze_alerts,
        _("snooze popups and mails for a while"),
        "alerts snooze 2h",
        "alerts snooze max_etime tomorrow",
    )
    snooze.add_argument("names", nargs="*", metavar="RULE|ID", help=_("what to snooze (default: everything)"))
    snooze.add_argument("duration", metavar="DURATION", help=_("30m, 2h, 1d12h, or tomorrow"))
    snooze.add_argument(
        "--everyone",
        action="store_true",
        help=_("silence alerts of the lab for all who get them, in the Alertmanager (LAB_SILENCE=on)"),
    )
    snooze.add_argument(
        "--comment", default="", metavar="TEXT", help=_("why, for the others to read (with --everyone)")
    )
    resume = tasks.command("resume", end_snoozes, _("end every snooze"), "alerts resume")
    resume.add_argument(
        "--everyone", action="store_true", help=_("end the silences for everyone that were made here instead")
    )
    forget = tasks.command(
        "forget",
        forget_gpu,
        _("forget a GPU that was taken out, so it is not reported lost"),
        "alerts forget GPU-5c0f...",
    )
    forget.add_argument("uuid", metavar="UUID", help=_("the GPU's UUID, as `status --json` shows it"))
