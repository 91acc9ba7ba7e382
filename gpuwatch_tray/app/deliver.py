"""The delivery of mail, what is due in the outbox or one message at once, and the picture in a mail."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import closing
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import open_store
from gpuwatch_tray.app.context import RunContext, UsageError, WorkError
from gpuwatch_tray.app.deliver_chat import chats_delivered
from gpuwatch_tray.app.history_query import read_history
from gpuwatch_tray.app.run_files import run_attachments
from gpuwatch_tray.engine import late_digest
from gpuwatch_tray.history.sample_reader import UseDetail
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import AlertMark, EmailWhen, MessageKind, Severity
from gpuwatch_tray.model.units import HOUR, MINUTE
from gpuwatch_tray.notify.outbox_worker import DeliveryReport, Outbox, deliver_due, send_with_files
from gpuwatch_tray.rules.temperature import warning_at
from gpuwatch_tray.runs.run_folder import RunFolder
from gpuwatch_tray.store import StoreError, outbox_pipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import Auto, History, Message
    from gpuwatch_tray.runs.run_folder import RunRecord
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)


def deliver(context: RunContext, *, handed: bool = False) -> int:
    """Run `mail deliver`: send what is due; `handed` mails come on standard input, which gets the results."""
    refuse_demo(context)
    if handed and context.settings.routing.email_when is not EmailWhen.NEVER:
        outbox = outbox_pipe.PipedOutbox(sys.stdin.buffer, sys.stdout.buffer)
        return 1 if _send_due(context, outbox).failures else 0
    with closing(open_store(context)) as store:
        failures = _deliver_mails(context, store)
    for line in failures:
        log.error("%s", line)
    return 1 if failures else 0


def deliver_now(context: RunContext, store: Store) -> list[str]:
    """Send what is due on every channel; return a line for each mail that could not be sent."""
    with chats_delivered(context, store) as failures:
        failures.extend(_deliver_mails(context, store))
    return failures


def _deliver_mails(context: RunContext, store: Store) -> list[str]:
    """Send the mails that are due; return a line for each that could not be sent, one given up once."""
    if context.settings.routing.email_when is EmailWhen.NEVER:
        return []  # waiting mails are sent once the setting changes
    report = _send_due(context, store)
    failures = [
        _("mail not sent, kept for the next try: {why}").format(why=failure.error)
        for failure in report.failures
        if failure.at is not None
    ]
    waiting = store.outbox_summary(time.time())
    if waiting.error and not failures:
        text = _("{count} not sent, kept for the next try: {why}")
        failures = [text.format(count=waiting.count, why=waiting.error)]
    given_up = [failure for failure in report.failures if failure.at is None]
    if given_up:  # now: those of before have been told
        text = ngettext(
            "{count} mail given up (`gpuwatch-tray mail queue`): {why}",
            "{count} mails given up (`gpuwatch-tray mail queue`): {why}",
            len(given_up),
        )
        failures.append(text.format(count=len(given_up), why=given_up[-1].error))
    return failures


def _send_due(context: RunContext, outbox: Outbox) -> DeliveryReport:
    # Only the process that sends loads the mail libraries.
    from gpuwatch_tray.notify.email import create_transport

    runs = RunFolder(context.settings.state)
    read = lru_cache(maxsize=1)(runs.read)  # the picture and the files are of one run
    # The picture is drawn here, not by the tray, which stays small; and it shows the latest samples.
    return deliver_due(
        outbox,
        lambda: create_transport(context.settings),
        time.time,
        gather=late_digest(context.mail_identity),
        draw=picture_drawer(context, read),
        attach=partial(run_attachments, runs, read),
    )


def send_now(context: RunContext, message: Message) -> tuple[str, list[str]]:
    """Send a message now; return the server's answer, and a line for each failure. Raises WorkError."""
    from gpuwatch_tray.notify.email import create_transport, mime
    from gpuwatch_tray.notify.transport import TransportError

    try:
        receipt = send_with_files(create_transport(context.settings), message, picture_drawer(context))
    except TransportError as error:
        raise WorkError(_("mail not sent: {why}").format(why=error)) from error
    not_noted = []
    try:
        # Sending works: mails that an earlier failure delayed are due now.
        with closing(open_store(context)) as store:
            store.make_mails_due(time.time())
    except StoreError as error:
        not_noted.append(str(error))
    refused = {name for missed in receipt.missed for name in missed.recipients}
    to = mime.parse_addresses(context.settings.to_email, "TO_EMAIL")
    got = [name for name in to if name not in refused]
    sent = _("mail sent to {recipients} by {transport}: {answer}").format(
        recipients=", ".join(got), transport=receipt.transport, answer=receipt.answer
    )
    missed_lines = [
        _("mail not accepted for some recipients: {why}").format(why=missed.error)
        for missed in receipt.missed
    ]
    return sent, missed_lines + not_noted


def refuse_demo(context: RunContext) -> None:
    """Raise UsageError in a demo, which sends no mail."""
    if context.simulated:
        raise UsageError(_("a demo sends no mail: leave out --demo"))


PICTURE_HOURS = 6
SHORTEST_PICTURE, LONGEST_PICTURE = HOUR / 4, 48 * HOUR  # seconds of a run's picture
RUN_MARGIN = 0.05  # of that, shown before and after it
MAX_PICTURE_BYTES = 200_000


def picture_drawer(
    context: RunContext, read: Callable[[int], RunRecord | None] | None = None
) -> Callable[[Message], bytes]:
    """
    Return a function that draws the last hours of a mail's GPU; b'' where there is nothing to draw.

    `read` returns the record of a run; by default it is read from the state.
    """
    read_run = read or RunFolder(context.settings.state).read

    def draw(message: Message) -> bytes:
        if message.kind is MessageKind.DIGEST or not message.details.subjects:
            return b""
        end, seconds, moment = message.created, float(PICTURE_HOURS * HOUR), None
        run = read_run(message.details.run) if message.details.run else None
        if run is not None and run.ended is not None:
            moment = run.ended
            seconds = max(SHORTEST_PICTURE, min((1 + RUN_MARGIN) * (end - run.began), LONGEST_PICTURE))
            end += RUN_MARGIN * seconds  # so that the moment does not lie on the edge
        start = end - seconds
        try:
            history = read_history(context, start, end, finest=MINUTE, processes=UseDetail.NONE)
        except (StoreError, WorkError) as error:
            log.info("no picture: %s", error)
            return b""
        warn_at = context.settings.limits.heat.warn_at
        return draw_picture(history, message.details.subjects, warn_at, moment)

    return draw


def draw_picture(
    history: History,
    subjects: tuple[str, ...],
    warn_at: int | Auto | None = None,
    moment: float | None = None,
) -> bytes:
    """
    Draw the first GPU of `subjects` that has samples, as a PNG.

    `warn_at` is TEMP_LIMIT_C, `moment` (wall time) the one at which a run failed.
    """
    from gpuwatch_tray.drawing.chart import chart
    from gpuwatch_tray.history import gpus_of_alert

    known = [gpu.uuid for gpu in history.gpus if history.samples.get(gpu.uuid)]
    runs = [run.key for run in history.runs]
    named = (uuid for subject in subjects for uuid in gpus_of_alert(subject, known, runs))
    gpu = next((gpu for uuid in named for gpu in history.gpus if gpu.uuid == uuid), None)
    if gpu is None:
        return b""
    gpu_marks = [mark for mark in history.marks if gpu.uuid in mark.uuids]
    if moment is not None:
        gpu_marks.append(AlertMark(0, "run", Severity.CRITICAL, "", moment, moment, (gpu.uuid,)))
    limit = None if warn_at is None else warning_at(gpu.slowdown_at, warn_at)
    drawn = chart(gpu, history.samples[gpu.uuid], history.start, history.end, limit=limit, marks=gpu_marks)
    return drawn if len(drawn) <= MAX_PICTURE_BYTES else b""
