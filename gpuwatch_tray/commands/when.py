"""`when`: tell me once when GPUs are free or a process ends; through the running tray, else on the store."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray import attending, machine
from gpuwatch_tray.awaiting import HOLD, NotOnGpuError, ReminderError, Reminders
from gpuwatch_tray.commands.asking import ask_or_store, holder_of
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.control import Refused
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.reading import open_source, read_once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.control import Handler
    from gpuwatch_tray.model import Snapshot
    from gpuwatch_tray.store import Store
    from gpuwatch_tray.watching import Monitor

NOBODY = N_("nothing watches at the moment: start gpuwatch-tray")
NOTHING = N_("nothing is waited for")
NEW_LOOK = 1.5  # seconds to wait for one: less than the asker waits for the answer
STEP = 0.05

Act: TypeAlias = "Callable[[Reminders, Mapping[str, Any], Snapshot | None], dict[str, Any]]"


def free(setup: Setup, count: int, hold: str | None) -> int:
    """Ask to be told when `count` GPUs have been free for `hold` (a duration; a minute without one)."""
    try:
        seconds = HOLD if hold is None else attending.parse_duration(hold, machine.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _ask(setup, {"do": "when free", "count": count, "hold": seconds})


def ends(setup: Setup, pid: int) -> int:
    """Ask to be told when the process `pid`, which is on a GPU, is gone."""
    return _ask(setup, {"do": "when ends", "pid": pid})


def cancel(setup: Setup, number: int) -> int:
    """Wait no longer for `number`."""
    return _ask(setup, {"do": "when cancel", "id": number}, watched=False)


def show(setup: Setup) -> int:
    """Print what is waited for."""
    return _ask(setup, {"do": "when list"})


def handlers(store: Store, watching: Monitor) -> dict[str, Handler]:
    """What the running program answers; it looks at once after each of them."""
    waiting = Reminders(store, machine.now)

    def fresh() -> Snapshot | None:
        """The reading after the one that is shown."""
        before = watching.shown.at
        watching.check_now()
        until = time.monotonic() + NEW_LOOK
        while watching.shown.at == before and time.monotonic() < until:
            time.sleep(STEP)
        return watching.shown.snapshot

    def handler(act: Act) -> Handler:
        def handle(request: dict[str, Any]) -> dict[str, Any]:
            try:
                try:
                    answer = act(waiting, request, watching.shown.snapshot)
                except NotOnGpuError:  # it may have come since
                    answer = act(waiting, request, fresh())
            except ReminderError as error:
                raise Refused(str(error)) from error
            watching.check_now()
            return answer

        return handle

    return {do: handler(act) for do, act in ACTS.items()}


def _said(words: str) -> dict[str, Any]:
    return {"said": words}


ACTS: dict[str, Act] = {
    "when free": lambda waiting, request, snapshot: _said(
        waiting.add_gpus_free(int(request["count"]), snapshot, float(request["hold"]))
    ),
    "when ends": lambda waiting, request, snapshot: _said(
        waiting.add_process_ends(int(request["pid"]), snapshot)
    ),
    "when cancel": lambda waiting, request, _snapshot: _said(waiting.cancel(int(request["id"]))),
    "when list": lambda waiting, _request, _snapshot: _said("\n".join(waiting.lines())),
    "when run": lambda waiting, request, _snapshot: {
        "id": waiting.add_command(
            int(request["pid"]), str(request["identity"]), str(request["boot"]), str(request["called"])
        )
    },
    "when ran": lambda waiting, request, _snapshot: {
        "told": waiting.report_command(
            int(request["id"]),
            int(request["code"]),
            float(request["seconds"]),
            tuple(map(str, request["output"])),
        )
    },
}
READS = {"when free", "when ends"}  # what needs a look at the GPUs


def _ask(setup: Setup, request: Mapping[str, Any], *, watched: bool = True) -> int:
    def on_store(store: Store) -> dict[str, Any]:
        snapshot = None
        if request["do"] in READS:
            with closing(open_source(setup, store)) as source:
                snapshot = read_once(setup, source)
        try:
            return ACTS[request["do"]](Reminders(store, machine.now), request, snapshot)
        except ReminderError as error:
            raise WorkError(str(error)) from error

    said = ask_or_store(setup, request, on_store)["said"]
    print(said or _(NOTHING))
    if watched and said and not setup.simulated and not holder_of(setup).pid:
        print(_(NOBODY))
    return 0
