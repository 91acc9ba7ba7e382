"""The text of mails, chat messages and popups, pure; translated but for the Bash tool's plain mail."""

from __future__ import annotations

from gpuwatch_tray.notify.render.chat_text import (
    alert_chat,
    chat_trial,
    digest_chat,
    fitted,
    notice_chat,
    resolved_chat,
    shape,
)
from gpuwatch_tray.notify.render.html import CHART, MailIdentity, without_picture
from gpuwatch_tray.notify.render.mail_text import alert_mail, digest, dry_run, notice_mail, resolved_mail
from gpuwatch_tray.notify.render.popups import away_popup, notice_popup, origin, popup, resolved_popup

__all__ = [
    "CHART",
    "MailIdentity",
    "alert_chat",
    "alert_mail",
    "away_popup",
    "chat_trial",
    "digest",
    "digest_chat",
    "dry_run",
    "fitted",
    "notice_chat",
    "notice_mail",
    "notice_popup",
    "origin",
    "popup",
    "resolved_chat",
    "resolved_mail",
    "resolved_popup",
    "shape",
    "without_picture",
]
