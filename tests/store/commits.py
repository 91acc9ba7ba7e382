"""Values that the store's tests write."""

from __future__ import annotations

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.engine import Policy
from gpuwatch_tray.model import Alert, Instant, Limits, Message, MessageKind, Severity
from gpuwatch_tray.notify.render import MailIdentity
from gpuwatch_tray.store import Commit, Mail, Transition
from tests.support.fakes import START, process, snapshot

POLICY = Policy(Limits(gpu_limit=1, max_etime=360000), RoutingPolicy(3600.0, mails=True))
HEAD = MailIdentity("box", "ada", "/etc/gpu-watch.env")
BUSY, CALM = snapshot(process(1, 0), process(2, 1)), snapshot(process(1, 0))
NOW = Instant(START, 500.0, "boot-1")


def alert(number=1, name="box/gpu_limit", **facts):
    base = {"since": START, "value": 3.0, "id": number, "fired": NOW, "raises": 1}
    return Alert(name, "gpu_limit", "", Severity.WARNING, "GPU_COUNT(3) > GPU_LIMIT(2)", **(base | facts))


def message(number=1, created=START, kind=MessageKind.ALERT):
    return Message(f"subject {number}", "text ü\n", created, f"<{number}@box>", kind)


def mail(number=1, names=("box/gpu_limit",), *, held=False, **facts):
    return Mail(message(number, **facts), tuple(names), held)


def step(*mails, at=NOW, **facts):
    return Commit(at, mails=mails, **facts)


def fired(number=1):
    """Make the commit of an alert that fires, with its mail and its transition."""
    line = Transition(START, number, "fired", "first")
    return step(mail(number), alerts=(alert(number),), transitions=(line,))
