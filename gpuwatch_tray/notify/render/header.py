"""The sender's identity, the titles of alerts, and times as text: what mails and popups share."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ETIME = "max_etime"


@dataclass(frozen=True, slots=True)
class MailIdentity:
    """
    The sender of a mail: the machine's short name, the user, and the path of the settings.

    With `threading` (MAIL_THREADING) all mails about an incident have the subject of the first.
    """

    host: str
    user: str
    config: str
    threading: bool = False
