"""The delivery to chats: what is due for one of them, by a process of its own, or a trial message at once."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import chat_command, open_store
from gpuwatch_tray.app.context import UsageError
from gpuwatch_tray.engine import late_digest
from gpuwatch_tray.engine.mail_builder import new_id
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.notify import render
from gpuwatch_tray.notify.outbox_worker import DeliveryReport, Outbox, deliver_due
from gpuwatch_tray.store import StoreError, outbox_pipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.alerts import Channel
    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.settings import ChatAddress
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)

CHILD_DEADLINE = 170.0  # seconds for one of those processes, of which each message takes 60 at most
NEXT_START = 100.0  # seconds into it after which no further message is begun


def deliver_chat(context: RunContext, name: str, *, handed: bool = False) -> int:
    """Run `chat deliver`: send what is due; `handed` messages come on standard input, as those of mail do."""
    refuse_demo(context)
    (chat,) = find_chats(context, name)
    if context.settings.routing.chat_when is EmailWhen.NEVER:
        return 0  # what waits is sent once the setting changes
    if handed:
        outbox = outbox_pipe.PipedOutbox(sys.stdin.buffer, sys.stdout.buffer)
        return 1 if _send_due(context, chat, outbox).failures else 0
    with closing(open_store(context)) as store:
        report = _send_due(context, chat, store)
    for failure in report.failures:
        log.error("%s", failure.error)
    return 1 if report.failures else 0


def refuse_demo(context: RunContext) -> None:
    """Raise UsageError in a demo, which sends nothing to chats."""
    if context.simulated:
        raise UsageError(_("a demo sends nothing to chats: leave out --demo"))


def find_chats(context: RunContext, name: str | None = None) -> tuple[ChatAddress, ...]:
    """Return the chat with this name, or all; UsageError where there is none."""
    chats = context.settings.chats
    if not chats:
        raise UsageError(_("no chat is set up: `gpuwatch-tray setup chat` asks for its address"))
    if name is None:
        return chats
    found = tuple(chat for chat in chats if chat.name == name)
    if not found:
        names = ", ".join(chat.name for chat in chats)
        raise UsageError(_("there is no chat {name!r} (set up: {names})").format(name=name, names=names))
    return found


def _send_due(context: RunContext, chat: ChatAddress, outbox: Outbox) -> DeliveryReport:
    # Only the process that sends loads the library of the chats.
    from gpuwatch_tray.notify.chat import CHAT_RETRIES, create_chat

    channel = chat.route.channel
    return deliver_due(
        outbox,
        lambda: create_chat(chat),
        time.time,
        last_start=NEXT_START,
        gather=late_digest(context.mail_identity, channel),
        channel=channel.value,
        policies=CHAT_RETRIES,
    )


def send_trial(context: RunContext, chat: ChatAddress) -> str:
    """Send a trial message at once; return what the service answered. Raises TransportError."""
    from gpuwatch_tray.notify.chat import create_chat

    now = time.time()
    message = render.chat_trial(context.mail_identity, now=now, message_id=new_id(context.mail_identity))
    receipt = create_chat(chat).send(message)
    try:
        with closing(open_store(context)) as store:
            store.make_mails_due(now, chat.route.channel.value)  # what an earlier failure delayed
    except StoreError as error:
        log.warning("%s", error)
    return receipt.answer


@contextmanager
def chats_delivered(context: RunContext, store: Store) -> Iterator[list[str]]:
    """Have what is due for the chats sent meanwhile; then the list has a line for each not reached."""
    # Each by a process of its own: one that hangs holds up neither the mail nor another.
    children: dict[Channel, subprocess.Popen[bytes]] = {}
    failures: list[str] = []
    if not context.simulated and context.settings.routing.chat_when is not EmailWhen.NEVER:
        now = time.time()
        for chat in context.policy.routing.chats:
            due = store.outbox_summary(now, chat.channel.value).next_at
            if due is not None and due <= now:
                command = chat_command(context, chat.name)
                children[chat.channel] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
    yield failures
    until = time.monotonic() + CHILD_DEADLINE
    for channel, child in children.items():
        try:
            child.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            failures.append(_("chat {name}: it did not end in time").format(name=channel.chat))
            continue
        waiting = store.outbox_summary(time.time(), channel.value)
        if child.returncode and (error := waiting.error or waiting.dead_error):
            text = _("chat {name}: not sent, kept for the next try: {why}")
            failures.append(text.format(name=channel.chat, why=error))
