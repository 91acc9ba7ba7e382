"""
Which alerts are sent on which channel now, and why, or why not yet.

The popup goes at once; the mail when nobody is there to see it, or reacts. Every decision has a named reason.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from gpuwatch_tray.model import Alert, EmailWhen, Instant, Phase, Presence, Reason, Severity, schema

EMAIL_WHEN = EmailWhen(schema.EMAIL_WHEN.default)


class Channel(Enum):
    """A way to notify the user."""

    EMAIL = "email"
    DESKTOP = "desktop"


class RoutingPolicy(Struct, frozen=True):
    """
    Which channels there are, and when they are used: `cooldown` and `escalate` in seconds.

    `mails`: there is somebody to mail; `popups`: there is a desktop, without which nobody is at the desk.
    """

    cooldown: float = schema.COOLDOWN_MIN.default_value
    mails: bool = False
    popups: bool = False
    email_when: EmailWhen = EMAIL_WHEN
    escalate: float = schema.ESCALATE_MIN.default_value


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
    if channel is Channel.DESKTOP:
        return Decision(alert, channel, send=True, reason=reason)
    step, wait = _mail_step(alert, delivery, policy, presence, now)
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
    if channel is Channel.DESKTOP:
        return None if policy.popups else Reason.NO_CHANNEL
    if not policy.mails:
        return Reason.NO_CHANNEL
    if policy.email_when is EmailWhen.NEVER:
        return Reason.NEVER
    if alert.severity is Severity.INFO and policy.email_when is not EmailWhen.ALWAYS:
        return Reason.INFO_ONLY
    return Reason.QUEUED if delivery.queued and not delivery.outdated else None


def _novelty(
    alert: Alert, channel: Channel, delivery: DeliveryState, policy: RoutingPolicy, now: Instant
) -> tuple[Reason, float | None]:
    """Why it may be told (again), or after how many seconds it may."""
    last, quiet = delivery.last, Reason.COOLDOWN
    if delivery.given_up is not None and (last is None or delivery.given_up.follows(last, now)):
        # Whatever is written about it now would most likely fare alike: once a cooldown is enough.
        last, quiet = delivery.given_up, Reason.GIVEN_UP
    if last is None:
        return Reason.FIRST, None
    if alert.news is not None:
        reason, at = alert.news
        # Flapping is one notice on the desktop; a mail more in a cooldown would be the opposite of damping.
        passes = reason is not Reason.FLAPPING or channel is Channel.DESKTOP
        if passes and at.follows(last, now):
            return reason, None
    age = now.since(last)
    if abs(age) >= policy.cooldown:
        return Reason.COOLDOWN_OVER, None
    return quiet, policy.cooldown - age


def _mail_step(
    alert: Alert, delivery: DeliveryState, policy: RoutingPolicy, presence: Presence, now: Instant
) -> tuple[Reason | None, float | None]:
    """Why the mail need not wait for the person, or for how many seconds it does."""
    if policy.email_when is EmailWhen.ALWAYS:
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
    """For how long the person has had the chance to react; the clock's step back counts as long enough."""
    began = alert.fired or now
    if alert.news is not None and alert.news[1].follows(began, now):
        began = alert.news[1]
    age = now.since(began)
    return age if age >= 0 else float("inf")
