"""`when free N -- COMMAND`: waits until GPUs are free, claims them, and runs the command on them."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.app.context import UsageError, WorkError, open_source, read_once
from gpuwatch_tray.app.run_command import RunOptions, run
from gpuwatch_tray.common import host
from gpuwatch_tray.engine.operations import shown_command, why_never_free
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model.units import duration
from gpuwatch_tray.runs.gpu_choice import FreeTimes, GpuWish, suitable
from gpuwatch_tray.runs.gpu_claims import GpuClaims
from gpuwatch_tray.runs.run_folder import RunFolder
from gpuwatch_tray.sources.processes import process_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.model import Gpu, Snapshot
    from gpuwatch_tray.runs.run_folder import RunRecord


POLL = 5.0  # seconds between two readings, less where the hold is shorter
GAPS = 3  # readings that may fail before a hold begins anew
TIMED_OUT = 124  # the exit code that `timeout` has
VISIBLE = "CUDA_VISIBLE_DEVICES"


def wait_and_run(
    context: RunContext,
    wish: GpuWish,
    options: RunOptions,
    timeout: float | None,
    complain: Callable[[str], None],
) -> int:
    """
    Wait for the GPUs, run the command on them alone, and return its exit code; 124 after too long a wait.

    Raises UsageError where they can never be free here. An interrupted wait leaves nothing.
    """
    claims = GpuClaims(context.settings.state)
    with _waiting_record(context, wish, options) as record:
        began = host.now()
        gpus = _wait(context, wish, claims, timeout, complain)
        waited = max(0.0, host.now().since(began))
    if not gpus:
        complain(
            _("not free within {duration}: the command was not started").format(
                duration=duration(timeout or 0)
            )
        )
        return TIMED_OUT
    names = ", ".join(f"GPU {gpu.index}" for gpu in gpus)
    text = ngettext(
        "{gpus} is free after {duration}: starting", "{gpus} are free after {duration}: starting", len(gpus)
    )
    complain(text.format(gpus=names, duration=duration(waited)))
    environ = {**options.environ, VISIBLE: ",".join(gpu.uuid for gpu in gpus)}
    try:
        claims.pass_on()
        folder = str(RunFolder(context.settings.state).folder(record.number))
        options = replace(options, environ=environ, record=record)
        return run(context, options, complain, folder=folder)
    finally:
        claims.release()


def refuse_impossible(context: RunContext, wish: GpuWish) -> None:
    """Raise UsageError where these GPUs can never be free here."""
    with closing(open_source(context)) as source:
        _refuse_impossible(read_once(context, source), wish)


@contextmanager
def _waiting_record(context: RunContext, wish: GpuWish, options: RunOptions) -> Iterator[RunRecord]:
    """Yield the record by which `runs` shows who waits; it is gone where the wait comes to nothing."""
    runs, identity = RunFolder(context.settings.state), process_identity(os.getpid())
    text = ngettext("{count} GPU", "{count} GPUs", wish.count).format(count=wish.count)
    record, folder = runs.create(
        shown_command(options.argv),
        name=options.shown_name,
        folder=str(Path.cwd()),
        began=time.time(),
        pid=os.getpid(),
        identity=identity[0],
        boot=identity[1],
        waits=text,
    )
    try:
        yield record
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _wait(
    context: RunContext,
    wish: GpuWish,
    claims: GpuClaims,
    timeout: float | None,
    complain: Callable[[str], None],
) -> list[Gpu]:
    """Return the claimed GPUs; none where it takes longer than `timeout` seconds."""
    poll = max(0.2, min(POLL, wish.hold))
    times, until = (
        FreeTimes(wish, GAPS * poll + poll),
        None if timeout is None else time.monotonic() + timeout,
    )
    told = False
    try:
        claims.join_queue()
        with closing(open_source(context)) as source:
            while True:
                snapshot = read_once(context, source)
                if not told:
                    _refuse_impossible(snapshot, wish)
                    complain(_first_words(snapshot, wish))
                    told = True
                taken = claims.claimed(suitable(snapshot, wish))
                gpus = times.choose(snapshot, host.now(), taken)
                if gpus and claims.is_first() and claims.take(gpu.uuid for gpu in gpus):
                    return gpus
                if until is not None and time.monotonic() + poll > until:
                    return []
                time.sleep(poll)
    except OSError as error:
        raise WorkError(_("the queue for GPUs cannot be kept: {error}").format(error=error)) from error
    finally:
        claims.leave_queue()


def _first_words(snapshot: Snapshot, wish: GpuWish) -> str:
    wanted = ngettext("waiting for {count} GPU", "waiting for {count} GPUs", wish.count).format(
        count=wish.count
    )
    if snapshot.problem is not None:
        return _("{wanted}; not readable now: {problem}").format(wanted=wanted, problem=snapshot.problem)
    return _("{wanted} (free now: {free})").format(wanted=wanted, free=len(suitable(snapshot, wish)))


def _refuse_impossible(snapshot: Snapshot, wish: GpuWish) -> None:
    """Raise UsageError where no waiting helps: fewer GPUs here than are wanted, or no such numbers."""
    if snapshot.problem is not None:
        return
    whole = {gpu.physical or gpu.uuid: gpu.index for gpu in snapshot.gpus if gpu.physical or gpu.uuid}
    if whole and wish.only is not None and (unknown := wish.only - set(whole.values())):
        raise UsageError(_("there is no GPU {number} here").format(number=min(unknown)))
    there = len(whole) if not whole or wish.only is None else len(wish.only)
    if why := why_never_free(wish.count, there):
        raise UsageError(why)
    if wish.memory is not None:
        totals = [gpu.memory_total for gpu in snapshot.gpus if isinstance(gpu.memory_total, int)]
        if totals and max(totals) < wish.memory:
            raise UsageError(
                _("no GPU here has so much memory: the largest has {size} MiB").format(
                    size=max(totals) // 2**20
                )
            )


def detach(words: list[str]) -> int:
    """Start this command again in a session of its own, and return its PID: it outlives the terminal."""
    import subprocess

    child = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return child.pid
