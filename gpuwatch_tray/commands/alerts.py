"""The bodies of `alerts`, and the running program's answers to them."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import attending, machine
from gpuwatch_tray.app import create_evaluator, open_store
from gpuwatch_tray.attending import AlertOperations, NoSuchAlertError
from gpuwatch_tray.commands.history import alert_lines, alerts_json
from gpuwatch_tray.context import RunContext, UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.reading import open_source, read_once

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.control import Handler
    from gpuwatch_tray.store import Store
    from gpuwatch_tray.watching import Monitor


def print_alerts(context: RunContext, args: argparse.Namespace) -> int:
    """Print what is active and the last 100, with every transition and its reason."""
    from gpuwatch_tray.commands.asking import request_or_use_store

    answer = request_or_use_store(context, {"do": "alerts"}, lambda store: alerts_json(store, machine.now()))
    print(json.dumps(answer, indent=2) if args.json else "\n".join(alert_lines(answer)))
    return 0


def acknowledge_alerts(context: RunContext, args: argparse.Namespace) -> int:
    """Record that these alerts have been seen."""
    return _operate(context, {"do": "acknowledge", "names": args.ids})


def snooze_alerts(context: RunContext, args: argparse.Namespace) -> int:
    """Silence everything, or these rules and alerts, for a duration."""
    try:
        length = attending.parse_duration(args.duration, machine.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _operate(context, {"do": "snooze", "names": args.names, "seconds": length})


def end_snoozes(context: RunContext, _args: argparse.Namespace) -> int:
    """End every snooze."""
    return _operate(context, {"do": "resume"})


def forget_gpu(context: RunContext, args: argparse.Namespace) -> int:
    """Take a GPU that is gone for good out of the inventory."""
    if context.simulated:
        raise UsageError(_("a demo has no inventory: leave out --demo"))
    with closing(open_store(context)) as store:
        known = [gpu.uuid for gpu in store.gpus() if not gpu.forgotten]
        if not store.forget_gpu(args.uuid):
            raise WorkError(
                _("no GPU {uuid!r} is known (known: {uuids})").format(
                    uuid=args.uuid, uuids=", ".join(known) or _("none")
                )
            )
    print(_("forgotten: {uuid}").format(uuid=args.uuid))
    return 0


def explain_rules(context: RunContext, _args: argparse.Namespace) -> int:
    """Print each rule, its value and threshold, and what will be sent when and why."""
    from gpuwatch_tray.commands.asking import try_request

    answer = try_request(context, {"do": "explain"})
    if answer is not None:
        print("\n".join(answer["lines"]))
        return 0
    if context.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    with closing(open_store(context)) as store, closing(open_source(context, store)) as source:
        lines = create_evaluator(context, store, loop=False).explain(read_once(context, source))
    print(_("nothing watches here at the moment: this is what `gpuwatch-tray check` would do") + "\n")
    print("\n".join(lines))
    return 0


def _operate(context: RunContext, request: dict[str, Any]) -> int:
    from gpuwatch_tray.commands.asking import request_or_use_store

    def on_store(store: Store) -> dict[str, Any]:
        try:
            return {"said": ALERT_OPERATIONS[request["do"]](AlertOperations(store, machine.now), request)}
        except NoSuchAlertError as error:
            raise WorkError(str(error)) from error

    print(request_or_use_store(context, request, on_store)["said"])
    return 0


def alert_handlers(store: Store, monitor: Monitor) -> dict[str, Handler]:
    """Return the request handlers about alerts; each change is evaluated at once."""
    from gpuwatch_tray.control import RequestRefusedError

    operations = AlertOperations(store, machine.now)

    def handler(operation: Callable[[AlertOperations, Mapping[str, Any]], str]) -> Handler:
        def handle(request: dict[str, Any]) -> dict[str, Any]:
            try:
                said = operation(operations, request)
            except NoSuchAlertError as error:
                raise RequestRefusedError(str(error)) from error
            monitor.check_now()
            return {"said": said}

        return handle

    return {
        "alerts": lambda _request: alerts_json(store, machine.now()),
        "explain": lambda _request: {"lines": list(monitor.explain())},
        **{do: handler(operation) for do, operation in ALERT_OPERATIONS.items()},
    }


ALERT_OPERATIONS: dict[str, Callable[[AlertOperations, Mapping[str, Any]], str]] = {
    "acknowledge": lambda operations, request: operations.acknowledge(*map(str, request.get("names", ()))),
    "snooze": lambda operations, request: operations.snooze(
        float(request["seconds"]), *map(str, request.get("names", ()))
    ),
    "resume": lambda operations, _request: operations.resume(),
}
