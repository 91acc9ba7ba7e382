"""Reminders: what a person asked to be told once, with what has been observed so far; and their JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from gpuwatch_tray.model import Instant, ReminderNotice, Severity

if TYPE_CHECKING:
    from gpuwatch_tray.model import LabView, Snapshot


# Another process on a GPU: UUID, user, program, PID, memory (bytes), start (wall time).
OtherHolder: TypeAlias = tuple[str, str, str, int, int, float | None]


class GpusFree(Struct, frozen=True):
    """
    At least `count` GPUs have had no compute process for `hold` seconds.

    `since` has each GPU (UUID) free at the last observation, and since when; `seen` is when that was.
    """

    count: int
    hold: float
    since: tuple[tuple[str, Instant], ...] = ()
    seen: Instant | None = None


class LabGpusFree(Struct, frozen=True):
    """
    At least `count` GPUs are free at once on one of the hosts `on`, or with `spread` over all of them.

    Each has `memory` bytes free; `looks`: GPUs count that only look free. `since` has each number of free
    GPUs of a host (`2@gpu1`) that the last observation found, and since when; `seen` is when that was.
    """

    count: int
    hold: float
    since: tuple[tuple[str, Instant], ...] = ()
    seen: Instant | None = None
    on: str = "*"
    spread: bool = False
    memory: int = 0
    looks: bool = False


class LabProcessEnds(Struct, frozen=True):
    """
    A process on a host of the lab is gone from its GPUs; `called` is what may be shown of its command.

    `started` is its start by our clock, None where it is not known; `elapsed` for how many seconds it had run
    when it was last `seen`, on the GPUs `devices` (UUID).
    """

    host: str
    pid: int
    called: str
    started: float | None = None
    elapsed: float | None = None
    seen: Instant | None = None
    devices: tuple[str, ...] = ()


class ProcessEnds(Struct, frozen=True):
    """
    A process is gone: its PID is nobody's any more, or that of a process of another identity.

    `local`: the system here can be asked whether it lives; `called` is what may be shown of its command.
    `elapsed` is for how many seconds it had run when it was last `seen`, `peak` its most memory (bytes).
    """

    pid: int
    identity: str
    called: str
    boot: str = ""
    local: bool = False
    gpus: tuple[int, ...] = ()
    elapsed: float | None = None
    peak: int | None = None
    seen: Instant | None = None
    devices: tuple[str, ...] = ()  # those GPUs by UUID
    xids: tuple[tuple[str, int, float], ...] = ()  # of those: UUID, number, wall time
    lost: tuple[str, ...] = ()  # of those, not readable when last looked at
    full: tuple[str, ...] = ()  # of those, without memory left while it was last seen on them
    others: tuple[OtherHolder, ...] = ()  # who else was on them then
    oom_kills: int | None = None  # the machine's count when it was last known to run


class CommandEnds(Struct, frozen=True):
    """
    A command that `when run` has started, and will report the end of; else the engine tells of it.

    `peak` is the most memory (bytes) of it and what it started; `gone`: since when, without a report.
    `devices` are the GPUs (UUID) on which they were, `xids` what the driver reported of those (UUID, number,
    wall time), `lost` those that could not be read when last looked at. `full`, `others` and `oom_kills` are
    those of ProcessEnds.
    """

    pid: int
    identity: str
    called: str
    boot: str = ""
    peak: int | None = None
    gone: Instant | None = None
    devices: tuple[str, ...] = ()
    xids: tuple[tuple[str, int, float], ...] = ()
    lost: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    others: tuple[OtherHolder, ...] = ()
    oom_kills: int | None = None


class RunReport(Struct, frozen=True):
    """
    What `when run` learned of an end beside its exit code, as texts in its user's language.

    `run` is its number in `runs`, `sentence` the cause, `fix` what to do about it, empty for nothing;
    `quoted` is the one of the details that is a line of its output.
    """

    run: int
    sentence: str
    fix: str = ""
    details: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()  # UUIDs
    quoted: str = ""


def report_from_json(body: object) -> RunReport | None:
    """Read a report that came over the socket; None where there is none, as from an older `when run`."""
    if not isinstance(body, dict):
        return None
    details, gpus = (tuple(map(str, body.get(name, ()))) for name in ("details", "gpus"))
    sentence, fix, quoted = (str(body.get(name, "")) for name in ("sentence", "fix", "quoted"))
    return RunReport(int(body["run"]), sentence, fix, details, gpus, quoted)


ReminderCondition: TypeAlias = GpusFree | ProcessEnds | CommandEnds | LabGpusFree | LabProcessEnds


class Reminder(Struct, frozen=True):
    """A condition on file, asked for at `asked`; with a `notice` it has come about and is to be told."""

    id: int
    asked: Instant
    condition: ReminderCondition
    notice: ReminderNotice | None = None


class Observation(Struct, frozen=True):
    """
    What is known at `now` for a step of one reminder; `check` is not `in_loop`, so has gaps.

    `lives` is what the system says of the process, None where it cannot tell; `children` are the processes on
    the GPUs (PID, identity) that a command started.
    """

    snapshot: Snapshot
    now: Instant
    gap: float
    in_loop: bool = True
    lives: bool | None = None
    children: frozenset[tuple[int, str]] = frozenset()
    lab: LabView | None = None  # in its place where a lab is read, not one host

    def follows(self, seen: Instant | None) -> bool:
        """Return whether what was seen at the last observation may be held to have gone on until now."""
        if seen is None:
            return False
        passed = self.now.since(seen)
        if not self.in_loop:
            return passed >= 0
        return seen.boot == self.now.boot and 0 <= passed <= self.gap


ReminderJson: TypeAlias = dict[str, Any]
CONDITIONS: dict[str, type[ReminderCondition]] = {
    "free": GpusFree,
    "ends": ProcessEnds,
    "run": CommandEnds,
    "lab free": LabGpusFree,
    "lab ends": LabProcessEnds,
}
INSTANTS = ("seen", "gone")


def reminder_to_json(reminder: Reminder) -> ReminderJson:
    """Turn the reminder into values that JSON has, without its number."""
    return {
        "asked": _instant(reminder.asked),
        "wish": _condition_to_json(reminder.condition),
        "notice": None if reminder.notice is None else asdict(reminder.notice),
    }


def reminder_from_json(number: int, body: ReminderJson) -> Reminder:
    """Read a reminder back. Raises ValueError, TypeError, KeyError or AttributeError for what is none."""
    notice = body["notice"]
    if notice is not None:
        details, output = (tuple(map(str, notice[name])) for name in ("details", "output"))
        severity = Severity(int(notice.get("severity", Severity.INFO)))  # older states have none
        run, gpus = int(notice.get("run", 0)), tuple(map(str, notice.get("gpus", ())))
        title, text, at = str(notice["title"]), str(notice["text"]), float(notice["at"])
        quoted = str(notice.get("quoted", ""))
        notice = ReminderNotice(title, text, at, details, output, severity, run, gpus, quoted)
    return Reminder(number, Instant(*body["asked"]), _condition_from_json(dict(body["wish"])), notice)


def _condition_to_json(condition: ReminderCondition) -> ReminderJson:
    kind = next(name for name, made in CONDITIONS.items() if isinstance(condition, made))
    body: ReminderJson = {"kind": kind}
    for name, value in asdict(condition).items():
        if isinstance(value, Instant):
            body[name] = _instant(value)
        elif name == "since":
            body[name] = [[uuid, _instant(at)] for uuid, at in value]
        else:
            body[name] = value
    return body


def _condition_from_json(body: ReminderJson) -> ReminderCondition:
    made = CONDITIONS[body.pop("kind")]
    for name in INSTANTS:
        if body.get(name) is not None:
            body[name] = Instant(*body[name])
    if "since" in body:
        body["since"] = tuple((str(uuid), Instant(*at)) for uuid, at in body["since"])
    if "gpus" in body:
        body["gpus"] = tuple(map(int, body["gpus"]))
    for name in ("devices", "lost", "full"):
        if name in body:
            body[name] = tuple(map(str, body[name]))
    if "xids" in body:
        body["xids"] = tuple((str(uuid), int(code), float(at)) for uuid, code, at in body["xids"])
    if "others" in body:
        body["others"] = tuple(
            (str(uuid), str(user), str(name), int(pid), int(memory), None if since is None else float(since))
            for uuid, user, name, pid, memory, since in body["others"]
        )
    return made(**body)


def _instant(at: Instant) -> list[float | str]:
    return [at.wall, at.uptime, at.boot]
