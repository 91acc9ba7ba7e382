"""`alerts`: what fires, why, and the person's word on it; through the running tray, else on the store."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import attending, machine
from gpuwatch_tray.app import evaluator, open_store
from gpuwatch_tray.attending import AlertOperations, NoSuchAlertError
from gpuwatch_tray.commands import history
from gpuwatch_tray.commands.asking import ask_or_store, reach
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.control import Refused
from gpuwatch_tray.language import _
from gpuwatch_tray.reading import open_source, read_once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpuwatch_tray.control import Handler
    from gpuwatch_tray.store import Store
    from gpuwatch_tray.watching import Monitor


def show(setup: Setup, *, as_json: bool) -> int:
    """Print what is active and the last 100, with every transition and its reason."""
    answer = ask_or_store(setup, {"do": "alerts"}, lambda store: history.record(store, machine.now()))
    print(json.dumps(answer, indent=2) if as_json else "\n".join(history.lines(answer)))
    return 0


def acknowledge(setup: Setup, names: Sequence[str]) -> int:
    """Record that these alerts have been seen."""
    return _attend(setup, {"do": "acknowledge", "names": list(names)})


def snooze(setup: Setup, names: Sequence[str], duration: str) -> int:
    """Silence everything, or these rules and alerts, for `duration`."""
    try:
        length = attending.parse_duration(duration, machine.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _attend(setup, {"do": "snooze", "names": list(names), "seconds": length})


def resume(setup: Setup) -> int:
    """End every snooze."""
    return _attend(setup, {"do": "resume"})


def forget(setup: Setup, uuid: str) -> int:
    """Take a GPU that is gone for good out of the inventory."""
    if setup.simulated:
        raise UsageError(_("a demo has no inventory: leave out --demo"))
    with closing(open_store(setup)) as store:
        known = [gpu.uuid for gpu in store.gpus() if not gpu.forgotten]
        if not store.forget_gpu(uuid):
            raise WorkError(
                _("no GPU {uuid!r} is known (known: {uuids})").format(
                    uuid=uuid, uuids=", ".join(known) or _("none")
                )
            )
    print(_("forgotten: {uuid}").format(uuid=uuid))
    return 0


def explain(setup: Setup) -> int:
    """Print each rule, its value and threshold, and what will be told when and why."""
    answer = reach(setup, {"do": "explain"})
    if answer is not None:
        print("\n".join(answer["lines"]))
        return 0
    if setup.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    with closing(open_store(setup)) as store, closing(open_source(setup, store)) as source:
        lines = evaluator(setup, store, loop=False).explain(read_once(setup, source))
    print(_("nothing watches here at the moment: this is what `gpuwatch-tray check` would do") + "\n")
    print("\n".join(lines))
    return 0


def handlers(store: Store, watching: Monitor) -> dict[str, Handler]:
    """What the running program answers about alerts; whatever the person says is shown at once."""
    person = AlertOperations(store, machine.now)

    def then_look(said: str) -> dict[str, Any]:
        watching.check_now()
        return {"said": said}

    return {
        "alerts": lambda _: history.record(store, machine.now()),
        "explain": lambda _: {"lines": list(watching.explain())},
        **{do: _refusing(act, person, then_look) for do, act in ACTS.items()},
    }


def _refusing(
    act: Callable[[AlertOperations, Mapping[str, Any]], str],
    person: AlertOperations,
    then: Callable[[str], dict[str, Any]],
) -> Handler:
    def handle(request: dict[str, Any]) -> dict[str, Any]:
        try:
            return then(act(person, request))
        except NoSuchAlertError as error:
            raise Refused(str(error)) from error

    return handle


ACTS: dict[str, Callable[[AlertOperations, Mapping[str, Any]], str]] = {
    "acknowledge": lambda person, request: person.acknowledge(*map(str, request.get("names", ()))),
    "snooze": lambda person, request: person.snooze(
        float(request["seconds"]), *map(str, request.get("names", ()))
    ),
    "resume": lambda person, _: person.resume(),
}


def _attend(setup: Setup, request: dict[str, Any]) -> int:
    def on_store(store: Store) -> dict[str, Any]:
        try:
            return {"said": ACTS[request["do"]](AlertOperations(store, machine.now), request)}
        except NoSuchAlertError as error:
            raise WorkError(str(error)) from error

    print(ask_or_store(setup, request, on_store)["said"])
    return 0
