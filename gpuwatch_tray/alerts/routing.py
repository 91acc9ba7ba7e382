"""
Which alerts are sent on which channel now, and why, or why not yet.

The popup goes at once; mail and chats when nobody is there to see it, or reacts. Every decision has a named
reason.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from gpuwatch_tray.model import Alert, EmailWhen, Instant, Phase, Presence, Reason, Severity, schema

EMAIL_WHEN = EmailWhen(schema.EMAIL_WHEN.default)
CHAT_WHEN = EmailWhen(schema.CHAT_WHEN.default)
_CHAT = "chat:"


class Channel(Struct, frozen=True):
    """A way to notify the user: mail, the desktop, or one of the chats; `value` names it on file."""

    value: str
    EMAIL: ClassVar[Channel]
    DESKTOP: ClassVar[Channel]

    @classmethod
    def of_chat(cls, name: str) -> Channel:
        """Return the channel of the chat with this name."""
        return cls(_CHAT + name)

    @property
    def chat(self) -> str:
        """The name of the chat; empty for mail and the desktop."""
        return self.value.removeprefix(_CHAT) if self.value.startswith(_CHAT) else ""


Channel.EMAIL = Channel("email")
Channel.DESKTOP = Channel("desktop")


class ChatRoute(Struct, frozen=True):
    """
    A chat by its name, and what it is for.

    `least` is the lowest severity that it wants, None for that of CHAT_WHEN; `rules` are the rules that it
    wants, with REMINDERS for what a person has asked for; empty for all.
    """

    name: str
    least: Severity | None = None
    rules: frozenset[str] = frozenset()

    @property
    def channel(self) -> Channel:
        """The channel of this chat."""
        return Channel.of_chat(self.name)

    def wants(self, alert: Alert) -> bool:
        """Return whether an alert of this rule and severity is for this chat."""
        if self.rules and alert.rule not in self.rules:
            return False
        return self.least is None or alert.severity >= self.least

    @property
    def wants_reminders(self) -> bool:
        """Whether what a person has asked for with `when` is for this chat."""
        return not self.rules or REMINDERS in self.rules


REMINDERS = "when"  # stands among the rules of a chat, as the command that asks for them


class RoutingPolicy(Struct, frozen=True):
    """
    Which channels there are, and when they are used: `cooldown` and `escalate` in seconds.

    `mails`: there is somebody to mail; `popups`: there is a desktop, without which nobody is at the desk.
    `chats` are those that are set up.
    """

    cooldown: float = schema.COOLDOWN_MIN.default_value
    mails: bool = False
    popups: bool = False
    email_when: EmailWhen = EMAIL_WHEN
    escalate: float = schema.ESCALATE_MIN.default_value
    chats: tuple[ChatRoute, ...] = ()
    chat_when: EmailWhen = CHAT_WHEN

    @property
    def written(self) -> tuple[Channel, ...]:
        """The channels that a message is written for, by way of the outbox."""
        return (Channel.EMAIL, *(chat.channel for chat in self.chats))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel, the mail first."""
        mail, *chats = self.written
        return (mail, Channel.DESKTOP, *chats)

    @property
    def tells_somebody(self) -> bool:
        """Whether there is anybody to mail, or a chat to send to."""
        mailed = self.mails and self.email_when is not EmailWhen.NEVER
        return mailed or (bool(self.chats) and self.chat_when is not EmailWhen.NEVER)

    def when(self, channel: Channel) -> EmailWhen:
        """Return when something is written on this channel: EMAIL_WHEN or CHAT_WHEN."""
        return self.chat_when if channel.chat else self.email_when


class DeliveryState(Struct, frozen=True):
    """What a channel has already had of an alert."""

    last: Instant | None = None  # the last successful delivery
    queued: bool = False  # on its way
    outdated: bool = False  # it was written before the severity rose
    no_popup: bool = False  # the popup could not be shown
    given_up: Instant | None = None  # when the last mail was refused for good, or dropped


class Decision(Struct, frozen=True):
    """
    What is done about an alert on a channel, and why; `step` is why the mail does not wait for ESCALATE_MIN.

    `wait` is after how many seconds a notice that waits would go by itself; None where only an event helps.
    """

    alert: Alert
    channel: Channel
    send: bool
    reason: Reason
    step: Reason | None = None
    wait: float | None = None

    def __str__(self) -> str:
        why = self.reason.value + (f", {self.step.value}" if self.step else "")
        return f"{self.channel.value} {'now' if self.send else 'not now'} ({why})"


def decide(
    alert: Alert,
    channel: Channel,
    delivery: DeliveryState,
    policy: RoutingPolicy,
    presence: Presence,
    now: Instant,
) -> Decision:
    """Decide whether `alert` is sent on `channel` now."""
    # The cooldown runs from the last successful delivery, also over an end and a new start of the condition.
    # A rise in severity and the end of a snooze pass it once. A delivery in the future of a clock that was
    # set back over a boot binds nobody.
    reason_against = _withheld_reason(alert) or _closed(alert, channel, delivery, policy)
    if reason_against is not None:
        return Decision(alert, channel, send=False, reason=reason_against)
    reason, wait = _novelty(alert, channel, delivery, policy, now)
    if wait is not None:
        return Decision(alert, channel, send=False, reason=reason, wait=wait)
    if channel == Channel.DESKTOP:
        return Decision(alert, channel, send=True, reason=reason)
    step, wait = _written_step(alert, policy.when(channel), delivery, policy, presence, now)
    if step is None:
        return Decision(alert, channel, send=False, reason=Reason.AT_THE_DESK, wait=wait)
    return Decision(alert, channel, send=True, reason=reason, step=step)


def _withheld_reason(alert: Alert) -> Reason | None:
    """Return what keeps the alert from every channel."""
    if alert.phase is not Phase.FIRING:
        return Reason.PENDING if alert.phase is Phase.PENDING else Reason.RECOVERING
    if alert.snoozed_until is not None:
        return Reason.SNOOZED
    if alert.inhibited_by:
        return Reason.INHIBITED
    return Reason.ACKNOWLEDGED if alert.acknowledged else None


def _closed(alert: Alert, channel: Channel, delivery: DeliveryState, policy: RoutingPolicy) -> Reason | None:
    """Return what closes the channel for this alert."""
    if channel == Channel.DESKTOP:
        return None if policy.popups else Reason.NO_CHANNEL
    route = next((chat for chat in policy.chats if chat.channel == channel), None)
    if route is None and not (channel == Channel.EMAIL and policy.mails):
        return Reason.NO_CHANNEL
    if policy.when(channel) is EmailWhen.NEVER:
        return Reason.NEVER
    if route is not None and not route.wants(alert):
        return Reason.FILTERED
    asked_for = policy.when(channel) is EmailWhen.ALWAYS or (route is not None and route.least is not None)
    if alert.severity is Severity.INFO and not asked_for:
        return Reason.INFO_ONLY
    return Reason.QUEUED if delivery.queued and not delivery.outdated else None


def _novelty(
    alert: Alert, channel: Channel, delivery: DeliveryState, policy: RoutingPolicy, now: Instant
) -> tuple[Reason, float | None]:
    """Return why it may be told (again), or after how many seconds it may."""
    last, quiet = delivery.last, Reason.COOLDOWN
    if delivery.given_up is not None and (last is None or delivery.given_up.follows(last, now)):
        # Whatever is written about it now would most likely fare alike: once a cooldown is enough.
        last, quiet = delivery.given_up, Reason.GIVEN_UP
    if last is None:
        return Reason.FIRST, None
    if alert.news is not None:
        reason, at = alert.news
        # Flapping is one notice on the desktop; a message more in a cooldown would be no damping.
        passes = reason is not Reason.FLAPPING or channel == Channel.DESKTOP
        if passes and at.follows(last, now):
            return reason, None
    age = now.since(last)
    if abs(age) >= policy.cooldown:
        return Reason.COOLDOWN_OVER, None
    return quiet, policy.cooldown - age


def _written_step(
    alert: Alert,
    when: EmailWhen,
    delivery: DeliveryState,
    policy: RoutingPolicy,
    presence: Presence,
    now: Instant,
) -> tuple[Reason | None, float | None]:
    """Return why what is written need not wait for the person, or for how many seconds it does."""
    if when is EmailWhen.ALWAYS:
        return Reason.ALWAYS, None
    if alert.severity is Severity.CRITICAL:
        return Reason.CRITICAL, None
    if not policy.popups or presence is Presence.AWAY:
        return Reason.AWAY, None
    if delivery.no_popup:
        return Reason.NO_POPUP, None
    waited = _waited(alert, now)
    if waited >= policy.escalate:
        return Reason.UNACKNOWLEDGED, None
    return None, policy.escalate - waited


def _waited(alert: Alert, now: Instant) -> float:
    """Return for how long (s) the person could have reacted; for ever where the clock was set back."""
    began = alert.fired or now
    if alert.news is not None and alert.news[1].follows(began, now):
        began = alert.news[1]
    age = now.since(began)
    return age if age >= 0 else float("inf")
