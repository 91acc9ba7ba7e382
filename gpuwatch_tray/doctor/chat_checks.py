"""The checks of the chats: the addresses, the library that knows their services, and what waits for them."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.common import redact
from gpuwatch_tray.doctor.mail_checks import LATE_AFTER, OUTBOX_TOPIC, TEMPORARY_FAILURES
from gpuwatch_tray.doctor.output import CheckResult, ok, problem, warning
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.model.units import TO_THE_MINUTE, local_time
from gpuwatch_tray.settings.chat_services import PLAIN_WEBHOOK, SERVICES, WEBHOOK
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.settings import Settings
    from gpuwatch_tray.store import OutboxSummary, Store


CHAT_TOPIC = "chat"
LIBRARY = "apprise"
GET_LIBRARY = "pip install 'gpuwatch-tray[chat]'"
OWN_SERVICES = {SERVICES[WEBHOOK].title, SERVICES[PLAIN_WEBHOOK].title}


def check_chats(settings: Settings, library: Callable[[], str | None] | None = None) -> Iterator[CheckResult]:
    """Check what is set up, without asking a service; `library` returns the version of Apprise."""
    found = (library or library_version)()
    if not settings.chats:
        if found is None:
            text = _("none is set up; most services need Apprise: {way}")
            yield ok(CHAT_TOPIC, text.format(way=GET_LIBRARY))
        else:
            yield ok(CHAT_TOPIC, _("none is set up: `gpuwatch-tray setup chat` asks for one"))
        return
    if settings.routing.chat_when is EmailWhen.NEVER:
        yield ok(CHAT_TOPIC, _("off: CHAT_WHEN=never"))
        return
    for chat in settings.chats:
        where = _("{place}, its address in the keyring") if not chat.url.reveal() else "{place}"
        yield ok(CHAT_TOPIC, f"{chat.name}: {where.format(place=chat.place)}")
    if found is not None:
        yield ok(CHAT_TOPIC, f"Apprise {found}")
    elif any(chat.service not in OWN_SERVICES for chat in settings.chats):
        text = _("Apprise, the library that knows these services, is not installed: nothing is sent")
        yield problem(CHAT_TOPIC, text, GET_LIBRARY)


def library_version() -> str | None:
    """Return the version of Apprise, without importing it; None where it is not installed."""
    if find_spec(LIBRARY) is None:
        return None
    try:
        return version(LIBRARY)
    except PackageNotFoundError:
        return "?"


def check_chat_outbox(
    settings: Settings, open_store: Callable[[], Store | None], now: Callable[[], float] = time.time
) -> Iterator[CheckResult]:
    """Check what waits for each chat; `open_store` returns None where there is no state yet."""
    try:
        store = open_store()
        if store is None:
            return
        with closing(store):
            for chat in settings.chats:
                waiting = store.outbox_summary(now(), chat.route.channel.value)
                yield from _waiting_results(chat.name, waiting, now())
            names = {chat.name for chat in settings.chats}
            rows = Counter(Channel(row.channel).chat for row in store.unsent())
            yield from (_unknown(name, count) for name, count in rows.items() if name and name not in names)
    except StoreError as error:
        if settings.chats:  # else the check of the mails says it
            yield problem(OUTBOX_TOPIC, redact.text(str(error)))


def _unknown(name: str, count: int) -> CheckResult:
    """Warn of what waits for a chat that was renamed, or whose line is gone: nobody sends it."""
    text = ngettext(
        "{count} message waits for chat {name}, which is not set up any more",
        "{count} messages wait for chat {name}, which is not set up any more",
        count,
    )
    fix = _("give the chat this name again, or drop them: gpuwatch-tray outbox, outbox drop ID")
    return warning(OUTBOX_TOPIC, text.format(count=count, name=name), fix)


def _waiting_results(name: str, waiting: OutboxSummary, now: float) -> Iterator[CheckResult]:
    if waiting.count:
        text = ngettext(
            "{count} message to chat {name} waits", "{count} messages to chat {name} wait", waiting.count
        ).format(count=waiting.count, name=name)
        if waiting.oldest is not None:
            text += _(" since {time}").format(time=local_time(waiting.oldest, TO_THE_MINUTE))
        late = waiting.oldest is not None and now - waiting.oldest > LATE_AFTER
        if waiting.error and waiting.failure not in TEMPORARY_FAILURES:
            text += f": {redact.text(waiting.error)}"
            yield problem(OUTBOX_TOPIC, text, f"gpuwatch-tray chat test {name}")
        elif waiting.error:
            text += f": {redact.text(waiting.error)}"
            yield warning(OUTBOX_TOPIC, text, _("it will be tried again automatically"))
        else:
            yield (warning if late else ok)(OUTBOX_TOPIC, text)
    if waiting.dead:
        text = ngettext(
            "{count} message to chat {name} was given up: {error}",
            "{count} messages to chat {name} were given up: {error}",
            waiting.dead,
        )
        text = text.format(count=waiting.dead, name=name, error=redact.text(waiting.dead_error))
        yield problem(
            OUTBOX_TOPIC, text, "gpuwatch-tray outbox; gpuwatch-tray outbox retry ID, outbox drop ID"
        )
