"""The answers of the running tray or `watch`, and the same operations on the store where none runs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray import alerts
from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.alerts.reminder_types import report_from_json
from gpuwatch_tray.app.context import WorkError, open_source, read_once
from gpuwatch_tray.app.page_feed import PageFeed, file_name
from gpuwatch_tray.app.status_json import ResponderInfo, build_status, silence_texts
from gpuwatch_tray.app.tray_client import request_or_use_store, serve_requests
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.common.loading import LateModule
from gpuwatch_tray.engine import mail_now
from gpuwatch_tray.engine.operations import (
    AlertOperations,
    NoSuchAlertError,
    NotOnGpuError,
    ReminderError,
    Reminders,
)
from gpuwatch_tray.history import gpus_of_alert
from gpuwatch_tray.i18n import _
from gpuwatch_tray.ipc import RequestRefusedError
from gpuwatch_tray.model import Missing, Phase, Why, gpu_subject
from gpuwatch_tray.model.units import recent_time
from gpuwatch_tray.notify import render
from gpuwatch_tray.rules.verdict import GpuLookup, process_identity
from gpuwatch_tray.runs.observed import observed_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gpuwatch_tray.app import lab_json
    from gpuwatch_tray.app.bootstrap import StoreLease
    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.app.lab_watch import LabWatch
    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.ipc import Handler
    from gpuwatch_tray.model import Alert, Gpu, Instant, Snapshot, Status
    from gpuwatch_tray.store import OutboxMail, Store, Transition
else:
    lab_json = LateModule("gpuwatch_tray.app.lab_json")


Operation: TypeAlias = "Callable[[Store, Mapping[str, Any], Snapshot | None], dict[str, Any]]"


class NoSuchMailError(Exception):
    """No mail of this number can be sent or dropped now."""


REFUSALS = (NoSuchAlertError, NoSuchMailError, ReminderError)


def _alert_operation(operate: Callable[[AlertOperations, Mapping[str, Any]], str]) -> Operation:
    return lambda store, request, _snapshot: {"said": operate(AlertOperations(store, host.now), request)}


def _reminder_operation(
    operate: Callable[[Reminders, Mapping[str, Any], Snapshot | None], Any], key: str = "said"
) -> Operation:
    return lambda store, request, snapshot: {key: operate(Reminders(store, host.now), request, snapshot)}


def _outbox_operation(change: Callable[[Store, list[int], float], int], *, whole: bool = False) -> Operation:
    """Return the operation on the mails with the numbers `ids`, or on the `whole` outbox's messages."""

    def operation(store: Store, request: Mapping[str, Any], _snapshot: Snapshot | None) -> dict[str, Any]:
        known = [mail.id for mail in (store.unsent() if whole else store.unsent_mails())]
        wanted = [int(number) for number in request["ids"]]
        unknown = [str(number) for number in wanted if number not in known]
        if unknown:
            text = (
                _("nothing in the outbox has the number {numbers}")
                if whole
                else _("there is no queued mail {numbers}")
            )
            raise NoSuchMailError(text.format(numbers=", ".join(unknown)))
        count = change(store, wanted or known, time.time())
        if not count and wanted:
            raise NoSuchMailError(
                _("being sent at the moment, or waiting for a digest: try again in a minute")
            )
        return {"count": count}

    return operation


OPERATIONS: dict[str, Operation] = {
    "acknowledge": _alert_operation(lambda on, request: on.acknowledge(*map(str, request.get("names", ())))),
    "snooze": _alert_operation(
        lambda on, request: on.snooze(float(request["seconds"]), *map(str, request.get("names", ())))
    ),
    "resume": _alert_operation(lambda on, _request: on.resume()),
    "when free": _reminder_operation(
        lambda on, request, snapshot: on.add_gpus_free(
            int(request["count"]), snapshot, float(request["hold"])
        )
    ),
    "when ends": _reminder_operation(
        lambda on, request, snapshot: on.add_process_ends(int(request["pid"]), snapshot)
    ),
    "when cancel": _reminder_operation(lambda on, request, _snapshot: on.cancel(int(request["id"]))),
    "when list": _reminder_operation(lambda on, _request, _snapshot: "\n".join(on.lines())),
    "when run": _reminder_operation(
        lambda on, request, _snapshot: on.add_command(
            int(request["pid"]), str(request["identity"]), str(request["boot"]), str(request["called"])
        ),
        key="id",
    ),
    "when ran": _reminder_operation(
        lambda on, request, _snapshot: on.report_command(
            int(request["id"]),
            int(request["code"]),
            float(request["seconds"]),
            tuple(map(str, request["output"])),
            report_from_json(request.get("report")),
        ),
        key="told",
    ),
    "mail queue": lambda store, _request, _snapshot: {"mails": [*map(_mail_json, store.unsent_mails())]},
    "mail retry": _outbox_operation(lambda store, ids, now: store.resend_mails(ids, now)),
    "mail drop": _outbox_operation(lambda store, ids, now: store.drop_mails(ids, now)),
    "outbox": lambda store, _request, _snapshot: {"messages": [*map(_message_json, store.unsent())]},
    "outbox retry": _outbox_operation(lambda store, ids, now: store.resend_mails(ids, now), whole=True),
    "outbox drop": _outbox_operation(lambda store, ids, now: store.drop_mails(ids, now), whole=True),
}
NEED_SNAPSHOT = {"when free", "when ends"}


def operate(
    context: RunContext, request: Mapping[str, Any], then: Callable[[Store], None] = lambda _store: None
) -> dict[str, Any]:
    """Have the running program do `request`, or do it and `then` on the store. Raises WorkError."""

    def on_store(store: Store) -> dict[str, Any]:
        snapshot = None
        if request["do"] in NEED_SNAPSHOT:
            with closing(open_source(context, store)) as source:
                snapshot = read_once(context, source)
        try:
            answer = OPERATIONS[request["do"]](store, request, snapshot)
        except REFUSALS as error:
            raise WorkError(str(error)) from error
        then(store)
        return answer

    return request_or_use_store(context, request, on_store)


NEW_SNAPSHOT_WITHIN = 4.0  # seconds, less than the client waits for the answer (tray_client.ANSWER_WITHIN)
SNAPSHOT_POLL = 0.05  # seconds


def _next_snapshot(monitor: Monitor) -> Snapshot | None:
    """Wait for the snapshot after the one that is shown."""
    before = monitor.status.at
    monitor.check_now()
    until = time.monotonic() + NEW_SNAPSHOT_WITHIN
    while monitor.status.at == before and time.monotonic() < until:
        time.sleep(SNAPSHOT_POLL)
    return monitor.status.snapshot


def _handler(operation: Operation, store: Store, monitor: Monitor, changed: Callable[[], None]) -> Handler:
    """Return the request handler of `operation`, which calls `changed` afterwards."""

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        try:
            try:
                answer = operation(store, request, monitor.status.snapshot)
            except NotOnGpuError:  # the process may have come since
                answer = operation(store, request, _next_snapshot(monitor))
        except REFUSALS as error:
            raise RequestRefusedError(str(error)) from error
        changed()
        return answer

    return handle


def alerts_json(store: Store, now: Instant) -> dict[str, Any]:
    """Return the stored alerts and the snoozes, as `alerts --json` prints them (docs/json.md)."""
    past, transitions = store.history()
    attention = store.attention()
    current = alerts.apply_silences(
        {alert.fingerprint: alert for alert in store.saved_state().alerts},
        attention.silences,
        attention.acknowledged,
        now,
    )
    by_incident: dict[int, list[Transition]] = {}
    for transition in transitions:
        by_incident.setdefault(transition.incident, []).append(transition)
    return {
        "active": [_alert_json(alert, by_incident.get(alert.id, ())) for alert in current.values()],
        "past": [_alert_json(alert, by_incident.get(alert.id, ())) for alert in past],
        "snoozes": [
            {"scope": silence.scope.value, "name": silence.name, "until": now.wall + left}
            for silence in attention.silences
            if (left := silence.left(now))
        ],
    }


def _alert_json(alert: Alert, transitions: Iterable[Transition]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity.name.lower(),
        "text": redact.text(alert.message),
        "reason": redact.text(alert.reason),
        "phase": alert.phase.value,
        "since": alert.since,
        "fired": alert.fired.wall if alert.fired else None,
        "resolved": alert.resolved.wall if alert.resolved else None,
        "acknowledged": alert.acknowledged,
        "snoozed_until": alert.snoozed_until,
        "inhibited_by": alert.inhibited_by or None,
        "flapping": alerts.flapping(alert),
        "history": [
            {"at": change.at, "what": change.what, "why": redact.text(change.why)} for change in transitions
        ],
    }


def _mail_json(mail: OutboxMail) -> dict[str, Any]:
    """Return a mail as `mail queue --json` prints it; times are in seconds since the epoch."""
    return {
        "id": mail.id,
        "state": mail.state,
        "kind": mail.message.kind.value,
        "subject": redact.visible(mail.message.subject),
        "message_id": mail.message.message_id,
        "created": mail.message.created,
        "attempts": mail.attempts,
        "next_at": mail.next_at if mail.state in {"queued", "blocked"} else None,
        "error": mail.error or None,
        "failure": mail.failure or None,
    }


def dry_run(context: RunContext, snapshot: Snapshot, now: Instant) -> dict[str, Any]:
    """Return the mail about what fires, empty where nothing does, and what kept rules from judging."""
    firing, unknown, message = mail_now(snapshot, context.policy, context.mail_identity, now, redacted=False)
    return {"mail": render.dry_run(message) if firing else "", "unknown": list(unknown)}


def details_answer(status: Status, answer: Mapping[str, Any], *, stale: bool) -> dict[str, Any]:
    """Build the answer to `details`: the one to `status` with processes, gaps and alerts; none if `stale`."""
    snapshot = None if stale else status.snapshot
    processes = () if snapshot is None else snapshot.processes
    return {
        "status": present_answer(status, answer, stale=stale),
        "present": [process.pid for process in processes],
        "commands": [[process.pid, redact.command(process)] for process in processes if process.mine],
    }


def present_answer(status: Status, answer: Mapping[str, Any], *, stale: bool) -> dict[str, Any]:
    """Build the answer to `status` with each GPU's gap and alerts, and what was said to each alert."""
    time_text = partial(recent_time, now=status.at)
    notes = [{**alert, "note": _(", ").join(silence_texts(alert, time_text))} for alert in answer["alerts"]]
    if stale or status.snapshot is None:
        return {**answer, "gpus": [], "alerts": notes}
    firing = _firing_by_gpu(status, status.snapshot)
    gpus = [
        {**gpu_json, "gap": gpu_gap(gpu), "alerts": firing[gpu_subject(gpu)]}
        for gpu_json, gpu in zip(answer["gpus"], status.snapshot.gpus, strict=True)
    ]
    return {**answer, "gpus": gpus, "alerts": notes}


def _firing_by_gpu(status: Status, snapshot: Snapshot) -> dict[str, list[int]]:
    """Return the numbers of the firing alerts about each GPU, by the GPU's subject."""
    places = GpuLookup(snapshot)
    on_gpu = ((process, places.of(process)) for process in snapshot.processes)
    runs = [
        f"{process_identity(snapshot, process)}/{gpu_subject(gpu)}"
        for process, gpu in on_gpu
        if gpu is not None
    ]
    numbers: dict[str, list[int]] = {gpu_subject(gpu): [] for gpu in snapshot.gpus}
    for alert in status.alerts:
        if alert.phase is not Phase.PENDING:
            for name in gpus_of_alert(alert.subject, numbers.keys(), runs):
                numbers[name].append(alert.id)
    return numbers


def gpu_gap(gpu: Gpu) -> str:
    """Say why not all of a GPU is known; empty where it is."""
    if gpu.problem or gpu.process_problem:
        return gpu.problem or gpu.process_problem or ""
    values = (getattr(gpu, name) for name in gpu.__struct_fields__)
    failed = [value for value in values if isinstance(value, Missing) and value.why is Why.ERROR]
    if not failed:
        return ""
    detail = next((value.detail for value in failed if value.detail), "")
    return ": ".join(filter(None, (_("some of it cannot be read"), detail)))


def _metrics(monitor: Monitor, request: dict[str, Any]) -> dict[str, Any]:
    from gpuwatch_tray.app.export_answer import build_answer  # late: only an exporter asks

    return build_answer(request, monitor.evaluated, monitor.tally, monitor.limits, monitor.status.alerts)


ANSWER_FIRST = 0.1  # seconds between the answer to `quit` and the end
WRITTEN_WITHIN = 1.5  # seconds, less than `try_request` waits for an answer


def _message_json(row: OutboxMail) -> dict[str, Any]:
    """Return a row as `outbox --json` prints it: as a mail, with the channel `email` or the chat's name."""
    channel = Channel(row.channel)
    return {
        "channel": "chat" if channel.chat else channel.value,
        "chat": channel.chat or None,
        **_mail_json(row),
    }


def messages_waiting(monitor: Monitor, lab: LabWatch | None) -> tuple[int, dict[str, int]]:
    """Count the mails that wait, and the messages by the chat's name, those about the lab included."""
    of_lab = {} if lab is None else lab.waiting
    chats = Counter(monitor.chats_waiting)
    chats.update({Channel(name).chat: count for name, count in of_lab.items() if count})
    chats.pop("", None)  # mail
    return monitor.mails_waiting + of_lab.get(Channel.EMAIL.value, 0), dict(chats)


def _check_lab(lab: LabWatch | None, _request: Mapping[str, Any]) -> dict[str, Any]:
    if lab is not None:
        lab.check_now()
    return {}


@contextmanager
def answering(
    context: RunContext,
    lease: StoreLease,
    monitor: Monitor,
    stop: Callable[[], None],
    lab: LabWatch | None = None,
) -> Iterator[None]:
    """Answer meanwhile."""

    def facts() -> ResponderInfo:
        return ResponderInfo(
            lease.holder.face,
            context.host,
            context.source.value,
            context.simulated,
            *messages_waiting(monitor, lab),
        )

    def status(_request: dict[str, Any]) -> dict[str, Any]:
        return build_status(monitor.status, facts())

    def end(_request: dict[str, Any]) -> dict[str, Any]:
        timer = threading.Timer(ANSWER_FIRST, stop)
        timer.daemon = True
        timer.start()
        return {"face": lease.holder.face, "pid": lease.holder.pid}

    def details(_request: dict[str, Any]) -> dict[str, Any]:
        shown = monitor.status  # once: another may follow at any moment
        answer = details_answer(shown, build_status(shown, facts()), stale=monitor.is_stale)
        # a demo's state is in a folder that nobody else knows
        return {**answer, "state": str(lease.store.path.parent)}

    def present(shown: Status) -> dict[str, Any]:
        return present_answer(shown, build_status(shown, facts()), stale=monitor.is_stale)

    feed = PageFeed(
        file_name(context.state_name), lambda: monitor.status, present, host.now, lambda: monitor.poll
    )
    monitor.listen_to_minutes(feed.add_minute)

    def past(_request: dict[str, Any]) -> dict[str, Any]:
        monitor.flush_samples(WRITTEN_WITHIN)
        return {"folder": str(lease.store.path.parent)}

    def dry(_request: dict[str, Any]) -> dict[str, Any]:
        snapshot = monitor.status.snapshot
        if snapshot is None:
            return {"mail": "", "unknown": [_("nothing has been read yet")]}
        return dry_run(context, snapshot, host.now())

    def run_facts(request: dict[str, Any]) -> dict[str, Any]:
        command = Reminders(lease.store, host.now).command(int(request["id"]))
        read = bool(request.get("read", True))
        return observed_json(command, _next_snapshot(monitor) if read else monitor.status.snapshot)

    handlers: dict[str, Handler] = {
        "run facts": run_facts,
        "metrics": partial(_metrics, monitor),
        "status": status,
        "lab": lambda _request: lab_json.lab_answer(monitor.status.lab),
        "lab check": partial(_check_lab, lab),
        **({"dry run": dry} if context.simulated else {}),  # of real GPUs `check` reads by itself
        "details": details,
        "follow": lambda request: feed.follow(Path(str(request["folder"]))),
        "quit": end,
        "alerts": lambda _request: alerts_json(lease.store, host.now()),
        "explain": lambda _request: {"lines": [*monitor.explain(), *(() if lab is None else lab.explain())]},
        "past": past,
        **{
            do: _handler(
                operation,
                lease.store,
                monitor,
                monitor.send_mails_now if do.startswith(("mail ", "outbox")) else monitor.check_now,
            )
            for do, operation in OPERATIONS.items()
        },
    }
    with serve_requests(context, handlers) as address:
        lease.describe(address=address)
        try:
            yield
        finally:
            feed.stop(WRITTEN_WITHIN)
