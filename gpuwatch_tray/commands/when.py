"""`when`: tell me once when GPUs are free or a process ends; through the running tray, else on the store."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray import attending, machine
from gpuwatch_tray.awaiting import HOLD, Awaiting, CannotAwait, NotOnGpu
from gpuwatch_tray.commands.asking import lock_holder, request_or_use_store
from gpuwatch_tray.context import RunContext, UsageError, WorkError
from gpuwatch_tray.control import RequestRefusedError
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.reading import open_source, read_once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.control import Handler
    from gpuwatch_tray.model import Snapshot
    from gpuwatch_tray.store import Store
    from gpuwatch_tray.watching import Watching

NOBODY = N_("nothing watches at the moment: start gpuwatch-tray")
NOTHING = N_("nothing is waited for")
NEW_LOOK = 1.5  # seconds to wait for one: less than the asker waits for the answer
STEP = 0.05

Act: TypeAlias = "Callable[[Awaiting, Mapping[str, Any], Snapshot | None], dict[str, Any]]"


def free(context: RunContext, count: int, hold: str | None) -> int:
    """Ask to be told when `count` GPUs have been free for `hold` (a duration; a minute without one)."""
    try:
        seconds = HOLD if hold is None else attending.seconds(hold, machine.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _ask(context, {"do": "when free", "count": count, "hold": seconds})


def ends(context: RunContext, pid: int) -> int:
    """Ask to be told when the process `pid`, which is on a GPU, is gone."""
    return _ask(context, {"do": "when ends", "pid": pid})


def cancel(context: RunContext, number: int) -> int:
    """Wait no longer for `number`."""
    return _ask(context, {"do": "when cancel", "id": number}, watched=False)


def show(context: RunContext) -> int:
    """Print what is waited for."""
    return _ask(context, {"do": "when list"})


def handlers(store: Store, watching: Watching) -> dict[str, Handler]:
    """What the running program answers; it looks at once after each of them."""
    waiting = Awaiting(store, machine.now)

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
                except NotOnGpu:  # it may have come since
                    answer = act(waiting, request, fresh())
            except CannotAwait as error:
                raise RequestRefusedError(str(error)) from error
            watching.check_now()
            return answer

        return handle

    return {do: handler(act) for do, act in ACTS.items()}


def _said(words: str) -> dict[str, Any]:
    return {"said": words}


ACTS: dict[str, Act] = {
    "when free": lambda waiting, request, snapshot: _said(
        waiting.free(int(request["count"]), snapshot, float(request["hold"]))
    ),
    "when ends": lambda waiting, request, snapshot: _said(waiting.ends(int(request["pid"]), snapshot)),
    "when cancel": lambda waiting, request, _snapshot: _said(waiting.cancel(int(request["id"]))),
    "when list": lambda waiting, _request, _snapshot: _said("\n".join(waiting.listed())),
    "when run": lambda waiting, request, _snapshot: {
        "id": waiting.run(
            int(request["pid"]), str(request["identity"]), str(request["boot"]), str(request["called"])
        )
    },
    "when ran": lambda waiting, request, _snapshot: {
        "told": waiting.ran(
            int(request["id"]),
            int(request["code"]),
            float(request["seconds"]),
            tuple(map(str, request["output"])),
        )
    },
}
READS = {"when free", "when ends"}  # what needs a look at the GPUs


def _ask(context: RunContext, request: Mapping[str, Any], *, watched: bool = True) -> int:
    def on_store(store: Store) -> dict[str, Any]:
        snapshot = None
        if request["do"] in READS:
            with closing(open_source(context, store)) as source:
                snapshot = read_once(context, source)
        try:
            return ACTS[request["do"]](Awaiting(store, machine.now), request, snapshot)
        except CannotAwait as error:
            raise WorkError(str(error)) from error

    said = request_or_use_store(context, request, on_store)["said"]
    print(said or _(NOTHING))
    if watched and said and not context.simulated and not lock_holder(context).pid:
        print(_(NOBODY))
    return 0
