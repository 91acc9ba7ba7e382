"""Mails, popups, reminders, the person's presence, and the status that the tray shows."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gpuwatch_tray.model.alerts import Severity

if TYPE_CHECKING:
    from gpuwatch_tray.model.alerts import Alert
    from gpuwatch_tray.model.devices import Snapshot
    from gpuwatch_tray.model.lab import LabView


class EmailWhen(Enum):
    """When an alert is mailed (EMAIL_WHEN), or sent to the chats (CHAT_WHEN)."""

    AWAY = "away"  # nobody at the desk, nobody reacting to the popup, or no popup to react to
    ALWAYS = "always"
    NEVER = "never"


class IconStyle(Enum):
    """How the icon is drawn (ICON_STYLE)."""

    AUTO = "auto"
    LIGHT = "light"  # for a light panel
    DARK = "dark"  # for a dark panel
    COLOR = "color"


class MessageKind(Enum):
    """The purpose of a mail."""

    ALERT = "alert"
    RESOLVED = "resolved"
    DIGEST = "digest"
    NOTICE = "notice"  # a one-shot reminder
    TEST = "test"


class MailDetails(Struct, frozen=True):
    """The parts of a mail beside its text."""

    html: str = ""  # the same for a phone, with a place for a picture
    host: str = ""
    severity: Severity | None = None  # the worst of its alerts
    rules: tuple[str, ...] = ()
    incidents: tuple[int, ...] = ()  # the numbers of its alerts
    subjects: tuple[str, ...] = ()  # of its alerts, the worst first: the picture shows the GPU of one
    replies_to: tuple[str, ...] = ()  # Message-IDs of the first mails about them, oldest first
    reminder: bool = False  # all were mailed before
    only: tuple[str, ...] = ()  # the recipients who have not got it yet; empty for all
    run: int = 0  # the run whose log goes with it; 0 for none


PLAIN = MailDetails()


class Attachment(Struct, frozen=True):
    """A file that goes with a mail; text is redacted already."""

    name: str
    mime_type: str  # such as text/plain
    data: bytes


class Message(Struct, frozen=True):
    """A mail without recipient and transport."""

    subject: str
    text: str
    created: float
    message_id: str
    kind: MessageKind = MessageKind.ALERT
    details: MailDetails = PLAIN
    # Made when the mail is sent, and never stored: a PNG for the HTML part, and the files that go with it.
    picture: bytes = b""
    attachments: tuple[Attachment, ...] = ()


class Button(Enum):
    """A button of a popup."""

    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"  # for an hour
    SHOW = "show"
    TEST = "test"  # send a test alert
    SETTINGS = "settings"  # open them
    SET_UP_MAIL = "set-up-mail"
    KILL = "kill"  # a process that did not end by itself
    SIGN_IN = "sign-in"  # to Gmail again


class Popup(Struct, frozen=True):
    """One desktop popup, which replaces one with the same key on the screen."""

    key: str
    title: str
    body: str
    severity: Severity
    buttons: tuple[Button, ...] = ()  # in this order, where the desktop can show them


class ReminderNotice(Struct, frozen=True):
    """A reminder that is due: what a person asked for happened at `at` (wall time). Secrets are redacted."""

    title: str  # a few words for the subject
    text: str  # the sentence
    at: float
    details: tuple[str, ...] = ()
    output: tuple[str, ...] = ()  # the last lines of a command
    severity: Severity = Severity.INFO  # a warning where something went wrong
    run: int = 0  # the number of the run that it is about; 0 for none
    gpus: tuple[str, ...] = ()  # the UUIDs of its GPUs
    quoted: str = ""  # the one of the details that is a line of the command's output


class PendingReminder(Struct, frozen=True):
    """A pending reminder, as it is shown."""

    id: int
    target: str  # the number of GPUs, or PID:IDENTITY of a process
    text: str
    due: bool = False  # it has happened, and the person is still to be notified


class Presence(Enum):
    """Whether the person is at the desk. UNKNOWN is never taken for PRESENT."""

    PRESENT = "present"
    AWAY = "away"
    UNKNOWN = "unknown"


class PresenceResult(Struct, frozen=True):
    """Whether the person is present, by `source`; `idle` is seconds without input, if known."""

    presence: Presence
    source: str
    idle: float | None = None


class Level(IntEnum):
    """The state that the icon shows, worst last."""

    OK = 0
    SNOOZED = 1
    WARNING = 2
    CRITICAL = 3
    NO_DATA = 4


# The level of the icon for the worst alert.
LEVELS = {Severity.INFO: Level.OK, Severity.WARNING: Level.WARNING, Severity.CRITICAL: Level.CRITICAL}


class LabStatus(Struct, frozen=True):
    """What is shown of the lab."""

    level: Level
    headline: str  # the reason in one line
    at: float
    view: LabView | None = None  # None before the first reading
    alerts: tuple[Alert, ...] = ()  # those that fire or recover, worst first
    notes: tuple[str, ...] = ()
    snoozed_until: float | None = None  # wall time until which everything of the lab is snoozed
    awaited: tuple[PendingReminder, ...] = ()
    elsewhere: bool = False  # another process watches it, and tells of it


class Status(Struct, frozen=True):
    """The content of the tray."""

    level: Level
    headline: str  # the reason in one line
    at: float
    snapshot: Snapshot | None = None
    alerts: tuple[Alert, ...] = ()  # those that fire or recover, worst first
    notes: tuple[str, ...] = field(default=())  # further lines for the menu
    mail_possible: bool = False  # "Send test alert" has somewhere to mail to
    snoozed_until: float | None = None  # wall time until which everything is snoozed
    in_use: int | None = None  # GPUs in use that GPU_LIMIT counts; None where unknown
    awaited: tuple[PendingReminder, ...] = ()  # the pending reminders
    lab: LabStatus | None = None  # None where there is no lab
