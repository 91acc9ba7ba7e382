"""The channels whose way the settings have changed: what waited for it is tried at once."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from gpuwatch_tray.settings import Settings
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)


def make_changed_channels_due(store: Store, before: Settings, after: Settings) -> None:
    """Have what waits on a channel whose way has changed sent now: what kept it back may be mended."""
    for channel in _changed_channels(before, after):
        try:
            store.make_mails_due(time.time(), channel.value)
        except StoreError as error:
            log.warning("%s", error)


def _changed_channels(before: Settings, after: Settings) -> list[Channel]:
    """Return the channels whose way has changed."""
    mailed = [Channel.EMAIL] if _mail_route(before) != _mail_route(after) else []
    known = {(chat.name, chat.url, chat.plain_text) for chat in before.chats}
    return mailed + [
        chat.route.channel for chat in after.chats if (chat.name, chat.url, chat.plain_text) not in known
    ]


def _mail_route(settings: Settings) -> tuple[object, ...]:
    """Return the settings that decide how a mail leaves."""
    gmail = (settings.gmail_credentials, settings.gmail_token)
    return settings.to_email, settings.notify_method, gmail, settings.from_email, settings.smtp
